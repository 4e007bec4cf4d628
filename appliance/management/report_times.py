"""When a report by mail is due, and about which time it is. Calendar days of its zone; summer time is heeded."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import attrs

from appliance.config.report import Every, ReportSettings


@attrs.frozen
class Period:
    """The day, week or month from `first` up to, but without, `end`."""

    every: Every
    first: date
    end: date

    @property
    def name(self) -> str:
        """For people, and for the file that says what has been sent."""
        if self.every is Every.DAY:
            return self.first.isoformat()
        if self.every is Every.WEEK:
            return f"week of {self.first.isoformat()}"
        return self.first.strftime("%Y-%m")


def last_period(settings: ReportSettings, now: datetime) -> Period:
    """The latest one whose report is due by `now`."""
    local = now.astimezone(ZoneInfo(settings.zone))
    end = _begin(settings.every, local.date())
    if local < due_at(settings, end):
        end = _begin(settings.every, end - timedelta(days=1))
    return Period(settings.every, _begin(settings.every, end - timedelta(days=1)), end)


def due_at(settings: ReportSettings, end: date) -> datetime:
    """When the report about what ended before this day goes out."""
    return datetime.combine(end, time(settings.at // 60, settings.at % 60), ZoneInfo(settings.zone))


def midnight(settings: ReportSettings, day: date) -> datetime:
    """The beginning of a day."""
    return datetime.combine(day, time(), ZoneInfo(settings.zone))


def _begin(every: Every, day: date) -> date:
    if every is Every.DAY:
        return day
    if every is Every.WEEK:
        return day - timedelta(days=day.weekday())
    return day.replace(day=1)
