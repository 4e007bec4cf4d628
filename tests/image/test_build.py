"""Two builds of one commit are the same bytes. Long, as all of `scripts/test image`."""

import hashlib
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.image.build import ASIDE, ROOT

pytestmark = pytest.mark.skipif("JACKFIELD_LONG" not in os.environ, reason="a second build: scripts/test image")

BUILD_S = 7200


def commit(folder: Path) -> str:
    [log] = folder.glob("*.log")
    return re.findall(r"of commit (\S+),", log.read_text())[-1]


def test_a_second_build_elsewhere_is_equal_bit_for_bit(image: Path, tmp_path: Path) -> None:
    """With another umask, working directory and folder, and as quick as the first.

    Salt and signature of a bundle are made anew.
    """
    quick = () if any(image.glob("*.ova")) else ("--fast",)
    words = [*ASIDE, ROOT / "firmware-image" / "build", "0.1.0", *quick, "--output", tmp_path]
    built = subprocess.run(
        words, cwd="/", umask=0o077, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=BUILD_S
    )
    assert built.returncode == 0, f"{built.stdout}\n{built.stderr}"
    if commit(tmp_path) != commit(image):
        pytest.skip(f"the image in {image} is of another commit")
    made = sorted(one.name for one in tmp_path.iterdir() if one.suffix not in (".log", ".sha256", ".raucb"))
    assert {Path(name).suffix for name in made} >= {".json", ".qcow2", ".raw", ".squashfs"}
    for name in made:
        assert digest(tmp_path / name) == digest(image / name), name


def digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
