"""How long branches are waited for: Timer C and the trunks' own limits (RFC 3261 §16.8).

Nearly every branch is answered long before its time, and half a second more or less matters to none. So there is one
timer for all of them, which looks at those that still wait.
"""

from __future__ import annotations

from typing import Protocol

from appliance.sip.timers import TimerHeap

_LOOK_S = 0.5


class Waiting(Protocol):
    """Who waits until `due`, on the monotonic clock; it may be put off at any time."""

    due: float

    def overdue(self, now: float) -> None:
        """The time is over, and it is no longer watched."""


class Deadlines:
    """Everybody whose time is running."""

    def __init__(self, timers: TimerHeap) -> None:
        self._timers = timers
        self._waiting: dict[Waiting, None] = {}
        self._looking = False

    def __len__(self) -> int:
        return len(self._waiting)

    def watch(self, one: Waiting, now: float) -> None:
        """From now on; `one` is told at its `due` or up to half a second later."""
        self._waiting[one] = None
        if not self._looking:
            self._looking = True
            self._timers.schedule(now + _LOOK_S, self._look)

    def forget(self, one: Waiting) -> None:
        """It waits no longer, if it did."""
        self._waiting.pop(one, None)

    def _look(self, now: float) -> None:
        for one in [one for one in self._waiting if one.due <= now]:
            if self._waiting.pop(one, self) is not self:  # an earlier one may have settled it
                one.overdue(now)
        if self._waiting:
            self._timers.schedule(now + _LOOK_S, self._look)
        else:
            self._looking = False
