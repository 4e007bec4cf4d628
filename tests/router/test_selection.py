"""Every algorithm gives each candidate what its terms promise, and moves only what it must when one is gone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.config.groups import Algorithm
from appliance.config.terms import Terms
from appliance.router.selection import Candidate, Turn, arrange, candidates

NAMES = [f"g{number}" for number in range(8)]


def firsts(
    algorithm: Algorithm, among: list[Candidate], calls: int, key: Callable[[int], bytes] = lambda n: b"%d" % n
) -> Counter[str]:
    """Who came first, for so many calls."""
    turn = Turn()
    return Counter(arrange(algorithm, among, turn, lambda n=n: key(n))[0].name for n in range(calls))  # type: ignore[misc]


weights = st.lists(st.integers(1, 50), min_size=1, max_size=6)


@given(weights)
def test_weighted_turns_are_exact_over_a_whole_round_and_evenly_spread(given_weights: list[int]) -> None:
    among = candidates(
        Algorithm.WEIGHTED, [(name, Terms(weight=w)) for name, w in zip(NAMES, given_weights, strict=False)]
    )
    total = sum(given_weights)
    turn, seen = Turn(), Counter[str]()
    for number in range(1, total + 1):
        seen[arrange(Algorithm.WEIGHTED, among, turn, bytes)[0].name] += 1
        for name, weight in zip(NAMES, given_weights, strict=False):
            assert abs(seen[name] - number * weight / total) < len(given_weights)
    assert seen == Counter(dict(zip(NAMES, given_weights, strict=False)))


@given(st.sampled_from(list(Algorithm)), st.lists(st.tuples(st.integers(1, 3), st.integers(0, 5)), max_size=8))
def test_everybody_stands_once_and_lower_tiers_come_later(
    algorithm: Algorithm, given_terms: list[tuple[int, int]]
) -> None:
    terms = [(name, Terms(priority=p, weight=w, capacity=9)) for name, (p, w) in zip(NAMES, given_terms, strict=False)]
    among = candidates(algorithm, terms)
    turn = Turn()
    for number in range(10):
        order = arrange(algorithm, among, turn, lambda n=number: b"%d" % n)  # type: ignore[misc]
        assert sorted(one.name for one in order) == sorted(name for name, _ in terms)
        assert [one.priority for one in order] == sorted(one.priority for one in order)


def test_round_robin_takes_each_in_turn() -> None:
    among = candidates(Algorithm.ROUND_ROBIN, [(name, Terms()) for name in NAMES[:3]])
    turn = Turn()
    orders = [[one.name for one in arrange(Algorithm.ROUND_ROBIN, among, turn, bytes)] for _ in range(4)]
    assert orders == [["g0", "g1", "g2"], ["g1", "g2", "g0"], ["g2", "g0", "g1"], ["g0", "g1", "g2"]]


def test_a_weight_of_zero_only_stands_by() -> None:
    among = candidates(Algorithm.WEIGHTED, [("a", Terms(weight=1)), ("b", Terms(weight=0)), ("c", Terms(weight=1))])
    turn = Turn()
    assert all(arrange(Algorithm.WEIGHTED, among, turn, bytes)[-1].name == "b" for _ in range(5))
    hashed = candidates(Algorithm.HASH, [("a", Terms(weight=1)), ("b", Terms(weight=0))])
    assert firsts(Algorithm.HASH, hashed, 50) == {"a": 50}


def test_percentages_are_kept_and_who_has_none_gets_part_of_the_rest() -> None:
    terms = [("a", Terms(share=70)), ("b", Terms(share=20)), ("c", Terms()), ("d", Terms())]
    assert firsts(Algorithm.PERCENTAGE, candidates(Algorithm.PERCENTAGE, terms), 200) == {
        "a": 140,
        "b": 40,
        "c": 10,
        "d": 10,
    }


def test_the_share_of_one_that_is_out_goes_to_the_others_in_proportion() -> None:
    among = candidates(Algorithm.PERCENTAGE, [("a", Terms(share=60)), ("b", Terms(share=30)), ("c", Terms(share=10))])
    assert firsts(Algorithm.PERCENTAGE, among[1:], 40) == {"b": 30, "c": 10}


@given(st.integers(2, 8), st.data())
def test_losing_one_moves_only_the_calls_that_it_had(count: int, data: st.DataObject) -> None:
    among = candidates(Algorithm.HASH, [(name, Terms()) for name in NAMES[:count]])
    gone = data.draw(st.sampled_from(among))
    left = [one for one in among if one is not gone]
    for number in range(200):
        key = lambda n=number: b"call-%d" % n  # noqa: E731
        before = arrange(Algorithm.HASH, among, Turn(), key)
        after = arrange(Algorithm.HASH, left, Turn(), key)
        assert [one for one in before if one is not gone] == after


def test_hash_shares_by_weight_and_is_the_same_for_the_same_call() -> None:
    among = candidates(Algorithm.HASH, [("a", Terms(weight=3)), ("b", Terms(weight=1))])
    seen = firsts(Algorithm.HASH, among, 4000)
    assert seen == firsts(Algorithm.HASH, among, 4000)
    assert 0.71 < seen["a"] / 4000 < 0.79


@given(st.lists(st.integers(1, 5), min_size=2, max_size=5))
def test_least_calls_fills_all_alike_by_weight(given_weights: list[int]) -> None:
    among = candidates(
        Algorithm.LEAST_CALLS, [(name, Terms(weight=w)) for name, w in zip(NAMES, given_weights, strict=False)]
    )
    turn = Turn()
    for _ in range(20 * sum(given_weights)):
        arrange(Algorithm.LEAST_CALLS, among, turn, bytes)[0].calls += 1
    for one in among:
        assert abs(one.calls - 20 * one.weight) <= one.weight


def test_the_one_with_most_room_comes_first_and_none_beyond_its_capacity_while_another_has_room() -> None:
    among = candidates(Algorithm.MOST_FREE, [("small", Terms(capacity=10)), ("large", Terms(capacity=100))])
    turn = Turn()
    for _ in range(110):
        arrange(Algorithm.MOST_FREE, among, turn, bytes)[0].calls += 1
    assert {one.name: one.calls for one in among} == {"small": 10, "large": 100}


def test_the_quickest_comes_first_and_the_unknown_is_tried() -> None:
    among = candidates(Algorithm.LATENCY, [(name, Terms()) for name in NAMES[:4]])
    among[0].latency_s, among[1].latency_s, among[2].latency_s = 0.2, 0.020, 0.022
    turn = Turn()
    seen = Counter(arrange(Algorithm.LATENCY, among, turn, bytes)[0].name for _ in range(40))
    assert seen["g0"] == 0
    assert seen["g3"] > 0
    among[3].latency_s = 0.5
    orders = [arrange(Algorithm.LATENCY, among, turn, bytes) for _ in range(10)]
    assert {order[0].name for order in orders} == {"g1", "g2"}
    assert all([one.name for one in order[2:]] == ["g0", "g3"] for order in orders)


@pytest.mark.parametrize("algorithm", [Algorithm.ROUND_ROBIN, Algorithm.WEIGHTED, Algorithm.PERCENTAGE])
def test_one_that_comes_back_is_not_flooded(algorithm: Algorithm) -> None:
    among = candidates(algorithm, [(name, Terms()) for name in NAMES[:3]])
    turn = Turn()
    for _ in range(100):
        arrange(algorithm, among[1:], turn, bytes)
    seen = [arrange(algorithm, among, turn, bytes)[0].name for _ in range(12)]
    assert all(4 <= seen.count(name) + 1 <= 6 for name in NAMES[:3])
