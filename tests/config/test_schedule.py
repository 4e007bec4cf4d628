"""Times, dates and zones as they are written; whether they are open is tests/router's matter."""

from __future__ import annotations

import datetime
import zoneinfo

import pytest

from appliance.config.schedule import ScheduleSettings, calendar_dates, week_times, zone
from appliance.router.calendar import Calendar


def test_zones_are_known_without_the_systems_own() -> None:
    """Small images have no /usr/share/zoneinfo."""
    zoneinfo.reset_tzpath([])
    zoneinfo.ZoneInfo.clear_cache()
    try:
        assert zone().read("Europe/Helsinki") == "Europe/Helsinki"
    finally:
        zoneinfo.reset_tzpath()
        zoneinfo.ZoneInfo.clear_cache()


@pytest.mark.parametrize(
    ("written", "days", "begin", "end"),
    [
        ("mon-fri 08:00-17:30", {0, 1, 2, 3, 4}, 480, 1050),
        ("sat sun", {5, 6}, 0, 1440),
        ("fri-mon 9:00-10:00", {4, 5, 6, 0}, 540, 600),
        ("22:00-06:00", set(range(7)), 1320, 1800),
        ("Mon 00:00-24:00", {0}, 0, 1440),
    ],
)
def test_times_of_the_week(written: str, days: set[int], begin: int, end: int) -> None:
    found = week_times().read(written)
    assert (found.days, found.begin, found.end) == (days, begin, end)


@pytest.mark.parametrize(
    "written",
    ["", "monday", "mon 8-17", "25:00-26:00", "08:00-08:00", "mon 08:60-09:00", "08:00-09:00 mon", "08:00-24:01"],
)
def test_times_that_are_none(written: str) -> None:
    with pytest.raises(ValueError, match=r"not|no time"):
        week_times().read(written)


@pytest.mark.parametrize(
    "written", ["2026-02-29", "13-01", "2027-01-02..2026-12-24", "2026-12-24..01-02", "today", "1-1"]
)
def test_dates_that_are_none(written: str) -> None:
    with pytest.raises(ValueError, match=r"not|backwards|one end"):
        calendar_dates().read(written)


def test_dates_of_every_year_may_go_over_new_year() -> None:
    dates = calendar_dates().read("12-24..01-02")
    inside = [datetime.date(2026, 12, 24), datetime.date(2027, 1, 2), datetime.date(2026, 12, 31)]
    assert all(map(dates.holds, inside))
    assert not any(map(dates.holds, [datetime.date(2026, 12, 23), datetime.date(2027, 1, 3)]))


def test_an_hour_that_comes_twice_is_open_twice_and_one_that_is_left_out_never_begins() -> None:
    settings = ScheduleSettings(name="night", zone="Europe/Berlin", times=(week_times().read("sun 02:00-03:00"),))
    calendar = Calendar(settings)
    hour = datetime.timedelta(hours=1)
    autumn = datetime.datetime(2026, 10, 24, 22, tzinfo=datetime.UTC)  # Sunday 00:00 there; 02:00 to 03:00 comes twice
    spring = datetime.datetime(2026, 3, 28, 23, tzinfo=datetime.UTC)  # Sunday 00:00; 02:00 to 03:00 is left out
    assert [calendar.is_open((autumn + n * hour).timestamp()) for n in range(6)] == [
        False,
        False,
        True,
        True,
        False,
        False,
    ]
    assert not any(calendar.is_open((spring + n * hour).timestamp()) for n in range(6))
