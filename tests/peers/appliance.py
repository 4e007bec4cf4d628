"""Jackfield itself as a process of its own, on free ports, with a configuration written for the test.

Readiness is what a supervisor such as systemd sees: the datagram READY=1 on NOTIFY_SOCKET. The state directory
outlives `kill9()` and `restart()`, so that a test can look for what must survive them.
"""

from __future__ import annotations

import signal
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from tests.peers.ports import free_block, free_port
from tests.peers.processes import PeerError, Program

ROOT = Path(__file__).parent.parent.parent
LISTENERS = ("udp", "tcp", "tls", "ws", "wss")

Sections = Mapping[str, Mapping[str, object]]


class Appliance:
    """`python -m appliance run` on loopback: ports by listener's name, passwords by user."""

    def __init__(
        self,
        directory: Path,
        *,
        users: Sequence[str] = (),
        sections: Sections | None = None,
        addresses: Sequence[str] = ("127.0.0.1", "::1"),
        media_ports: int = 200,
        prefix: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        ready_s: float = 90.0,
    ) -> None:
        self.directory = directory
        self.conf_dir = directory / "conf.d"
        self.state_dir = directory / "state"
        self.conf_dir.mkdir(parents=True, exist_ok=True)
        self.ports = {name: free_port() for name in (*LISTENERS, "https", "http")}
        self.passwords = {user: f"word-of-{user}" for user in users}
        self._prefix = tuple(prefix)
        self._env = dict(env or {})
        self._ready_s = ready_s
        bind = ", ".join(addresses)
        first = free_block(media_ports)
        self.media_ports = (first, first + media_ports - 1)
        written: dict[str, Mapping[str, object]] = {
            "guards": {"shed": "no"},  # a machine that is busy beside the tests is not what they are about
            "media": {"bind": bind, "ports": f"{first}-{first + media_ports - 1}"},
            "web": {
                "bind": bind,
                "https_port": self.ports["https"],
                "http_bind": bind,
                "http_port": self.ports["http"],
            },
        }
        # a port one up from UDP and TCP would be TLS by default: SIP over UDP and TCP share theirs (RFC 3261 §18)
        self.ports["tcp"] = self.ports["udp"]
        for name in LISTENERS:
            written[f"listener {name}"] = {"transport": name, "bind": bind, "port": self.ports[name]}
        for user, password in self.passwords.items():
            written[f"user {user}"] = {"password": password}
        for title, settings in (sections or {}).items():
            written[title] = {**written.get(title, {}), **settings}
        self.write(written)
        self.program = self._start()

    def write(self, sections: Sections, name: str = "50-test.conf") -> None:
        """Write one drop-in; a running appliance reads it on reload."""
        lines = []
        for title, settings in sections.items():
            lines.append(f"[{title}]")
            lines += [f"{key} = {value}" for key, value in settings.items()]
            lines.append("")
        (self.conf_dir / name).write_text("\n".join(lines))

    def _start(self) -> Program:
        notify_path = self.directory / "notify"
        notify_path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(str(notify_path))
            notify.settimeout(0.2)
            program = Program(
                [
                    *self._prefix,
                    sys.executable,
                    "-m",
                    "appliance",
                    "run",
                    "--conf-dir",
                    str(self.conf_dir),
                    "--state-dir",
                    str(self.state_dir),
                ],
                self.directory / "appliance.log",
                cwd=ROOT,
                env={**self._env, "NOTIFY_SOCKET": str(notify_path)},
            )
            deadline = time.monotonic() + self._ready_s
            while True:
                try:
                    if b"READY=1" in notify.recv(4096).split(b"\n"):
                        return program
                except TimeoutError:
                    pass
                if not program.running():
                    raise PeerError(f"the appliance ended ({program.process.returncode})\n{program.tail(80)}")
                if time.monotonic() > deadline:
                    program.stop()
                    raise PeerError(f"the appliance is not ready\n{program.tail(80)}")

    @property
    def pid(self) -> int:
        return self.program.pid

    @property
    def log(self) -> str:
        return self.program.log

    def address(self, listener: str = "udp", host: str = "127.0.0.1") -> tuple[str, int]:
        return host, self.ports[listener]

    def kill9(self) -> None:
        """End it as a power cut would."""
        self.program.process.send_signal(signal.SIGKILL)
        self.program.process.wait(60)

    def restart(self) -> None:
        """Start it again on the same ports and the same state, and wait until it is ready."""
        if self.program.running():
            self.program.stop(grace_s=60.0)
        self.program = self._start()

    def stop(self) -> None:
        self.program.stop(grace_s=60.0)

    def __enter__(self) -> Appliance:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            error.add_note(f"--- appliance\n{self.program.tail(100)}")
        self.stop()
