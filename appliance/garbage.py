"""When Python's garbage collector visits: the young often enough to be few, the old only while little stands.

Python counts what is made less what is let go, and looks at the young when that has grown by so much. In a box whose
calls come and go it hardly grows, while what is young piles up for half a minute; then one visit is a silence of 0.1 to
0.3 s, in which datagrams are lost. So we visit by the clock, at the pace that makes each visit a short one.

Calls leave no cycles behind (a test holds it); what does leave some, such as pages and connections, mostly dies young.
A visit to the old looks at everything there is: with a thousand calls a second behind it, 0.4 to 1 s. So it waits until
it is cheap, and the longer it has waited the more it accepts.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import Final

import trio

from .logs import log

_YOUNG: Final = 10_000
"""Net growth in containers until Python looks at the young by itself, in a burst: some milliseconds."""
_NEVER: Final = 2**31 - 1
_VISIT_S: Final = 0.001
"""What a visit to the young shall take."""
_SOONEST_S, _LATEST_S = 0.01, 1.0
_TICK_S: Final = 10.0
_EXPECTED: Final = 500_000
"""So many containers more since the last visit to the old, or there is nothing to be expected of another."""
_QUIET: Final = 500
_PATIENCE: Final = 1.0
"""Transactions, calls and registrations that may stand at once; and how many more for each second waited."""
_PRESSED_S: Final = 600.0
_LONG_S: Final = 0.1


class GarbageCollector:
    """`run` as a service, after `take_over`.

    `standing`: transactions, calls and registrations of now. `pressed`: whether memory runs short, so that a pause
    every ten minutes is the lesser evil.
    """

    def __init__(self, standing: Callable[[], int], pressed: Callable[[], bool]) -> None:
        self._standing = standing
        self._pressed = pressed
        self._visited_at = 0.0
        self._young_visits = 0
        self._grown = 0
        """By so much, as our own visits to the young found, since the last to the old."""
        self._ours = 0
        """Of the visits to the young since then, those that we made; Python makes its own after `_YOUNG` each."""

    def take_over(self, now: float) -> None:
        """What was made until here lives as long as the process, and is never looked at again."""
        gc.collect()
        gc.freeze()
        gc.set_threshold(_YOUNG, _NEVER, _NEVER)
        self._remember(now)

    async def run(self, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED) -> None:
        """Visit until cancelled."""
        task_status.started("")
        pause_s = _LATEST_S
        tick_at = trio.current_time() + _TICK_S
        while True:
            await trio.sleep(pause_s)
            pause_s = self.visit_young(pause_s)
            now = trio.current_time()
            if now >= tick_at:
                self.consider(now)
                tick_at = now + _TICK_S

    def visit_young(self, pause_s: float) -> float:
        """Look at what was made in the last `pause_s`; gives how long to wait for the next visit."""
        self._grown += gc.get_count()[0]
        self._ours += 1
        began = time.thread_time()  # what others took of the processor meanwhile says nothing of the young
        gc.collect(0)
        took_s = max(time.thread_time() - began, 1e-6)
        return min(_LATEST_S, max(_SOONEST_S, pause_s * _VISIT_S / took_s))

    def consider(self, now: float) -> bool:
        """Whether this was a moment for a visit to the old, which has then taken place."""
        by_python = _young_visits() - self._young_visits - self._ours
        if self._grown + by_python * _YOUNG < _EXPECTED:
            return False
        waited_s = now - self._visited_at
        if self._standing() > _QUIET + waited_s * _PATIENCE and not (waited_s > _PRESSED_S and self._pressed()):
            return False
        began = time.perf_counter()
        found = gc.collect()
        took_s = time.perf_counter() - began
        if took_s > _LONG_S:
            log.info("garbage.paused", seconds=round(took_s, 3), found=found)
        self._remember(now)
        return True

    def _remember(self, now: float) -> None:
        self._visited_at = now
        self._grown = self._ours = 0
        self._young_visits = _young_visits()


def _young_visits() -> int:
    """How often the young were looked at since the process began."""
    return int(gc.get_stats()[0]["collections"])
