"""The health of one gateway: in service, down by its pings, standing down after failed calls, on probation.

A pure machine: what happened and `now` (monotonic seconds) come in, a state stands. Who pings, and what is made of the
state, is for others; so are drain and block, which are an operator's will and no matter of health.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

import attrs

from appliance.config.health import HealthSettings
from appliance.router.outcome import AttemptOutcome, End


class State(Enum):
    IN = "in service"
    DOWN = "down"
    """Its pings fail."""
    STANDS_DOWN = "stands down"
    """Calls failed there, for a time."""
    PROBATION = "on probation"


_MOST_DOUBLINGS = 20


@attrs.define(eq=False)
class Health:
    """`changed` is called after each change with the state before; `why` says how it came to the present one."""

    settings: HealthSettings
    changed: Callable[[State, State, str], None] = attrs.field(default=lambda old, new, why: None)
    state: State = State.IN
    why: str = ""
    since: float = 0.0
    until: float = 0.0
    """When it need no longer stand down."""
    failed_calls: int = 0
    failed_pings: int = 0
    good_pings: int = 0
    stand_downs: int = 0
    """How often in a row, for the back-off."""
    went_well: int = 0
    """Calls of the probation."""
    _window_ends_at: float = 0.0
    _tried: int = 0

    def at(self, now: float) -> State:
        """The state at `now`: a time to stand down may be over."""
        if self.state is State.STANDS_DOWN and now >= self.until:
            self._come_back(self.until, "its time to stand down is over")
        return self.state

    def may_try(self, now: float) -> bool:
        """Whether a gateway on probation may be given one more call just now."""
        return now >= self._window_ends_at or self._tried < self.settings.probation_calls

    def tried(self, now: float) -> None:
        """A call is offered to it."""
        if self.at(now) is State.PROBATION:
            if now >= self._window_ends_at:
                self._window_ends_at = now + self.settings.probation_interval_s
                self._tried = 0
            self._tried += 1

    def attempt(self, outcome: AttemptOutcome) -> None:
        """A call that was offered to it has come to something."""
        end, settings, now = outcome.end, self.settings, outcome.at
        failed = end is End.SILENT or end is End.UNREACHABLE
        if end is End.REFUSED:
            rest = outcome.retry_after_s
            if settings.retry_after and rest:
                self._rest(min(rest, settings.longest_stand_down_s), f"it asked for {rest} s of rest", now)
                return
            failed = outcome.status in settings.failures
        if failed:
            what = f"answered {outcome.status}" if end is End.REFUSED else f"was {end.value}"
            self._call_failed(what, now)
        elif end in (End.ANSWERED, End.REFUSED, End.UNANSWERED):
            self._call_went_well(now)
        elif end is End.GIVEN_UP and outcome.first_answer_s is not None:
            self.failed_calls = 0  # it lives, but whether it can complete a call was not seen

    def pinged(self, status: int | None, now: float) -> None:
        """The final answer to a ping, None where there was none."""
        settings = self.settings
        state = self.at(now)
        if status is None or status in settings.out_of_service:
            self.good_pings = 0
            self.failed_pings += 1
            if state is not State.DOWN and self.failed_pings >= settings.down_after:
                last = "none was answered" if status is None else f"the last was answered {status}"
                self._become(State.DOWN, f"{self.failed_pings} pings failed, {last}", now)
        elif status in settings.in_service:
            self.failed_pings = 0
            self.good_pings += 1
            if state is State.DOWN and self.good_pings >= settings.up_after:
                self._come_back(now, f"{self.good_pings} pings were answered")

    def unwatched(self, now: float) -> None:
        """There are no pings any more that could bring it back."""
        self.failed_pings = self.good_pings = 0
        if self.state is State.DOWN:
            self._come_back(now, "it is pinged no more")

    def _call_failed(self, what: str, now: float) -> None:
        settings = self.settings
        state = self.at(now)
        if not settings.fail_after:
            return
        self.failed_calls += 1
        if state is State.PROBATION:
            self._stand_down(f"it {what} on probation", now)
        elif state is State.IN and self.failed_calls >= settings.fail_after:
            calls = "the last call" if self.failed_calls == 1 else f"the last {self.failed_calls} calls"
            self._stand_down(f"{calls} failed, it {what}", now)

    def _call_went_well(self, now: float) -> None:
        self.failed_calls = 0
        state = self.at(now)
        if state is State.STANDS_DOWN:
            self._come_back(now, "a call went well there")
            state = self.state
        if state is State.PROBATION:
            self.went_well += 1
            if self.went_well >= self.settings.probation_successes:
                self._become(State.IN, f"{self.went_well} calls on probation went well", now)

    def _stand_down(self, why: str, now: float) -> None:
        settings = self.settings
        if self.state is State.IN and now - self.since >= settings.longest_stand_down_s:
            self.stand_downs = 0
        times = 1 << min(self.stand_downs, _MOST_DOUBLINGS)
        self.stand_downs += 1
        self._rest(min(settings.stand_down_s * times, settings.longest_stand_down_s), why, now)

    def _rest(self, seconds: float, why: str, now: float) -> None:
        if self.at(now) is State.DOWN:
            return  # which its pings decide
        self.until = now + seconds
        self._become(State.STANDS_DOWN, f"for {seconds:g} s, {why}", now)

    def _come_back(self, now: float, why: str) -> None:
        self._tried = 0
        self._window_ends_at = 0.0
        if self.settings.probation_calls:
            self._become(State.PROBATION, why, now)
        else:
            self._become(State.IN, why, now)

    def _become(self, state: State, why: str, now: float) -> None:
        old = self.state
        self.state, self.why, self.since = state, why, now
        self.failed_calls = self.went_well = 0
        if state is not State.DOWN:
            self.failed_pings = 0
        self.changed(old, state, why)
