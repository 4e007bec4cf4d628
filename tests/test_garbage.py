"""When the garbage collector visits."""

from __future__ import annotations

import gc
import weakref
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
