"""What is wrong just now: a table of alarms, their history, and whoever wants to be told of each change.

An alarm is one kind of trouble with one subject. Raising it again counts and is no news, unless its sentence or
severity changed. Everything here is synchronous and never raises into the caller: the call path may raise alarms.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from enum import StrEnum
from typing import Final

import attrs

from .alarm_kinds import CATALOGUE, AlarmKind, Severity
from .logs import log
from .metrics import Metrics

MOST_ACTIVE: Final = 1000
MOST_PAST: Final = 500


class Change(StrEnum):
    RAISED = "raised"
    CHANGED = "changed"
    """Another sentence or severity."""
    CLEARED = "cleared"


@attrs.define(eq=False)
class Alarm:
    """One alarm. Times are seconds of the day's clock."""

    number: int
    """Its own, for as long as the process lives: the index in a table of alarms."""
    kind: AlarmKind
    subject: str
    severity: Severity
    sentence: str
    raised_at: float
    changed_at: float
    count: int = 1
    """How often it was raised since it began."""
    cleared_at: float | None = None
    clears_at: float | None = None
    """Monotonic: when its hold-down ends, if nobody raises it again."""

    def facts(self) -> dict[str, str | int | float | None]:
        """As JSON; times are seconds since 1970."""
        return {
            "number": self.number,
            "alarm": self.kind.name,
            "severity": self.severity.value,
            "subject": self.subject,
            "sentence": self.sentence,
            "about": self.kind.about,
            "remedy": self.kind.remedy,
            "raised_at": self.raised_at,
            "cleared_at": self.cleared_at,
            "count": self.count,
        }


Subscriber = Callable[[Change, Alarm], None]
"""Told of each change, synchronously; what it raises is logged and goes no further. It must not wait."""


class Alarms:
    """The table. `wall` is the day's clock, `clock` the monotonic one of the hold-downs."""

    def __init__(self, wall: Callable[[], float] = time.time, clock: Callable[[], float] = time.monotonic) -> None:
        self.past: deque[Alarm] = deque(maxlen=MOST_PAST)
        """Those that are over, the last one last."""
        self.raised = dict.fromkeys(CATALOGUE, 0)
        """How many began, by the kind's name."""
        self.lost = 0
        """Alarms that found the table full."""
        self._active: dict[tuple[str, str], Alarm] = {}
        self._subscribers: list[Subscriber] = []
        self._wall = wall
        self._clock = clock
        self._last = 0

    def raise_(self, kind: AlarmKind, subject: str, sentence: str, severity: Severity | None = None) -> None:
        """Something is wrong with `subject`; saying so again costs little."""
        severity = severity or kind.severity
        alarm = self._active.get((kind.name, subject))
        if alarm is None:
            if len(self._active) >= MOST_ACTIVE:
                self.lost += 1
                return
            now = self._wall()
            self._last += 1
            alarm = Alarm(self._last, kind, subject, severity, sentence, now, now)
            self._active[kind.name, subject] = alarm
            self.raised[kind.name] += 1
            self._tell(Change.RAISED, alarm)
            return
        if alarm.clears_at is not None:
            alarm.clears_at = None
            alarm.count += 1
        if alarm.severity is not severity or alarm.sentence != sentence:
            worse = alarm.severity is not severity
            alarm.severity, alarm.sentence, alarm.changed_at = severity, sentence, self._wall()
            if worse:
                self._tell(Change.CHANGED, alarm)

    def clear(self, kind: AlarmKind, subject: str) -> None:
        """It is well again; the alarm is over when its hold-down is."""
        alarm = self._active.get((kind.name, subject))
        if alarm is None or alarm.clears_at is not None:
            return
        if kind.hold_s:
            alarm.clears_at = self._clock() + kind.hold_s
        else:
            self._end(alarm)

    def show(self, kind: AlarmKind, subject: str, sentence: str, severity: Severity | None = None) -> None:
        """Raise it where there is something to say, else clear it."""
        if sentence:
            self.raise_(kind, subject, sentence, severity)
        else:
            self.clear(kind, subject)

    def measure(
        self,
        kind: AlarmKind,
        subject: str,
        value: float,
        marks: tuple[float, float],
        sentence: str,
        severity: Severity | None = None,
    ) -> None:
        """Raise it at the high mark, clear it at the low one; in between it stays as it is. `marks` are (low, high)."""
        low, high = marks
        if value >= high or (value > low and self.is_active(kind, subject)):
            self.raise_(kind, subject, sentence, severity)
        elif value <= low:
            self.clear(kind, subject)

    def keep(self, kind: AlarmKind, subjects: set[str]) -> None:
        """Of this kind only these subjects exist still: alarms of others are over."""
        for alarm in [one for one in self._active.values() if one.kind is kind and one.subject not in subjects]:
            self._end(alarm)

    def settle(self) -> None:
        """End those whose hold-down is over; called every second or so."""
        if self._active:
            now = self._clock()
            for alarm in list(self._active.values()):
                if alarm.clears_at is not None and now >= alarm.clears_at:
                    self._end(alarm)

    def is_active(self, kind: AlarmKind, subject: str) -> bool:
        return (kind.name, subject) in self._active

    @property
    def active(self) -> tuple[Alarm, ...]:
        """What is wrong now, the worst first, among equals the newest first."""
        return tuple(sorted(self._active.values(), key=lambda one: (one.severity.rank, -one.number)))

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Be told of changes from now on; what is returned ends it."""
        self._subscribers.append(subscriber)
        return lambda: self._subscribers.remove(subscriber)

    def show_in(self, metrics: Metrics) -> None:
        """Hang the figures into the catalogue."""
        metrics.alarms_active.read = self._by_severity
        metrics.alarms_raised.read = lambda: {(name,): count for name, count in self.raised.items()}

    def _by_severity(self) -> dict[tuple[str, ...], float]:
        found: dict[tuple[str, ...], float] = {(severity.value,): 0 for severity in Severity}
        for alarm in self._active.values():
            found[(alarm.severity.value,)] += 1
        return found

    def _end(self, alarm: Alarm) -> None:
        del self._active[alarm.kind.name, alarm.subject]
        alarm.cleared_at = alarm.changed_at = self._wall()
        alarm.clears_at = None
        self.past.append(alarm)
        self._tell(Change.CLEARED, alarm)

    def _tell(self, change: Change, alarm: Alarm) -> None:
        tell = log.info if change is Change.CLEARED else log.warning
        tell(
            f"alarm.{change}",
            alarm=alarm.kind.name,
            subject=alarm.subject,
            severity=alarm.severity.value,
            sentence=alarm.sentence,
            count=alarm.count if alarm.count > 1 else None,
        )
        for subscriber in list(self._subscribers):
            try:
                subscriber(change, alarm)
            except Exception as error:  # whoever raised the alarm has done nothing wrong
                log.error("alarm.untold", error, alarm=alarm.kind.name)
