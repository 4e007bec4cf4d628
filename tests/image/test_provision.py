"""The first start of boxes without a keyboard, in QEMU: by a stick, by SMBIOS and a seed; and what such a box is like.

The tests are one story: boxes of one image start one after the other, and are compared in the end. Long:
`scripts/test image`.
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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest

from appliance.accounts.account import hash_password
from tests.image.qemu import Box, Operator, debugfs, partitions
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


@attrs.define
class Story:
    """What the tests share: by the boxes' names, what each has made for itself, and their disks."""

    raw: Path
    folder: Path
    identities: dict[str, dict[str, str]] = attrs.field(factory=dict)
    disks: dict[str, Path] = attrs.field(factory=dict)

    def disk(self, name: str, more_bytes: int = 0) -> Path:
        disk = self.folder / f"{name}.raw"
        subprocess.run(["cp", "--sparse=always", self.raw, disk], check=True)
        os.truncate(disk, self.raw.stat().st_size + more_bytes)
        self.disks[name] = disk
        return disk

    def remember(self, box: Box, name: str) -> None:
        """Who this box is; while it is on."""
        certificate = ssl.get_server_certificate(("127.0.0.1", box.https))
        self.identities[name] = {"certificate": certificate, "SNMP engine": snmp(box, ENGINE_ID)}


@pytest.fixture(scope="module")
def story(image: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    [raw] = image.glob("*-vm.raw")
    story = Story(raw, tmp_path_factory.mktemp("provision"))
    yield story
    for disk in story.disks.values():
        disk.unlink()


@contextmanager
def running(box: Box, what: str) -> Iterator[Operator]:
    box.power_on()
    try:
        print(f"\n{what}: page {box.wait_for_start():.0f} s after power-on")
        yield Operator(box, "operator", PASSWORD)
    finally:
        box.power_cut()


def snmp(box: Box, oid: str) -> str:
    [here] = (here for here, there in box.forwards.items() if there == 161)
    words = ["snmpget", "-v3", "-l", "authPriv", "-u", "jackfield", "-a", "SHA-256", "-A", SNMP_WORDS[0], "-x", "AES"]
    words += ["-X", SNMP_WORDS[1], "-t", "10", "-r", "5", "-Oqvn", f"127.0.0.1:{here}", oid]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip().strip('"')


def look_over(operator: Operator) -> None:
    """By the support bundle: units, and memory."""
    answer = operator.client.post("/support", data={"token": operator.token})
    with tarfile.open(fileobj=io.BytesIO(answer.content)) as archive:
        [member] = (one for one in archive.getmembers() if one.name.endswith("/machine.txt"))
        content = archive.extractfile(member)
        assert content is not None
        said = content.read().decode()
    assert not re.search("units that failed: .*service", said), said
    kib = {name: int(value) for name, value in re.findall(r"^(Mem\w+):\s+(\d+) kB", said, re.MULTILINE)}
    print(f"memory: {kib['MemTotal'] - kib['MemAvailable'] >> 10} MiB in use of {kib['MemTotal'] >> 10} MiB")


def stick(folder: Path, label: str, files: dict[str, str]) -> Path:
    """A disk with FAT on it."""
    made = folder / f"{label}-{len(list(folder.iterdir()))}.img"
    subprocess.run(["mkfs.vfat", "-n", label, "-C", made, "8192"], check=True, capture_output=True)
    tree = made.with_suffix(".tree")
    for name, text in files.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text)
    subprocess.run(["mcopy", "-s", "-i", made, *tree.iterdir(), "::"], check=True)
    return made


def cd(folder: Path, label: str, files: dict[str, str]) -> tuple[str, ...]:
    """QEMU's words for one, in a drive at IDE as Proxmox has it."""
    made, tree = folder / f"{label}.iso", folder / f"{label}.cd"
    for name, text in files.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text)
    subprocess.run(["xorrisofs", "-quiet", "-V", label, "-J", "-r", "-o", made, tree], check=True)
    drive = f"if=none,id=cd,media=cdrom,readonly=on,format=raw,file={made}"
    return ("-drive", drive, "-device", "ide-cd,bus=ide.1,drive=cd")


def data_bytes(disk: Path) -> tuple[int, int]:
    """Of the data partition: its own length, and that of the file system on it."""
    facts = dict(line.split(":", 1) for line in debugfs(disk, "show_super_stats -h").splitlines() if ":" in line)
    return partitions(disk)["jackfield-data"][1], int(facts["Block count"]) * int(facts["Block size"])


