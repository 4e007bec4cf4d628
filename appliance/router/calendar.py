"""Whether a schedule is open at a moment: a pure function of the time of day in seconds.

Hours are those of the schedule's time zone. The answer is remembered for the minute that was asked last.
"""

from __future__ import annotations

import datetime
from zoneinfo import ZoneInfo

from appliance.config.schedule import DAY_MINUTES, ScheduleSettings

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_ONE_DAY = datetime.timedelta(days=1)


def local_time(wall: float, zone: ZoneInfo) -> str:
    """The moment in words: Tue 2026-11-24 08:30 EET."""
    moment = datetime.datetime.fromtimestamp(wall, zone)
    return f"{_DAYS[moment.weekday()]} {moment:%Y-%m-%d %H:%M %Z}"


class Calendar:
    """One schedule, ready to be asked."""

    def __init__(self, settings: ScheduleSettings) -> None:
        self.name = settings.name
        self.zone = ZoneInfo(settings.zone)
        self._settings = settings
        self._asked = (-1, False)

    def is_open(self, wall: float) -> bool:
        minute = int(wall // 60)
        asked, answer = self._asked
        if asked != minute:
            answer = self._is_open(datetime.datetime.fromtimestamp(wall, self.zone))
            self._asked = minute, answer
        return answer

    def state(self, wall: float) -> str:
        """open, or closed and why."""
        if self.is_open(wall):
            return "open"
        date = datetime.datetime.fromtimestamp(wall, self.zone).date()
        holiday = next((str(one) for one in self._settings.holidays if one.holds(date)), None)
        if holiday is not None:
            return f"closed (holiday {holiday})"
        dates = self._settings.dates
        return "closed (none of its dates)" if dates and not any(one.holds(date) for one in dates) else "closed"

    def _is_open(self, moment: datetime.datetime) -> bool:
        minute = moment.hour * 60 + moment.minute
        today = moment.date()
        return self._runs(today, minute) or self._runs(today - _ONE_DAY, minute + DAY_MINUTES)

    def _runs(self, date: datetime.date, minute: int) -> bool:
        """Whether one of the hours that begin on `date` runs `minute` minutes after its midnight."""
        weekday = date.weekday()
        if not any(weekday in times.days and times.begin <= minute < times.end for times in self._settings.times):
            return False
        return self._settings.applies(date)
