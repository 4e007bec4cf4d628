"""The trace as a whole: what is kept by the settings of now, and the questions that are asked of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

import attrs
import trio

from appliance.config.trace import TraceSettings
from appliance.metrics import Metrics

from .disk import Disk
from .masking import masked
from .message import TracedMessage
from .question import Filter, Question
from .ring import Ring, traced
from .segments import DIRECTORY, read_segments

_TICK_S = 0.25
_AT_ONCE = 200
"""Messages that are looked at before others get their turn."""


@attrs.frozen
class Page:
    """Some of the messages that fit; `next` is the serial to go on from, `more` whether there are some already."""

    messages: list[TracedMessage]
    next: int
    more: bool


def _alone(call_id: str) -> Sequence[str]:
    return (call_id,)


class Trace:
    """One for the box."""

    def __init__(self, settings: TraceSettings, state_dir: Path) -> None:
        self.ring = Ring(settings.memory_bytes, settings.age_s)
        self.disk = Disk(state_dir / DIRECTORY)
        self._directory = state_dir / DIRECTORY
        self.ring.on_chunk.append(self.disk.take)
        self.aliases: Callable[[str], Sequence[str]] = _alone
        """All Call-IDs by which peers know the dialogs of one."""
        self.on_tap: list[Callable[[Ring | None], None]] = []
        """Told where messages go from now on; None: nowhere."""
        self.configure(settings)

    def configure(self, settings: TraceSettings) -> None:
        """Take new settings; what is kept stays, as far as it fits."""
        self._settings = settings
        self.ring.keeps = _filter_of(settings)
        self.disk.configure(settings.disk_bytes if settings.enabled else None)
        self.ring.resize(settings.memory_bytes if settings.enabled else 0, settings.age_s)
        for told in self.on_tap:
            told(self.tap)

    @property
    def tap(self) -> Ring | None:
        """Where the transports hand every message to; None while nothing is traced."""
        return self.ring if self._settings.enabled else None

    async def run(self, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep the ring in order, and write."""
        task_status.started("in memory" if self._settings.disk_bytes is None else "in memory and on disk")
        try:
            while True:
                await trio.sleep(_TICK_S)
                self.ring.close_chunk()
                await self.disk.save()
        finally:
            self.ring.close_chunk()
            await self.disk.save_last()

    def show(self, metrics: Metrics) -> None:
        """Hang the figures into the catalogue."""
        metrics.trace_bytes.read = lambda: {("memory",): self.ring.held_bytes, ("disk",): self.disk.used_bytes}
        metrics.trace_messages.read = lambda: self.ring.next_serial
        metrics.trace_lost.read = lambda: self.disk.lost

    def messages_of(self, call_id: str, since: float = 0.0) -> list[TracedMessage]:
        """All messages of a call that are still in memory, oldest first, on both sides of the box, secrets masked.

        `since` (wall-clock seconds, such as the call's start) makes it cheaper.
        """
        wanted = {one.encode("utf-8", "surrogateescape") for one in self.aliases(call_id) if one}
        names = {one.decode("utf-8", "replace") for one in wanted}
        found = []
        for serial, entry in self.ring.entries(since=since):
            data = entry[2]
            if any(one in data for one in wanted):
                message = traced(entry, serial)
                if message.call_id in names:
                    found.append(self.shown(message))
        return found

    async def find(self, question: Question, serial: int = 0, most: int = 400, most_bytes: int = 1 << 19) -> Page:
        """The messages in memory from a serial on that fit, oldest first, a page of them, secrets masked."""
        messages: list[TracedMessage] = []
        size = 0
        end = self.ring.next_serial
        for looked, (number, entry) in enumerate(self.ring.entries(serial=serial, since=question.since), 1):
            message = traced(entry, number)
            if question.fits(message):
                if len(messages) >= most or size >= most_bytes:
                    return Page(messages, number, True)
                messages.append(self.shown(message))
                size += len(message.data)
            if looked % _AT_ONCE == 0:
                await trio.lowlevel.checkpoint()
        return Page(messages, end, False)

    async def recall(self, call_id: str, since: float, until: float, most: int = 1000) -> list[TracedMessage]:
        """Up to `most` messages of a call from that time that are on disk and no longer in memory, oldest first, on
        both sides of the box; read by a thread. Raises OSError.
        """
        oldest = self.ring.oldest_at
        if oldest is not None:
            until = min(until, math.nextafter(oldest, 0.0))
        if until <= since:
            return []
        names = frozenset(self.aliases(call_id))
        question = Question(calls=names, since=since, until=until)
        words = [name.encode("utf-8", "surrogateescape") for name in names if name]

        def read() -> list[TracedMessage]:
            return list(islice(filter(question.fits, read_segments(self._directory, since, words)), most))

        return await trio.to_thread.run_sync(read)

    def shown(self, message: TracedMessage) -> TracedMessage:
        """As it may be seen."""
        return attrs.evolve(message, data=masked(message.data)) if self._settings.mask else message


def _filter_of(settings: TraceSettings) -> Callable[[TracedMessage], bool] | None:
    if not (settings.methods or settings.users or settings.addresses):
        return None
    methods = {name.removeprefix("!").upper(): not name.startswith("!") for name in settings.methods}
    return Filter(methods, frozenset(settings.users), settings.addresses).keeps
