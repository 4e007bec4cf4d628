"""Events for people and machines: one event name and fields, one line each, on standard error.

A line never holds a secret: values of type Secret show as "(secret)", and fields named like one are covered.
A line never makes the process wait: where the reader is slow, lines are dropped and counted. A flood of one
event is thinned to BURST lines a second, and the next line says how many were left out.
"""

from __future__ import annotations

import re
import select
import sys
import time
import traceback
from typing import Final, TextIO

import attrs

LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}
BURST: Final = 50
LONGEST_VALUE: Final = 2000
_COVERED: Final = re.compile(r"password|passwd|secret|authorization|ha1|private_key|token|cookie|nonce", re.I)
_BARE: Final = re.compile(r"[^\s\"=\\\x00-\x1f\x7f-\x9f]+")


@attrs.define
class _Flood:
    second: int = 0
    lines: int = 0
    left_out: int = 0


@attrs.define
class EventLog:
    """The log of the process; modules use the one named log.

    lost counts lines that found the reader too slow, left_out those of a flood.
    """

    threshold: int = LEVELS["info"]
    stream: TextIO | None = None
    lost: int = 0
    left_out: int = 0
    _floods: dict[str, _Flood] = attrs.field(factory=dict)

    def set_level(self, level: str) -> None:
        """The least level that is written: debug, info, warning or error."""
        self.threshold = LEVELS[level]

    def debug(self, event: str, /, **fields: object) -> None:
        if self.threshold <= 10:
            self._write("debug", event, fields)

    def info(self, event: str, /, **fields: object) -> None:
        if self.threshold <= 20:
            self._write("info", event, fields)

    def warning(self, event: str, /, **fields: object) -> None:
        if self.threshold <= 30:
            self._write("warning", event, fields)

    def error(self, event: str, /, error: BaseException | None = None, **fields: object) -> None:
        """A fault of ours; error adds its type, its text and where it rose, innermost first."""
        if error is not None:
            while isinstance(error, BaseExceptionGroup):
                error = error.exceptions[0]
            fields["error"] = f"{type(error).__name__}: {error}"
            fields["where"] = where(error)
        self._write("error", event, fields)

    def _write(self, level: str, event: str, fields: dict[str, object]) -> None:
        now = time.time()
        flood = self._floods.get(event)
        if flood is None:
            flood = self._floods[event] = _Flood()
        if flood.second != int(now):
            flood.second, flood.lines = int(now), 0
        if flood.lines >= BURST:
            flood.left_out += 1
            self.left_out += 1
            return
        flood.lines += 1
        if flood.left_out:
            fields["left_out"], flood.left_out = flood.left_out, 0
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
        line = f"{stamp}.{int(now % 1 * 1000):03d}Z {level:<7} {event}{render(fields)}\n"
        stream = self.stream or sys.stderr
        if not _takes(stream):
            self.lost += 1
            return
        try:
            stream.write(line)
            stream.flush()
        except (OSError, ValueError):
            self.lost += 1


def render(fields: dict[str, object]) -> str:
    """The fields as " name=value ..."; values with spaces or quotes stand in quotes, on one line."""
    return "".join(f" {name}={_value(name, value)}" for name, value in fields.items() if value is not None)


def _value(name: str, value: object) -> str:
    if _COVERED.search(name):
        return "(secret)"
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    if len(text) > LONGEST_VALUE:
        text = text[:LONGEST_VALUE] + "..."
    if _BARE.fullmatch(text):
        return text
    covered = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else ascii(c)[1:-1] for c in covered) + '"'


def where(error: BaseException) -> str:
    """The places an exception passed through, innermost first; a group shows its first member."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    places = [f"{frame.filename.rpartition('/')[2]}:{frame.lineno}:{frame.name}" for frame in reversed(frames)]
    return " < ".join(places)


def _takes(stream: TextIO) -> bool:
    """Whether a line may be written without waiting: a pipe that polls writable takes 4 KiB at once."""
    try:
        poll = select.poll()
        poll.register(stream.fileno(), select.POLLOUT)
        return bool(poll.poll(0))
    except (OSError, ValueError):  # not a descriptor: a buffer in a test
        return True


log: Final = EventLog()