def fills(disk: Path) -> bool:
    """Whether the data partition ends with the disk, and the file system with the partition."""
    start = partitions(disk)["jackfield-data"][0]
    partition, files = data_bytes(disk)
    return disk.stat().st_size - (start + partition) < 2 << 20 and partition - files < 1 << 20


def test_a_stick_brings_name_address_password_and_drop_ins_and_a_cd_a_seed(story: Story) -> None:
    disk = story.disk("stick", GROWN_BYTES)
    files = {"conf.d/60-site.conf": STATIC, "conf.d/70-people.conf": OPERATOR, "hostname": "box-by-stick\n"}
    seed = {
        "meta-data": "instance-id: one\n",
        "user-data": "#cloud-config\nwrite_files:\n  - path: /etc/jackfield/conf.d/75-cd.conf\n"
        "    content: |\n      [user 1001]\n",
    }
    box = Box(
        disk,
        sticks=(stick(story.folder, "JACKFIELD", files),),
        address=ADDRESS,
        more=cd(story.folder, "cidata", seed),
        forwards={free_port(): 161},
    )
    with running(box, "by stick") as operator:
        operator.sign_in()
        page = operator.client.get("/").text
        assert "box-by-stick" in page
        box.wait("the console", lambda: f"https://{ADDRESS}:8443/" in box.shown(), 600)
        assert "box-by-stick" in box.shown()
        assert "with the code" not in box.shown(), "it has an administrator"
        assert "the seed of cloud-init: took 75-cd.conf" in box.shown()
        look_over(operator)
        story.remember(box, "stick")
        box.press_power()
    assert fills(disk), data_bytes(disk)


def test_with_uefi_a_bad_stick_is_reported_and_smbios_a_seed_and_the_owner_bring_the_rest(story: Story) -> None:
    """The owner types the console's code into the page."""
    folder = story.folder
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
    box = Box(story.disk("seed"), sticks=sticks, address=ADDRESS, more=more, forwards={free_port(): 161})
    with running(box, "by seed, with UEFI") as operator:
        box.wait("the code", lambda: "with the code" in box.shown())
        shown = box.shown()
        assert "the stick JACKFIELD: nothing was taken" in shown
        assert "70-bad.conf:2" in shown
        assert "the credentials of the virtual machine: took 60-snmp.conf" in shown
        assert "the seed of cloud-init: took 70-time.conf, 90-host-name.conf, 90-network.conf" in shown
        [code] = set(re.findall(r"with the code  ([a-z2-9]{4}-[a-z2-9]{4})", shown))
        assert "box-by-seed" in operator.client.get("/setup").text
        form = {"password": PASSWORD, "again": PASSWORD, "name": "", "address": "", "gateway": "", "dns": ""}
        assert operator.client.post("/setup", data=form | {"code": "aaaa-2222"}).status_code == 403
        assert "The box is yours" in operator.client.post("/setup", data=form | {"code": code}).text
        operator.name = "admin"
        operator.sign_in()
        assert operator.client.get("/setup").status_code == 303, "the code has served"
        story.remember(box, "seed")
        box.press_power()


def test_boxes_of_one_image_have_nothing_in_common_that_tells_who_they_are(story: Story) -> None:
    assert set(story.identities) == {"stick", "seed"}
    for name, disk in story.disks.items():
        story.identities[name]["machine id"] = debugfs(disk, "cat /machine-id").strip()
        kept = debugfs(disk, "ls -p /jackfield/state").splitlines()
        for file in (line.split("/")[5] for line in kept if line.startswith("/")):
            if "key" in file or "secret" in file or file.endswith(".pem"):
                story.identities[name][file] = debugfs(disk, f"cat /jackfield/state/{file}")
    first, second = story.identities.values()
    print(f"\nmade by each box: {', '.join(first)}")
    assert re.fullmatch("[0-9a-f]{32}", first["machine id"])
    for what in first:
        assert first[what] != second[what], what


def test_the_data_partition_grows_once_more_with_the_disk(story: Story) -> None:
    disk = story.disks["stick"]
    os.truncate(disk, disk.stat().st_size + GROWN_AGAIN_BYTES)
    box = Box(disk, address=ADDRESS, forwards={free_port(): 161})
    with running(box, "again") as operator:
        operator.sign_in()
        assert snmp(box, ENGINE_ID) == story.identities["stick"]["SNMP engine"]
        box.press_power()
    assert fills(disk), data_bytes(disk)
