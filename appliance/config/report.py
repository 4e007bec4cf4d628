"""The sections [report NAME]: reports of how calls went, by mail, once a day, week or month."""

from __future__ import annotations

import re
from enum import StrEnum

import attrs

from .alarm_outlets import mailbox
from .kinds import listed, one_of, optional, text, whole
from .schedule import zone
from .setting import REQUIRED, Kind, setting


class Every(StrEnum):
    """What a report is about: the day, the week from Monday, or the month that has just ended."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


class ReportKind(StrEnum):
    """The tables, as `jackfield report` has them."""

    TOTAL = "total"
    TRUNKS = "trunks"
    GATEWAYS = "gateways"
    SOURCES = "sources"
    PREFIXES = "prefixes"
    TENANTS = "tenants"
    HOURS = "hours"
    BUSIEST = "busiest"
    CAUSES = "causes"


def time_of_day() -> Kind[int]:
    """Minutes since midnight."""

    def read(value: str) -> int:
        found = re.fullmatch(r"(\d{1,2}):(\d{2})", value)
        if found is None or int(found[1]) > 23 or int(found[2]) > 59:
            raise ValueError(f"{value!r} is no time of the day")
        return int(found[1]) * 60 + int(found[2])

    return Kind("a time of the day such as 06:30", read)


@attrs.frozen(kw_only=True)
class ReportSettings:
    """How calls went, by mail: tables with plots as HTML and as plain text, and each table attached as CSV.

    A report goes out once for each day, week or month, also when the box or the mail server was down at the time; of
    several that were missed, the last one. [records] keep-time must reach back far enough.
    """

    name: str
    every: Every = setting(one_of(Every), "day", "What a report is about: the day, week or month that has just ended.")
    at: int = setting(time_of_day(), "06:00", "When it goes out, on the first day after that.")
    zone: str = setting(zone(), "UTC", "Time zone of that time, and of the days and hours in the report.")
    mail: str = setting(text("the name of a [mail NAME]"), REQUIRED, "The [mail NAME] whose server carries it.")
    recipients: tuple[str, ...] = setting(
        listed(mailbox()), "", "Addresses that it goes to. Empty: those of the mail section."
    )
    reports: tuple[ReportKind, ...] = setting(
        listed(one_of(ReportKind), least=1),
        "total, trunks, prefixes, tenants, hours, busiest, causes",
        "Which tables, in this order.",
    )
    digits: int = setting(whole(1, 20), "4", "Length of the prefixes in the table of prefixes.")
    rows: int = setting(whole(1, 1000), "20", "Rows of a table in the mail; the attached files have up to 10,000.")
    trunk: str | None = setting(
        optional(text("the name of a trunk"), "all", "calls of all trunks"), "all", "Only calls from or to this trunk."
    )
    tenant: str | None = setting(
        optional(text("the name of a tenant"), "all", "calls of all tenants"), "all", "Only calls of this tenant."
    )
