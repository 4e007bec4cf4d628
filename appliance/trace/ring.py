"""The ring in memory: what the transports hand over is appended and no more; the rest is done in chunks, or when asked.

The newest messages lie in an open list that is closed into a chunk by size or by time. Whole chunks are let go when
there are too many bytes, or when they are too old, so that one message costs next to nothing and the bound is hard.
What belongs to one message lies side by side in lists of all, not in a tuple of its own: each of these would be one
more thing for the garbage collector to look at.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from itertools import compress
from time import time
from typing import Any, Protocol

import attrs

from appliance.sip.flow import Address, Flow

from .message import Direction, TracedMessage

COST = 120
"""Bytes that one message costs besides its own."""
_CHUNKS = 32
_BACK = 256
"""So far back a message can be that was just heard: before it came those read together with it, and answers."""
_PARTS = 5
"""Places in the open list that a message takes: those of an `Entry`."""

IN, OUT = Direction


class Way(Protocol):
    """What is kept of a flow."""

    @property
    def transport(self) -> str: ...
    @property
    def listener(self) -> str: ...
    @property
    def local(self) -> Address: ...
    @property
    def remote(self) -> Address: ...


@attrs.frozen
class _Way:
    """That of a connection, which is itself too large to be kept after its end."""

    transport: str
    listener: str
    local: Address
    remote: Address


Entry = tuple[float, Direction, bytes, Way, str]
"""Wall-clock seconds, direction, bytes, way, why it was dropped."""


@attrs.frozen(eq=False)
class Chunk:
    """Messages in the order in which they came, a list for each part of an `Entry`; `first` is the first's serial."""

    first: int
    times: list[float]
    directions: list[Direction]
    data: list[bytes]
    ways: list[Way]
    dropped: list[str]
    cost: int

    def __len__(self) -> int:
        return len(self.times)

    @property
    def last_at(self) -> float:
        return self.times[-1]

    @property
    def entries(self) -> list[Entry]:
        return list(zip(self.times, self.directions, self.data, self.ways, self.dropped, strict=True))


class Ring:
    """At most `most_bytes` of messages, none older than `most_age_s`. `on_chunk` are called with each closed chunk.

    `keeps`, where it is given, says whether a message is wanted at all.
    """

    def __init__(self, most_bytes: int, most_age_s: float, clock: Callable[[], float] = time) -> None:
        self._clock = clock
        self._chunks: deque[Chunk] = deque()
        self._open: list[Any] = []
        self._keep = self._open.extend
        self._next = 0
        self.held_bytes = 0
        """What the closed chunks cost."""
        self.let_go = 0
        """Messages that had to make room, or were too old."""
        self.on_chunk: list[Callable[[Chunk], None]] = []
        self.keeps: Callable[[TracedMessage], bool] | None = None
        self.resize(most_bytes, most_age_s)

    def resize(self, most_bytes: int, most_age_s: float) -> None:
        self.most_bytes = most_bytes
        self.most_age_s = most_age_s
        self._chunk_bytes = most_bytes // _CHUNKS
        self._room = self._chunk_bytes
        self.close_chunk()

    # From the transports

    def heard(self, data: bytes, flow: Flow) -> None:
        """A message has come."""
        self._keep((self._clock(), IN, data, flow, ""))
        self._room -= len(data) + COST
        if self._room < 0:
            self.close_chunk()

    def said(self, data: bytes, flow: Flow, dropped: str = "") -> None:
        """A message was sent, or could not be."""
        self._keep((self._clock(), OUT, data, flow, dropped))
        self._room -= len(data) + COST
        if self._room < 0:
            self.close_chunk()

    def dropped(self, data: bytes, flow: Flow, cause: str) -> None:
        """Nothing is done with what has come: a message just heard, or what never was a whole one."""
        parts = self._open
        for at in range(len(parts) - _PARTS, max(len(parts) - _BACK * _PARTS, 0) - 1, -_PARTS):
            if parts[at + 2] is data:
                parts[at + 4] = cause
                return
        self._keep((self._clock(), IN, data, flow, cause))
        self._room -= len(data) + COST
        if self._room < 0:
            self.close_chunk()

    # Chunks

    def close_chunk(self) -> None:
        """Close the open list, tell who wants to know, and let go what is too much or too old."""
        parts = self._open
        self._room = self._chunk_bytes
        if parts:
            chunk = self._chunk([parts[part::_PARTS] for part in range(_PARTS)])
            parts.clear()
            if chunk.times:
                self._next += len(chunk)
                self._chunks.append(chunk)
                self.held_bytes += chunk.cost
                for take in self.on_chunk:
                    take(chunk)
        oldest = self._clock() - self.most_age_s
        most = self.most_bytes - self._chunk_bytes
        chunks = self._chunks
        while chunks and (self.held_bytes > most or chunks[0].last_at < oldest):
            gone = chunks.popleft()
            self.held_bytes -= gone.cost
            self.let_go += len(gone)

    def _chunk(self, parts: list[list[Any]]) -> Chunk:
        """Of the messages that are wanted, without the connections that they came over."""
        flows = set(parts[3])
        if any(flow.transport != "UDP" for flow in flows):
            known = {flow: _way(flow) for flow in flows}
            parts[3] = [known[flow] for flow in parts[3]]
        keeps = self.keeps
        if keeps is not None:
            wanted = [keeps(traced(entry, 0)) for entry in zip(*parts, strict=True)]
            parts = [list(compress(part, wanted)) for part in parts]
        times, directions, data, ways, dropped = parts
        cost = sum(map(len, data)) + COST * len(data)
        return Chunk(self._next, times, directions, data, ways, dropped, cost)

    # To be read

    def __len__(self) -> int:
        return sum(map(len, self._chunks)) + len(self._open) // _PARTS

    @property
    def oldest_at(self) -> float | None:
        """When the oldest message that is still here came or went; None where there is none."""
        self.close_chunk()
        return self._chunks[0].times[0] if self._chunks else None

    @property
    def next_serial(self) -> int:
        """That of the next message."""
        self.close_chunk()
        return self._next

    def entries(self, *, serial: int = 0, since: float = 0.0) -> Iterator[tuple[int, Entry]]:
        """Those from a serial and a time on, oldest first, each with its serial."""
        self.close_chunk()
        for chunk in list(self._chunks):
            if chunk.first + len(chunk) <= serial or chunk.last_at < since:
                continue
            for number, entry in enumerate(chunk.entries, chunk.first):
                if number >= serial and entry[0] >= since:
                    yield number, entry


def _way(flow: Flow) -> Way:
    return flow if flow.transport == "UDP" else _Way(flow.transport, flow.listener, flow.local, flow.remote)


def traced(entry: Entry, serial: int) -> TracedMessage:
    at, direction, data, way, dropped = entry
    return TracedMessage(
        at=at,
        direction=direction,
        local=way.local,
        remote=way.remote,
        transport=way.transport,
        data=data,
        listener=way.listener,
        dropped=dropped,
        serial=serial,
    )
