"""Requests that were challenged and never came back with a right password: one event a minute and source, no more.

That a phone is challenged before each call is nobody's news; that it did not come back, or with a wrong password, is.
Scanners do both all day, so what is told is added up by source, and of few sources at a time: the store of records gets
at most MOST_SOURCES + 1 events each PAUSE_S.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs

WAIT_S: Final = 10.0
"""How long a challenged request has for coming back with a right password."""
PAUSE_S: Final = 60.0
"""Between two events of a source."""
MOST_WAITING: Final = 2000
MOST_SOURCES: Final = 50
"""Told of by themselves; of all further ones only the sum is."""
REFUSED: Final = "login refused"
MISSING: Final = "login missing"
_TOLD: Final = frozenset({"INVITE", "REGISTER", "MESSAGE"})
"""Told of when they never come back; any other one only with wrong credentials. A ping may well go without."""
_LONGEST: Final = 100


@attrs.define
class _Attempt:
    source: str
    user: str
    asked: str
    fault: str
    """Of the credentials; '' where there were none."""
    until: float


@attrs.define
class _Sum:
    """What a source has to its name since it was last told of."""

    told_at: float
    count: int = 0
    last: _Attempt | None = None
    refused: bool = False
    users: set[str] = attrs.field(factory=set)

    def add(self, one: _Attempt) -> None:
        self.count += 1
        self.last = one
        self.refused |= bool(one.fault)
        if len(self.users) <= MOST_SOURCES:
            self.users.add(one.user)


class LapsedLogins:
    """`tell` takes (kind, user, source, detail); None: nothing is kept. Times are of the monotonic clock."""

    def __init__(self) -> None:
        self.tell: Callable[[str, str, str, str], None] | None = None
        self.waiting: dict[str, _Attempt] = {}
        """By Call-ID, the oldest first."""
        self._sums: dict[str, _Sum] = {}

    def challenged(self, call_id: str, source: str, user: str, method: str, uri: str, fault: str, now: float) -> None:
        """A request got 401 or 407. `fault` says what was wrong with its credentials, '' where it had none."""
        if self.tell is None or not (fault or method in _TOLD):
            return
        key = call_id[:_LONGEST]
        known = self.waiting.get(key)
        if known is not None:
            if fault:
                known.fault, known.user = fault, user[:_LONGEST]
            return
        if len(self.waiting) >= MOST_WAITING:
            self._lapse(self.waiting.pop(next(iter(self.waiting))), now)
        asked = f"{method} {uri[:_LONGEST]}"
        self.waiting[key] = _Attempt(source, user[:_LONGEST], asked, fault, now + WAIT_S)

    def came_back(self, call_id: str) -> None:
        """With a right password."""
        self.waiting.pop(call_id[:_LONGEST], None)

    def sweep(self, now: float) -> None:
        """Once a second."""
        while self.waiting:
            key = next(iter(self.waiting))
            if self.waiting[key].until > now:
                break
            self._lapse(self.waiting.pop(key), now)
        for source, one in list(self._sums.items()):
            if now - one.told_at >= PAUSE_S:
                del self._sums[source]
                if one.count:
                    self._say(source, one)
                    self._sums[source] = _Sum(now)

    def _lapse(self, one: _Attempt, now: float) -> None:
        found = self._sums.get(one.source)
        if found is None:
            source = one.source if len(self._sums) < MOST_SOURCES else ""
            found = self._sums.setdefault(source, _Sum(now))
            if source:
                found.add(one)
                self._say(source, found)
                self._sums[source] = _Sum(now)
                return
        found.add(one)

    def _say(self, source: str, one: _Sum) -> None:
        last = one.last
        if self.tell is None or last is None:
            return
        why = last.fault or "challenged, and never came back with a password"
        if one.count == 1:
            detail = f"{last.asked}: {why}"
        elif source:
            detail = f"{one.count} requests, the last one {last.asked}: {why}"
        else:
            detail = f"{one.count} requests of further sources, the last one from {last.source}: {why}"
        others = len(one.users) - 1
        more = "more than " if others >= MOST_SOURCES else ""
        user = f"{last.user} and {more}{others} others" if others else last.user
        self.tell(REFUSED if one.refused else MISSING, user, source, detail)
