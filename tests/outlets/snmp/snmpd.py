"""Debian's snmpd as an ordinary process: own configuration, own persistent directory, free ports, an AgentX socket."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

from tests.peers.ports import free_port
from tests.peers.processes import PeerError, Program, program, wait_until

NO_MIBS = {"MIBS": "", "MIBDIRS": "/nonexistent"}
V2C = ("-v2c", "-c", "readers")


class Snmpd:
    """`conf` is the whole of snmpd.conf for this port and socket; without it community `readers` may read all."""

    def __init__(self, directory: Path, conf: Callable[[int, Path], str] | None = None) -> None:
        self.directory = directory / "snmpd"
        self.directory.mkdir()
        self.port = free_port()
        self.socket = self.directory / "agentx"
        self.conf = self.directory / "snmpd.conf"
        self.conf.write_text((conf or _plain)(self.port, self.socket))
        self.start()

    def start(self) -> None:
        argv = ["snmpd", "-f", "-C", "-c", str(self.conf), "-Lo", "-I", "-smux"]
        argv += ["-Dtrap", "-p", str(self.directory / "pid")]  # -Dtrap: it tells of acknowledgements
        self.program = Program(argv, self.directory / "snmpd.log", env=self.environment)
        self.program.expect_bound(self.port)
        wait_until(self.socket.exists, "snmpd's AgentX socket")

    @property
    def environment(self) -> dict[str, str]:
        persistent = self.directory / "persistent"
        return {"SNMP_PERSISTENT_DIR": str(persistent), "SNMPCONFPATH": str(self.directory), **NO_MIBS}

    def restart(self) -> None:
        self.stop()
        self.start()

    def stop(self) -> None:
        self.program.stop()

    def ask(self, command: str, *words: str, who: Sequence[str] = V2C, options: Sequence[str] = ()) -> str:
        """What an snmp command prints; PeerError where it fails."""
        done = subprocess.run(
            [program(command), *who, *options, "-t", "5", "-r", "1", f"127.0.0.1:{self.port}", *words],
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
        return self.ask("snmpget", name, who=who, options=["-Oqv"]).strip()

    def __enter__(self) -> Snmpd:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            error.add_note(f"--- snmpd\n{self.program.tail()}")
        self.stop()


def answers(snmpd: Snmpd, name: str) -> bool:
    try:
        return snmpd.value(name).isdigit()
    except PeerError:
        return False


def _plain(port: int, socket: Path) -> str:
    return f"""agentaddress udp:127.0.0.1:{port}
master agentx
agentXSocket {socket}
rocommunity readers 127.0.0.1
"""


class Snmptrapd:
    """Debian's snmptrapd: takes v3 authPriv of one user and v1, v2c of `readers`, logs each notification.

    For traps of SNMPv3, not for informs, it must know the engine ID of who sends them, as 0x....
    """

    def __init__(
        self, directory: Path, port: int, user: str, passphrases: tuple[str, str], mibs: Path, engine: str = ""
    ) -> None:
        own = directory / "snmptrapd"
        own.mkdir()
        conf = own / "snmptrapd.conf"
        auth, privacy = passphrases
        conf.write_text(
            f'createUser {f"-e {engine} " if engine else ""}{user} SHA-256 "{auth}" AES "{privacy}"\n'
            f"authUser log {user} priv\nauthCommunity log readers\n"
        )
        argv = ["snmptrapd", "-f", "-C", "-c", str(conf), "-Lo", "-M", str(mibs), "-m", "JACKFIELD-MIB"]
        argv += ["-F", "%P %W %v\\n", "-OQ", "-p", str(own / "pid"), f"udp:127.0.0.1:{port}"]
        env = {"SNMP_PERSISTENT_DIR": str(own / "persistent"), "SNMPCONFPATH": str(own)}
        self.program = Program(argv, own / "snmptrapd.log", env=env)
        self.program.expect_bound(port)

    def __enter__(self) -> Snmptrapd:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            error.add_note(f"--- snmptrapd\n{self.program.tail()}")
        self.program.stop()
