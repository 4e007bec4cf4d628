"""The timer heap and the delay lines before it."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.sip.timers import NEVER, DelayLine, TimerHeap


class Waiting:
    """Notes when it was woken; may stand in line again."""

    def __init__(self, again: DelayLine | None = None) -> None:
        self.due = NEVER
        self.woken: list[float] = []
        self.again = again

    def fall_due(self, now: float) -> None:
        self.woken.append(now)
        if self.again is not None:
            again, self.again = self.again, None
            again.add(now, self)


def run(heap: TimerHeap, now: float) -> None:
    for _ in range(10_000):
        due = heap.next_at
        if due is None or due > now:
            return
        heap.run_due(due)
    raise AssertionError("timers without end")


def test_timers_fire_in_order_and_once() -> None:
    heap = TimerHeap()
    fired: list[str] = []
    heap.schedule(2, lambda now: fired.append("b"))
    heap.schedule(1, lambda now: fired.append("a"))
    heap.schedule(2, lambda now: fired.append("c"))
    heap.run_due(1.5)
    assert fired == ["a"]
    heap.run_due(2)
    heap.run_due(3)
    assert fired == ["a", "b", "c"]
    assert len(heap) == 0


def test_cancelled_timer_never_fires_and_is_not_counted() -> None:
    heap = TimerHeap()
    timer = heap.schedule(1, lambda now: (_ for _ in ()).throw(AssertionError))
    timer.cancel()
    timer.cancel()
    assert len(heap) == 0
    assert heap.next_at is None
    heap.run_due(2)


def test_husks_are_thrown_away_when_they_outnumber_the_living() -> None:
    heap = TimerHeap()
    for i in range(5000):
        heap.schedule(1000 + i, lambda now: None).cancel()
    heap.schedule(1, lambda now: None)
    assert heap.husks < 2000
    assert len(heap) == 1


def test_sleeper_is_woken_only_for_an_earlier_timer() -> None:
    heap = TimerHeap()
    earlier: list[float] = []
    heap.on_earlier = earlier.append
    for when in (5.0, 6.0, 3.0):
        heap.schedule(when, lambda now: None)
    assert earlier == [5.0, 3.0]


def test_line_wakes_after_its_delay() -> None:
    heap = TimerHeap()
    line, waiting = DelayLine(heap, 0.5), Waiting()
    line.add(10, waiting)
    run(heap, 10.49)
    assert waiting.woken == []
    run(heap, 20)
    assert waiting.woken == [10.5]
    assert len(heap) == 0


def test_place_given_up_wakes_nobody() -> None:
    heap = TimerHeap()
    line, waiting = DelayLine(heap, 0.5), Waiting()
    line.add(10, waiting)
    waiting.due = NEVER
    run(heap, 20)
    assert waiting.woken == []
    assert len(line) == len(heap) == 0


def test_waiter_who_changes_lines_is_woken_once() -> None:
    heap = TimerHeap()
    short, long, waiting = DelayLine(heap, 0.5), DelayLine(heap, 2), Waiting()
    short.add(10, waiting)
    long.add(10, waiting)
    short.add(11.5, waiting)  # at the very moment that the long line has for it
    run(heap, 20)
    assert waiting.woken == [12]
    assert len(short) == len(long) == len(heap) == 0


def test_waiter_may_stand_in_line_again_when_woken() -> None:
    heap = TimerHeap()
    line = DelayLine(heap, 0.5)
    waiting = Waiting(line)
    line.add(10, waiting)
    run(heap, 20)
    assert waiting.woken == [10.5, 11.0]
    assert len(heap) == 0


@settings(max_examples=100, deadline=None)
@given(
    delay=st.sampled_from([0.2, 0.5, 32.0]),
    entries=st.lists(st.tuples(st.sampled_from([0.0, 0.001, 0.01, 0.3, 7.0]), st.booleans()), max_size=50),
)
def test_line_is_never_early_and_hardly_late(delay: float, entries: list[tuple[float, bool]]) -> None:
    heap = TimerHeap()
    line = DelayLine(heap, delay)
    now = 1000.0
    kept = []
    for gap, give_up in entries:
        now += gap
        run(heap, now)
        waiting = Waiting()
        line.add(now, waiting)
        if give_up:
            waiting.due = NEVER
        else:
            kept.append((now, waiting))
    assert len(heap) <= 1
    run(heap, now + 100)
    for since, waiting in kept:
        assert len(waiting.woken) == 1
        assert 0 <= waiting.woken[0] - (since + delay) <= min(delay / 100, 0.05) + 1e-9
    assert len(line) == len(heap) == 0
