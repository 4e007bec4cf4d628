"""The jackfield command as a real process: starting, asking it, reloading, stopping by signals, exit codes."""

import errno
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.cli import main
from appliance.supervisor import CoreFailed

CONF = """
[appliance]
drain-deadline = 5 s
[listener udp]
transport = udp
port = 0
bind = 127.0.0.1
[media]
bind = 127.0.0.1
ports = 20000-20019
[web]
bind = 127.0.0.1
http-bind = 127.0.0.1
https-port = 0
http-port = 0
[user 1001]
"""

Start = Callable[..., "Running"]


class Running:
    """A jackfield process that is ready; it tells so over NOTIFY_SOCKET, as to systemd."""

    def __init__(self, tmp_path: Path, *options: str) -> None:
        self.state_dir = tmp_path / "var"
        self.conf_dir = tmp_path
        self.log = tmp_path / "log"
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.manager.settimeout(90)
        self.manager.bind("")
        name = "@" + self.manager.getsockname()[1:].decode()
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "appliance", "run", *self.directories, *options],
                env=os.environ | {"NOTIFY_SOCKET": name},
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        try:
            assert self.hears().startswith("READY=1"), self.log.read_text()
        except BaseException:
            self.end()
            raise

    @property
    def directories(self) -> tuple[str, ...]:
        return ("--conf-dir", str(self.conf_dir), "--state-dir", str(self.state_dir))

    def hears(self) -> str:
        return self.manager.recv(4096).decode()

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        return self.process.wait(60)

    def end(self) -> None:
        self.process.kill()
        self.process.wait(60)
        if self.process.stdout:
            self.process.stdout.close()
        self.manager.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    (tmp_path / "a.conf").write_text(CONF)
    running: list[Running] = []

    def begin(*options: str) -> Running:
        running.append(Running(tmp_path, *options))
        return running[-1]

    yield begin
    for one in running:
        one.end()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(start: Start, number: signal.Signals) -> None:
    running = start()
    running.send(number)
    assert running.hears().startswith("STOPPING=1")
    assert running.wait() == 0
    assert "Traceback" not in running.log.read_text()


def test_status_tells_how_it_goes(start: Start, capsys: pytest.CaptureFixture[str]) -> None:
    running = start()
    assert main(["status", *running.directories]) == 0
    assert "jackfield" in capsys.readouterr().out
    assert main(["status", "--json", *running.directories]) == 0
    status = json.loads(capsys.readouterr().out)
    assert status["ok"] is True
    assert status["process"] == running.process.pid
    assert "control" in {service["name"] for service in status["services"]}


def test_reload_takes_up_what_is_right(start: Start, capsys: pytest.CaptureFixture[str]) -> None:
    running = start()
    (running.conf_dir / "b.conf").write_text("[user 1002]\n[sip]\nmax-forwards = 60\nt1 = 400 ms\n")
    assert main(["reload", *running.directories]) == 0
    told = capsys.readouterr().out
    assert told.splitlines() == [
        "[sip] t1 changed (after a restart)",
        "[sip] max-forwards changed",
        "[user 1002] added",
    ]
    assert list(json.loads((running.state_dir / "passwords.json").read_text())) == ["1001", "1002"]
    assert running.hears().startswith("RELOADING=1")
    assert running.hears().startswith("READY=1")
    assert main(["reload", "--conf-dir", "/", "--state-dir", str(running.state_dir)]) == 0
    assert f"It reads {running.conf_dir}, not /: only a start can change that." in capsys.readouterr().err


def test_reload_refuses_what_is_wrong_and_goes_on(start: Start, capsys: pytest.CaptureFixture[str]) -> None:
    running = start()
    (running.conf_dir / "b.conf").write_text("[user 1002]\n[sip]\nmax-forwards = many\nt1 = 1 d\n")
    assert main(["reload", *running.directories]) == 2
    told = capsys.readouterr().err
    assert re.search(r"b\.conf:3: \[sip\] max-forwards: .*\n.*b\.conf:4: \[sip\] t1: ", told)
    assert "Nothing was changed" in told
    assert list(json.loads((running.state_dir / "passwords.json").read_text())) == ["1001"]
    assert main(["status", *running.directories]) == 0


def test_sighup_reloads(start: Start) -> None:
    running = start()
    (running.conf_dir / "b.conf").write_text("[user 1002]\n")
    running.send(signal.SIGHUP)
    assert running.hears().startswith("RELOADING=1")
    assert running.hears().startswith("READY=1")
    assert "reload.applied" in running.log.read_text()


