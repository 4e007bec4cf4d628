"""The update of a real image in QEMU: kept, refused, cut off, given up, taken back. Long: `scripts/test image`.

The tests are one story and run in their order: each finds the box as the one before has left it.
"""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from appliance.accounts.account import hash_password
from tests.box.bundles import FIRMWARE, make_bundle, make_signer
from tests.image.qemu import Box, Operator
from tests.image.versions import another, os_release, unit

IMAGE = os.environ.get("JACKFIELD_IMAGE", "")
"""A folder with the raw disk and the squashfs of one build of the flavour vm."""
pytestmark = pytest.mark.skipif(
    not (IMAGE and os.environ.get("JACKFIELD_LONG")), reason="half an hour: scripts/test image"
)

GOOD, BROKEN = "100.0.0", "101.0.0"
PASSWORD = "right-horse-battery"
GROWN_BYTES = 1 << 30
INSTALL_S = 900


@attrs.define
class Story:
    """What the tests share."""

    folder: Path
    squashfs: Path
    first: str
    box: Box
    operator: Operator
    good: Path | None = None

    def bundle(self, version: str, squashfs: Path, name: str = "", flavour: str = "vm") -> Path:
        """Signed with the key that the image was built with."""
        file = self.folder / (name or f"jackfield-{version}.raucb")
        words = [FIRMWARE / "bundle", version, squashfs, file, "--flavour", flavour]
        subprocess.run(words, check=True, capture_output=True)
        return file

    def runs(self) -> tuple[str, str]:
        """Version and state of the slot that runs."""
        slots = self.operator.status()["slots"]
        assert isinstance(slots, list)
        [one] = [one for one in slots if one["runs"]]
        return one["version"], one["state"]

    def is_kept(self, version: str) -> bool:
        return self.box.answers() and self.runs() == (version, "well")

    def install(self, bundle: Path) -> None:
        assert self.operator.send(bundle)["ok"]
        assert self.operator.do("install", bundle.name)["ok"]

    def wait_until_installed(self) -> None:
        self.box.wait("the installation", lambda: not self.operator.status()["installing"], INSTALL_S)
        status = self.operator.status()
        assert status["restart"], status


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("image")
    [raw], [squashfs] = Path(IMAGE).glob("*-vm.raw"), Path(IMAGE).glob("*-vm.squashfs")
    disk = folder / "disk.raw"
    subprocess.run(["cp", "--sparse=always", raw, disk], check=True)
    with disk.open("r+b") as content:
        content.truncate(raw.stat().st_size + GROWN_BYTES)
    conf = f"[account operator]\nrole = administrator\npassword-hash = {hash_password(PASSWORD)}\n"
    box = Box(disk, conf)
    box.power_on()
    try:
        print(f"\nfirst start: {box.wait_for_start():.0f} s")
        operator = Operator(box, "operator", PASSWORD)
        operator.sign_in()
        box.wait("boxd", lambda: bool(operator.status()))
        version = str(operator.status()["version"])
        yield Story(folder, squashfs, version, box, operator)
    finally:
        box.power_cut()
        (Path(IMAGE) / "update.console").write_bytes(box.console.read_bytes())


def test_a_new_box_calls_its_first_version_well(story: Story) -> None:
    story.box.wait("the health check", lambda: story.is_kept(story.first))
    status = story.operator.status()
    assert status["previous_refused"] == "there is no previous version: slot B is empty"
    assert (status["trial"], status["fallen"]) == (None, None)


