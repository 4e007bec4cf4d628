"""What takes chunks of the trace to disk: a thread writes them in batches, and nothing waits for it.

Where the disk is too slow or broken, what does not fit into the short queue is lost to the disk and counted.
"""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Final

import trio

from appliance.logs import log

from .ring import Chunk
from .segments import Segments

_MOST_WAITING_BYTES: Final = 16 << 20
_LAST_S: Final = 2.0


class Disk:
    """`directory` is where segments lie. Without a size nothing is written, and what lies there stays."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._most_bytes: int | None = None
        self._segments: Segments | None = None
        self._waiting: deque[Chunk] = deque()
        self._waiting_bytes = 0
        self._told = False
        self.lost = 0
        """Messages that did not get there."""

    @property
    def used_bytes(self) -> int:
        """What the segments take; 0 while nothing is written."""
        return 0 if self._segments is None else self._segments.used_bytes

    def configure(self, most_bytes: int | None) -> None:
        if most_bytes != self._most_bytes:
            self._most_bytes = most_bytes
            self._segments = None  # opened anew by the thread

    def take(self, chunk: Chunk) -> None:
        if self._most_bytes is None:
            return
        if self._waiting_bytes > _MOST_WAITING_BYTES:
            self.lost += len(chunk)
            return
        self._waiting.append(chunk)
        self._waiting_bytes += chunk.cost

    async def save(self) -> None:
        """Write what waits, in a thread."""
        if not self._waiting or self._most_bytes is None:
            return
        chunks, self._waiting = self._waiting, deque()
        most_bytes = self._most_bytes
        self._waiting_bytes = 0
        fault = await trio.to_thread.run_sync(self._write, list(chunks), most_bytes)
        if fault is not None and not self._told:
            log.error("trace.unwritten", fault, directory=self._directory)
        self._told = fault is not None

    async def save_last(self) -> None:
        """The same at the end, within a moment."""
        with trio.CancelScope(shield=True, deadline=trio.current_time() + _LAST_S):
            await self.save()

    def _write(self, chunks: list[Chunk], most_bytes: int) -> OSError | None:
        segments = self._segments
        try:
            if segments is None:
                segments = self._segments = Segments(self._directory, most_bytes)
            while chunks:
                self.lost += segments.write(chunks[0])
                del chunks[0]
        except OSError as error:
            self.lost += sum(map(len, chunks))
            self._segments = None
            return error
        return None
