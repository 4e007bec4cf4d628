"""Debian's snmpd as an ordinary process: own configuration, own persistent directory, free ports, an AgentX socket."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from tests.peers.ports import free_port
from tests.peers.processes import PeerError, Program, program, wait_until

V2C = ("-v2c", "-c", "readers")


class Snmpd:
    """`lines` are further lines of snmpd.conf; community `readers` may read all."""

    def __init__(self, directory: Path, lines: Sequence[str] = ()) -> None:
        self.directory = directory / "snmpd"
        self.directory.mkdir()
        self.port = free_port()
        self.socket = self.directory / "agentx"
        self._conf = self.directory / "snmpd.conf"
        self._conf.write_text(
            "\n".join(
                [
                    f"agentaddress udp:127.0.0.1:{self.port}",
                    "master agentx",
                    f"agentXSocket {self.socket}",
                    "rocommunity readers 127.0.0.1",
                    *lines,
                    "",
                ]
            )
        )
        self.start()

    def start(self) -> None:
        argv = ["snmpd", "-f", "-C", "-c", str(self._conf), "-Lo", "-I", "-smux"]
        argv += ["-p", str(self.directory / "pid")]
        self.program = Program(argv, self.directory / "snmpd.log", env=self.environment)
        self.program.expect_bound(self.port)
        wait_until(self.socket.exists, "snmpd's AgentX socket")

    @property
    def environment(self) -> dict[str, str]:
        persistent = self.directory / "persistent"
        return {"SNMP_PERSISTENT_DIR": str(persistent), "SNMPCONFPATH": str(self.directory), "MIBS": ""}

    def restart(self) -> None:
        self.stop()
        self.start()

    def stop(self) -> None:
        self.program.stop()

    def ask(self, command: str, *words: str, who: Sequence[str] = V2C) -> str:
        """What an snmp command prints; PeerError where it fails."""
        done = subprocess.run(
            [program(command), *who, "-t", "5", "-r", "1", f"127.0.0.1:{self.port}", *words],
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode:
            raise PeerError(f"{command} {' '.join(words)}: {done.stdout}{done.stderr}")
        return done.stdout

    def value(self, name: str, who: Sequence[str] = V2C) -> str:
        """One value without its type."""
        return self.ask("snmpget", name, who=(*who, "-Oqv")).strip()

    def __enter__(self) -> Snmpd:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            error.add_note(f"--- snmpd\n{self.program.tail()}")
        self.stop()
