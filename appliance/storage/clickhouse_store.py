"""Call records in a ClickHouse server, for boxes that have outgrown the file: fed from the journal, asked over HTTP.

Each record once: a segment is inserted row by row only where its ids are not there yet, under a query id of its own, of
which the server runs one at a time, so that an attempt we gave up on and the next one cannot both insert. Questions
therefore need not look for doubles, which would cost them many times as much (FINAL, LIMIT 1 BY). The engine is
ReplacingMergeTree all the same: should something between us and several servers break that promise, it mends itself.
A segment leaves the disk when the server has taken it. Several boxes may share the database: rows name their box.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import attrs
import duckdb

from appliance.config.records import RecordsSettings
from appliance.logs import log
from appliance.storage.call_data import Cell, Dialect, Format, StoreFault
from appliance.storage.call_record import CallRecord
from appliance.storage.clickhouse import ClickHouse, Fresh, literal, tab_separated
from appliance.storage.event_record import EventRecord
from appliance.storage.journal import Group, Journal, groups_after
from appliance.storage.record_line import CALLS, EVENTS, LEFTOVERS, SHAPES, Shape, values_of
from appliance.storage.record_store import DAY_MS, LOOK_BACK, OPTIONS, date_of, write_calls

_TURN_S: Final = 2.0
"""Longer a backlog is not shipped in one go: questions wait for it."""
_LAST_DAY: Final = 49_000
"""In 2104: older servers know no date after 2105."""
_PAUSE_S: Final = 1.0, 60.0
DIALECT: Final = Dialect(
    count_if="countIf({})",
    contains="position({}, ?) > 0",
    lower="lowerUTF8({})",
    text="toString({})",
    matches="match({}, ?)",
    replace_first="replaceRegexpOne({}, '^([+]|00)', '')",
)
_TYPES: Final = {"BIGINT": "Int64", "INTEGER": "Int32", "DOUBLE": "Float64", "VARCHAR": "String"}


def _columns(shape: Shape, made: type) -> dict[str, str]:  # type: ignore[type-arg]
    optional = {field.name for field in attrs.fields(made) if "None" in str(field.type)}
    return {
        name: f"Nullable({_TYPES[kind]})" if name in optional else _TYPES[kind] for name, kind in shape.types.items()
    }


_TABLES: Final = {CALLS.table: _columns(CALLS, CallRecord), EVENTS.table: _columns(EVENTS, EventRecord)}


class ClickHouseStore:
    """`CallData` of the box of this name. `directory` holds what it has to remember, and exports on their way."""

    dialect = DIALECT

    def __init__(self, settings: RecordsSettings, directory: Path, box: str) -> None:
        self.server = ClickHouse(settings)
        self.imported = 0
        self.spoilt = 0
        self.last_id = 0
        self._directory = directory
        self._mark = directory / "shipped"
        self._box = box
        self._shipped = 0
        """The highest id that the server has taken."""
        self._made = False
        self._fault: StoreFault | None = None
        self._pause_s = _PAUSE_S[0]
        self._again_at = 0.0

    def open(self) -> None:
        """Remember what was shipped; the server is met when something is taken in."""
        self.close()
        try:
            self._shipped = int(self._mark.read_text()) if self._mark.exists() else 0
        except (OSError, ValueError) as error:
            log.error("records.mark", error, file=str(self._mark))  # ids rise with time, and none goes in twice
        self.last_id = max(self.last_id, self._shipped)

    def close(self) -> None:
        self.server.close()
        self._made = False

    def _make(self) -> None:
        server, name = self.server, self.server.database
        if not server.rows("SELECT name FROM system.databases WHERE name = ?", [name], home=False):
            server.run(f"CREATE DATABASE IF NOT EXISTS {name}", home=False)
        for table, columns in _TABLES.items():
            time_ms = CALLS.time if table == CALLS.table else EVENTS.time
            definition = ", ".join(f'"{column}" {kind}' for column, kind in columns.items())
            server.run(
                f"CREATE TABLE IF NOT EXISTS {table} (box String, day Date, {definition}) "
                f"ENGINE = ReplacingMergeTree() PARTITION BY (box, day) ORDER BY ({time_ms}, id)"
            )
            there = {
                column
                for (column,) in server.rows(
                    "SELECT name FROM system.columns WHERE database = ? AND table = ?", [name, table]
                )
            }
            for column, kind in columns.items():
                if column not in there:  # made by an older version of ours
                    server.run(f'ALTER TABLE {table} ADD COLUMN "{column}" {kind}')
            [(last,)] = server.rows(f"SELECT max(id) FROM {table} WHERE box = ?", [self._box])
            self.last_id = max(self.last_id, int(last or 0))
        self._made = True

    # From the journal

    def take_in(self, journal: Journal) -> int:
        """See `CallData.take_in`. After a failure nothing is tried for a while, and the fault told again."""
        if self._fault is not None and time.monotonic() < self._again_at:
            raise self._fault
        found, until = 0, time.monotonic() + _TURN_S
        try:
            if not self._made:
                self._make()
            for path in journal.sealed():
                found += self._ship(path)
                path.unlink(missing_ok=True)
                if time.monotonic() > until:
                    break
        except (StoreFault, OSError) as error:
            self._fault = StoreFault(f"{error}; call records wait in the journal")
            self._again_at = time.monotonic() + self._pause_s
            self._pause_s = min(self._pause_s * 2, _PAUSE_S[1])
            raise self._fault from error
        finally:
            self.imported += found
        self._fault, self._pause_s = None, _PAUSE_S[0]
        return found

    def _ship(self, path: Path) -> int:
        groups: list[Group] = []
        for _, fresh, stray in groups_after([path], self._shipped):
            groups += fresh
            if stray:
                self.spoilt += stray
                log.warning("records.spoilt", segment=path.name, bytes=stray)
        for shape in SHAPES:
            rows = _rows(shape, groups)
            if rows:
                self._insert(shape, rows, f"jackfield-{self._box}-{path.stem}-{shape.letter}")
        if groups:
            self._shipped = groups[-1].last
            self.last_id = max(self.last_id, self._shipped)
            self._remember()
        return sum(len(group.lines) for group in groups)

    def _insert(self, shape: Shape, rows: Sequence[Sequence[object]], query_id: str) -> None:  # type: ignore[type-arg]
        columns = _TABLES[shape.table]
        at = shape.columns.index(shape.time)
        times, ids = [int(str(row[at])) for row in rows], [int(str(row[0])) for row in rows]
        names = ", ".join(f'"{name}"' for name in columns)
        known = (
            f"id NOT IN (SELECT id FROM {shape.table} WHERE box = {literal(self._box)} "
            f"AND {shape.time} BETWEEN {min(times)} AND {max(times)} AND id BETWEEN {min(ids)} AND {max(ids)})"
        )
        if shape is LEFTOVERS:  # one record a call: not where the call's own record came to the disk
            first = date_of(max(min(times) // DAY_MS - LOOK_BACK, 0))
            known = (
                f"serial NOT IN (SELECT serial FROM {shape.table} WHERE box = {literal(self._box)} "
                f"AND day >= '{first:%Y-%m-%d}')"
            )
            serial = shape.columns.index("serial")
            rows = list({row[serial]: row for row in reversed(rows)}.values())  # nor from a BYE that was repeated
        self.server.run(
            f"INSERT INTO {shape.table} (box, day, {names}) "
            f"SELECT {literal(self._box)}, toDate(toUInt16(intDiv({shape.time}, {DAY_MS}))), {names} "
            f"FROM fresh WHERE {known}",
            query_id=query_id,
            fresh=Fresh("fresh", ", ".join(f"{name} {kind}" for name, kind in columns.items()), tab_separated(rows)),
        )

    def _remember(self) -> None:
        """On disk before the segment goes."""
        beside = self._mark.with_suffix(".new")
        with beside.open("w") as file:
            file.write(str(self._shipped))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._mark)

    def copy_to(self, folder: Path) -> None:
        """See `CallData.copy_to`: the records themselves are the server's to back up."""
        try:
            (folder / self._mark.name).write_text(str(self._shipped))
        except OSError as error:
            raise StoreFault(f"{self._mark} cannot be copied: {error}") from error

    # Asking

    def rows(self, sql: str, values: Sequence[Cell] = ()) -> list[tuple[Cell, ...]]:
        """See `CallData.rows`."""
        return self.server.rows(sql, values)

    def day_by_day(self, table: str, from_ms: int = 0, to_ms: int = 1 << 52) -> list[str]:
        """See `CallData.day_by_day`. PREWHERE: the other columns are read only where the conditions hold."""
        low, high = f"{date_of(from_ms // DAY_MS):%Y-%m-%d}", f"{date_of(to_ms // DAY_MS):%Y-%m-%d}"
        days = sorted(day for _, day in self._partitions(table) if low <= day <= high)
        return [f"{table} PREWHERE box = {literal(self._box)} AND day = '{day}'" for day in days]

    def together(self, table: str, from_ms: int = 0, to_ms: int = 1 << 52) -> str | None:
        """See `CallData.together`."""
        days = [date_of(min(at // DAY_MS, _LAST_DAY)) for at in (from_ms, to_ms)]
        low, high = (f"{day:%Y-%m-%d}" for day in days)
        return f"{table} PREWHERE box = {literal(self._box)} AND day BETWEEN '{low}' AND '{high}'"

    def export(self, sql: str, values: Sequence[Cell], form: Format, file: Path) -> int:
        """See `CallData.export`. Written by DuckDB, as from the file: the same columns in the same form."""
        columns = ", ".join(f"'{name}': '{kind}'" for name, kind in CALLS.types.items())
        texts = ", ".join(f"'{name}'" for name, kind in CALLS.types.items() if kind == "VARCHAR")
        arrived = self._directory / f"arrived-{os.urandom(6).hex()}.csv"
        try:
            if sql:
                self.server.download(sql, values, arrived)
            else:
                arrived.touch()
            read = (
                "SELECT * FROM read_csv(?, header = false, auto_detect = false, delim = ',', quote = '\"', "
                f"escape = '\"', nullstr = '\\N', allow_quoted_nulls = false, columns = {{{columns}}}, "
                f"force_not_null = [{texts}])"
            )
            with duckdb.connect(config=dict(OPTIONS)) as writer:
                return write_calls(writer, read, [str(arrived)], form, file)
        finally:
            arrived.unlink(missing_ok=True)

    # Days

    def _partitions(self, table: str) -> list[tuple[str, str]]:
        """Those of this box: partition and day."""
        mine = f"({literal(self._box)},"
        rows = self.rows(
            "SELECT DISTINCT partition FROM system.parts WHERE database = ? AND table = ? AND active",
            [self.server.database, table],
        )
        found = []
        for (partition,) in rows:
            day = re.search(r"'(\d{4}-\d\d-\d\d)'\)$", str(partition))
            if day and str(partition).startswith(mine):
                found.append((str(partition), day[1]))
        return found

    def size(self) -> int:
        """Bytes that the records of this box take on the server's disk."""
        [(used,)] = self.rows(
            "SELECT sum(bytes) FROM system.parts WHERE database = ? AND active AND position(partition, ?) = 1",
            [self.server.database, f"({literal(self._box)},"],
        )
        return int(used or 0)

    def forget(self, oldest_ms: int, most_bytes: int) -> list[str]:
        """See `CallData.forget`."""
        first = f"{date_of(oldest_ms // DAY_MS):%Y-%m-%d}"
        kept = sorted((day, table, name) for table in _TABLES for name, day in self._partitions(table))
        newest = kept[-1][0] if kept else ""
        gone = []
        for day, table, name in kept:
            if day >= first and (day == newest or self.size() <= most_bytes):
                break
            self.server.run(f"ALTER TABLE {table} DROP PARTITION {name}")
            gone.append(f"{table} {day}")
        return gone


def _rows(shape: Shape, groups: Sequence[Group]) -> list[list[object]]:  # type: ignore[type-arg]
    """The records of a shape, each value as text, but None where a number is not known."""
    numbers = [at for at, kind in enumerate(shape.types.values()) if kind != "VARCHAR"]
    found: list[list[object]] = []
    for group in groups:
        for row_id, line in enumerate(group.lines, group.first):
            if line[:1] != shape.letter:
                continue
            told = values_of(line)
            row: list[object] = [row_id, *told[1:], *[""] * (len(shape.columns) - len(told))]
            for at in numbers:
                if row[at] == "":
                    row[at] = None
            found.append(row)
    return found
