"""When the garbage collector visits."""

from __future__ import annotations

import gc
import weakref
from collections import deque
from collections.abc import Iterator

import pytest

from appliance.garbage import GarbageCollector


class Ring:
    """A cycle."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


@pytest.fixture
def visits() -> Iterator[list[int]]:
    """The generations that were visited."""
    seen: list[int] = []

    def visited(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            seen.append(info["generation"])

    gc.callbacks.append(visited)
    yield seen
    gc.callbacks.remove(visited)


def pile_up(visits_to_the_young: int) -> list[list[int]]:
    return [[] for _ in range(visits_to_the_young * 10_100)]


def old_cycle() -> weakref.ref[Ring]:
    ring = Ring()
    gc.collect(0)
    return weakref.ref(ring)


def test_what_piles_up_is_looked_at_once_and_never_again_by_itself(visits: list[int]) -> None:
    GarbageCollector(lambda: 0, lambda: False).take_over(0.0)
    visits.clear()
    kept = pile_up(120)
    assert kept
    assert set(visits) == {0}
    assert len(visits) >= 120


def test_old_cycles_go_at_a_quiet_moment() -> None:
    collector = GarbageCollector(lambda: 400, lambda: False)
    collector.take_over(0.0)
    ring = old_cycle()
    pile_up(60)
    assert ring() is not None
    assert collector.consider(10.0)
    assert ring() is None


def test_the_young_that_python_does_not_count_are_visited_by_the_clock(visits: list[int]) -> None:
    collector = GarbageCollector(lambda: 0, lambda: False)
    standing = deque([] for _ in range(20_000))
    collector.take_over(0.0)
    visits.clear()
    for _ in range(20_000):  # as calls come and go: one more, one less
        standing.append([])
        standing.popleft()
    assert visits == []
    pause_s = collector.visit_young(1.0)
    assert visits == [0]
    assert 0.01 <= pause_s <= 1.0


def test_a_long_visit_to_the_young_makes_the_next_come_sooner() -> None:
    collector = GarbageCollector(lambda: 0, lambda: False)
    collector.take_over(0.0)
    gc.disable()
    try:
        kept = [[] for _ in range(1_000_000)]
        assert collector.visit_young(1.0) < 0.5
    finally:
        gc.enable()
    assert kept
    assert collector.visit_young(0.5) == 1.0


def test_old_cycles_go_where_only_our_own_visits_saw_them_come() -> None:
    collector = GarbageCollector(lambda: 0, lambda: False)
    collector.take_over(0.0)
    kept = []
    for _ in range(60):
        kept.append([[] for _ in range(9_000)])
        collector.visit_young(1.0)
    assert collector.consider(10.0)
    assert not collector.consider(20.0)


def test_nothing_is_looked_for_where_nothing_was_made() -> None:
    collector = GarbageCollector(lambda: 0, lambda: False)
    collector.take_over(0.0)
    assert not collector.consider(86_400.0)


def test_a_busy_box_is_left_alone_but_not_for_ever() -> None:
    collector = GarbageCollector(lambda: 10_000, lambda: False)
    collector.take_over(0.0)
    pile_up(60)
    assert not collector.consider(9_000.0)
    assert collector.consider(9_600.0)


def test_a_busy_box_short_of_memory_pauses_every_ten_minutes() -> None:
    collector = GarbageCollector(lambda: 10_000, lambda: True)
    collector.take_over(0.0)
    pile_up(60)
    assert not collector.consider(590.0)
    assert collector.consider(610.0)
    pile_up(60)
    assert not collector.consider(700.0)
