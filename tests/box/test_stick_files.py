"""Files to and from a stick: which one is taken, what passes, and what boxd will not copy for anybody."""

import json
from pathlib import Path

import pytest

from appliance.box.boxd import VERBS, answer_untrusted
from appliance.box.machine import Machine, Ran
from appliance.box.verb import Json, Peer
from tests.box.machines import Programs, image_in

TABLE = {one.name: one for one in VERBS}
DISKS = {
    "blockdevices": [
        {"name": "/dev/vda", "rm": False, "tran": "virtio", "children": [{"name": "/dev/vda5", "fstype": "ext4"}]},
        {
            "name": "/dev/sda",
            "rm": True,
            "tran": "usb",
            "children": [
                {"name": "/dev/sda1", "fstype": "vfat", "label": "PHOTOS"},
                {"name": "/dev/sda2", "fstype": "vfat", "label": "Jackfield"},
                {"name": "/dev/sda3", "fstype": "LVM2_member"},
            ],
        },
    ]
}


@pytest.fixture
def programs() -> Programs:
    return Programs(answers={"lsblk": Ran(0, json.dumps(DISKS))})


@pytest.fixture
def machine(tmp_path: Path, programs: Programs) -> Machine:
    made = image_in(tmp_path, programs)
    (made.state_dir / "outbox").mkdir()
    return made


async def ask(machine: Machine, verb: str, **words: Json) -> dict[str, Json]:
    return await answer_untrusted(json.dumps({"verb": verb, **words}).encode(), Peer(1, 0), machine, TABLE)


async def test_a_file_of_the_outbox_is_moved_onto_the_stick_with_our_label(
    machine: Machine, programs: Programs
) -> None:
    (machine.state_dir / "outbox/jackfield-1.backup").write_bytes(b"sealed")
    assert await ask(machine, "stick-save", file="jackfield-1.backup") == {"ok": True, "file": "jackfield-1.backup"}
    stick = machine.root / "run/jackfield-stick"
    assert (stick / "jackfield-1.backup").read_bytes() == b"sealed"
    assert not (machine.state_dir / "outbox/jackfield-1.backup").exists()
    assert [line.split()[0] for line in programs.ran] == ["lsblk", "mount", "umount"]
    assert "rw,nosuid,nodev,noexec /dev/sda2 " in programs.ran[1]


async def test_backups_of_the_stick_are_listed_and_fetched(machine: Machine, programs: Programs) -> None:
    stick = machine.root / "run/jackfield-stick"
    stick.mkdir(parents=True)
    for name in ("jackfield-1.backup", "jackfield-2.tar.gz", "jackfield-support-1.tar.gz", "letter.txt"):
        (stick / name).write_text(name)
    found = await ask(machine, "stick-list")
    assert set(found["files"]) == {"jackfield-1.backup", "jackfield-2.tar.gz"}  # type: ignore[arg-type]
    assert "ro,nosuid,nodev,noexec" in programs.ran[1]
    assert (await ask(machine, "stick-fetch", file="jackfield-1.backup"))["ok"]
    fetched = machine.state_dir / "outbox/jackfield-1.backup"
    assert fetched.read_text() == "jackfield-1.backup"
    assert fetched.stat().st_mode & 0o077 == 0
    assert "not named like a backup" in str((await ask(machine, "stick-fetch", file="letter.txt"))["error"])


@pytest.mark.parametrize("name", ["../token.key", "/etc/shadow", ".hidden", "", "a b"])
async def test_a_name_that_leads_elsewhere_is_refused(machine: Machine, programs: Programs, name: str) -> None:
    for verb in ("stick-save", "stick-fetch"):
        assert "no name of a file" in str((await ask(machine, verb, file=name))["error"])
    assert programs.ran == []


async def test_a_link_is_not_followed_for_anybody(machine: Machine) -> None:
    (machine.root / "secret").write_text("root's own")
    (machine.state_dir / "outbox/jackfield-1.backup").symlink_to(machine.root / "secret")
    assert (await ask(machine, "stick-save", file="jackfield-1.backup"))["ok"] is False
    assert not (machine.root / "run/jackfield-stick/jackfield-1.backup").exists()


async def test_an_outbox_that_is_a_link_is_not_used(machine: Machine, programs: Programs) -> None:
    (machine.state_dir / "outbox").rmdir()
    (machine.root / "elsewhere").mkdir()
    (machine.root / "elsewhere/shadow").write_text("root's own")
    (machine.state_dir / "outbox").symlink_to(machine.root / "elsewhere")
    assert (await ask(machine, "stick-save", file="shadow"))["ok"] is False
    assert (machine.root / "elsewhere/shadow").exists()
    assert programs.ran == []


@pytest.mark.parametrize("listed", ["", "{}", '{"blockdevices": [{"name": "/dev/vda5", "fstype": "ext4"}]}'])
async def test_without_a_stick_it_says_so(machine: Machine, programs: Programs, listed: str) -> None:
    programs.answers = {"lsblk": Ran(0, listed)}
    assert "no stick is plugged in" in str((await ask(machine, "stick-list"))["error"])
    assert len(programs.ran) == 1
