"""Questions to a database of call records: which calls and events, and reports of how well calls went.

One text of SQL for all stores, but for the words of a `Dialect`; what can be counted or named in Python is, so that
the same calls give the same answer wherever they are kept.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Final

import attrs

from appliance.storage.call_data import CallData, Cell, Dialect, Format
from appliance.storage.call_record import CallRecord
from appliance.storage.event_record import EventRecord
from appliance.storage.record_line import CALLS, EVENTS

HOUR_MS: Final = 3_600_000
_EVER: Final = 1 << 52
SORTS: Final = {
    "started": "started_ms",
    "caller": "caller",
    "called": "called",
    "length": "talk_ms",
    "status": "status",
}
_TEXTS: Final = [
    "caller",
    "called",
    "number",
    "source",
    "source_address",
    "trunk",
    "gateway",
    '"user"',
    "callee",
    "call_id",
    "out_call_id",
    "serial",
    "ending",
    "reason",
    "route",
    "sound",
]


class _Conditions:
    """What stands after WHERE, and the values in it."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.values: list[Cell] = []

    def add(self, text: str, *values: Cell) -> None:
        self.texts.append(text)
        self.values.extend(values)

    def words(self, text: str, columns: Sequence[str], dialect: Dialect) -> None:
        """Each word is a part of one of the columns, in capitals or not."""
        place = dialect.lower.format(f"concat({', '.join(_apart(columns))})")
        for word in text.lower().split():
            self.add(dialect.contains.format(place), word)

    def __str__(self) -> str:
        return " AND ".join(self.texts)


def _apart(columns: Sequence[str]) -> Iterable[str]:
    for number, column in enumerate(columns):
        if number:
            yield "' '"
        yield column


@attrs.frozen(kw_only=True)
class _Span:
    """`from_ms` and `to_ms` bound a time; `before` is the time and id of one: only those before it."""

    from_ms: int = 0
    to_ms: int = _EVER
    before: tuple[int, int] | None = None
    limit: int = 100

    @property
    def latest_ms(self) -> int:
        return self.to_ms if self.before is None else min(self.to_ms, self.before[0])

    def _within(self, column: str) -> _Conditions:
        """Where this column is the time."""
        found = _Conditions()
        found.add(f"{column} BETWEEN ? AND ?", self.from_ms, self.latest_ms)
        if self.before is not None:
            found.add(f"({column} < ? OR id < ?)", *self.before)
        return found


@attrs.frozen(kw_only=True)
class CallQuestion(_Span):
    """Which calls, by their start; '' and None ask for nothing. `text` is words of which each stands somewhere in the
    record; `number` a part of the caller's or called number; `status` one such as 486, a class such as 4xx, answered,
    or failed; `cause` by Q.850.

    The latest come first, or they are in the order of `sort`, a key of SORTS, of which `skip` are left out.
    """

    text: str = ""
    number: str = ""
    user: str = ""
    trunk: str = ""
    tenant: str = ""
    status: str = ""
    cause: int | None = None
    sort: str = "started"
    ascending: bool = False
    skip: int = 0

    def conditions(self, dialect: Dialect) -> _Conditions:
        """Raises `ValueError` for a status that is none."""
        found = self._within("started_ms")
        if self.number:
            parts = (dialect.contains.format(column) for column in ("caller", "called", "number"))
            found.add(f"({' OR '.join(parts)})", *[self.number] * 3)
        if self.user:
            found.add("((source_kind = 'user' AND source = ?) OR \"user\" = ?)", self.user, self.user)
        if self.trunk:
            found.add("((source_kind = 'trunk' AND source = ?) OR trunk = ?)", self.trunk, self.trunk)
        if self.tenant:
            found.add("(source_tenant = ? OR tenant = ?)", self.tenant, self.tenant)
        if self.cause is not None:
            found.add("cause = ?", self.cause)
        if self.status == "answered":
            found.add(_ANSWERED)
        elif self.status == "failed":
            found.add(f"NOT ({_ANSWERED})")
        elif re.fullmatch(r"[1-6]xx", self.status):
            least = int(self.status[0]) * 100
            found.add("status BETWEEN ? AND ?", least, least + 99)
        elif re.fullmatch(r"[1-6]\d\d", self.status):
            found.add("status = ?", int(self.status))
        elif self.status:
            raise ValueError(f"{self.status!r} is no status: give one such as 486 or 4xx, answered, or failed")
        found.words(self.text, [*_TEXTS, dialect.text.format("status")], dialect)
        return found

    @property
    def order(self) -> str:
        """For ORDER BY. Raises `ValueError`."""
        if self.sort not in SORTS:
            raise ValueError(f"{self.sort!r} is no order: there are {', '.join(SORTS)}")
        way = "ASC" if self.ascending else "DESC"
        return f"{SORTS[self.sort]} {way} NULLS LAST, started_ms {way}, id {way}"


