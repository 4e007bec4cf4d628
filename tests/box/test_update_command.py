"""`jackfield update` at the terminal, with boxd's verbs and the real rauc behind it."""

import json
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from appliance.accounts.audit import last_entries
from appliance.box import boxd, update
from appliance.box.boot_health import Outcome
from appliance.box.machine import Machine, Ran, Refused
from appliance.box.verb import Peer
from appliance.cli import main
from appliance.commands import selftest
from appliance.commands import update as update_command
from appliance.selftest.report import Report, Step, Verdict
from tests.box.bundles import make_bundle, make_signer, make_squashfs
from tests.box.rauc_service import StartedBox, started_box


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StartedBox]:
    """boxd answers without its socket, which test_boxd.py shows; what it would have systemd do is done at once."""
    with started_box(tmp_path / "box", make_signer(tmp_path / "ours")) as started:
        real = started.machine.run

        async def well(calls: bool) -> str:
            return started.fault

        async def install(words: Sequence[str], said: Path) -> int:
            started.write_slot("B", "2.0.0")
            return 0

        async def run(words: Sequence[str], given: bytes) -> Ran:
            if "apply" in words:
                name = words[words.index("apply") + 1]
                with suppress(Refused):
                    healthy = None if "--anyway" in words else well
                    await update.apply(started.machine, name, healthy, stick="--stick" in words, install=install)
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
    assert box.ran[-1].endswith("systemctl --no-block reboot")
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


def test_a_box_that_is_not_well_says_so_and_can_be_told_to_install_anyway(
    box: StartedBox, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    box.fault = "the self-test failed: register over UDP: no answer. Look at [listener udp]"
    bundle = make_bundle(box.signer, make_squashfs(tmp_path / "root", 1), "2.0.0", tmp_path / "new.raucb")
    assert command(box, "install", bundle) == 1
    refused, anyway = capsys.readouterr().out.splitlines()
    assert refused.startswith("new.raucb was not installed: this box is not well itself")
    assert "register over UDP: no answer. Look at [listener udp]. Mend that first" in refused
    assert anyway == f"Anyway: jackfield update install {bundle} --anyway"
    assert last_entries(box.machine.state_dir, 1) == []
    assert command(box, "install", bundle, "--anyway") == 0
    assert "Version 2.0.0 is installed." in capsys.readouterr().out
    [entry] = last_entries(box.machine.state_dir, 10)
    assert (entry.what, entry.subject, entry.source) == ("update", "install new.raucb anyway", "command")


def test_the_health_check_asks_for_a_call_unless_it_is_told_not_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody answers /healthz with 200, and no box that could be called stands behind it."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, *words: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        conf = tmp_path / "conf.d"
        conf.mkdir()
        listener = "[listener udp]\ntransport = udp\nport = 5060\n"
        (conf / "box.conf").write_text(f"{listener}[web]\nhttp-port = {server.server_port}\n")
        step = Step("register over UDP", Verdict.FAILED, "no answer", "Look at [listener udp].")
        reports = [Report(0.0, 0.1, (step,)), Report(0.0, 0.1, (attrs.evolve(step, verdict=Verdict.OK),))]
        monkeypatch.setattr(selftest, "test_box", lambda state_dir: reports.pop(0))
        monkeypatch.setattr(update_command, "_STEP_S", 0.01)
        well = partial(update_command.wait_until_well, conf, tmp_path, 60.0)
        assert trio.run(partial(well, calls=False)) == ""
        assert len(reports) == 2, "no call"
        assert trio.run(partial(well, calls=True)) == ""
        assert reports == [], "once more, until it passes"
        reports.append(Report(0.0, 0.1, (step,)))
        fault = update_command._fault(conf, tmp_path, calls=True)
        assert fault == "the self-test failed: register over UDP: no answer. Look at [listener udp]"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


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