def test_passwords_are_shown_once_and_logged_never(start: Start) -> None:
    first = start("--welcome")
    first.send(signal.SIGTERM)
    shown = first.process.communicate(timeout=60)[0]
    made = re.search(r"Administrator +admin +(\S+)", shown)
    account = re.search(r"sip:1001@\S+ +password (\S+)", shown)
    assert made
    assert account
    assert "(self-signed certificate)" in shown
    log = first.log.read_text()
    route = "[route for-{0}]\nmatch = exact:9196\ntarget = line:echo\ncallers = {0}\n"
    routes = "".join(route.format(callers) for callers in ("users", "trunks"))
    ours = f"certificate = {first.state_dir / 'certificate.pem'}\nprivate-key = {first.state_dir / 'private-key.pem'}\n"
    (first.conf_dir / "b.conf").write_text(f"[web]\n{ours}[line echo]\nkind = echo\n{routes}")
    second = start("--welcome")
    second.send(signal.SIGTERM)
    again = second.process.communicate(timeout=60)[0]
    assert made[1] not in again
    assert account[1] in again
    assert "Test lines" not in shown  # there are none
    assert "Test lines     9196 echo\n" in again
    assert "(self-signed certificate)" not in again
    assert made[1] not in log
    assert account[1] not in log


def test_taken_ports_are_told_with_their_holder_before_anything_is_made(tmp_path: Path) -> None:
    (tmp_path / "var").mkdir()
    with socket.socket() as stream, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        stream.bind(("127.0.0.1", 0))
        stream.listen()
        datagrams.bind(("127.0.0.1", 0))
        ports = [taken.getsockname()[1] for taken in (stream, datagrams)]
        (tmp_path / "a.conf").write_text(
            f"[listener one]\ntransport = tls\nport = {ports[0]}\nbind = 127.0.0.1\n"
            f"[listener two]\ntransport = udp\nport = {ports[1]}\nbind = 127.0.0.1\n"
            "[listener three]\ntransport = tcp\nport = 0\nbind = 192.0.2.1\n"
            "[media]\nports = 2000-2009\n"  # out of the way of the ports that the kernel gave
        )
        done = subprocess.run(
            [sys.executable, "-m", "appliance", "run", "--conf-dir", tmp_path, "--state-dir", tmp_path / "var"],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert done.returncode == 1
    one, three, two, last = done.stderr.splitlines()
    for name, port, line in zip(("one", "two"), ports, (one, two), strict=True):
        assert f"listener {name}: 127.0.0.1:{port}: Address already in use. " in line
        assert f"process {os.getpid()}) listens there" in line
        assert "give another port" in line
    assert "listener three: 192.0.2.1:0: Cannot assign requested address. This machine has no such address" in three
    assert last == "Nothing was started."
    assert not (tmp_path / "var" / "administrators.json").exists()


def test_a_start_that_fails_late_loses_no_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise CoreFailed("sip", os.strerror(errno.EADDRINUSE))

    monkeypatch.setattr("appliance.app.open_appliance", fail)
    (tmp_path / "a.conf").write_text(CONF)
    assert main(["run", "--conf-dir", str(tmp_path), "--state-dir", str(tmp_path / "var")]) == 1
    shown = capsys.readouterr()
    assert re.search(r"Administrator admin, password \S+", shown.out)
    assert "give another port" in shown.err


def test_a_second_one_on_the_same_state_is_refused(start: Start, capsys: pytest.CaptureFixture[str]) -> None:
    running = start()
    assert main(["run", *running.directories]) == 1
    assert f"another jackfield runs on this state directory (process {running.process.pid})" in capsys.readouterr().err
    assert main(["status", *running.directories]) == 0


def test_it_starts_again_after_kill(start: Start) -> None:
    running = start()
    running.send(signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    start()


def test_check_tells_all_mistakes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.conf").write_text(CONF)
    assert main(["check", "--conf-dir", str(tmp_path)]) == 0
    assert "is well: 1 listener, 1 user" in capsys.readouterr().out
    (tmp_path / "b.conf").write_text("[sip]\nt1 = x\nt3 = 1\n")
    assert main(["check", "--conf-dir", str(tmp_path)]) == 2
    assert "2 mistakes" in capsys.readouterr().err


def test_mistakes_keep_it_from_starting(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.conf").write_text("[media\n")
    state_dir = tmp_path / "var"
    assert main(["run", "--conf-dir", str(tmp_path), "--state-dir", str(state_dir)]) == 2
    assert "a.conf:1" in capsys.readouterr().err
    assert not state_dir.exists()


@pytest.mark.parametrize("command", ["status", "reload"])
def test_where_nothing_runs_the_exit_code_is_3(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert main([command, "--state-dir", str(tmp_path)]) == 3
    assert "no jackfield runs" in capsys.readouterr().err


@pytest.mark.parametrize("part", ["all", "settings", "metrics", "commands", "example"])
def test_reference_prints_a_manual(capsys: pytest.CaptureFixture[str], part: str) -> None:
    assert main(["reference", part]) == 0
    assert len(capsys.readouterr().out) > 300


def test_an_unknown_command_is_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["dance"])
    assert caught.value.code == 2
