"""Events for people and machines: one event name and fields, one line each, on standard error and to outlets.

A line never holds a secret: values of type Secret show as "(secret)", and fields named like one are covered.
A line never makes the process wait: where the reader is slow, lines are dropped and counted. A flood of one event is
thinned to `burst` lines a second, and a line says how many were left out. The first word of an event's name is its
room; each room may have a level of its own.
"""

from __future__ import annotations

import os
import re
import select
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final, TextIO

import attrs

LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}
BURST: Final = 50
LONGEST_VALUE: Final = 2000
TAIL_LINES: Final = 2000
_PRIORITIES: Final = {"debug": 7, "info": 6, "warning": 4, "error": 3}
_COVERED: Final = re.compile(r"password|passwd|secret|authorization|ha1|private_key|token|cookie|nonce", re.I)
_BARE: Final = re.compile(r"[^\s\"=\\\x00-\x1f\x7f-\x9f]+")


@attrs.frozen
class Event:
    """What happened, as an outlet sees it: secrets are covered in `fields`. `at` is seconds of the day's clock."""

    at: float
    level: str
    name: str
    fields: Mapping[str, str]


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
    """The least of all rooms' levels: what is below it costs nothing."""
    stream: TextIO | None = None
    lost: int = 0
    left_out: int = 0
    burst: int = BURST
    journald: bool = False
    """Write for systemd's journal: a priority in front, and no time, which it has itself."""
    tail: deque[str] = attrs.field(factory=lambda: deque(maxlen=TAIL_LINES))
    sinks: list[Callable[[Event], None]] = attrs.field(factory=list)
    """Are given each event that is written, in whatever thread; they must not wait, nor raise."""
    level: str = "info"
    rooms: dict[str, str] = attrs.field(factory=dict)
    _floods: dict[str, _Flood] = attrs.field(factory=dict)

    def set_level(self, level: str) -> None:
        """The least level that is written: debug, info, warning or error; of rooms without one of their own."""
        self.set_levels(level, self.rooms)

    def set_levels(self, level: str, rooms: Mapping[str, str]) -> None:
        """The same with levels of rooms that differ, by their names."""
        self.level, self.rooms = str(level), {room: str(own) for room, own in rooms.items()}
        self.threshold = min(LEVELS[one] for one in (self.level, *self.rooms.values()))

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

    def tell_left_out(self) -> None:
        """Say what floods that are over have left out; called every second or so."""
        second = int(time.time())
        for event, flood in list(self._floods.items()):
            if flood.left_out and flood.second != second:
                left_out, flood.left_out = flood.left_out, 0
                self._put(time.time(), "warning", "log.left_out", {"event": event, "lines": left_out})

    def _write(self, level: str, event: str, fields: dict[str, object]) -> None:
        if self.rooms and LEVELS[level] < LEVELS[self.rooms.get(event.partition(".")[0], self.level)]:
            return
        now = time.time()
        flood = self._floods.get(event)
        if flood is None:
            flood = self._floods[event] = _Flood()
        if flood.second != int(now):
            flood.second, flood.lines = int(now), 0
        if flood.lines >= self.burst:
            flood.left_out += 1
            self.left_out += 1
            return
        flood.lines += 1
        if flood.left_out:
            fields["left_out"], flood.left_out = flood.left_out, 0
        self._put(now, level, event, fields)

    def _put(self, now: float, level: str, event: str, fields: dict[str, object]) -> None:
        said = f"{event}{render(fields)}\n"
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
        line = f"{stamp}.{int(now % 1 * 1000):03d}Z {level:<7} {said}"
        self.tail.append(line)
        if self.sinks:
            shown = {name: shown_value(name, value) for name, value in fields.items() if value is not None}
            made = Event(now, level, event, shown)
            for sink in self.sinks:
                sink(made)
        if self.journald:
            line = f"<{_PRIORITIES[level]}>{said}"
        stream = self.stream or sys.stderr
        if not _takes(stream):
            self.lost += 1
            return
        try:
            stream.write(line)
            stream.flush()
        except (OSError, ValueError):
            self.lost += 1


def feeds_journal() -> bool:
    """Whether our standard error leads straight to systemd's journal, which says so in JOURNAL_STREAM."""
    try:
        device, inode = os.environ.get("JOURNAL_STREAM", "").split(":")
        ours = os.fstat(sys.stderr.fileno())
        return (int(device), int(inode)) == (ours.st_dev, ours.st_ino)
    except (ValueError, OSError):
        return False


def shown_value(name: str, value: object) -> str:
    """A field as an outlet may see it: covered where it is named like a secret, and not longer than a line may be."""
    if _COVERED.search(name):
        return "(secret)"
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return text if len(text) <= LONGEST_VALUE else text[:LONGEST_VALUE] + "..."


def render(fields: dict[str, object]) -> str:
    """The fields as " name=value ..."; values with spaces or quotes stand in quotes, on one line."""
    return "".join(f" {name}={_value(name, value)}" for name, value in fields.items() if value is not None)


def _value(name: str, value: object) -> str:
    text = shown_value(name, value)
    if text == "(secret)":
        return text
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
