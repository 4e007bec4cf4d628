"""The image on other machines than QEMU's own: the OVA as VMware has it, the flavour metal with SATA, Intel and USB.

Long: `scripts/test image`. JACKFIELD_METAL may name a folder with a build of the flavour metal, else it is built.
"""

from __future__ import annotations

import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from appliance.accounts.account import hash_password
from tests.image.build import ASIDE, ROOT
from tests.image.qemu import METAL, VMWARE, Box, Operator
from tests.image.sticks import stick

pytestmark = pytest.mark.skipif(not os.environ.get("JACKFIELD_LONG"), reason="some minutes: scripts/test image")

PASSWORD = "right-horse-battery"
CONF = f"[account operator]\nrole = administrator\npassword-hash = {hash_password(PASSWORD)}\n"
TIME = "[time]\nservers = 10.0.2.2\n"
BUILD_S = 3600


def starts(box: Box, version: str = "0.1.0") -> None:
    """To a slot that has passed its health check, a call to itself included."""
    box.power_on()
    try:
        print(f"\n{box.hardware.card}: page {box.wait_for_start():.0f} s after power-on")
        operator = Operator(box, "operator", PASSWORD)
        operator.sign_in()
        box.wait("the health check", lambda: operator.status()["slots"][0]["state"] == "well")  # type: ignore[index]
        assert operator.status()["version"] == version
    finally:
        box.power_cut()


def test_the_appliance_for_vmware_starts_with_the_hardware_that_it_declares(image: Path, tmp_path: Path) -> None:
    [raw] = image.glob("*-vm.raw")
    ova, disk = tmp_path / "jackfield.ova", tmp_path / "disk.raw"
    dated = os.environ | {"SOURCE_DATE_EPOCH": "1700000000"}
    subprocess.run([ROOT / "firmware-image" / "ova", "0.1.0", raw, ova], check=True, env=dated)
    with tarfile.open(ova) as archive:
        [vmdk] = (name for name in archive.getnames() if name.endswith(".vmdk"))
        archive.extract(vmdk, tmp_path, filter="data")
    subprocess.run(["qemu-img", "convert", "-O", "raw", tmp_path / vmdk, disk], check=True)
    starts(Box(disk, CONF + TIME, hardware=VMWARE))
    disk.unlink()


def test_the_flavour_metal_starts_from_sata_with_an_intel_card_and_takes_a_usb_stick(tmp_path: Path) -> None:
    built = Path(os.environ.get("JACKFIELD_METAL", tmp_path / "metal"))
    if "JACKFIELD_METAL" not in os.environ:
        words = [*ASIDE, ROOT / "firmware-image" / "build", "0.1.0", "--flavour", "metal", "--fast", "--output", built]
        subprocess.run(words, check=True, timeout=BUILD_S, stdin=subprocess.DEVNULL)
    [raw] = built.glob("*-metal.raw")
    disk = tmp_path / "disk.raw"
    subprocess.run(["cp", "--sparse=always", raw, disk], check=True)
    box = Box(disk, CONF, sticks=(stick(tmp_path, "JACKFIELD", {"conf.d/60-time.conf": TIME}),), hardware=METAL)
    starts(box)
    assert "the stick JACKFIELD: took 60-time.conf" in box.shown()
    disk.unlink()
