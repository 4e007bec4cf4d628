"""Updates on a box with the real rauc and GRUB's environment: slots, trials, fallbacks, and the way back."""

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest

from appliance.box import boxd, update
from appliance.box.boot_health import NO_WORD, Healthy, Outcome, look_after_start
from appliance.box.machine import Ran, Refused
from appliance.box.update_record import Fallen, Record, Trial, read_record
from tests.box.bundles import Signer, make_bundle, make_signer, make_squashfs
from tests.box.rauc_service import StartedBox, started_box


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    return make_signer(tmp_path_factory.mktemp("signer") / "ours")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, signer: Signer) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    return make_bundle(signer, make_squashfs(folder / "root", 1), "2.0.0", folder / "jackfield-2.0.0.raucb")


@pytest.fixture
def box(tmp_path: Path, signer: Signer) -> Iterator[StartedBox]:
    with started_box(tmp_path / "box", signer) as started:
        yield started


def put_in(box: StartedBox, bundle: Path) -> str:
    folder = update.inbox(box.machine)
    folder.mkdir(exist_ok=True)
    (folder / bundle.name).write_bytes(bundle.read_bytes())
    return bundle.name


def spoil(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[500_000] ^= 1
    file.write_bytes(data)


def say(file: Path, *lines: str) -> None:
    file.write_text("".join(f"{line}\n" for line in ("installing", *lines)))


def writes(box: StartedBox, version: str) -> update.Install:
    """An installer that does what rauc's does to slots and environment."""

    async def install(words: Sequence[str], said: Path) -> int:
        assert words[:2] == ("rauc", "install")
        say(said, "  0% Installing", " 40% Copying image to rootfs.1", "100% Installing done.")
        box.write_slot("B" if box.slot == "A" else "A", version)
        return 0

    return install


def verdict(*said: str, asked: list[bool] | None = None) -> Healthy:
    """One after the other; `asked` takes whether a call was part of it."""
    rest = list(said)

    async def healthy(calls: bool) -> str:
        if asked is not None:
            asked.append(calls)
        return rest.pop(0)

    return healthy


async def well(calls: bool) -> str:
    return ""


async def shown(box: StartedBox) -> dict[str, Any]:
    return dict(await update.status(box.machine))


async def test_a_new_box_shows_one_slot_and_no_way_back(box: StartedBox) -> None:
    status = await shown(box)
    assert (status["version"], status["hardware"], status["oldest"]) == ("1.2.3", "jackfield-amd64-vm", "0.1")
    a, b = status["slots"]
    assert (a["slot"], a["version"], a["runs"]) == ("A", "1.2.3", True)
    assert (b["slot"], b["version"], b["state"], b["next"]) == ("B", "", "empty", False)
    assert status["previous_refused"] == "there is no previous version: slot B is empty"
    with pytest.raises(Refused, match="slot B is empty"):
        await update.previous(box.machine)


async def test_the_first_start_of_all_is_marked_good(box: StartedBox) -> None:
    assert box.environment_block()["A_TRY"] == "1"
    assert await look_after_start(box.machine, verdict("")) is Outcome.GOOD
    assert box.environment_block() == {"ORDER": "A B", "A_OK": "1", "A_TRY": "0", "B_OK": "0", "B_TRY": "0"}
    assert read_record(box.machine) == Record(versions={"A": "1.2.3"})


async def test_an_update_that_is_well_is_kept_and_the_old_version_stays(box: StartedBox, bundle: Path) -> None:
    await look_after_start(box.machine, verdict(""))
    installed = await update.apply(box.machine, put_in(box, bundle), well, install=writes(box, "2.0.0"))
    assert installed.version == "2.0.0"
    assert not list(update.inbox(box.machine).iterdir())
    status = await shown(box)
    assert status["restart"]
    assert status["progress"]["state"] == "done"
    assert [one["state"] for one in status["slots"]] == ["well", "on trial"]

    assert box.start("2.0.0") == "B"
    status = await shown(box)
    assert (status["trial"]["version"], status["restart"]) == ("2.0.0", False)
    assert await look_after_start(box.machine, verdict("")) is Outcome.GOOD
    assert box.environment_block() == {"ORDER": "B A", "A_OK": "1", "A_TRY": "0", "B_OK": "1", "B_TRY": "0"}
    assert read_record(box.machine) == Record(versions={"A": "1.2.3", "B": "2.0.0"})
    assert (await shown(box))["previous"] == "1.2.3"

    assert await update.previous(box.machine) == "1.2.3"
    assert (await shown(box))["restart"]
    assert box.start("1.2.3") == "A"
    assert await look_after_start(box.machine, verdict("")) is Outcome.GOOD
    assert (await shown(box))["previous"] == "2.0.0"


async def test_a_version_that_a_factory_reset_made_us_forget_can_still_be_gone_back_to(
    box: StartedBox, bundle: Path
) -> None:
    await look_after_start(box.machine, verdict(""))
    await update.apply(box.machine, put_in(box, bundle), well, install=writes(box, "2.0.0"))
    box.start("2.0.0")
    await look_after_start(box.machine, verdict(""))
    shutil.rmtree(box.machine.own)
    await look_after_start(box.machine, verdict(""))
    status = await shown(box)
    assert [one["version"] for one in status["slots"]] == [update.UNKNOWN, "2.0.0"]
    assert (status["previous"], status["previous_refused"]) == (update.UNKNOWN, "")
    assert await update.previous(box.machine) == update.UNKNOWN


async def test_an_update_that_is_not_well_is_tried_three_times_and_given_up(box: StartedBox, bundle: Path) -> None:
    await look_after_start(box.machine, verdict(""))
    await update.apply(box.machine, put_in(box, bundle), well, install=writes(box, "2.0.0"))
    for tries in (1, 2):
        assert box.start("2.0.0") == "B"
        assert await look_after_start(box.machine, verdict("the echo line does not answer")) is Outcome.RESTART
        trial = read_record(box.machine).trial
        assert trial is not None
        assert (trial.starts, trial.reason) == (tries, "the echo line does not answer")
    assert box.start("2.0.0") == "B"  # and it hangs: the watchdog ends this one before anybody looks
    assert box.start("1.2.3") == "A"
    assert await look_after_start(box.machine, verdict(""), lambda: 1000.0) is Outcome.GOOD
    assert read_record(box.machine).fallen == Fallen("2.0.0", "the echo line does not answer", 1000.0)
    block = box.environment_block()
    assert (block["ORDER"], block["A_OK"], block["A_TRY"], block["B_OK"]) == ("A B", "1", "0", "0")
    assert "version 2.0.0, which did not pass its health check" in (await shown(box))["previous_refused"]
    assert box.start() == "A"


async def test_one_that_never_comes_up_is_given_up_without_a_word(box: StartedBox, bundle: Path) -> None:
    await update.apply(box.machine, put_in(box, bundle), well, install=writes(box, "2.0.0"))
    assert [box.start() for _ in range(4)] == ["B", "B", "B", "A"]
    assert await look_after_start(box.machine, verdict("")) is Outcome.GOOD
    fallen = read_record(box.machine).fallen
    assert fallen is not None
    assert (fallen.version, fallen.reason) == ("2.0.0", NO_WORD)


async def test_a_version_that_was_well_stays_whatever_is_wrong(box: StartedBox) -> None:
    for _ in range(5):
        assert await look_after_start(box.machine, verdict("no listener takes calls")) is Outcome.GOOD
        assert box.environment_block()["A_TRY"] == "0"
        assert box.start() == "A"


async def test_a_refused_bundle_changes_nothing_and_says_why(box: StartedBox, bundle: Path) -> None:
    spoil(update.inbox(box.machine) / put_in(box, bundle))
    before = box.environment_block()
    with pytest.raises(Refused, match="was changed after it was signed"):
        await update.apply(box.machine, bundle.name, well, install=writes(box, "2.0.0"))
    assert box.environment_block() == before
    assert read_record(box.machine) == Record()
    assert not list(update.inbox(box.machine).iterdir())
    progress = update.read_progress(box.machine)
    assert progress is not None
    assert progress.state == "failed"
    assert progress.error == "jackfield-2.0.0.raucb was changed after it was signed, or damaged on its way here"


async def test_a_box_that_is_not_well_takes_no_version_unless_it_is_wanted_anyway(
    box: StartedBox, bundle: Path
) -> None:
    await look_after_start(box.machine, verdict(""))
    fault = "the self-test failed: register over UDP: no answer. Look at [listener udp]"
    with pytest.raises(Refused, match=r"not well itself, so that version 2.0.0 would be given up, too: the self-test"):
        await update.apply(box.machine, put_in(box, bundle), verdict(fault), install=writes(box, "2.0.0"))
    progress = (await shown(box))["progress"]
    assert (progress["state"], progress["unwell"], progress["stick"]) == ("failed", True, False)
    assert "Look at [listener udp]. Mend that first, or have it installed anyway" in progress["error"]
    assert [one.name for one in update.inbox(box.machine).iterdir()] == [bundle.name], "it waits for the answer"
    assert box.environment_block()["B_OK"] == "0"

    assert (await ask(box, f'{{"verb": "update-install", "file": "{bundle.name}", "anyway": "yes"}}'))["ok"]
    assert box.ran[-1].endswith(f"update apply {bundle.name} --anyway")
    await update.apply(box.machine, bundle.name, None, install=writes(box, "2.0.0"))
    assert not list(update.inbox(box.machine).iterdir())
    box.start("2.0.0")
    asked: list[bool] = []
    assert await look_after_start(box.machine, verdict("", asked=asked)) is Outcome.GOOD
    assert asked == [False], "whether it answers, and no call"
    assert await look_after_start(box.machine, verdict("", asked=asked)) is Outcome.GOOD
    assert asked == [False, True], "once it is kept, all is looked at again"


async def test_the_status_tells_how_far_rauc_is_while_it_tells_nothing_itself(box: StartedBox, bundle: Path) -> None:
    real, seen = box.machine.run, []

    async def busy(words: Sequence[str], given: bytes) -> Ran:
        assert words[0] != "rauc", "it would wait until the installation is over"
        return Ran(0, "") if "is-active" in words else await real(words, given)

    async def install(words: Sequence[str], said: Path) -> int:
        for line in ("  0% Installing", " 40% Copying image to rootfs.1", " 99% Copying image to rootfs.1 done."):
            say(said, line)
            seen.append(await update.status(attrs.evolve(box.machine, run=busy)))
        return await writes(box, "2.0.0")(words, said)

    await update.apply(box.machine, put_in(box, bundle), well, install=install)
    assert [one["installing"] for one in seen] == [True, True, True]
    assert [one["progress"]["percent"] for one in seen] == [0, 40, 99]
    assert seen[1]["progress"]["step"] == "Copying image to rootfs.1"
    assert (seen[1]["version"], seen[1]["slots"]) == ("1.2.3", [])
    after = await shown(box)
    assert set(after) == set(seen[1]), "the same facts, for those who read them"
    assert (after["installing"], after["restart"], len(after["slots"])) == (False, True, 2)


async def test_a_record_of_a_newer_version_is_read_as_far_as_we_know_it(box: StartedBox, bundle: Path) -> None:
    await update.apply(box.machine, put_in(box, bundle), well, install=writes(box, "2.0.0"))
    file = box.machine.own / "update.json"
    said = json.loads(file.read_text())
    said["trial"]["colour"] = "green"
    file.write_text(json.dumps(said))
    assert read_record(box.machine).trial == Trial("B", "2.0.0", "1.2.3", installed=True)


async def test_an_installation_that_rauc_gives_up_leaves_no_trial(box: StartedBox, bundle: Path) -> None:
    async def install(words: Sequence[str], said: Path) -> int:
        say(said, "LastError: Failed to write: No space left on device", "Installing failed")
        return 1

    with pytest.raises(Refused, match=r"could not be written: Failed to write: No space left on device"):
        await update.apply(box.machine, put_in(box, bundle), well, install=install)
    assert read_record(box.machine).trial is None


async def test_a_power_cut_in_mid_installation_starts_the_old_version(box: StartedBox, bundle: Path) -> None:
    async def install(words: Sequence[str], said: Path) -> int:
        box._set("B_OK=0")  # as rauc does before it writes
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await update.apply(box.machine, put_in(box, bundle), well, install=install)
    assert read_record(box.machine).trial == Trial("B", "2.0.0", "1.2.3")
    assert box.start() == "A"
    assert await look_after_start(box.machine, verdict("")) is Outcome.GOOD
    assert read_record(box.machine) == Record(versions={"A": "1.2.3"})


async def test_a_power_cut_just_behind_rauc_still_makes_a_trial(box: StartedBox, bundle: Path) -> None:
    async def install(words: Sequence[str], said: Path) -> int:
        box.write_slot("B", "2.0.0")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await update.apply(box.machine, put_in(box, bundle), well, install=install)
    assert box.start("2.0.0") == "B"
    assert await look_after_start(box.machine, verdict("it is not well")) is Outcome.RESTART


async def test_nothing_is_installed_over_the_way_back_of_a_trial(box: StartedBox, bundle: Path) -> None:
    await update.apply(box.machine, put_in(box, bundle), well, install=writes(box, "2.0.0"))
    box.start("2.0.0")
    with pytest.raises(Refused, match=r"version 2.0.0 is on trial just now"):
        await update.apply(box.machine, put_in(box, bundle), well, install=writes(box, "2.0.0"))


async def ask(box: StartedBox, line: str) -> dict[str, Any]:
    peer = boxd.Peer(1, 0)
    return dict(await boxd.answer_untrusted(line.encode(), peer, box.machine, {one.name: one for one in update.VERBS}))


async def test_boxd_begins_an_installation_of_the_inbox_only(box: StartedBox, bundle: Path) -> None:
    for name in ("../../etc/shadow.raucb", "/etc/x.raucb", ".raucb", "a b.raucb", "x.img", "-x.raucb"):
        answer = await ask(box, f'{{"verb": "update-install", "file": "{name}"}}')
        assert not answer["ok"]
        assert "is no name of a bundle" in answer["error"]
    answer = await ask(box, '{"verb": "update-install", "file": "no.raucb"}')
    assert answer["error"] == "there is no no.raucb to install"
    put_in(box, bundle)
    assert (await ask(box, f'{{"verb": "update-install", "file": "{bundle.name}"}}'))["ok"]
    begun = box.ran[-1]
    assert begun.startswith("systemd-run --quiet --collect --unit=jackfield-update ")
    assert begun.endswith(f"-m appliance update apply {bundle.name}")
    # Our systemd runs no such unit: that is what an installation looks like that somebody killed.
    status = (await ask(box, '{"verb": "update-status"}'))["progress"]
    assert (status["state"], status["error"]) == ("failed", "the installation was broken off")


async def test_an_update_that_waits_for_its_restart_can_be_given_up(box: StartedBox, bundle: Path) -> None:
    assert (await ask(box, '{"verb": "update-give-up"}'))["error"] == "no update waits for a restart"
    await update.apply(box.machine, put_in(box, bundle), well, install=writes(box, "2.0.0"))
    assert await ask(box, '{"verb": "update-give-up"}') == {"ok": True, "version": "2.0.0"}
    assert box.start() == "A"
    assert read_record(box.machine).trial is None


@attrs.define
class Stick:
    """What is mounted is a link to a folder."""

    box: StartedBox
    folder: Path

    def plug_in(self, bundle: Path) -> None:
        label = self.box.folder / "dev/disk/by-label/JACKFIELD"
        label.parent.mkdir(parents=True)
        label.write_bytes(b"")
        self.folder.mkdir()
        (self.folder / bundle.name).write_bytes(bundle.read_bytes())
        (self.folder / "notes.txt").write_text("x")
        real = self.box.machine.run

        async def run(words: Sequence[str], given: bytes) -> Ran:
            return self.mount(words) if words[0] in ("mount", "umount") else await real(words, given)

        self.box.machine = attrs.evolve(self.box.machine, run=run)

    def mount(self, words: Sequence[str]) -> Ran:
        place = Path(words[-1])
        if words[0] == "umount":
            place.unlink()
        else:
            assert words[1:3] == ("-o", "ro,nosuid,nodev,noexec")
            place.rmdir()
            place.symlink_to(self.folder)
        return Ran(0, "")


async def test_bundles_of_a_stick_are_named_and_installed(box: StartedBox, bundle: Path, tmp_path: Path) -> None:
    assert (await ask(box, '{"verb": "update-find"}'))["error"] == "there is no stick labelled JACKFIELD"
    stick = Stick(box, tmp_path / "stick")
    stick.plug_in(bundle)
    [found] = (await ask(box, '{"verb": "update-find"}'))["bundles"]
    assert found["file"] == bundle.name
    installed = await update.apply(box.machine, bundle.name, well, stick=True, install=writes(box, "2.0.0"))
    assert (installed.version, installed.size) == ("2.0.0", found["size"])
    assert {one.name for one in stick.folder.iterdir()} == {bundle.name, "notes.txt"}
    assert not (box.folder / "run/jackfield-stick").exists()
