"""`jackfield update` at the terminal, with boxd's verbs and the real rauc behind it."""

import json
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from appliance.box import boxd, update
from appliance.box.boot_health import Outcome
from appliance.box.machine import Machine, Ran, Refused
from appliance.box.verb import Peer
from appliance.cli import main
from appliance.commands import update as update_command
from tests.box.bundles import make_bundle, make_signer, make_squashfs
from tests.box.rauc_service import StartedBox, started_box


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StartedBox]:
    """boxd answers without its socket, which test_boxd.py shows; what it would have systemd do is done at once."""
    with started_box(tmp_path / "box", make_signer(tmp_path / "ours")) as started:
        real = started.machine.run

        async def install(words: Sequence[str], said: Path) -> int:
            started.write_slot("B", "2.0.0")
            return 0

        async def run(words: Sequence[str], given: bytes) -> Ran:
            if words[0] == "systemd-run":
                name = words[words.index("apply") + 1]
                try:
                    await update.apply(started.machine, name, stick="--stick" in words, install=install)
                except Refused:
                    pass
            return await real(words, given)

        started.machine = attrs.evolve(started.machine, run=run)

        def ask_box(verb: str, *, machine: Machine, **words: str) -> dict[str, Any]:
            machine.must_be_ours()
            line = json.dumps({"verb": verb, **words}).encode()
            table = {one.name: one for one in boxd.VERBS}
            answer = trio.run(boxd.answer_untrusted, line, Peer(1, 0), started.machine, table)
            if not answer["ok"]:
                raise Refused(str(answer["error"]))
            return answer

        monkeypatch.setattr(update_command, "ask_box", ask_box)
        yield started


def command(box: StartedBox, *words: object) -> int:
    return main(["update", *map(str, words), "--root", str(box.folder)])


def test_a_bundle_is_judged_installed_and_shown(
    box: StartedBox, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = make_bundle(box.signer, make_squashfs(tmp_path / "root", 1), "2.0.0", tmp_path / "new.raucb")
    assert command(box) == 0
    assert "A" in capsys.readouterr().out
    assert command(box, "check", bundle) == 0
    assert capsys.readouterr().out == "new.raucb is version 2.0.0 for jackfield-amd64-vm and can be installed.\n"
    assert command(box, "install", bundle) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[-2:] == [
        "Version 2.0.0 is installed.",
        "It starts, on trial, at the next restart: jackfield update restart",
    ]
    assert bundle.exists()
    assert command(box) == 0
    assert "The other slot starts at the next restart" in capsys.readouterr().out
    assert command(box, "--json") == 0
    assert json.loads(capsys.readouterr().out)["slots"][1]["version"] == "2.0.0"
    assert command(box, "restart") == 0
    assert box.ran[-1] == "systemctl --no-block reboot"
    assert command(box, "give-up") == 0
    assert capsys.readouterr().out == "Version 2.0.0 will not be started.\n"


def test_what_is_refused_says_why_and_fails(
    box: StartedBox, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.raucb").write_bytes(b"no bundle")
    for action in ("check", "install"):
        assert command(box, action, tmp_path / "x.raucb") == 1
        assert capsys.readouterr().err == "jackfield: x.raucb is not an update bundle\n"
        assert command(box, action) == 1
        assert "name a bundle" in capsys.readouterr().err
    assert command(box, "check", tmp_path / "x.raucb", "--json") == 1
    assert json.loads(capsys.readouterr().out) == {"ok": False, "error": "x.raucb is not an update bundle"}
    assert command(box, "previous") == 1
    assert "there is no previous version: slot B is empty" in capsys.readouterr().err
    for words in (["--stick"], ["--stick", "x.raucb"], ["x.raucb", "--stick"]):
        assert command(box, "install", *words) == 1
        assert "there is no stick labelled JACKFIELD" in "".join(capsys.readouterr())


def test_on_another_machine_it_says_so_and_does_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for action in ("status", "check", "install", "previous", "give-up", "restart", "apply", "look", "prepare"):
        file = ["x.raucb"] if action in ("check", "install", "apply") else []
        assert main(["update", action, *file, "--root", str(tmp_path)]) == 1
        assert "this is not a Jackfield image" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("outcome", "code"), [(Outcome.GOOD, 0), (Outcome.RESTART, 1)])
def test_the_unit_restarts_the_machine_where_the_look_says_so(
    box: StartedBox, monkeypatch: pytest.MonkeyPatch, outcome: Outcome, code: int
) -> None:
    async def look(machine: Machine, healthy: object) -> Outcome:
        return outcome

    monkeypatch.setattr(update_command, "look_after_start", look)
    assert command(box, "look") == code


def test_the_units_of_the_image_are_such_as_systemd_takes(tmp_path: Path) -> None:
    folder = Path(__file__).parents[2] / "firmware-image/root/usr/lib/systemd/system"
    for name in ("jackfield-health.service", "jackfield-new-version.service"):
        text = (folder / name).read_text()
        assert "/usr/bin/jackfield update" in text
    [condition] = [line for line in text.splitlines() if line.startswith("ExecCondition=")]
    script = condition.split("-c '", 1)[1].rstrip("'").replace("$$", "$")
    for version, code in (("1.2.3", 1), ("1.2.4", 0), (None, 0)):
        (tmp_path / "os-release").write_text('IMAGE_VERSION="1.2.3"\n')
        (tmp_path / "version").unlink(missing_ok=True)
        if version is not None:
            (tmp_path / "version").write_text(f"{version}\n")
        here = script.replace("/usr/lib/os-release", f"{tmp_path}/os-release").replace("/data/box", str(tmp_path))
        assert subprocess.run(["sh", "-c", here], check=False).returncode == code
