"""Two builds of one commit are the same bytes. Long, as all of `scripts/test image`."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.image.build import ROOT

pytestmark = pytest.mark.skipif("JACKFIELD_LONG" not in os.environ, reason="two builds: scripts/test image")


def test_two_builds_are_equal(tmp_path: Path) -> None:
    words = [ROOT / "firmware-image" / "build", "0.1.0", "--fast", "--twice", "--output", tmp_path]
    built = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=7200)
    assert built.returncode == 0, f"{built.stdout}\n{built.stderr}"
    assert "two builds are equal, bit for bit" in built.stdout
