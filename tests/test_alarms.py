"""The table of alarms: raise and clear pairs, marks and hold-downs, a bounded memory, subscribers that may fail."""

import attrs
import pytest

from appliance.alarm_kinds import CAPACITY, CATALOGUE, CERTIFICATE, GATEWAY_DOWN, TRUNK_DOWN, Severity
from appliance.alarms import MOST_ACTIVE, MOST_PAST, Alarm, Alarms, Change
from appliance.commands.alarms import alarm_rows
from appliance.control.alarms import AlarmControl
from appliance.manuals.alarms import alarm_manual
from appliance.metrics import Metrics, render_prometheus


@attrs.define
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


class Ear:
    """Hears every change."""

    def __init__(self, alarms: Alarms) -> None:
        self.heard: list[tuple[str, str, str]] = []
        alarms.subscribe(self)

    def __call__(self, change: Change, alarm: Alarm) -> None:
        self.heard.append((change.value, alarm.kind.name, alarm.subject))


def test_an_alarm_is_raised_once_and_cleared_once() -> None:
    alarms = Alarms(Clock(), Clock())
    ear = Ear(alarms)
    for _ in range(3):
        alarms.raise_(TRUNK_DOWN, "carrier", "no gateway answers")
    alarms.clear(TRUNK_DOWN, "carrier")
    alarms.clear(TRUNK_DOWN, "carrier")
    assert ear.heard == [("raised", "trunk-down", "carrier"), ("cleared", "trunk-down", "carrier")]
    assert alarms.active == ()
    assert [one.subject for one in alarms.past] == ["carrier"]


def test_the_worst_comes_first() -> None:
    alarms = Alarms()
    alarms.raise_(CERTIFICATE, "web", "it runs out in 20 days")
    alarms.raise_(TRUNK_DOWN, "carrier", "no gateway answers")
    alarms.raise_(CERTIFICATE, "tls", "it ran out", Severity.CRITICAL)
    assert [one.subject for one in alarms.active] == ["tls", "carrier", "web"]


def test_another_severity_is_news_and_another_sentence_is_not() -> None:
    alarms = Alarms()
    ear = Ear(alarms)
    alarms.raise_(CERTIFICATE, "web", "it runs out in 8 days")
    alarms.raise_(CERTIFICATE, "web", "it runs out in 7 days")
    alarms.raise_(CERTIFICATE, "web", "it runs out in 6 days", Severity.MINOR)
    assert [change for change, _, _ in ear.heard] == ["raised", "changed"]
    assert alarms.active[0].sentence == "it runs out in 6 days"


def test_between_its_marks_an_alarm_stays_as_it_is() -> None:
    clock = Clock()
    alarms = Alarms(clock, clock)
    seen = []
    for used in (0.85, 0.9, 0.85, 0.8, 0.85):
        alarms.measure(CAPACITY, "box", used, (0.8, 0.9), f"{used:.0%} used")
        clock.now += CAPACITY.hold_s
        alarms.settle()
        seen.append(alarms.is_active(CAPACITY, "box"))
    assert seen == [False, True, True, False, False]


def test_what_flaps_is_one_alarm_with_a_count() -> None:
    clock = Clock()
    alarms = Alarms(clock, clock)
    ear = Ear(alarms)
    for _ in range(5):
        alarms.raise_(GATEWAY_DOWN, "carrier a", "its pings fail")
        alarms.clear(GATEWAY_DOWN, "carrier a")
        clock.now += GATEWAY_DOWN.hold_s / 2
        alarms.settle()
    assert [one.count for one in alarms.active] == [5]
    clock.now += GATEWAY_DOWN.hold_s
    alarms.settle()
    assert [change for change, _, _ in ear.heard] == ["raised", "cleared"]


def test_a_subscriber_that_fails_harms_neither_the_caller_nor_the_others() -> None:
    alarms = Alarms()

    def fails(change: Change, alarm: Alarm) -> None:
        raise RuntimeError("out of order")

    alarms.subscribe(fails)
    ear = Ear(alarms)
    alarms.raise_(TRUNK_DOWN, "carrier", "no gateway answers")
    assert len(ear.heard) == 1


def test_who_has_left_is_not_told() -> None:
    alarms = Alarms()
    heard: list[Change] = []
    leave = alarms.subscribe(lambda change, alarm: heard.append(change))
    leave()
    alarms.raise_(TRUNK_DOWN, "carrier", "no gateway answers")
    assert heard == []


def test_the_table_and_the_history_are_bounded() -> None:
    alarms = Alarms()
    for number in range(MOST_ACTIVE + 5):
        alarms.raise_(TRUNK_DOWN, str(number), "down")
    assert (len(alarms.active), alarms.lost) == (MOST_ACTIVE, 5)
    alarms.keep(TRUNK_DOWN, set())
    assert (len(alarms.active), len(alarms.past)) == (0, MOST_PAST)


def test_alarms_are_figures_too() -> None:
    alarms, metrics = Alarms(), Metrics()
    alarms.show_in(metrics)
    alarms.raise_(TRUNK_DOWN, "carrier", "down")
    text = render_prometheus(metrics)
    assert 'jackfield_alarms_active{severity="critical"} 1\n' in text
    assert 'jackfield_alarms_active{severity="minor"} 0\n' in text
    assert 'jackfield_alarms_raised_total{alarm="trunk-down"} 1\n' in text


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_kind_says_what_it_means_and_what_to_do(name: str) -> None:
    kind = CATALOGUE[name]
    assert kind.name == name
    assert kind.about.endswith(".")
    assert kind.remedy.endswith(".")
    assert kind.raised_as != kind.cleared_as


def test_numbers_and_names_of_notifications_are_their_own() -> None:
    kinds = list(CATALOGUE.values())
    assert len({one.number for one in kinds}) == len(kinds)
    names = [name for one in kinds for name in (one.raised_as, one.cleared_as)]
    assert len(set(names)) == len(names)


async def test_the_command_lists_what_is_wrong_and_what_was() -> None:
    alarms = Alarms()
    control = AlarmControl(alarms)
    alarms.raise_(TRUNK_DOWN, "carrier", "no gateway answers")
    alarms.raise_(CERTIFICATE, "[web]", "it runs out in 20 days")
    alarms.clear(CERTIFICATE, "[web]")
    now, past = await control.command(), await control.command("past")
    first, remedy = alarm_rows(now["alarms"], remedies=True)
    assert first[:4] == ("critical", "trunk-down", "carrier", "no gateway answers")
    assert (first[4][:2], first[5:]) == ("20", ("", ""))
    assert remedy == ("", "", "", TRUNK_DOWN.remedy, "", "", "")
    [was] = alarm_rows(past["alarms"])
    assert was[5].startswith("20")
    assert (await control.command("future"))["ok"] is False


def test_the_manual_has_a_line_for_each_kind() -> None:
    text = alarm_manual()
    for kind in CATALOGUE.values():
        assert f"`{kind.name}` ({kind.severity}, of {kind.subject}): {kind.about}" in text
        assert kind.remedy in text