def test_what_may_not_be_installed_is_refused_with_its_reason(story: Story) -> None:
    small = story.folder / "small.squashfs"
    (story.folder / "tree").mkdir()
    (story.folder / "tree" / "content").write_bytes(os.urandom(1 << 20))
    subprocess.run(["mksquashfs", story.folder / "tree", small, "-quiet", "-no-progress"], check=True)
    foreign = make_bundle(make_signer(story.folder / "other"), small, GOOD, story.folder / "foreign.raucb")
    tampered = story.bundle(GOOD, small, "tampered.raucb")
    data = bytearray(tampered.read_bytes())
    data[500_000] ^= 1
    tampered.write_bytes(data)
    for bundle, said in (
        (foreign, "foreign.raucb is signed with a key that this box does not trust"),
        (tampered, "tampered.raucb was changed after it was signed, or damaged on its way here"),
        (story.bundle("0.0.1", small, "old.raucb"), "older than"),
        (story.bundle(GOOD, small, "metal.raucb", "metal"), "is for other hardware: jackfield-amd64-metal"),
    ):
        answer = story.operator.send(bundle)
        assert not answer["ok"]
        assert said in str(answer["error"])
        assert not story.operator.do("install", bundle.name)["ok"]


def test_a_good_version_is_proved_and_kept_and_so_is_the_data(story: Story) -> None:
    made = another(
        story.squashfs, story.folder / "good.squashfs", {"usr/lib/os-release": os_release(story.squashfs, GOOD)}
    )
    story.good = story.bundle(GOOD, made)
    banned = {"action": "add", "source": "192.0.2.77", "length": "", "token": story.operator.token}
    assert story.operator.client.post("/do/ban", data=banned).json()["ok"]
    story.install(story.good)
    story.wait_until_installed()
    assert story.operator.do("restart")["ok"]
    print(f"\nuntil kept: {story.box.wait(GOOD, lambda: story.is_kept(GOOD)):.0f} s")
    bans = story.operator.client.get("/find/bans").json()["rows"]
    assert [one["source"] for one in bans] == ["192.0.2.77"]
    assert story.operator.status()["previous"] == story.first


def test_the_previous_version_comes_back(story: Story) -> None:
    assert story.operator.do("previous")["ok"]
    assert story.operator.do("restart")["ok"]
    story.box.wait(story.first, lambda: story.is_kept(story.first))
    assert story.operator.status()["previous"] == GOOD


def test_a_power_cut_in_mid_update_leaves_the_version_of_now(story: Story) -> None:
    assert story.good is not None
    story.install(story.good)

    def copies() -> bool:
        progress = story.operator.status()["progress"]
        assert isinstance(progress, dict)
        return "Copying" in str(progress["step"])

    story.box.wait("rauc to write", copies, INSTALL_S)
    story.box.power_cut()
    story.box.power_on()
    story.box.wait(story.first, lambda: story.is_kept(story.first))
    status = story.operator.status()
    assert (status["trial"], status["fallen"], status["restart"]) == (None, None, False)
    assert status["previous"] == ""


def test_a_broken_version_is_tried_three_times_and_falls_back_by_itself(story: Story) -> None:
    health = unit(story.squashfs, "jackfield-health.service").replace("update look", "update look --deadline 20")
    service = unit(story.squashfs, "jackfield.service")
    start = next(line for line in service.splitlines() if line.startswith("ExecStart="))
    made = another(
        story.squashfs,
        story.folder / "broken.squashfs",
        {
            "usr/lib/os-release": os_release(story.squashfs, BROKEN),
            "usr/lib/systemd/system/jackfield.service": service.replace(start, "ExecStart=/bin/false").encode(),
            "usr/lib/systemd/system/jackfield-health.service": health.encode(),
        },
    )
    story.install(story.bundle(BROKEN, made))
    story.wait_until_installed()
    before = story.box.console.read_bytes().count(b"Booting `Jackfield")
    assert story.operator.do("restart")["ok"]

    def fell_back() -> bool:
        return story.box.answers() and story.operator.status()["fallen"] is not None

    print(f"\nuntil it fell back: {story.box.wait('the fall back', fell_back, 2400):.0f} s")
    assert story.box.console.read_bytes().count(b"Booting `Jackfield") == before + 4
    story.box.wait(story.first, lambda: story.is_kept(story.first))
    fallen = story.operator.status()["fallen"]
    assert isinstance(fallen, dict)
    assert fallen["version"] == BROKEN
    assert str(fallen["reason"]).startswith("Jackfield does not answer")
    assert "did not pass its health check" in str(story.operator.status()["previous_refused"])
