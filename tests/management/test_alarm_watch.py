"""What the watch makes of what it finds: certificates that run out, a full disk, a clock that steps, dead gateways."""

import itertools
from pathlib import Path

import attrs
import pytest

from appliance.alarm_kinds import BAN_STORM, CAPACITY, CLOCK, Severity
from appliance.alarms import Alarms
from appliance.config.loader import load_settings
from appliance.config.security import Grade
from appliance.config.settings import Settings
from appliance.doctor.kernel_clock import synchronised
from appliance.identity import CERTIFICATE_DAYS, open_identity
from appliance.management.alarm_watch import DAY_S, AlarmWatch, Looked, look_around
from appliance.router.bans import Ban
from tests.proxy.pretend_net import Box
from tests.proxy.test_gateway_health import A1, A2, PINGED, run_answering, watched
from tests.test_app import CONF

NOW = 1_800_000_000.0
WELL = Looked({}, disk=0.5, files=0.1, synchronised=True)


@attrs.define
class Bench:
    """A watch over a core on pretend wires; the clocks are moved by hand."""

    box: Box
    wall: float = NOW
    steady: float = 100.0
    watch: AlarmWatch = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        alarms = Alarms(lambda: self.wall, lambda: self.steady)
        settings = self.box.core.settings
        self.watch = AlarmWatch(
            alarms, self.box.core, lambda: settings, lambda: WELL, lambda: self.wall, lambda: self.steady
        )

    def seconds(self, number: int) -> None:
        for _ in range(number):
            self.wall += 1
            self.steady += 1
            self.watch.tick()

    def active(self) -> list[tuple[str, str, Severity]]:
        return [(one.kind.name, one.subject, one.severity) for one in self.watch.alarms.active]


def bench(settings: Settings | None = None) -> Bench:
    return Bench(Box(settings))


@pytest.mark.parametrize(
    ("days", "severity"),
    [
        (31.0, None),
        (29.0, Severity.WARNING),
        (6.9, Severity.MINOR),
        (0.5, Severity.MAJOR),
        (-3.0, Severity.CRITICAL),
    ],
)
def test_a_certificate_is_worse_the_less_it_has_left(days: float, severity: Severity | None) -> None:
    one = bench()
    one.watch.judge(attrs.evolve(WELL, certificates={"[web]": NOW + days * DAY_S}))
    assert one.active() == ([] if severity is None else [("certificate", "[web]", severity)])
    one.watch.judge(attrs.evolve(WELL, certificates={"[web]": NOW + 365 * DAY_S}))
    assert one.active() == []


def test_a_certificate_that_is_configured_no_more_is_no_trouble_any_more() -> None:
    one = bench()
    one.watch.judge(attrs.evolve(WELL, certificates={"[trunk a]": NOW + DAY_S / 2}))
    assert one.active()
    one.watch.judge(WELL)
    assert one.active() == []


def test_a_full_disk_is_an_alarm_until_there_is_room_again() -> None:
    one = bench()
    seen = []
    for share in (0.89, 0.91, 0.88, 0.85):
        one.watch.judge(attrs.evolve(WELL, disk=share, files=share - 0.2))
        seen.append([name for name, _, _ in one.active()])
    assert seen == [[], ["disk"], ["disk"], []]


def test_a_clock_that_steps_is_told_for_a_while() -> None:
    one = bench()
    one.seconds(3)
    one.wall -= 7200
    one.seconds(1)
    [alarm] = one.watch.alarms.active
    assert (alarm.kind, alarm.sentence) == (CLOCK, "the clock was put back by 7200.0 s")
    one.seconds(int(CLOCK.hold_s) + 1)
    assert one.active() == []


def test_a_clock_that_nobody_keeps_right_is_an_alarm() -> None:
    one = bench()
    one.watch.judge(attrs.evolve(WELL, synchronised=False))
    assert [name for name, _, _ in one.active()] == ["clock"]
    one.watch.judge(attrs.evolve(WELL, synchronised=None))
    one.seconds(int(CLOCK.hold_s) + 1)
    assert one.active() == []


def test_many_bans_within_a_minute_are_a_storm_and_the_same_over_an_hour_are_not() -> None:
    one = bench()
    bans = one.box.core.gate.guard.bans
    addresses = (f"198.51.100.{n}" for n in itertools.count(1))
    for _ in range(60):
        bans.add(Ban(next(addresses), Grade.DROP, 1e9, "scanner"))
        one.seconds(60)
    assert one.active() == []
    for _ in range(60):
        bans.add(Ban(next(addresses), Grade.DROP, 1e9, "scanner"))
    one.seconds(1)
    assert [name for name, _, _ in one.active()] == ["ban-storm"]
    one.seconds(62 + int(BAN_STORM.hold_s))
    assert one.active() == []


def test_a_gateway_that_is_down_is_one_alarm_and_the_trunk_another_once_it_has_none_left() -> None:
    one = bench(watched(PINGED, A1, A2))
    run_answering(one.box, 45, {A1: None, A2: 200})
    one.watch.sweep()
    assert one.active() == [("gateway-down", f"a {A1}", Severity.MAJOR)]
    run_answering(one.box, 45, {A1: None, A2: None})
    one.watch.sweep()
    assert [(name, subject) for name, subject, _ in one.active()] == [
        ("trunk-down", "a"),
        ("gateway-down", f"a {A2}"),
        ("gateway-down", f"a {A1}"),
    ]
    run_answering(one.box, 45, {A1: 200, A2: 200})
    one.watch.sweep()
    one.seconds(11)
    assert one.active() == []


def test_a_limit_that_is_nearly_used_up_is_an_alarm_and_a_worse_one_when_it_is() -> None:
    settings = Settings()
    one = bench(attrs.evolve(Box().core.settings, sip=attrs.evolve(settings.sip, max_calls=10)))
    calls = one.box.core.calls
    seen = []
    for number in (8, 9, 10, 9, 8):
        calls.active.clear()
        calls.active.update({str(n): object() for n in range(number)})  # type: ignore[misc]
        one.watch.sweep()
        one.seconds(int(CAPACITY.hold_s) + 1)
        seen.append([severity for _, _, severity in one.active()])
    assert seen == [[], [Severity.MINOR], [Severity.MAJOR], [Severity.MINOR], []]


def test_the_look_around_reads_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text(CONF)
    settings = load_settings(tmp_path)
    found = look_around(settings, open_identity(tmp_path / "var", settings))
    assert list(found.certificates) == ["[web]"]
    assert found.certificates["[web]"] > CERTIFICATE_DAYS * DAY_S
    assert 0 < found.disk < 1
    assert 0 <= found.files < 1
    assert synchronised() in (True, False, None)
