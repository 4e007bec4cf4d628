"""Calls over time: what falls into which minute, how minutes become steps, and what a clock that jumps does."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as some

from appliance.web.history import KEPT, MINUTE_S, SPANS, History, Totals

NOON = 1_800_000_000 // 3600 * 3600


def column(history: History, wall: float, name: str, span: str = "hour") -> list[int | None]:
    found = history.steps(wall, span)[name]
    assert isinstance(found, list)
    return found


def test_a_minute_holds_what_began_in_it_and_the_most_at_a_time() -> None:
    history = History()
    history.add(NOON + 5, Totals(made=2, answered=1, refused=0), calls=2, registrations=7)
    history.add(NOON + 10, Totals(made=3, answered=3, refused=4), calls=1, registrations=9)
    history.add(NOON + 65, Totals(made=4, answered=3, refused=4), calls=5, registrations=8)
    last = {name: column(history, NOON + 70, name)[-2:] for name in ("calls", "answered", "refused", "most_calls")}
    assert last == {"calls": [7, 1], "answered": [3, 0], "refused": [4, 0], "most_calls": [2, 5]}
    assert column(history, NOON + 70, "registrations")[-2:] == [9, 8]


def test_before_the_start_is_no_zero() -> None:
    history = History()
    history.add(NOON, Totals(made=1), calls=1, registrations=0)
    assert column(history, NOON + 1, "calls") == [None] * 59 + [1]
    assert column(History(), NOON, "calls") == [None] * 60


def test_minutes_are_added_up_to_steps_that_begin_at_whole_ones() -> None:
    history = History()
    for minute in range(90):
        history.add(NOON + MINUTE_S * minute, Totals(made=minute + 1), calls=minute, registrations=0)
    steps = history.steps(NOON + 89 * MINUTE_S, "day")
    first, step_s = steps["first"], steps["step_s"]
    assert isinstance(first, int)
    assert (step_s, first % 1800) == (1800, 0)
    assert column(history, NOON + 89 * MINUTE_S, "calls", "day")[-3:] == [30, 30, 30]
    assert column(history, NOON + 89 * MINUTE_S, "most_calls", "day")[-3:] == [29, 59, 89]


def test_two_days_are_kept_and_no_more() -> None:
    history = History()
    for minute in range(KEPT + 100):
        history.add(NOON + MINUTE_S * minute, Totals(made=minute + 1), calls=0, registrations=0)
    shown = column(history, NOON + MINUTE_S * (KEPT + 99), "calls", "days")
    assert len(shown) == 48
    assert shown[1:-1] == [60] * 46


def test_a_clock_that_was_a_year_ahead_hides_nothing_of_what_comes_after() -> None:
    history = History()
    history.add(NOON + 365 * 86400, Totals(made=1), calls=0, registrations=0)
    history.add(NOON, Totals(made=5), calls=0, registrations=0)
    assert column(history, NOON + 1, "calls")[-1] == 4


def test_a_clock_that_is_set_back_a_little_loses_no_call() -> None:
    history = History()
    history.add(NOON + 61, Totals(made=1), calls=0, registrations=0)
    history.add(NOON + 59, Totals(made=2), calls=0, registrations=0)
    assert column(history, NOON + 61, "calls")[-1] == 2


@settings(max_examples=50, deadline=None)
@given(some.lists(some.tuples(some.integers(0, 200), some.integers(0, 9), some.integers(0, 9)), max_size=50))
def test_no_call_is_lost_or_doubled_whatever_the_pace(told: list[tuple[int, int, int]]) -> None:
    history, wall, made, refused = History(), NOON, 0, 0
    for seconds, more, worse in told:
        wall += seconds
        made, refused = made + more, refused + worse
        history.add(wall, Totals(made=made, refused=refused), calls=0, registrations=0)
    for span in SPANS:
        if wall - NOON < 3000 or span != "hour":
            assert sum(one or 0 for one in column(history, wall, "calls", span)) == made + refused
