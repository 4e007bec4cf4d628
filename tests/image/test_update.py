"""The update of a real image in QEMU: kept, refused, cut off, given up, taken back, and the reset at the end of it.

Long: `scripts/test image`. The tests are one story of one machine and run in their order: each finds the box as the one
before has left it. With -k any may be left out, but who goes back needs the good version before. The times are printed.
"""

import os
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from appliance.accounts.account import hash_password
from tests.box.bundles import FIRMWARE, make_bundle, make_signer
from tests.image.qemu import Box, Operator
from tests.image.versions import another, os_release, unit

pytestmark = pytest.mark.skipif(not os.environ.get("JACKFIELD_LONG"), reason="half an hour: scripts/test image")

GOOD, BROKEN = "100.0.0", "101.0.0"
PASSWORD = "right-horse-battery"
BANNED = "192.0.2.77"
GROWN_BYTES = 1 << 30
INSTALL_S = 2700
FALL_BACK_S = 7200
HANG_ONCE = (
    "ExecStartPre=+/bin/sh -c '[ -e /data/hung ] || { touch /data/hung; sync; sleep 5; kill -SEGV 1; sleep 600; }'\n"
)
"""The first start of a version ends in a systemd that does nothing any more, which only a watchdog can tell."""


@attrs.define
class Story:
    """What the tests share. `small` is a squashfs that no box could start from."""

    folder: Path
    squashfs: Path
    small: Path
    first: str
    box: Box
    operator: Operator
    began: float = attrs.field(factory=time.monotonic)

    def bundle(self, version: str, squashfs: Path, name: str = "", flavour: str = "vm") -> Path:
        """Signed with the key that the image was built with."""
        file = self.folder / (name or f"jackfield-{version}.raucb")
        words = [FIRMWARE / "bundle", version, squashfs, file, "--flavour", flavour]
        subprocess.run(words, check=True, capture_output=True)
        return file

    def good(self) -> Path:
        """Another version by its name alone."""
        files = {"usr/lib/os-release": os_release(self.squashfs, GOOD)}
        return self.bundle(GOOD, another(self.squashfs, self.folder / "good.squashfs", files))

    def broken(self) -> Path:
        """Jackfield ends at once, and the health check does not wait for long."""
        health = unit(self.squashfs, "jackfield-health.service").replace("update look", "update look --deadline 20")
        service = unit(self.squashfs, "jackfield.service")
        start = next(line for line in service.splitlines() if line.startswith("ExecStart="))
        units = {
            "jackfield.service": service.replace(start, "ExecStart=/bin/false"),
            "jackfield-health.service": health.replace("ExecStart=", f"{HANG_ONCE}ExecStart=", 1),
        }
        files = {f"usr/lib/systemd/system/{name}": text.encode() for name, text in units.items()}
        files["usr/lib/os-release"] = os_release(self.squashfs, BROKEN)
        return self.bundle(BROKEN, another(self.squashfs, self.folder / "broken.squashfs", files))

    def stick(self, *bundles: Path) -> Path:
        """Labelled JACKFIELD."""
        file = self.folder / "stick.raw"
        with file.open("wb") as image:
            image.truncate(sum(one.stat().st_size for one in bundles) + (32 << 20))
        environment = os.environ | {"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
        subprocess.run(["mkfs.vfat", "-n", "JACKFIELD", file], env=environment, check=True, capture_output=True)
        subprocess.run(["mcopy", "-i", file, *bundles, "::"], check=True)
        return file

    def runs(self) -> tuple[str, str]:
        """Version and state of the slot that runs."""
        slots = self.operator.status()["slots"]
        assert isinstance(slots, list)
        [one] = [one for one in slots if one["runs"]]
        return one["version"], one["state"]

    def is_kept(self, version: str) -> bool:
        return self.box.answers() and self.runs() == (version, "well")

    def wait_until_kept(self, version: str) -> None:
        self.tell(f"{version} kept", self.box.wait(version, lambda: self.is_kept(version)))

    def install(self, bundle: Path) -> None:
        assert self.operator.send(bundle)["ok"]
        assert self.operator.do("install", bundle.name)["ok"]

    def progress(self) -> dict[str, object]:
        progress = self.operator.status()["progress"]
        assert isinstance(progress, dict)
        return progress

    def install_from_stick(self, version: str) -> None:
        """It tells how far it is all the while, and in the end that the other slot starts next."""
        assert self.operator.do("stick", f"jackfield-{version}.raucb")["ok"]
        seen: set[str] = set()

        def is_over() -> bool:
            status = self.operator.status()
            assert isinstance(status["progress"], dict)
            seen.add(str(status["progress"]["step"]))
            return not status["installing"]

        self.tell(f"{version} installed", self.box.wait("the installation", is_over, INSTALL_S))
        status = self.operator.status()
        assert status["restart"], status
        assert any(step.startswith("Copying") for step in seen), f"rauc was at work, and this was told: {seen}"

    def ban(self, action: str, source: str) -> None:
        banned = {"action": action, "source": source, "length": "", "token": self.operator.token}
        answer = self.operator.client.post("/do/ban", data=banned)
        assert answer.json()["ok"], answer.text

    def bans(self) -> list[str]:
        return [one["source"] for one in self.operator.client.get("/find/bans").json()["rows"]]

    def tell(self, what: str, took_s: float) -> None:
        print(f"\n{time.monotonic() - self.began:6.0f} s: {what} after {took_s:.0f} s", end="")


@pytest.fixture(scope="module")
def story(image: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("image")
    [raw], [squashfs] = image.glob("*-vm.raw"), image.glob("*-vm.squashfs")
    disk, small = folder / "disk.raw", folder / "small.squashfs"
    subprocess.run(["cp", "--sparse=always", raw, disk], check=True)
    os.truncate(disk, raw.stat().st_size + GROWN_BYTES)
    (folder / "tree").mkdir()
    (folder / "tree" / "content").write_bytes(os.urandom(1 << 20))
    subprocess.run(["mksquashfs", folder / "tree", small, "-quiet", "-no-progress"], check=True)
    conf = f"[account operator]\nrole = administrator\npassword-hash = {hash_password(PASSWORD)}\n"
    box = Box(disk, conf)
    operator = Operator(box, "operator", PASSWORD)
    story = Story(folder, squashfs, small, "", box, operator)
    box.sticks = (story.stick(story.good(), story.broken()),)
    box.power_on()
    try:
        story.tell("the first page", box.wait_for_start())
        operator.sign_in()
        box.wait("boxd", lambda: bool(operator.status()))
        story.first = str(operator.status()["version"])
        story.ban("add", BANNED)
        yield story
    finally:
        box.power_cut()
        said = box.console.read_bytes()
        (image / "update.console").write_bytes(said)
        assert b"Failed unmounting" not in said


def test_a_new_box_calls_its_first_version_well(story: Story) -> None:
    story.wait_until_kept(story.first)
    status = story.operator.status()
    assert status["previous_refused"] == "there is no previous version: slot B is empty"
    assert (status["trial"], status["fallen"]) == (None, None)


def test_what_may_not_be_installed_is_refused_with_its_reason(story: Story) -> None:
    foreign = make_bundle(make_signer(story.folder / "other"), story.small, GOOD, story.folder / "foreign.raucb")
    tampered = story.bundle(GOOD, story.small, "tampered.raucb")
    data = bytearray(tampered.read_bytes())
    data[500_000] ^= 1
    tampered.write_bytes(data)
    for bundle, said in (
        (foreign, "foreign.raucb is signed with a key that this box does not trust"),
        (tampered, "tampered.raucb was changed after it was signed, or damaged on its way here"),
        (story.bundle("0.0.1", story.small, "old.raucb"), "older than"),
        (story.bundle(GOOD, story.small, "metal.raucb", "metal"), "is for other hardware: jackfield-amd64-metal"),
    ):
        answer = story.operator.send(bundle)
        assert not answer["ok"]
        assert said in str(answer["error"])
        assert not story.operator.do("install", bundle.name)["ok"]


def test_a_power_cut_in_mid_update_leaves_the_version_of_now(story: Story) -> None:
    story.install(story.folder / f"jackfield-{GOOD}.raucb")
    story.box.wait("rauc to write", lambda: "Copying" in str(story.progress()["step"]), INSTALL_S)
    story.box.power_cut()
    story.box.power_on()
    story.wait_until_kept(story.first)
    status = story.operator.status()
    assert (status["trial"], status["fallen"], status["restart"]) == (None, None, False)
    assert status["previous"] == ""
    assert story.bans() == [BANNED]


def test_a_good_version_is_proved_and_kept_and_so_is_the_data(story: Story) -> None:
    found = story.operator.client.get("/update/stick").json()["bundles"]
    assert [one["file"] for one in found] == [f"jackfield-{version}.raucb" for version in (GOOD, BROKEN)]
    story.install_from_stick(GOOD)
    assert story.operator.do("restart")["ok"]
    story.wait_until_kept(GOOD)
    assert story.bans() == [BANNED]
    assert story.operator.status()["previous"] == story.first


def test_the_previous_version_comes_back(story: Story) -> None:
    assert story.operator.do("previous")["ok"]
    assert story.operator.do("restart")["ok"]
    story.wait_until_kept(story.first)
    assert story.operator.status()["previous"] == GOOD


def test_a_broken_version_is_tried_three_times_and_falls_back_by_itself(story: Story) -> None:
    """Once it hangs until the watchdog bites, twice its health check finds it wanting."""
    story.install_from_stick(BROKEN)
    before = story.box.console.read_bytes()
    assert story.operator.do("restart")["ok"]

    def fell_back() -> bool:
        return story.box.answers() and story.operator.status()["fallen"] is not None

    story.tell("it fell back", story.box.wait("the fall back", fell_back, FALL_BACK_S))
    since = story.box.console.read_bytes()[len(before) :]
    assert since.count(b"Booting `Jackfield") == 4
    assert since.count(b"softdog: Initiating system reboot") == 1
    story.wait_until_kept(story.first)
    fallen = story.operator.status()["fallen"]
    assert isinstance(fallen, dict)
    assert fallen["version"] == BROKEN
    assert str(fallen["reason"]).startswith("Jackfield does not answer")
    assert "did not pass its health check" in str(story.operator.status()["previous_refused"])
    assert story.bans() == [BANNED]


def test_the_console_resets_the_box_to_what_it_was_when_it_was_new(story: Story) -> None:
    def certificate() -> str:
        return ssl.get_server_certificate(("127.0.0.1", story.box.https))

    before = certificate()
    story.box.press("9", "Everything on this box is wiped")
    story.box.press("w", "This is the second time of asking.")
    story.box.press("wipe everything\r", "The machine restarts and wipes its data.")
    story.box.wait("the end of what ran", lambda: not story.box.answers(), 300)
    story.wait_until_kept(story.first)
    assert certificate() != before
    assert story.bans() == []
    status = story.operator.status()
    assert (status["trial"], status["fallen"], status["previous"]) == (None, None, "")
