"""What lies in a slot, read from its squashfs: kernel and initrd, compiled Python, nobody's password, no mirror.

Long, for it wants an image: `scripts/test image`.
"""

import os
import re
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not os.environ.get("JACKFIELD_LONG"), reason="wants an image: scripts/test image")


@pytest.fixture(scope="module")
def squashfs(image: Path) -> Path:
    [found] = image.glob("*-vm.squashfs")
    return found


@pytest.fixture(scope="module")
def modes(squashfs: Path) -> dict[str, str]:
    """As ls has them, by path."""
    said = subprocess.run(["unsquashfs", "-lls", squashfs], check=True, capture_output=True, text=True).stdout
    rows = (line.split(maxsplit=5) for line in said.splitlines() if line[:1] in "-dlcbps" and " squashfs-root" in line)
    return {row[5].split(" -> ")[0].removeprefix("squashfs-root"): row[0] for row in rows}


def text(squashfs: Path, path: str) -> str:
    words = ["unsquashfs", "-cat", squashfs, path]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def test_it_starts_by_itself(modes: dict[str, str]) -> None:
    assert {"/boot/vmlinuz", "/boot/initrd.img"} <= set(modes)


def test_every_module_of_the_appliance_is_compiled(modes: dict[str, str]) -> None:
    ours = [path for path in modes if re.fullmatch(r"/usr/lib/jackfield/.*/appliance/.*\.py", path)]
    compiled = [re.sub(r"/([^/]*)\.py$", r"/__pycache__/\1.cpython-311.pyc", path) for path in ours]
    assert len(ours) > 100
    assert [path for path in compiled if path not in modes] == []


def test_nobody_has_a_password_and_no_program_gives_rights(squashfs: Path, modes: dict[str, str]) -> None:
    fields = [line.split(":")[1] for line in text(squashfs, "etc/shadow").splitlines()]
    assert all(one.startswith(("!", "*")) for one in fields)
    assert [path for path, mode in modes.items() if mode[0] == "-" and ("s" in mode.lower()[1:])] == []


def test_who_a_box_is_and_where_its_packages_came_from_is_not_in_it(squashfs: Path, modes: dict[str, str]) -> None:
    assert text(squashfs, "etc/machine-id") == ""
    assert [path for path in modes if path.startswith("/etc/apt/") and path.endswith((".list", ".sources"))] == []
    assert not [path for path in modes if path.startswith("/var/lib/apt/lists/")]


@pytest.mark.parametrize(
    "program", ["haproxy", "keepalived", "snmpd", "chronyd", "nft", "../bin/redis-server", "../bin/rauc"]
)
def test_what_a_box_can_turn_on_is_there(program: str, modes: dict[str, str]) -> None:
    assert os.path.normpath(f"/usr/sbin/{program}") in modes


def test_the_partition_table_has_two_slots_for_bios_and_uefi(image: Path) -> None:
    [raw] = image.glob("*-vm.raw")
    environment = os.environ | {"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
    said = subprocess.run(["sfdisk", "--dump", raw], env=environment, check=True, capture_output=True, text=True).stdout
    assert "label: gpt" in said
    assert re.findall(r'name="([^"]+)"', said) == ["bios", "ESP", "slot-a", "slot-b", "jackfield-data"]
