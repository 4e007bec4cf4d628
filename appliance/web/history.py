"""Calls over the last two days, minute by minute, in bounded memory; added up to the steps that a plot wants.

It begins with the process: what was before it is told by the call records.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import attrs

MINUTE_S: Final = 60
KEPT: Final = 48 * 60
SPANS: Final = {"hour": (60, 60), "day": (24 * 60, 1800), "days": (48 * 60, 3600)}
"""What a page may ask for: how many minutes back, and the width of a step in seconds."""


@attrs.define
class Minute:
    """What began in one minute, and the most at a time in it; `at` is its beginning in seconds since 1970."""

    at: int
    calls: int = 0
    """Those refused by us included."""
    answered: int = 0
    refused: int = 0
    most_calls: int = 0
    registrations: int = 0


@attrs.frozen
class Totals:
    """Counted since the start: calls that were made, answered, and refused before they were any."""

    made: int = 0
    answered: int = 0
    refused: int = 0


class History:
    """`add` is told the totals every few seconds; `steps` adds minutes up."""

    def __init__(self) -> None:
        self._minutes: deque[Minute] = deque(maxlen=KEPT)
        self._before = Totals()

    def add(self, wall: float, totals: Totals, calls: int, registrations: int) -> None:
        """`calls` are those in progress now."""
        at = int(wall) // MINUTE_S * MINUTE_S
        while self._minutes and self._minutes[-1].at > at + MINUTE_S:
            self._minutes.pop()  # the clock was ahead and was put right: nobody would see what is in the future
        if not self._minutes or self._minutes[-1].at < at:
            self._minutes.append(Minute(at))
        # where the clock was set back a little, the last minute goes on until the clock has come that far again
        minute, before = self._minutes[-1], self._before
        minute.calls += totals.made - before.made + totals.refused - before.refused
        minute.answered += totals.answered - before.answered
        minute.refused += totals.refused - before.refused
        minute.most_calls = max(minute.most_calls, calls)
        minute.registrations = max(minute.registrations, registrations)
        self._before = totals

    def steps(self, wall: float, span: str) -> dict[str, object]:
        """Columns over the span, the oldest first, None where the box did not run. Raises KeyError for no such span."""
        minutes, step_s = SPANS[span]
        last = int(wall) // step_s * step_s
        number = minutes * MINUTE_S // step_s
        first = last - (number - 1) * step_s
        added: list[Minute | None] = [None] * number
        for one in self._minutes:
            place = (one.at - first) // step_s
            if 0 <= place < number:
                into = added[place]
                if into is None:
                    into = added[place] = Minute(one.at)
                into.calls += one.calls
                into.answered += one.answered
                into.refused += one.refused
                into.most_calls = max(into.most_calls, one.most_calls)
                into.registrations = max(into.registrations, one.registrations)
        columns = ("calls", "answered", "refused", "most_calls", "registrations")
        return {
            "first": first,
            "step_s": step_s,
            **{name: [None if one is None else getattr(one, name) for one in added] for name in columns},
        }
