"""The first start of boxes without a keyboard, in QEMU: by a stick, by SMBIOS and a seed; and what such a box is like.

Two boxes start from copies of one image, each when the first test asks for it; what they have shown and made is kept
for the others. Long: `scripts/test image`.
"""

from __future__ import annotations

import base64
import io
import os
import re
import shutil
import ssl
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest

from appliance.accounts.account import hash_password
from tests.image.qemu import Box, Operator, debugfs, partitions
from tests.image.sticks import cd, stick
from tests.peers.ports import free_port

pytestmark = pytest.mark.skipif(not os.environ.get("JACKFIELD_LONG"), reason="some minutes: scripts/test image")

PASSWORD = "right-horse-battery"
SNMP_WORDS = ("for-authentication", "for-privacy")
GROWN_BYTES = 1 << 30
GROWN_AGAIN_BYTES = 512 << 20
ADDRESS = "10.0.2.77"
"""Not the one that QEMU's DHCP would give."""
STATIC = f"[interface e*]\naddress = {ADDRESS}/24\ngateway = 10.0.2.2\ndns = 10.0.2.3\n"
SNMP = f"[snmp]\nenabled = yes\nauth-password = {SNMP_WORDS[0]}\nprivacy-password = {SNMP_WORDS[1]}\n"
TIME = "[time]\nservers = 10.0.2.2\n"
OPERATOR = f"[account operator]\nrole = administrator\npassword-hash = {hash_password(PASSWORD)}\n{SNMP}{TIME}"
ENGINE_ID = "1.3.6.1.6.3.10.2.1.1.0"
OVMF = Path("/usr/share/OVMF")
CODE = re.compile(r"with the code  ([a-z2-9]{4}-[a-z2-9]{4})")


@attrs.frozen
class Started:
    """What a box has shown at its first start; it is off by now. `identity` is what it made for itself alone."""

    disk: Path
    page: str
    console: str
    machine: str
    identity: Mapping[str, str]


@contextmanager
def running(box: Box, what: str) -> Iterator[Operator]:
    box.power_on()
    try:
        print(f"\n{what}: page {box.wait_for_start():.0f} s after power-on")
        yield Operator(box, "operator", PASSWORD)
    finally:
        box.power_cut()


def copied(image: Path, folder: Path, more_bytes: int = 0) -> Path:
    [raw] = image.glob("*-vm.raw")
    disk = folder / "disk.raw"
    subprocess.run(["cp", "--sparse=always", raw, disk], check=True)
    os.truncate(disk, raw.stat().st_size + more_bytes)
    return disk


def snmp(box: Box, oid: str) -> str:
    [here] = (here for here, there in box.forwards.items() if there == 161)
    words = ["snmpget", "-v3", "-l", "authPriv", "-u", "jackfield", "-a", "SHA-256", "-A", SNMP_WORDS[0], "-x", "AES"]
    words += ["-X", SNMP_WORDS[1], "-t", "10", "-r", "5", "-Oqvn", f"127.0.0.1:{here}", oid]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip().strip('"')


def seen(box: Box, operator: Operator, page: str) -> Started:
    """Of a box that is on, and then switched off."""
    answer = operator.client.post("/support", data={"token": operator.token})
    with tarfile.open(fileobj=io.BytesIO(answer.content)) as archive:
        [member] = (one for one in archive.getmembers() if one.name.endswith("/machine.txt"))
        content = archive.extractfile(member)
        assert content is not None
        machine = content.read().decode()
    identity = {
        "certificate": ssl.get_server_certificate(("127.0.0.1", box.https)),
        "SNMP engine": snmp(box, ENGINE_ID),
    }
    box.press_power()
    identity["machine id"] = debugfs(box.disk, "cat /machine-id").strip()
    kept = debugfs(box.disk, "ls -p /jackfield/state").splitlines()
    for file in (line.split("/")[5] for line in kept if line.startswith("/")):
        if "key" in file or "secret" in file or file.endswith(".pem"):
            identity[file] = debugfs(box.disk, f"cat /jackfield/state/{file}")
    return Started(box.disk, page, box.shown(), machine, identity)


def data_bytes(disk: Path) -> tuple[int, int]:
    """Of the data partition: its own length, and that of the file system on it."""
    facts = dict(line.split(":", 1) for line in debugfs(disk, "show_super_stats -h").splitlines() if ":" in line)
    return partitions(disk)["jackfield-data"][1], int(facts["Block count"]) * int(facts["Block size"])


def fills(disk: Path) -> bool:
    """Whether the data partition ends with the disk, and the file system with the partition."""
    start = partitions(disk)["jackfield-data"][0]
    partition, files = data_bytes(disk)
    return disk.stat().st_size - (start + partition) < 2 << 20 and partition - files < 1 << 20