@attrs.frozen(kw_only=True)
class EventQuestion(_Span):
    """Which events, the latest first. `kind` is one, or several with commas between them; `text` words of which each
    stands somewhere in it.
    """

    kind: str = ""
    text: str = ""

    def conditions(self, dialect: Dialect) -> _Conditions:
        found = self._within("at_ms")
        kinds = [kind.strip() for kind in self.kind.split(",") if kind.strip()]
        if kinds:
            found.add(f"kind IN ({', '.join('?' * len(kinds))})", *kinds)
        found.words(self.text, ("kind", "subject", "source", "detail"), dialect)
        return found


_ANSWERED: Final = "answered_ms IS NOT NULL"
_OF_PEOPLE: Final = "called NOT IN ('selftest-tone', 'selftest-echo')"
"""What the box calls itself for is found in lists, and counts in no report."""
_EFFECTIVE: Final = (
    f"({_ANSWERED} OR status IN (486, 600, 603) OR (status IN (408, 480, 487) AND ringing_ms IS NOT NULL))"
)
"""NER (ITU-T E.425): the network did its part, whatever the people did."""
_MOS: Final = "least(coalesce(mos_caller, mos_callee), coalesce(mos_callee, mos_caller))"
FIGURES: Final = ("calls", "answered", "asr", "ner", "acd_s", "minutes", "pdd_s", "mos")
"""The columns of a report after its key: numbers of calls, per cent, seconds and minutes, None where not known."""


@attrs.frozen
class _Kind:
    about: str
    name: str
    key: Callable[[Dialect], str]
    where: str = ""
    matches: tuple[str, str] = "", ""
    """A column, and what it must match."""
    in_order: bool = False


def _column(text: str) -> Callable[[Dialect], str]:
    return lambda dialect: text


_HOUR: Final = _column(f"floor(started_ms / {HOUR_MS})")
_WENT: Final = "trunk <> '' AND refusal = ''"
"""Calls that a limit of ours kept from the trunk say nothing of it."""
_KINDS: Final = {
    "total": _Kind("all calls together", "what", _column("'all calls'")),
    "trunks": _Kind("by the trunk that calls went to", "trunk", _column("trunk"), _WENT),
    "gateways": _Kind(
        "by trunk and gateway that calls went to",
        "gateway",
        _column("concat(trunk, ' ', gateway)"),
        _WENT,
    ),
    "sources": _Kind(
        "by the user or trunk that calls came from",
        "source",
        _column("CASE WHEN source = '' THEN source_kind ELSE concat(source_kind, ' ', source) END"),
    ),
    "prefixes": _Kind(
        "by the first digits of the number as it was dialled",
        "prefix",
        lambda dialect: f"substring({dialect.replace_first.format('number')}, 1, ?)",
        matches=("number", "^[+]?[0-9]+$"),
    ),
    "tenants": _Kind("by the tenant of whoever called", "tenant", _column("source_tenant"), "source_tenant <> ''"),
    "hours": _Kind("hour by hour (UTC)", "hour", _HOUR, in_order=True),
    "busiest": _Kind("the hours with the most calls (UTC)", "hour", _HOUR),
    "causes": _Kind("why calls failed, by status and Q.850 cause", "cause", _column("cause"), f"NOT ({_ANSWERED})"),
}
REPORTS: Final = {name: kind.about for name, kind in _KINDS.items()}
"""The kinds of report and what they show."""


@attrs.frozen
class Report:
    """A table: names of the columns, and rows."""

    kind: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


