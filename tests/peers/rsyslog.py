"""Debian's rsyslogd as a log collector on loopback: UDP, TCP and TLS, each line of its file one message as it came."""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType

import attrs

from tests.peers.ports import free_port
from tests.peers.processes import PATIENCE_S, Program, wait_until

# Every property that we look at, as one JSON object a line.
_TEMPLATE = (
    'template(name="seen" type="list" option.jsonf="on") {\n'
    + "".join(
        f'  property(outname="{name}" name="{prop}" format="jsonf")\n'
        for name, prop in (
            ("pri", "pri"),
            ("at", "timereported"),
            ("host", "hostname"),
            ("app", "app-name"),
            ("process", "procid"),
            ("event", "msgid"),
            ("data", "structured-data"),
            ("text", "msg"),
            ("version", "protocol-version"),
            ("input", "inputname"),
        )
    )
    + "}\n"
)


@attrs.frozen
class Seen:
    """One message as rsyslog understood it."""

    pri: int
    host: str
    app: str
    process: str
    event: str
    data: str
    text: str
    input: str
    version: str

    @property
    def number(self) -> int:
        return int(self.data.partition('sequenceId="')[2].partition('"')[0])


class Rsyslog:
    """A collector. With `certificate` (a PEM with key, its own authority) TLS too, and clients must show one of it."""

    def __init__(self, directory: Path, certificate: Path | None = None) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._file = directory / "seen.jsonl"
        self.udp, self.tcp, self.tls = free_port(), free_port(), free_port()
        lines = [
            f'global(workDirectory="{directory}" maxMessageSize="64k"',
            *(
                (
                    f'  defaultNetstreamDriverCAFile="{certificate}" defaultNetstreamDriverCertFile="{certificate}"',
                    f'  defaultNetstreamDriverKeyFile="{certificate}"',
                )
                if certificate is not None
                else ()
            ),
            ")",
            'module(load="imudp")',
            'module(load="imtcp")',
            f'input(type="imudp" address="127.0.0.1" port="{self.udp}" name="udp")',
            f'input(type="imtcp" address="127.0.0.1" port="{self.tcp}" name="tcp")',
        ]
        if certificate is not None:
            lines.append(
                f'input(type="imtcp" address="127.0.0.1" port="{self.tls}" name="tls" streamDriver.name="gtls" '
                'streamDriver.mode="1" streamDriver.authMode="x509/certvalid")'
            )
        lines += [_TEMPLATE, f'action(type="omfile" file="{self._file}" template="seen" asyncWriting="off")']
        self._conf = directory / "rsyslog.conf"
        self._conf.write_text("\n".join(lines) + "\n")
        self._tls = certificate is not None
        self.program = self._start()

    def _start(self) -> Program:
        program = Program(
            ["rsyslogd", "-n", "-f", str(self._conf), "-i", "NONE"],
            self._directory / "rsyslogd.log",
        )
        program.expect_bound(self.udp)
        for port in (self.tcp, self.tls) if self._tls else (self.tcp,):
            program.expect_bound(port, "tcp")
        return program

    def start(self) -> None:
        """Again, on the same ports, with the same file."""
        self.program = self._start()

    def stop(self) -> None:
        self.program.stop()

    def kill(self) -> None:
        """As a power cut would."""
        self.program.process.kill()
        self.program.process.wait(60)

    def seen(self, event: str = "") -> list[Seen]:
        """What it has written so far, of one event or all."""
        if not self._file.exists():
            return []
        found = []
        for line in self._file.read_text(errors="surrogateescape").splitlines():
            try:
                one = json.loads(line)
            except ValueError:  # it is being written, or was when rsyslogd was killed
                continue
            if not event or one["event"] == event:
                found.append(Seen(**{**{name: one[name] for name in attrs.fields_dict(Seen)}, "pri": int(one["pri"])}))
        return found

    def expect(self, event: str, count: int, timeout_s: float = PATIENCE_S) -> list[Seen]:
        """Wait for messages of an event with so many different numbers."""
        wait_until(lambda: len({one.number for one in self.seen(event)}) >= count, f"{count} of {event}", timeout_s)
        return self.seen(event)

    def __enter__(self) -> Rsyslog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            error.add_note(f"--- rsyslogd\n{self.program.tail(60)}")
        self.stop()
