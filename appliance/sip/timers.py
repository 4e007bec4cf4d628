"""One heap for every timer of the process, and delay lines before it for the delays that never vary.

The shell sleeps until `next_at` and calls `run_due(now)`. A cancelled timer stays behind as a husk and is thrown away
when it comes up, or when husks outnumber the living. RFC 3261 knows a dozen delays (T1, 64*T1, T4 …) and starts them
by the million: those of one length fall due in the order they were started, so a queue serves, with one timer of the
heap for its head.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Callable
from itertools import count
from typing import Protocol

NEVER = math.inf


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


class Waiter(Protocol):
    """Whoever stands in a `DelayLine`. `due` is when it wants to be woken, `NEVER` for not at all."""

    due: float

    def fall_due(self, now: float) -> None: ...


class DelayLine:
    """Waiters for one and the same delay, first in, first out; a third of the price of the heap.

    A place in the line counts as long as the waiter's `due` is the one it had when it took it: who stands in line anew,
    here or elsewhere, or says `NEVER`, has given up the old place. `now` must not go backwards between calls of `add`.
    A waiter is woken at its time or up to 1 % of the delay later (at most 50 ms), so that a long line needs few timers
    of the heap.
    """

    __slots__ = ("_heap", "_queue", "_running", "_slack", "delay")

    def __init__(self, heap: TimerHeap, delay: float) -> None:
        self.delay = delay
        self._heap = heap
        self._queue: deque[tuple[float, Waiter]] = deque()
        self._running = False
        self._slack = min(delay / 100, 0.05)

    def __len__(self) -> int:
        return len(self._queue)

    def add(self, now: float, waiter: Waiter) -> None:
        """`waiter.fall_due(now)` after the delay."""
        waiter.due = due = now + self.delay
        self._queue.append((due, waiter))
        if not self._running:
            self._running = True
            self._heap.schedule(due, self._run)

    def _run(self, now: float) -> None:
        queue = self._queue
        while queue:
            due, waiter = place = queue.popleft()
            if waiter.due != due:
                continue
            if due > now:
                queue.appendleft(place)
                self._heap.schedule(max(due, now + self._slack), self._run)
                return
            waiter.due = NEVER
            waiter.fall_due(now)
        self._running = False
