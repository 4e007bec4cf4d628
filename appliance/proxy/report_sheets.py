"""Reports for people, in a mail or on a page: tables with heads and units, and the bars that go with them."""

from __future__ import annotations

import csv
import io
from datetime import datetime, timedelta, tzinfo
from typing import Final

import attrs

from appliance.proxy.records import Records
from appliance.storage.call_data import Cell, StoreFault
from appliance.storage.record_question import HOUR_MS, REPORTS, CallQuestion, Report

KINDS: Final = tuple(REPORTS)
MOST_ROWS: Final = 10_000
_HEADS: Final = {
    "calls": "Calls",
    "answered": "Answered",
    "asr": "ASR %",
    "ner": "NER %",
    "acd_s": "ACD s",
    "minutes": "Minutes",
    "pdd_s": "PDD s",
    "mos": "MOS",
    "example": "For example",
}
_DIGITS: Final = {"asr": 1, "ner": 1, "acd_s": 1, "minutes": 1, "pdd_s": 2, "mos": 2}
_TITLES: Final = {
    "total": "All calls",
    "trunks": "By trunk",
    "gateways": "By gateway",
    "sources": "By caller",
    "prefixes": "By prefix",
    "tenants": "By tenant",
    "hours": "Hour by hour",
    "busiest": "Busiest hours",
    "causes": "Why calls failed",
}
_MOST_HOURS: Final = 49
"""Hours that are drawn one by one: those of two days, and the one that summer time gives."""
_MOST_DRAWN: Final = 24 * 400


@attrs.frozen
class Bar:
    """`part` of `value` is told apart from the rest: calls that were answered."""

    label: str
    value: int
    part: int


@attrs.frozen
class Sheet:
    """One report. `rows` are its cells as texts, as many as were wanted of `all_rows`. `bars` are over time where
    `timeline`, and then cover every hour, or day, of the span.
    """

    kind: str
    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    all_rows: int
    bars: tuple[Bar, ...]
    timeline: bool
    csv: str

    @property
    def most(self) -> int:
        """The longest bar, 1 at least."""
        return max((bar.value for bar in self.bars), default=0) or 1

    @property
    def texts(self) -> int:
        """How many columns from the left hold texts."""
        return 2 if self.kind == "causes" else 1


@attrs.frozen(kw_only=True)
class ReportSpan:
    """Which calls: those that began from `since` on and before `until`."""

    since: datetime
    until: datetime
    trunk: str = ""
    tenant: str = ""
    digits: int = 4


async def report_sheets(
    records: Records, kinds: tuple[str, ...], span: ReportSpan, zone: tzinfo, rows: int
) -> list[Sheet]:
    """Hours and days are those of the zone. Raises `ValueError` with a sentence where they cannot be had."""
    question = CallQuestion(
        from_ms=int(span.since.timestamp() * 1000),
        to_ms=int(span.until.timestamp() * 1000) - 1,
        trunk=span.trunk,
        tenant=span.tenant,
        limit=MOST_ROWS,
    )
    try:
        return [sheet_of(await records.report(kind, question, span.digits, zone), span, zone, rows) for kind in kinds]
    except StoreFault as fault:
        raise ValueError(f"The call records cannot be asked: {fault}") from fault


def sheet_of(report: Report, span: ReportSpan, zone: tzinfo, rows: int) -> Sheet:
    """A report as it is shown."""
    kind, columns = report.kind, report.columns
    heads = tuple(_HEADS.get(name, name.capitalize()) for name in columns)
    out = io.StringIO()
    csv.writer(out).writerows([columns, *report.rows])
    timeline = kind == "hours"
    full = timeline and len(report.rows) <= _MOST_HOURS
    shown = report.rows if full else report.rows[:rows]
    if timeline:
        bars = _over_time(report, span, zone)
    elif kind in ("total", "busiest"):
        bars = ()
    elif kind == "causes":
        bars = tuple(Bar(_cause(row), _whole(row[2]), 0) for row in shown)
    else:
        bars = tuple(Bar(str(row[0]), _whole(row[1]), _whole(row[2])) for row in shown)
    return Sheet(
        kind=kind,
        title="Day by day" if timeline and bars and len(bars[0].label) == 10 else _TITLES[kind],
        heads=heads,
        rows=()
        if timeline and len(report.rows) > _MOST_HOURS
        else tuple(tuple(map(_told, columns, row)) for row in shown),
        all_rows=len(report.rows),
        bars=bars,
        timeline=timeline,
        csv=out.getvalue(),
    )


def _over_time(report: Report, span: ReportSpan, zone: tzinfo) -> tuple[Bar, ...]:
    """Every hour of the span, or every day of one that is longer than two days."""
    found: dict[str, tuple[int, int]] = {}
    for row in report.rows:  # the hour that the end of summer time repeats stands there twice
        calls, answered = found.get(str(row[0]), (0, 0))
        found[str(row[0])] = calls + _whole(row[1]), answered + _whole(row[2])
    first, last = (int(at.timestamp() * 1000 // HOUR_MS) for at in (span.since, span.until - timedelta(seconds=1)))
    names: dict[str, datetime] = {}
    for hour in range(first, min(last, first + _MOST_DRAWN) + 1):
        at = datetime.fromtimestamp(hour * HOUR_MS // 1000, zone)
        names.setdefault(at.strftime("%Y-%m-%d %H:%M"), max(at, span.since).astimezone(zone))
    if len(names) <= _MOST_HOURS:
        return tuple(Bar(name, *found.get(name, (0, 0))) for name in names)
    days: dict[str, tuple[int, int]] = {}
    for name, at in names.items():
        day = at.strftime("%Y-%m-%d")
        (calls, answered), more = days.get(day, (0, 0)), found.get(name, (0, 0))
        days[day] = calls + more[0], answered + more[1]
    return tuple(Bar(day, *both) for day, both in days.items())


def _cause(row: tuple[Cell, ...]) -> str:
    return f"{row[0]}" if row[1] is None else f"{row[0]}, Q.850 {row[1]}"


def _whole(cell: Cell) -> int:
    return int(cell or 0)


def _told(column: str, cell: Cell) -> str:
    if cell is None:
        return "–"
    if column in _DIGITS:
        return f"{float(cell):,.{_DIGITS[column]}f}"
    return f"{cell:,}" if column in ("calls", "answered") else str(cell)
