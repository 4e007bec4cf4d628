"""When Python's garbage collector visits: the young as they pile up, the old only while little stands.

Calls leave no cycles behind (a test holds it); what does leave some, such as pages and connections, mostly dies young.
A visit to the old looks at everything there is: with a thousand calls a second behind it that was a silence of 0.4 to
1 s, in which datagrams are lost. So it waits until it is cheap, and the longer it has waited the more it accepts.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import Final

import trio

from .logs import log

_YOUNG: Final = 10_000
"""Net growth in containers until the young are looked at: some milliseconds."""
_NEVER: Final = 2**31 - 1
_TICK_S: Final = 10.0
_YOUNG_VISITS: Final = 50
"""So many since the last visit to the old, or there is nothing to be expected of another."""
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

    def take_over(self, now: float) -> None:
        """What was made until here lives as long as the process, and is never looked at again."""
        gc.collect()
        gc.freeze()
        gc.set_threshold(_YOUNG, _NEVER, _NEVER)
        self._remember(now)

    async def run(self, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED) -> None:
        """Look for a good moment until cancelled."""
        task_status.started("the old are visited when it is quiet")
        while True:
            await trio.sleep(_TICK_S)
            self.consider(trio.current_time())

    def consider(self, now: float) -> bool:
        """Whether this was a moment for a visit to the old, which has then taken place."""
        if _young_visits() - self._young_visits < _YOUNG_VISITS:
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
        self._young_visits = _young_visits()


def _young_visits() -> int:
    """How often the young were looked at since the process began."""
    return int(gc.get_stats()[0]["collections"])
