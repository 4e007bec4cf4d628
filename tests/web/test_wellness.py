"""The sentence of the first page: well, degraded or down, with a reason and a remedy for whatever is wrong."""

from __future__ import annotations

import attrs
import pytest

from appliance import alarm_kinds
from appliance.alarms import Alarm, Alarms
from appliance.web.inside import Health, ServiceState
from appliance.web.wellness import MOST_REASONS, Grade, judge

WELL = Health("ready", 60.0, (ServiceState("web", "ready", "", "", 0),), {})


@attrs.define
class Listener:
    """As far as it is judged."""

    accepting: bool = True
    name: str = "udp"
    transport: str = "UDP"
    addresses: tuple[tuple[str, int], ...] = ()
    connections: int = 0
    messages_in: int = 0
    messages_out: int = 0
    drops: dict[str, int] = attrs.field(factory=dict)


def alarms(*told: tuple[alarm_kinds.AlarmKind, str, str]) -> list[Alarm]:
    found = Alarms()
    for kind, subject, sentence in told:
        found.raise_(kind, subject, sentence)
    return list(found.active)


def test_nothing_wrong_is_one_sentence_without_reasons() -> None:
    found = judge(WELL, [], [Listener()], [True])
    assert (found.grade, found.sentence, found.reasons) == (Grade.WELL, "All is well", ())
    assert judge(WELL, [], [], []).grade is Grade.WELL  # no trunks and no listeners: a box that is only looked at


@pytest.mark.parametrize("kind", alarm_kinds.CATALOGUE.values(), ids=lambda kind: kind.name)
def test_every_alarm_comes_with_its_sentence_what_to_do_and_a_page(kind: alarm_kinds.AlarmKind) -> None:
    found = judge(WELL, alarms((kind, "here", "it broke")), [Listener()], [])
    [reason] = found.reasons
    assert (reason.sentence, reason.remedy) == ("it broke", kind.remedy)
    assert "here" in reason.what
    assert reason.page.startswith("/")
    assert reason.since is not None
    bad = kind.severity in (alarm_kinds.Severity.CRITICAL, alarm_kinds.Severity.MAJOR)
    assert found.sentence == ("Something does not work" if bad else "Calls go well, but look at this")
    assert found.grade is Grade.DEGRADED


def test_an_alarm_in_its_hold_down_is_no_reason_any_more() -> None:
    [one] = alarms((alarm_kinds.CAPACITY, "calls", "full"))
    one.clears_at = 10.0
    assert judge(WELL, [one], [Listener()], []).grade is Grade.WELL


def test_several_are_counted_and_the_rest_is_left_out() -> None:
    many = alarms(*((alarm_kinds.GATEWAY_DOWN, f"carrier {number}", f"dead {number}") for number in range(20)))
    found = judge(WELL, many, [Listener()], [True])
    assert found.sentence == "20 things do not work"
    assert (len(found.reasons), found.left_out) == (MOST_REASONS, 20 - MOST_REASONS)


def test_a_service_that_no_alarm_tells_of_is_a_reason_and_told_once() -> None:
    broken = ServiceState("syslog", "degraded", "", "no route to host", 3)
    sick = Health("degraded", 60.0, (broken,), {"storage": "disk full"})
    found = judge(sick, [], [Listener()], [])
    assert [(one.what, one.sentence) for one in found.reasons] == [
        ("service syslog", "no route to host"),
        ("storage", "disk full"),
    ]
    assert all(one.remedy for one in found.reasons)
    told = alarms((alarm_kinds.SERVICE, "syslog", "no route to host"), (alarm_kinds.STORAGE, "storage", "disk full"))
    assert len(judge(sick, told, [Listener()], []).reasons) == 2


def test_a_box_that_hears_nothing_is_down() -> None:
    found = judge(WELL, [], [Listener(accepting=False)], [True])
    assert (found.grade, found.sentence) == (Grade.DOWN, "Down: no listener takes calls")
    assert found.reasons[0].remedy
    assert judge(WELL, [], [Listener(accepting=False), Listener()], [True]).grade is Grade.WELL


def test_a_box_whose_trunks_are_all_out_is_down_and_says_why() -> None:
    held = judge(WELL, [], [Listener()], [False, False])
    assert (held.grade, held.sentence) == (Grade.DOWN, "Down: no trunk can be reached")
    assert "drained or blocked" in held.reasons[0].sentence  # by hand: there is no alarm
    dead = judge(WELL, alarms((alarm_kinds.TRUNK_DOWN, "carrier", "none of 2 gateways")), [Listener()], [False])
    assert [one.sentence for one in dead.reasons] == ["none of 2 gateways"]
    assert judge(WELL, [], [Listener()], [True, False]).grade is Grade.WELL


def test_a_box_that_refuses_because_it_is_busy_says_so_first() -> None:
    found = judge(WELL, alarms((alarm_kinds.FILES, "open files", "90 %")), [Listener()], [], "the processor is full")
    assert [one.sentence for one in found.reasons] == ["the processor is full", "90 %"]
    assert found.reasons[0].remedy


@pytest.mark.parametrize(("state", "word"), [("starting", "Starting"), ("draining", "Going down")])
def test_coming_and_going_is_neither_well_nor_broken(state: str, word: str) -> None:
    found = judge(attrs.evolve(WELL, state=state), [], [Listener(accepting=False)], [False])
    assert found.grade is Grade.CHANGING
    assert found.sentence.startswith(word)