class RecordQuestions:
    """Asks a store, in the caller's thread. Raises `StoreFault`, and `ValueError` for what cannot be asked."""

    def __init__(self, store: CallData) -> None:
        self._store = store

    def find(self, question: CallQuestion) -> list[CallRecord]:
        """The calls, day by day until there are enough where the latest come first."""
        where, order = question.conditions(self._store.dialect), question.order
        span = question.from_ms, question.latest_ms
        if (question.sort, question.ascending, question.skip) == ("started", False, 0):
            rows = self._latest(CALLS.table, _COLUMNS, where, span, order, question.limit)
            return [CALLS.record_of(row) for row in rows]
        together = self._store.together(CALLS.table, *span)
        if together is None:
            return []
        sql = (
            f"SELECT {_COLUMNS} FROM {together} AND {where} ORDER BY {order} LIMIT {question.limit:d} "
            f"OFFSET {question.skip:d}"
        )
        return [CALLS.record_of(row) for row in self._store.rows(sql, where.values)]

    def call(self, name: str) -> CallRecord | None:
        """The call of this id, serial or Call-ID; the latest of several."""
        number = int(name) if re.fullmatch(r"\d{1,18}", name) else -1
        where = _Conditions()
        where.add("(id = ? OR serial = ? OR call_id = ? OR out_call_id = ?)", number, name, name, name)
        for row in self._latest(CALLS.table, _COLUMNS, where, (0, _EVER), "id DESC", 1):
            return CALLS.record_of(row)
        return None

    def events(self, question: EventQuestion) -> list[EventRecord]:
        """Registrations, sign-ins and the like, the latest first."""
        where = question.conditions(self._store.dialect)
        span = question.from_ms, question.latest_ms
        columns = ", ".join(EVENTS.columns)
        rows = self._latest(EVENTS.table, columns, where, span, "at_ms DESC, id DESC", question.limit)
        return [EVENTS.record_of(row) for row in rows]

    def report(self, kind: str, question: CallQuestion, digits: int = 4, zone: tzinfo = UTC) -> Report:
        """One of `REPORTS` over the calls of the question; its limit bounds the rows. Hours are told in the zone."""
        described = _KINDS.get(kind)
        if described is None:
            raise ValueError(f"{kind!r} is no report: there are {', '.join(_KINDS)}")
        dialect = self._store.dialect
        where = question.conditions(dialect)
        where.add(_OF_PEOPLE)
        if described.where:
            where.add(described.where)
        column, pattern = described.matches
        if column:
            where.add(dialect.matches.format(column), pattern)
        together = self._store.together(CALLS.table, question.from_ms, question.latest_ms)
        causes = kind == "causes"
        columns = ("status", "cause", "calls", "example") if causes else (described.name, *FIGURES)
        if together is None:
            return Report(kind, columns, ())
        if causes:
            sql = (
                f"SELECT status, cause, count(*) AS n, max(ending) FROM {together} AND {where} "
                "GROUP BY status, cause ORDER BY n DESC, status, cause"
            )
            return Report(kind, columns, tuple(self._store.rows(f"{sql} LIMIT {question.limit:d}", where.values)))
        sql = (
            f"SELECT {described.key(dialect)} AS k, count(*) AS n, {dialect.count_if.format(_ANSWERED)}, "
            f"{dialect.count_if.format(_EFFECTIVE)}, avg(talk_ms), sum(talk_ms), avg(pdd_ms), avg({_MOS}) "
            f"FROM {together} AND {where} GROUP BY k ORDER BY {'k' if described.in_order else 'n DESC, k'} "
            f"LIMIT {question.limit:d}"
        )
        values = [*([digits] if kind == "prefixes" else []), *where.values]
        rows = [(key, *_figures(*told)) for key, *told in self._store.rows(sql, values)]
        if described.key is _HOUR:
            rows = [(_hour(key, zone), *told) for key, *told in rows]
        return Report(kind, columns, tuple(rows))

    def export(self, question: CallQuestion, form: Format, file: Path) -> int:
        """Write the calls into a file, the oldest first; how many."""
        where = question.conditions(self._store.dialect)
        together = self._store.together(CALLS.table, question.from_ms, question.latest_ms)
        sql = (
            ""
            if together is None
            else f"SELECT {_COLUMNS} FROM {together} AND {where} ORDER BY started_ms, id LIMIT {question.limit:d}"
        )
        return self._store.export(sql, where.values if sql else [], form, file)

    def _latest(
        self, table: str, columns: str, where: _Conditions, span: tuple[int, int], order: str, limit: int
    ) -> list[tuple[Cell, ...]]:
        found: list[tuple[Cell, ...]] = []
        for day in reversed(self._store.day_by_day(table, *span)):
            if len(found) >= limit:
                break
            sql = f"SELECT {columns} FROM {day} AND {where} ORDER BY {order} LIMIT {limit - len(found):d}"
            found += self._store.rows(sql, where.values)
        return found


_COLUMNS: Final = ", ".join(f'"{name}"' for name in CALLS.columns)


def _figures(calls: Cell, answered: Cell, effective: Cell, *means: Cell) -> list[Cell]:
    """FIGURES of one key."""
    count = int(calls or 0)
    talk_ms, all_ms, pdd_ms, mos = (None if one is None else float(one) for one in means)
    return [
        count,
        int(answered or 0),
        round(100 * int(answered or 0) / count, 1) if count else None,
        round(100 * int(effective or 0) / count, 1) if count else None,
        None if talk_ms is None else round(talk_ms / 1000, 1),
        round((all_ms or 0.0) / 60_000, 1),
        None if pdd_ms is None else round(pdd_ms / 1000, 2),
        None if mos is None else round(mos, 2),
    ]


def _hour(number: Cell, zone: tzinfo) -> str:
    return datetime.fromtimestamp(int(number or 0) * HOUR_MS // 1000, zone).strftime("%Y-%m-%d %H:%M")


def facts_of(record: CallRecord | EventRecord) -> dict[str, object]:
    """A record for JSON: what is JSON in it as such."""
    facts: dict[str, object] = attrs.asdict(record)
    for name in ("quality", "attempts"):
        text = facts.get(name)
        if isinstance(text, str):
            facts[name] = _read(text)
    return facts


def _read(text: str) -> object:
    read: Callable[[str], object] = json.loads
    try:
        return read(text) if text else None
    except ValueError:
        return text  # was cut
