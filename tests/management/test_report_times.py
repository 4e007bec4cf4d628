"""When reports are due, and what they are about."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.config.report import Every, ReportSettings
from appliance.management.report_times import due_at, last_period, midnight


def report(every: Every, at: str = "06:00", zone: str = "Europe/Helsinki") -> ReportSettings:
    hours, minutes = map(int, at.split(":"))
    return ReportSettings(name="a", mail="m", every=every, at=hours * 60 + minutes, zone=zone)


@pytest.mark.parametrize(
    ("every", "now", "first", "end"),
    [
        (Every.DAY, "2026-11-22T05:59", "2026-11-20", "2026-11-21"),
        (Every.DAY, "2026-11-22T06:00", "2026-11-21", "2026-11-22"),
        (Every.WEEK, "2026-11-22T23:00", "2026-11-09", "2026-11-16"),
        (Every.WEEK, "2026-11-23T06:00", "2026-11-16", "2026-11-23"),
        (Every.WEEK, "2026-11-23T05:59", "2026-11-09", "2026-11-16"),
        (Every.MONTH, "2026-03-01T05:59", "2026-01-01", "2026-02-01"),
        (Every.MONTH, "2026-03-01T06:00", "2026-02-01", "2026-03-01"),
        (Every.MONTH, "2026-01-31T12:00", "2025-12-01", "2026-01-01"),
    ],
)
def test_the_report_is_about_what_ended_last(every: Every, now: str, first: str, end: str) -> None:
    local = datetime.fromisoformat(now).replace(tzinfo=ZoneInfo("Europe/Helsinki"))
    found = last_period(report(every), local.astimezone(UTC))
    assert (found.first, found.end) == (date.fromisoformat(first), date.fromisoformat(end))


@given(
    st.sampled_from(Every),
    st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1)),
    st.sampled_from(["UTC", "Europe/Helsinki", "America/St_Johns", "Asia/Kolkata", "Australia/Lord_Howe"]),
    st.integers(0, 23 * 60 + 59),
)
def test_periods_follow_each_other_without_a_gap(every: Every, now: datetime, zone: str, at: int) -> None:
    one = report(every, f"{at // 60}:{at % 60}", zone)
    moment = now.replace(tzinfo=UTC)
    period = last_period(one, moment)
    assert due_at(one, period.end) <= moment
    assert midnight(one, period.end) <= moment
    following = last_period(one, moment + timedelta(hours=22))
    assert following.first in (period.first, period.end)
    assert last_period(one, due_at(one, period.end).astimezone(UTC)) == period
