"""The appliance for VMware, as an importer reads it: parts in their order, checksums, references, the disk itself."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.image.build import ROOT

pytestmark = pytest.mark.skipif(not shutil.which("qemu-img"), reason="qemu-img is not installed")

OVF = "{http://schemas.dmtf.org/ovf/envelope/1}"
RASD = "{http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData}"
DISK = b"a disk".ljust(1 << 16) * 20


def make(folder: Path) -> Path:
    folder.mkdir()
    (folder / "disk.raw").write_bytes(DISK)
    ova = folder / "jackfield-1.2.3-vm.ova"
    words = [ROOT / "firmware-image" / "ova", "1.2.3", folder / "disk.raw", ova]
    subprocess.run(words, check=True, env=os.environ | {"SOURCE_DATE_EPOCH": "1700000000"})
    return ova


def test_what_it_names_is_in_it_and_agrees_with_its_checksum(tmp_path: Path) -> None:
    with tarfile.open(make(tmp_path / "one")) as ova:
        names = ova.getnames()
        ova.extractall(tmp_path, filter="data")
    descriptor, manifest, disk = (tmp_path / name for name in names)
    assert [one.suffix for one in (descriptor, manifest, disk)] == [".ovf", ".mf", ".vmdk"]
    said = dict(re.findall(r"SHA256\((.*)\)= ([0-9a-f]{64})", manifest.read_text()))
    assert said == {one.name: hashlib.sha256(one.read_bytes()).hexdigest() for one in (descriptor, disk)}
    root = ElementTree.parse(descriptor).getroot()
    file = root.find(f"{OVF}References/{OVF}File")
    assert file is not None
    assert (file.get(f"{OVF}href"), file.get(f"{OVF}size")) == (disk.name, str(disk.stat().st_size))
    for item in root.iter(f"{OVF}Item"):  # the schema has them sorted
        fields = [one.tag for one in item]
        assert fields == sorted(fields)
    kinds = {one.text for one in root.iter(f"{RASD}ResourceSubType")}
    assert kinds == {"VirtualSCSI", "VmxNet3"}, "what the cloud kernel has drivers for"
    words = ["qemu-img", "info", "--output=json", disk]
    info = json.loads(subprocess.run(words, check=True, capture_output=True).stdout)
    assert info["format-specific"]["data"]["create-type"] == "streamOptimized"
    subprocess.run(["qemu-img", "convert", "-O", "raw", disk, tmp_path / "back.raw"], check=True)
    assert (tmp_path / "back.raw").read_bytes() == DISK


def test_the_same_disk_gives_the_same_bytes(tmp_path: Path) -> None:
    assert make(tmp_path / "one").read_bytes() == make(tmp_path / "other").read_bytes()
