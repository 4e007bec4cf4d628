"""The health of a gateway with a pretend clock: down by pings, standing down, probation, back-off."""

from __future__ import annotations

from itertools import pairwise

import attrs
from hypothesis import given
from hypothesis import strategies as st

from appliance.config.health import HealthSettings
from appliance.router.gateway import Gateways, Hold, LivingGateway, Standing
from appliance.router.health import Health, State
from appliance.router.outcome import AttemptOutcome, End

SETTINGS = HealthSettings(name="h")


def living(settings: HealthSettings = SETTINGS, now: float = 0.0) -> tuple[LivingGateway, Health]:
    gateways = Gateways()
    one = gateways.of("t", "192.0.2.1")
    gateways.watch(one, settings, now)
    assert one.health is not None
    return one, one.health


def came_to(
    one: LivingGateway, end: End, now: float, *, status: int = 0, retry_after: int | None = None, answered: bool = False
) -> None:
    one.tried(object(), now)
    one.attempt(
        AttemptOutcome(
            one, "", "1", end, status, now, first_answer_s=0.1 if answered else None, retry_after_s=retry_after
        )
    )


def test_so_many_pings_must_fail_for_it_to_be_down_and_so_many_be_answered_to_come_back() -> None:
    _, health = living()
    for now in (1, 2):
        health.pinged(None, now)
    health.pinged(200, 3)
    for now in (4, 5):
        health.pinged(503, now)
    assert health.state is State.IN
    health.pinged(None, 6)
    assert health.state is State.DOWN
    assert health.why == "3 pings failed, none was answered"
    health.pinged(200, 7)
    health.pinged(408, 8)
    health.pinged(404, 9)
    assert health.state is State.DOWN
    health.pinged(200, 10)
    assert health.state is State.PROBATION


def test_an_answer_in_neither_list_says_nothing() -> None:
    _, health = living()
    for now in range(20):
        health.pinged(505, now)
    assert health.state is State.IN


def test_calls_that_fail_in_a_row_make_it_stand_down_others_between_do_not() -> None:
    one, _ = living()
    came_to(one, End.SILENT, 1)
    came_to(one, End.UNREACHABLE, 2)
    came_to(one, End.REFUSED, 3, status=486)
    came_to(one, End.SILENT, 4)
    came_to(one, End.REFUSED, 5, status=503)
    assert one.standing(5) is Standing.IN
    came_to(one, End.SILENT, 6)
    assert one.standing(6) is Standing.OUT
    assert one.why(6) == "stands down, for 30 s, the last 3 calls failed, it was silent"


def test_what_the_caller_or_we_ended_is_no_fault_of_the_gateway() -> None:
    one, _ = living()
    for now in range(20):
        came_to(one, End.GIVEN_UP, now)
        came_to(one, End.OURS, now, status=488)
        came_to(one, End.UNANSWERED, now, status=408)
    assert one.standing(21) is Standing.IN


def test_retry_after_is_heeded_at_once_but_not_for_ever() -> None:
    one, health = living()
    came_to(one, End.REFUSED, 1, status=503, retry_after=100)
    assert one.standing(100.9) is Standing.OUT
    assert one.standing(101.1) is not Standing.OUT
    came_to(one, End.REFUSED, 102, status=503, retry_after=10**6)
    assert health.until == 102 + SETTINGS.longest_stand_down_s
    other, _ = living(attrs.evolve(SETTINGS, retry_after=False))
    came_to(other, End.REFUSED, 1, status=503, retry_after=100)
    assert other.standing(1) is Standing.IN


def test_probation_is_a_trickle_until_enough_went_well() -> None:
    one, health = living()
    for now in (1, 2, 3):
        came_to(one, End.SILENT, now)
    offered = 0
    now = 33.0
    assert one.standing(now) is Standing.IN
    while health.at(now) is State.PROBATION:
        if one.standing(now) is Standing.IN:
            offered += 1
            came_to(one, End.ANSWERED, now, status=200)
        now += 0.1
    assert offered == 5
    assert 10 < now - 33.0 < 10.4  # two calls in 5 seconds
    assert one.standing(now) is Standing.IN
    assert health.why == "5 calls on probation went well"


def test_a_failure_on_probation_doubles_the_time_until_the_longest() -> None:
    one, health = living()
    now, lengths = 0.0, []
    for _ in range(3):
        came_to(one, End.SILENT, now)
    for _ in range(7):
        lengths.append(health.until - now)
        now = health.until
        came_to(one, End.SILENT, now)
    assert lengths == [30, 60, 120, 240, 480, 600, 600]
    for _ in range(5):
        now = max(now, health.until) + 5
        came_to(one, End.ANSWERED, now, status=200)
    assert health.state is State.IN
    now += 601
    for _ in range(3):
        came_to(one, End.SILENT, now)
    assert health.until - now == 30


def test_down_by_pings_is_left_by_pings_alone() -> None:
    one, health = living()
    for now in range(3):
        health.pinged(None, now)
    came_to(one, End.ANSWERED, 4, status=200)
    came_to(one, End.REFUSED, 5, status=503, retry_after=9)
    assert health.at(10_000) is State.DOWN
    gateways = Gateways()
    gateways.watch(one, attrs.evolve(SETTINGS, ping_interval_s=None), 10_001)
    assert health.state is State.PROBATION


def test_without_probation_it_comes_back_whole() -> None:
    one, health = living(attrs.evolve(SETTINGS, probation_calls=0))
    for now in range(3):
        came_to(one, End.SILENT, now)
    assert health.at(100) is State.IN


def test_by_hand_goes_before_health_and_health_outlives_a_reload() -> None:
    one, health = living()
    one.hold = Hold.DRAINED
    assert one.standing(1) is Standing.HELD
    assert one.why(1) == "drained, by hand"
    one.hold = Hold.NONE
    for now in range(3):
        came_to(one, End.SILENT, now)
    gateways = Gateways()
    gateways.watch(one, attrs.evolve(SETTINGS, fail_after=9), 4)
    assert one.health is health
    assert one.standing(4) is Standing.OUT


events = st.lists(
    st.tuples(
        st.floats(0, 40),
        st.one_of(
            st.tuples(st.just("ping"), st.sampled_from([None, 200, 404, 408, 503, 505])),
            st.tuples(st.sampled_from(list(End)), st.sampled_from([None, 0, 3, 900])),
        ),
    ),
    max_size=60,
)


@given(events)
def test_whatever_happens_it_never_stands_down_longer_than_allowed_and_can_always_come_back(happened: list) -> None:  # type: ignore[type-arg]
    one, health = living()
    changes: list[tuple[State, State]] = []
    health.changed = lambda old, new, why: changes.append((old, new))
    now = 0.0
    for pause, (what, detail) in happened:
        now += pause
        if what == "ping":
            health.pinged(detail, now)
        else:
            status = 503 if what is End.REFUSED else 0
            came_to(one, what, now, status=status, retry_after=detail if what is End.REFUSED else None)
        assert health.until <= now + SETTINGS.longest_stand_down_s
        assert bool(one.why(now))
    now += SETTINGS.longest_stand_down_s
    for _ in range(SETTINGS.up_after):
        health.pinged(200, now)
    for _ in range(SETTINGS.probation_successes):
        came_to(one, End.ANSWERED, now, status=200)
    assert one.standing(now) is Standing.IN
    assert health.state is State.IN
    for (_, before), (after, _) in pairwise(changes):
        assert before is after
