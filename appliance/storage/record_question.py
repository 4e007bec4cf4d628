"""Questions to the database of call records: which calls, and reports of how well they went."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Final

import attrs
import duckdb

from appliance.storage.call_record import CallRecord
from appliance.storage.event_record import EventRecord
from appliance.storage.record_line import CALLS, EVENTS
from appliance.storage.record_store import RecordStore, StoreFault

Cell = str | int | float | None


@attrs.frozen(kw_only=True)
class CallQuestion:
    """Which calls. `from_ms` and `to_ms` bound their start; '' and None ask for nothing. `number` is a part of the
    caller's or called number; `status` one such as 486, a class such as 4xx, answered, or failed. `before` is an id:
    only older records. The latest come first.
    """

    from_ms: int = 0
    to_ms: int = 1 << 52
    number: str = ""
    user: str = ""
    trunk: str = ""
    tenant: str = ""
    status: str = ""
    before: int | None = None
    limit: int = 100

    def conditions(self) -> tuple[str, list[Cell]]:
        """For WHERE. Raises `ValueError` for a status that is none."""
        found, values = ["started_ms BETWEEN ? AND ?"], list[Cell]([self.from_ms, self.to_ms])

        def add(condition: str, *given: Cell) -> None:
            found.append(condition)
            values.extend(given)

        if self.number:
            add("(contains(caller, ?) OR contains(called, ?) OR contains(number, ?))", *[self.number] * 3)
        if self.user:
            add("((source_kind = 'user' AND source = ?) OR \"user\" = ?)", self.user, self.user)
        if self.trunk:
            add("((source_kind = 'trunk' AND source = ?) OR trunk = ?)", self.trunk, self.trunk)
        if self.tenant:
            add("(source_tenant = ? OR tenant = ?)", self.tenant, self.tenant)
        if self.before is not None:
            add("id < ?", self.before)
        if self.status == "answered":
            add(_ANSWERED)
        elif self.status == "failed":
            add(f"NOT ({_ANSWERED})")
        elif re.fullmatch(r"[1-6]xx", self.status):
            add("status // 100 = ?", int(self.status[0]))
        elif re.fullmatch(r"[1-6]\d\d", self.status):
            add("status = ?", int(self.status))
        elif self.status:
            raise ValueError(f"{self.status!r} is no status: give one such as 486 or 4xx, answered, or failed")
        return " AND ".join(found), values


_ANSWERED: Final = "answered_ms IS NOT NULL"
_EFFECTIVE: Final = (
    f"({_ANSWERED} OR status IN (486, 600, 603) OR (status IN (408, 480, 487) AND ringing_ms IS NOT NULL))"
)
"""NER (ITU-T E.425): the network did its part, whatever the people did."""
_FIGURES: Final = f"""count(*) AS calls,
    count(*) FILTER ({_ANSWERED}) AS answered,
    round(100.0 * count(*) FILTER ({_ANSWERED}) / count(*), 1) AS asr,
    round(100.0 * count(*) FILTER {_EFFECTIVE} / count(*), 1) AS ner,
    round(avg(talk_ms) / 1000, 1) AS acd_s,
    round(coalesce(sum(talk_ms), 0) / 60000, 1) AS minutes,
    round(avg(pdd_ms) / 1000, 2) AS pdd_s,
    round(avg(least(coalesce(mos_caller, mos_callee), coalesce(mos_callee, mos_caller))), 2) AS mos"""


@attrs.frozen
class _Kind:
    about: str
    name: str
    key: str
    where: str = "true"
    order: str = "calls DESC"


_HOUR: Final = "strftime(make_timestamp(started_ms * 1000), '%Y-%m-%d %H:00')"
_KINDS: Final = {
    "total": _Kind("all calls together", "what", "'all calls'"),
    "trunks": _Kind("by the trunk that calls went to", "trunk", "trunk", "trunk <> ''"),
    "gateways": _Kind("by trunk and gateway that calls went to", "gateway", "trunk || ' ' || gateway", "trunk <> ''"),
    "sources": _Kind("by the user or trunk that calls came from", "source", "trim(source_kind || ' ' || source)"),
    "prefixes": _Kind(
        "by the first digits of the number as it was dialled",
        "prefix",
        "left(regexp_replace(number, '^([+]|00)', ''), ?)",
        "regexp_matches(number, '^[+]?[0-9]+$')",
    ),
    "tenants": _Kind("by the tenant of whoever called", "tenant", "source_tenant", "source_tenant <> ''"),
    "hours": _Kind("hour by hour (UTC)", "hour", _HOUR, order="hour"),
    "busiest": _Kind("the hours with the most calls (UTC)", "hour", _HOUR),
    "causes": _Kind("why calls failed, by status and Q.850 cause", "cause", "", f"NOT ({_ANSWERED})"),
}
REPORTS: Final = {name: kind.about for name, kind in _KINDS.items()}
"""The kinds of report and what they show."""


@attrs.frozen
class Report:
    """A table: names of the columns, and rows."""

    kind: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


class Format(StrEnum):
    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


class RecordQuestions:
    """Asks a store, in the caller's thread. Raises `StoreFault`, and `ValueError` for what cannot be asked."""

    def __init__(self, store: RecordStore) -> None:
        self._store = store

    def find(self, question: CallQuestion) -> list[CallRecord]:
        """The calls, the latest first, day by day until there are enough."""
        where, values = question.conditions()
        found: list[CallRecord] = []
        for table in reversed(self._store.days(CALLS.table, question.from_ms, question.to_ms)):
            left = question.limit - len(found)
            if left <= 0:
                break
            sql = f'SELECT {_COLUMNS} FROM "{table}" WHERE {where} ORDER BY started_ms DESC, id DESC LIMIT {left:d}'
            found += [CALLS.record_of(row) for row in self._ask(sql, values)]
        return found

    def call(self, name: str) -> CallRecord | None:
        """The call of this id, serial or Call-ID; the latest of several."""
        number = int(name) if re.fullmatch(r"\d{1,18}", name) else -1
        for table in reversed(self._store.days(CALLS.table)):
            sql = (
                f'SELECT {_COLUMNS} FROM "{table}" WHERE id = ? OR serial = ? OR call_id = ? OR out_call_id = ? '
                "ORDER BY id DESC LIMIT 1"
            )
            for row in self._ask(sql, [number, name, name, name]):
                return CALLS.record_of(row)
        return None

    def events(self, from_ms: int, to_ms: int, kind: str = "", limit: int = 100) -> list[EventRecord]:
        """Registrations, sign-ins and the like, the latest first."""
        found: list[EventRecord] = []
        for table in reversed(self._store.days(EVENTS.table, from_ms, to_ms)):
            sql = (
                f"SELECT * FROM \"{table}\" WHERE at_ms BETWEEN ? AND ? AND (? = '' OR kind = ?) "
                f"ORDER BY id DESC LIMIT {limit - len(found):d}"
            )
            found += [EVENTS.record_of(row) for row in self._ask(sql, [from_ms, to_ms, kind, kind])]
            if len(found) >= limit:
                break
        return found

    def report(self, kind: str, question: CallQuestion, digits: int = 4) -> Report:
        """One of `REPORTS` over the calls of the question; its limit bounds the rows."""
        described = _KINDS.get(kind)
        if described is None:
            raise ValueError(f"{kind!r} is no report: there are {', '.join(_KINDS)}")
        where, values = question.conditions()
        source = self._source(question)
        if source is None:
            return Report(kind, (), ())
        if kind == "causes":
            sql = (
                "SELECT status, cause, count(*) AS calls, any_value(ending) AS example "
                f"FROM {source} WHERE {where} AND {described.where} GROUP BY 1, 2 ORDER BY 3 DESC"
            )
        else:
            sql = (
                f"SELECT {described.key} AS {described.name}, {_FIGURES} FROM {source} "
                f"WHERE {where} AND {described.where} GROUP BY 1 ORDER BY {described.order}, 1"
            )
            values = [*([digits] if kind == "prefixes" else []), *values]
        with self._store.cursor() as cursor:
            rows = self._run(cursor, f"{sql} LIMIT {question.limit:d}", values)
            names = tuple(column[0] for column in cursor.description or ())
        return Report(kind, names, tuple(rows))

    def export(self, question: CallQuestion, form: Format, file: Path) -> int:
        """Write the calls into a file, the oldest first; how many."""
        where, values = question.conditions()
        source = self._source(question)
        options = {Format.CSV: "FORMAT csv, HEADER", Format.JSON: "FORMAT json", Format.PARQUET: "FORMAT parquet"}
        if source is None:
            nothing = ", ".join(f'NULL::{kind} AS "{name}"' for name, kind in CALLS.types.items())
            source = f"(SELECT {nothing} LIMIT 0)"
        name = str(file).replace("'", "''")
        sql = (
            f"COPY (SELECT {_COLUMNS} FROM {source} WHERE {where} ORDER BY started_ms, id LIMIT {question.limit:d}) "
            f"TO '{name}' ({options[form]})"
        )
        [(count,)] = self._ask(sql, values)
        return int(count or 0)

    def _source(self, question: CallQuestion) -> str | None:
        """All days of the question as one table, None where there are none."""
        days = self._store.days(CALLS.table, question.from_ms, question.to_ms)
        return "(" + " UNION ALL ".join(f'SELECT * FROM "{day}"' for day in days) + ")" if days else None

    def _ask(self, sql: str, values: Sequence[Cell]) -> list[tuple[Cell, ...]]:
        with self._store.cursor() as cursor:
            return self._run(cursor, sql, values)

    def _run(self, cursor: duckdb.DuckDBPyConnection, sql: str, values: Sequence[Cell]) -> list[tuple[Cell, ...]]:
        try:
            return cursor.execute(sql, list(values)).fetchall()
        except duckdb.Error as error:
            raise StoreFault(str(error).partition("\n")[0]) from error


_COLUMNS: Final = ", ".join(f'"{name}"' for name in CALLS.columns)


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
