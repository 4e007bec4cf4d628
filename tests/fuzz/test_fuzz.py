"""Each reader under atheris for a few seconds (JACKFIELD_FUZZ_SECONDS for more), starting from the captures.

A target also runs over every capture and over each cut short, which needs no fuzzer and repeats exactly.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from appliance.logs import log
from tests.fuzz.targets import names, target

ROOT = Path(__file__).parent.parent.parent
CAPTURES = sorted((ROOT / "tests" / "captures").rglob("*.dat"))
SECONDS = int(os.environ.get("JACKFIELD_FUZZ_SECONDS", "3"))


@pytest.mark.parametrize("name", names())
def test_target_holds_for_every_capture_and_its_pieces(name: str) -> None:
    run = target(name)
    log.set_level("error")
    for path in CAPTURES:
        data = path.read_bytes()
        run(data)
        for piece in data.split(b"\r\n"):
            run(piece)
            run(piece.partition(b":")[2].strip())
        for cut in range(0, len(data), max(1, len(data) // 16)):
            run(data[:cut])
            run(data[:cut] + b"\n" + data[cut:])


@pytest.mark.skipif(find_spec("atheris") is None, reason="atheris has no build for this Python")
@pytest.mark.parametrize("name", names())
def test_target_holds_under_the_fuzzer(name: str, tmp_path: Path) -> None:
    for path in CAPTURES:
        shutil.copy(path, tmp_path / path.name)
    command = [sys.executable, "-m", "tests.fuzz", name, str(SECONDS), str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS + 120, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
