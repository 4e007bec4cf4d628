"""How far the units of the image are shut in, by the count of `systemd-analyze security`, which reads the files."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.image.build import ROOT

pytestmark = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")

UNITS = ROOT / "firmware-image/root/usr/lib/systemd/system"
MOST = 2.5
"""Less than this; 10 is not shut in at all."""


@pytest.mark.parametrize("unit", sorted(one.name for one in UNITS.glob("jackfield*.service")))
def test_a_unit_is_shut_in(unit: str, tmp_path: Path) -> None:
    there = tmp_path / unit.replace("@", "@tty1")
    shutil.copy(UNITS / unit, there)
    words = ["systemd-analyze", "security", "--offline=true", "--no-pager", there]
    said = subprocess.run(words, capture_output=True, text=True)
    found = re.search(r"exposure level for \S+: ([0-9.]+)", said.stdout)
    if found is None:
        pytest.skip(f"this systemd-analyze reads no files: {said.stderr.strip()}")
    assert float(found[1]) < MOST
