"""One heap for every timer of the process. The shell sleeps until `next_at` and calls `run_due(now)`.

A cancelled timer stays in the heap as a husk and is thrown away when it comes up, or when husks outnumber the living.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count


class Timer:
    """Something to happen at `when` (seconds of the monotonic clock)."""

    __slots__ = ("callback", "heap", "when")

    def __init__(self, heap: TimerHeap, when: float, callback: Callable[[float], None]) -> None:
        self.heap = heap
        self.when = when
        self.callback: Callable[[float], None] | None = callback

    def cancel(self) -> None:
        """Never fire. Cancelling twice, or after firing, does nothing."""
        if self.callback is not None:
            self.callback = None
            self.heap.husks += 1


class TimerHeap:
    """Timers by due time; those of the same instant fire in the order they were made."""

    __slots__ = ("_heap", "_serial", "husks", "on_earlier")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timer]] = []
        self._serial = count()
        self.husks = 0
        self.on_earlier: Callable[[float], None] | None = None
        """Called when a new timer comes before all others, so that a sleeping shell can wake earlier."""

    def __len__(self) -> int:
        return len(self._heap) - self.husks

    @property
    def next_at(self) -> float | None:
        """When the next living timer is due, or None."""
        heap = self._heap
        while heap and heap[0][2].callback is None:
            heapq.heappop(heap)
            self.husks -= 1
        return heap[0][0] if heap else None

    def schedule(self, when: float, callback: Callable[[float], None]) -> Timer:
        """`callback(now)` at `when` or soon after."""
        timer = Timer(self, when, callback)
        heap = self._heap
        if self.on_earlier is not None and (not heap or when < heap[0][0]):
            self.on_earlier(when)
        heapq.heappush(heap, (when, next(self._serial), timer))
        if self.husks > 1024 and self.husks * 2 > len(heap):
            self._heap = [entry for entry in heap if entry[2].callback is not None]
            heapq.heapify(self._heap)
            self.husks = 0
        return timer

    def run_due(self, now: float) -> None:
        """Fire everything that is due at `now`; timers made meanwhile fire too if they are due already."""
        while self._heap and self._heap[0][0] <= now:
            timer = heapq.heappop(self._heap)[2]
            callback = timer.callback
            if callback is None:
                self.husks -= 1
            else:
                timer.callback = None
                callback(now)
