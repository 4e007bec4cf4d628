"""SIPp as caller and as called party: one run of one scenario of tests/sipp/, with its counters and messages.

Debian's SIPp is built without TLS, so a TLS leg is SIPp on TCP behind `tls.TlsTunnel`, `via` being TLS. `keys`
fill `[name]` in messages; `words` fill `@name@` anywhere, for what SIPp has no variable (a status to expect).
"""

from __future__ import annotations

import csv
import re
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType

from tests.peers.ports import free_block, free_port
from tests.peers.processes import PATIENCE_S, PeerError, Program

SCENARIOS = Path(__file__).parent.parent / "sipp" / "scenarios"
_TRANSPORTS = {"udp": "u1", "tcp": "t1"}
_WORDS = {
    "linger_ms": "200",
    "ack_optional": "false",
    "lost_percent": "0",
    "hold": "<pause/>",
    "bye": "",
    "of_bye": "",
    "via": "[transport]",
    "audio_port": "[auto_media_port]",
    "more_media": "",
    "own_contact": "sip:[service]@[local_ip]:[local_port];transport=[transport]",
}
STUBBORN = ("-max_retrans", "20", "-max_invite_retrans", "20", "-max_non_invite_retrans", "20")
"""Options of who goes on where its own five tries would all get lost once in some hundred calls."""
STRICT = {"bye": ' start_txn="bye"', "of_bye": ' response_txn="bye"'}
"""Words of a caller who takes only the answer to its BYE for one: SIPp's own does the 200 of the INVITE, said again."""
UNTIL_TOLD = {"hold": '<recv request="INFO"/>'}
"""Words of who ends a call, over UDP: its calls stand until `go_on()`, however long the test takes meanwhile."""


class Sipp:
    """One SIPp process. `finish()` waits for its end and holds it to success; leaving the block stops it."""

    def __init__(
        self,
        scenario: str,
        directory: Path,
        *,
        target: tuple[str, int] | None = None,
        host: str = "127.0.0.1",
        port: int | None = None,
        transport: str = "udp",
        calls: int = 1,
        rate: int = 10,
        service: str = "service",
        user: tuple[str, str] | None = None,
        keys: Mapping[str, str] | None = None,
        words: Mapping[str, str] | None = None,
        options: Iterable[str] = (),
        timeout_s: int = 120,
    ) -> None:
        self.port = port or free_port()
        self.host = host
        self.scenario = scenario
        self.calls = calls
        self.timeout_s = timeout_s
        directory.mkdir(parents=True, exist_ok=True)
        stem = f"{scenario}-{self.port}"
        self._messages = directory / f"{stem}.messages"
        self._errors = directory / f"{stem}.errors"
        self._statistics = directory / f"{stem}.csv"
        text = (SCENARIOS / f"{scenario}.xml").read_text()
        for name, value in {**_WORDS, **(words or {})}.items():
            text = text.replace(f"@{name}@", value)
        script = directory / f"{stem}.xml"
        script.write_text(text)
        argv = ["sipp", "-sf", str(script), "-nostdin", "-t", _TRANSPORTS[transport]]
        argv += [
            "-i",
            host,
            "-mi",
            host,
            "-p",
            str(self.port),
            "-m",
            str(calls),
            "-r",
            str(rate),
            "-s",
            service,
        ]
        argv += ["-trace_msg", "-message_file", str(self._messages), "-message_overwrite", "true"]
        argv += ["-trace_err", "-error_file", str(self._errors), "-error_overwrite", "true"]
        argv += ["-trace_stat", "-stf", str(self._statistics), "-fd", "1"]
        argv += [
            "-timeout",
            f"{timeout_s}s",
            "-timeout_error",
            "-recv_timeout",
            "60000",
            "-default_behaviors",
            "all",
        ]
        argv += ["-watchdog_minor_maxtriggers", "100000", "-watchdog_major_maxtriggers", "100000"]  # it would give up
        argv += ["-base_cseq", "1", "-mp", str(free_block(4)), "-buff_size", "1048576"]
        if user is not None:
            # its own default, built from the target's address, is no URI where that is IPv6
            argv += ["-au", user[0], "-ap", user[1], "-auth_uri", (keys or {}).get("domain", "localhost")]
        for name, value in (keys or {}).items():
            argv += ["-key", name, value]
        argv += options
        if target is not None:
            address = f"[{target[0]}]" if ":" in target[0] else target[0]
            argv.append(f"{address}:{target[1]}")
        self.program = Program(argv, directory / f"{stem}.log", cwd=directory, env={"TERM": "dumb"})
        if target is None:
            self.program.expect_bound(self.port, transport)

    def __enter__(self) -> Sipp:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.program.stop(grace_s=2.0)
        if error is not None:
            error.add_note(self.story())

    def expect_message(self, pattern: str, timeout_s: float = PATIENCE_S) -> re.Match[str]:
        """Wait until a message matching the pattern (multi-line) was sent or received."""
        self.program.expect(
            lambda: re.search(pattern, self.messages, re.M), f"{pattern!r} among the messages", timeout_s
        )
        found = re.search(pattern, self.messages, re.M)
        assert found is not None
        return found

    def go_on(self) -> None:
        """Tell every call that stands to come to its end."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as wire:
            for call_id in set(re.findall(r"^Call-ID: *(\S+)", self.messages, re.M)):
                told = f"INFO sip:{self.host} SIP/2.0\r\nCall-ID: {call_id}\r\nCSeq: 1 INFO\r\n"
                told += "From: <sip:test>;tag=1\r\nTo: <sip:test>\r\nVia: SIP/2.0/UDP test\r\nContent-Length: 0\r\n\r\n"
                wire.sendto(told.encode(), (self.host, self.port))

    @property
    def messages(self) -> str:
        return self._messages.read_text(errors="replace").replace("\r", "") if self._messages.exists() else ""

    def finish(self) -> Mapping[str, int]:
        """Wait for the end of all calls; every one must have succeeded. Gives SIPp's cumulative counters."""
        status = self.program.wait(self.timeout_s + 10)
        counters = self.counters()
        if status != 0 or counters.get("FailedCall", 0) or counters.get("SuccessfulCall", 0) < self.calls:
            raise PeerError(f"sipp {self.scenario} ended with {status}: {counters}\n{self.story()}")
        return counters

    def counters(self) -> dict[str, int]:
        """SIPp's statistics by name: SuccessfulCall, FailedCall, Retransmissions, …"""
        if not self._statistics.exists():
            return {}
        rows = list(csv.DictReader(self._statistics.open(), delimiter=";"))
        if not rows:
            return {}
        return {
            name.removesuffix("(C)"): int(value)
            for name, value in rows[-1].items()
            if name and name.endswith("(C)") and value and value.isdigit()
        }

    def story(self) -> str:
        """What a person needs after a failure: errors, then the last messages."""
        errors = self._errors.read_text(errors="replace") if self._errors.exists() else ""
        return f"--- sipp {self.scenario} errors\n{errors[-2000:]}\n--- messages\n{self.messages[-6000:]}"
