"""[schedule NAME]: times of the week in a time zone, dates, holidays; [location NAME]: where callers are.

Whether a schedule is open at a moment is the router's to say; here it is only read.
"""

from __future__ import annotations

import calendar
import datetime
import re
import zoneinfo
from typing import Final

import attrs

from .kinds import Network, listed, network, text
from .setting import REQUIRED, Kind, setting

_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_HOURS: Final = re.compile(r"(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})")
_DATE: Final = re.compile(r"(?:(\d{4})-)?(\d{2})-(\d{2})")
DAY_MINUTES: Final = 24 * 60


@attrs.frozen
class Times:
    """Hours of certain days of the week (0: Monday), in minutes since midnight; those over midnight end beyond 1440."""

    days: frozenset[int]
    begin: int
    end: int
    written: str

    def __str__(self) -> str:
        return self.written


@attrs.frozen
class Dates:
    """From a date to a date, both included, as (year, month, day); year 0: every year."""

    first: tuple[int, int, int]
    last: tuple[int, int, int]
    written: str

    def holds(self, date: datetime.date) -> bool:
        """Whether the date lies in it."""
        if self.first[0]:
            return self.first <= (date.year, date.month, date.day) <= self.last
        day, first, last = (date.month, date.day), self.first[1:], self.last[1:]
        return first <= day <= last if first <= last else day >= first or day <= last  # over New Year

    def __str__(self) -> str:
        return self.written


def _read_days(words: str) -> frozenset[int]:
    found: set[int] = set()
    for word in words.lower().split():
        first, dash, last = word.partition("-")
        if first not in _DAYS or (dash and last not in _DAYS):
            raise ValueError(f"{word!r} is not a day of the week")
        one = _DAYS.index(first)
        length = (_DAYS.index(last) - one) % 7 if dash else 0
        found.update((one + step) % 7 for step in range(length + 1))
    return frozenset(found) or frozenset(range(7))


def week_times() -> Kind[Times]:
    """[DAYS] HH:MM-HH:MM, or DAYS alone; 18:00-06:00 goes on into the next morning."""

    def read(value: str) -> Times:
        hours = _HOURS.search(value)
        if hours is None:
            if not value or re.search(r"\d", value):
                raise ValueError(f"{value!r} is not a time of the week")
            return Times(_read_days(value), 0, DAY_MINUTES, value)
        if value[hours.end() :].strip():
            raise ValueError(f"{value!r} is not a time of the week")
        ends = [int(hours[1]) * 60 + int(hours[2]), int(hours[3]) * 60 + int(hours[4])]
        if max(int(hours[2]), int(hours[4])) > 59 or ends[0] >= DAY_MINUTES or ends[1] > DAY_MINUTES:
            raise ValueError(f"{hours[0]!r} is not a time of day")
        begin, end = ends
        if begin == end:
            raise ValueError(f"{hours[0]!r} is no time at all; the whole day is 00:00-24:00")
        return Times(_read_days(value[: hours.start()]), begin, end if end > begin else end + DAY_MINUTES, value)

    return Kind("days and hours such as mon-fri 08:00-17:30, sat sun, 22:00-06:00 (over midnight)", read)


def calendar_dates() -> Kind[Dates]:
    """2026-12-24, 12-24 (every year), or two of them with .. between."""

    def read(value: str) -> Dates:
        first, dots, last = value.partition("..")
        ends = [_read_date(first.strip()), _read_date((last if dots else first).strip())]
        if bool(ends[0][0]) != bool(ends[1][0]):
            raise ValueError(f"{value!r} has a year at one end only")
        if ends[0][0] and ends[0] > ends[1]:
            raise ValueError(f"{value!r} runs backwards")
        return Dates(ends[0], ends[1], value)

    return Kind("dates such as 2026-12-24, 12-25 (every year), 2026-12-24..2027-01-02", read)


def _read_date(value: str) -> tuple[int, int, int]:
    found = _DATE.fullmatch(value)
    if found is None:
        raise ValueError(f"{value!r} is not a date")
    year, month, day = int(found[1] or 0), int(found[2]), int(found[3])
    if not 1 <= month <= 12 or not 1 <= day <= calendar.monthrange(year or 2000, month)[1]:
        raise ValueError(f"{value!r} is not in the calendar")
    return year, month, day


def zone() -> Kind[str]:
    """The name of a time zone."""

    def read(value: str) -> str:
        try:
            zoneinfo.ZoneInfo(value)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"{value!r} is not a time zone") from None
        return value

    return Kind("a time zone such as Europe/Helsinki or UTC", read)


@attrs.frozen(kw_only=True)
class ScheduleSettings:
    """Times at which routes apply; a route names them by schedule = NAME.

    A schedule is open while one of its times runs on one of its dates and not on a holiday. Hours over midnight belong
    to the day on which they begin.
    """

    name: str
    zone: str = setting(zone(), "UTC", "Time zone of the hours and dates; summer time is heeded.")
    times: tuple[Times, ...] = setting(listed(week_times(), least=1), REQUIRED, "Days of the week and hours.")
    dates: tuple[Dates, ...] = setting(listed(calendar_dates()), "", "Dates on which the schedule applies. Empty: all.")
    holidays: tuple[Dates, ...] = setting(listed(calendar_dates()), "", "Dates on which it is closed.")

    def applies(self, date: datetime.date) -> bool:
        """Whether a date is one of the schedule's and no holiday."""
        if self.dates and not any(dates.holds(date) for dates in self.dates):
            return False
        return not any(dates.holds(date) for dates in self.holidays)

    def opens_in(self, years: range) -> bool:
        """Whether some of its hours begin on any date of these years."""
        weekdays = frozenset().union(*(times.days for times in self.times))
        first, end = datetime.date(years.start, 1, 1).toordinal(), datetime.date(years.stop, 1, 1).toordinal()
        days = map(datetime.date.fromordinal, range(first, end))
        return any(day.weekday() in weekdays and self.applies(day) for day in days)

    @property
    def years(self) -> range:
        """The years that tell whether it is ever open: those of its dates, or enough to bring each date to each day."""
        written = [year for dates in self.dates for year in (dates.first[0], dates.last[0])]
        if written and all(written):
            return range(min(written), min(max(written), min(written) + 40) + 1)
        return range(2024, 2053)  # 28 years and one day more than the calendar's own circle


@attrs.frozen(kw_only=True)
class LocationSettings:
    """Where a caller is; a route asks for it by location = NAME.

    A caller is there when one of the networks holds the address that the request came from or one that a phone of the
    user is registered from, or when the caller's number begins with one of the prefixes.
    """

    name: str
    networks: tuple[Network, ...] = setting(listed(network()), "", "Addresses of the callers or of their phones.")
    prefixes: tuple[str, ...] = setting(
        listed(text("digits", pattern=r"\+?[0-9*#]+", longest=30)),
        "",
        "What the caller's number begins with, such as the country prefix +358.",
    )