@pytest.fixture(scope="module")
def by_stick(image: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    """A box with a stick and a CD, on a disk that is larger than the image."""
    folder = tmp_path_factory.mktemp("by-stick")
    files = {"conf.d/60-site.conf": STATIC, "conf.d/70-people.conf": OPERATOR, "hostname": "box-by-stick\n"}
    seed = {
        "meta-data": "instance-id: one\n",
        "user-data": "#cloud-config\nwrite_files:\n  - path: /etc/jackfield/conf.d/75-cd.conf\n"
        "    content: |\n      [user 1001]\n",
    }
    box = Box(
        copied(image, folder, GROWN_BYTES),
        sticks=(stick(folder, "JACKFIELD", files),),
        address=ADDRESS,
        more=cd(folder, "cidata", seed),
        forwards={free_port(): 161},
    )
    with running(box, "by stick") as operator:
        operator.sign_in()
        box.wait("the console", lambda: f"https://{ADDRESS}:8443/" in box.shown(), 600)
        started = seen(box, operator, operator.client.get("/").text)
    yield started
    box.disk.unlink()


@pytest.fixture(scope="module")
def by_seed(image: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    """A box with UEFI, a stick that is no good, SMBIOS and a seed; its owner types the console's code into the page."""
    folder = tmp_path_factory.mktemp("by-seed")
    bad = stick(folder, "JACKFIELD", {"conf.d/70-bad.conf": "[user 1001]\npasword = 12\n"})
    seed = {
        "meta-data": "instance-id: one\nlocal-hostname: box-by-seed\n",
        "user-data": "#cloud-config\nwrite_files:\n  - path: /etc/jackfield/conf.d/70-time.conf\n"
        "    content: |\n      [time]\n      servers = 10.0.2.2\n",
        "network-config": "version: 2\nethernets:\n  cards:\n    match: {name: 'e*'}\n"
        f"    addresses: [{ADDRESS}/24]\n    gateway4: 10.0.2.2\n",
    }
    shutil.copy(OVMF / "OVMF_VARS_4M.fd", folder / "vars.fd")
    more = ("-drive", f"if=pflash,format=raw,readonly=on,file={OVMF / 'OVMF_CODE_4M.fd'}")
    more += ("-drive", f"if=pflash,format=raw,file={folder / 'vars.fd'}")
    handed = base64.b64encode(SNMP.encode()).decode()
    more += ("-smbios", f"type=11,value=io.systemd.credential.binary:jackfield.conf.60-snmp={handed}")
    sticks = (bad, stick(folder, "CIDATA", seed))
    box = Box(copied(image, folder), sticks=sticks, address=ADDRESS, more=more, forwards={free_port(): 161})
    with running(box, "by seed, with UEFI") as operator:
        box.wait("the code", lambda: CODE.search(box.shown()) is not None)
        [code] = set(CODE.findall(box.shown()))
        page = operator.client.get("/setup").text
        form = {"password": PASSWORD, "again": PASSWORD, "name": "", "address": "", "gateway": "", "dns": ""}
        assert operator.client.post("/setup", data=form | {"code": "aaaa-2222"}).status_code == 403
        assert "The box is yours" in operator.client.post("/setup", data=form | {"code": code}).text
        operator.name = "admin"
        operator.sign_in()
        assert operator.client.get("/setup").status_code == 303, "the code has served"
        started = seen(box, operator, page)
    yield started
    box.disk.unlink()


def test_a_stick_brings_name_address_password_and_drop_ins_and_a_cd_a_seed(by_stick: Started) -> None:
    assert "box-by-stick" in by_stick.page
    assert "box-by-stick" in by_stick.console
    assert "with the code" not in by_stick.console, "it has an administrator"
    assert "the seed of cloud-init: took 75-cd.conf" in by_stick.console


def test_the_data_partition_grows_with_the_disk_and_once_more(by_stick: Started, tmp_path: Path) -> None:
    disk = tmp_path / "disk.raw"
    subprocess.run(["cp", "--sparse=always", by_stick.disk, disk], check=True)
    assert fills(disk), data_bytes(disk)
    os.truncate(disk, disk.stat().st_size + GROWN_AGAIN_BYTES)
    box = Box(disk, address=ADDRESS, forwards={free_port(): 161})
    with running(box, "again") as operator:
        operator.sign_in()
        assert snmp(box, ENGINE_ID) == by_stick.identity["SNMP engine"]
        box.press_power()
    assert fills(disk), data_bytes(disk)
    disk.unlink()


def test_with_uefi_a_bad_stick_is_reported_and_smbios_a_seed_and_the_owner_bring_the_rest(by_seed: Started) -> None:
    assert "the stick JACKFIELD: nothing was taken" in by_seed.console
    assert "70-bad.conf:2" in by_seed.console
    assert "the credentials of the virtual machine: took 60-snmp.conf" in by_seed.console
    assert "the seed of cloud-init: took 70-time.conf, 90-host-name.conf, 90-network.conf" in by_seed.console
    assert "box-by-seed" in by_seed.page


def test_boxes_of_one_image_have_nothing_in_common_that_tells_who_they_are(by_stick: Started, by_seed: Started) -> None:
    print(f"\nmade by each box: {', '.join(by_stick.identity)}")
    assert re.fullmatch("[0-9a-f]{32}", by_stick.identity["machine id"])
    for what, made in by_stick.identity.items():
        assert made != by_seed.identity[what], what


def test_no_unit_has_failed_after_a_first_start(by_stick: Started, by_seed: Started) -> None:
    for one in (by_stick, by_seed):
        assert not re.search("units that failed: .*service", one.machine), one.machine
