"""The database of call records: DuckDB, a table for each kind and day (UTC), fed from the journal and asked in threads.

What is imported is known by the highest id, which is written in the same transaction: a segment that is read again
after a crash adds nothing. Its methods block; one thread imports, others may ask at the same time. One process only may
have the file open.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import duckdb

from appliance.logs import log
from appliance.storage.call_data import Cell, Dialect, Format, StoreFault
from appliance.storage.journal import Group, Journal, groups_after
from appliance.storage.record_line import BETWEEN, CALLS, EVENTS, LEFTOVERS, SHAPES, Shape, numbered

_AT_ONCE: Final = 2
"""Segments in one transaction."""
OPTIONS: Final[dict[str, str | int | float | list[str]]] = {
    "threads": 1,
    "memory_limit": "512MB",
    "autoinstall_known_extensions": False,
}
"""One thread: the other cores are for calls."""
DAY_MS: Final = 86_400_000
LOOK_BACK: Final = 4
"""Days in which a call may have ended before its BYE comes once more."""
DIALECT: Final = Dialect(
    count_if="count(*) FILTER ({})",
    contains="contains({}, ?)",
    lower="lower({})",
    text="CAST({} AS VARCHAR)",
    matches="regexp_matches({}, ?)",
    replace_first="regexp_replace({}, '^([+]|00)', '')",
)
_WRITTEN: Final = {
    Format.CSV: "FORMAT csv, HEADER",
    Format.JSON: "FORMAT json",
    Format.PARQUET: "FORMAT parquet",
}


class RecordStore:
    """`CallData` in the file `records.duckdb` of a directory."""

    dialect = DIALECT

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.path = directory / "records.duckdb"
        self.imported = 0
        """Records taken in since the start."""
        self.spoilt = 0
        """Bytes of the journal that belong to no whole group."""
        self.last_id = 0
        self._connection: duckdb.DuckDBPyConnection | None = None

    def open(self) -> None:
        """Open or make the file; one that cannot be read is put aside and a new one begun."""
        self.close()
        try:
            self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                self._open()
            except (duckdb.SerializationException, duckdb.InternalException, duckdb.FatalException) as error:
                self._put_aside(error)
            except duckdb.IOException as error:
                if "lock" in str(error) or not self.path.exists():
                    raise
                self._put_aside(error)
        except (duckdb.Error, OSError) as error:
            self.close()
            raise StoreFault(f"cannot open {self.path}: {_first_line(error)}") from error

    def _open(self) -> None:
        before = os.umask(0o077)
        try:
            self._connection = connection = duckdb.connect(str(self.path), config=dict(OPTIONS))
        finally:
            os.umask(before)
        connection.execute("CREATE TABLE IF NOT EXISTS imported (last_id BIGINT NOT NULL)")
        connection.execute("INSERT INTO imported SELECT 0 WHERE NOT EXISTS (FROM imported)")
        self._widen(connection)
        [(self.last_id,)] = connection.execute("SELECT last_id FROM imported").fetchall()

    def _widen(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Days that an older version wrote get the columns that came since."""
        for shape in (CALLS, EVENTS):
            older = connection.execute(
                "SELECT table_name FROM duckdb_tables() WHERE starts_with(table_name, ?) AND column_count < ?",
                [shape.table + "_", len(shape.types)],
            ).fetchall()
            for (table,) in older:
                for name, kind in shape.types.items():
                    empty = " DEFAULT ''" if kind == "VARCHAR" else ""
                    connection.execute(f'ALTER TABLE {table} ADD COLUMN IF NOT EXISTS "{name}" {kind}{empty}')

    def _put_aside(self, error: Exception) -> None:
        self.close()
        aside = self.path.with_name(f"{self.path.name}.broken-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}")
        for suffix in ("", ".wal"):
            companion = self.path.with_name(self.path.name + suffix)
            if companion.exists():
                companion.rename(aside.with_name(aside.name + suffix))
        log.error("records.set_aside", path=str(aside), reason=_first_line(error))
        self._open()

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """For questions from another thread."""
        if self._connection is None:
            raise StoreFault(f"{self.path} is not open")
        return self._connection.cursor()

    def copy_to(self, folder: Path) -> None:
        """See `CallData.copy_to`: a database of its own."""
        try:
            with self.cursor() as cursor:
                name = str(folder / self.path.name).replace("'", "''")
                cursor.execute(f"ATTACH '{name}' AS copy")
                try:
                    cursor.execute(f'COPY FROM DATABASE "{self.path.stem}" TO copy')
                finally:
                    cursor.execute("DETACH copy")
        except duckdb.Error as error:
            raise StoreFault(f"{self.path} cannot be copied: {_first_line(error)}") from error

    # From the journal

    def take_in(self, journal: Journal) -> int:
        """Import all sealed segments and remove them; the number of new records."""
        found = 0
        while True:
            segments = journal.sealed()[:_AT_ONCE]
            if not segments:
                self.imported += found
                return found
            try:
                found += self._import(segments)
            except (duckdb.Error, OSError) as error:
                raise StoreFault(f"call records cannot be brought into {self.path}: {_first_line(error)}") from error
            for path in segments:
                path.unlink(missing_ok=True)

    def _import(self, segments: Sequence[Path]) -> int:
        groups: list[Group] = []
        for path, fresh, stray in groups_after(segments, self.last_id):
            groups += fresh
            if stray:
                self.spoilt += stray
                log.warning("records.spoilt", segment=path.name, bytes=stray)
        if not groups:
            return 0
        last = groups[-1].last
        with self.cursor() as cursor:
            cursor.execute("BEGIN")
            try:
                for shape in SHAPES:
                    self._insert(cursor, shape, groups)
                cursor.execute("UPDATE imported SET last_id = ?", [last])
                cursor.execute("COMMIT")
            except BaseException:
                cursor.execute("ROLLBACK")
                raise
        self.last_id = last
        return sum(len(group.lines) for group in groups)

    def _insert(self, cursor: duckdb.DuckDBPyConnection, shape: Shape, groups: Sequence[Group]) -> None:  # type: ignore[type-arg]
        at = shape.columns.index(shape.time)
        days: dict[int, list[str]] = {}
        for group in groups:
            for row_id, told in enumerate(group.lines, group.first):
                if told[0] == shape.letter:
                    line = numbered(told, row_id)
                    days.setdefault(int(line.split(BETWEEN, at + 1)[at]) // DAY_MS, []).append(line)
        columns = ", ".join(f"'{name}': '{kind}'" for name, kind in shape.types.items())
        texts = ", ".join(f"'{name}'" for name, kind in shape.types.items() if kind == "VARCHAR")
        definition = ", ".join(f'"{name}" {kind}' for name, kind in shape.types.items())
        read = (
            "SELECT * FROM read_csv(?, header = false, auto_detect = false, null_padding = true, delim = ?, "
            f"quote = '', escape = '', columns = {{{columns}}}, force_not_null = [{texts}])"
        )
        file = self.directory / "import.csv"
        for day, lines in days.items():
            table = f"{shape.table}_{date_of(day):%Y%m%d}"
            cursor.execute(f"CREATE TABLE IF NOT EXISTS {table} ({definition})")
            file.write_text("\n".join(lines), encoding="utf-8", errors="replace")
            try:
                if shape is LEFTOVERS:
                    cursor.execute(f"CREATE OR REPLACE TEMP TABLE arrived AS {read}", [str(file), BETWEEN])
                    self._drop_known(cursor)
                    cursor.execute(f"INSERT INTO {table} BY NAME FROM arrived")
                    cursor.execute("DROP TABLE arrived")
                else:  # straight from the file: in between it would cost half as much again
                    cursor.execute(f"INSERT INTO {table} BY NAME {read}", [str(file), BETWEEN])
            finally:
                file.unlink(missing_ok=True)

    def _drop_known(self, cursor: duckdb.DuckDBPyConnection) -> None:
        """One record a call: not from a BYE that was repeated, nor where the call's own record came to the disk."""
        cursor.execute("DELETE FROM arrived WHERE id NOT IN (SELECT min(id) FROM arrived GROUP BY serial)")
        rows = cursor.execute(
            "SELECT table_name FROM duckdb_tables() WHERE starts_with(table_name, 'calls_') ORDER BY 1 DESC LIMIT ?",
            [LOOK_BACK],
        ).fetchall()
        for (table,) in rows:
            cursor.execute(f"DELETE FROM arrived WHERE serial IN (SELECT serial FROM {table})")

    # Asking

    def rows(self, sql: str, values: Sequence[Cell] = ()) -> list[tuple[Cell, ...]]:
        """See `CallData.rows`."""
        with self.cursor() as cursor:
            return _run(cursor, sql, values)

    def day_by_day(self, table: str, from_ms: int = 0, to_ms: int = 1 << 52) -> list[str]:
        """See `CallData.day_by_day`."""
        return [f'"{day}" WHERE true' for day in self.days(table, from_ms, to_ms)]

    def together(self, table: str, from_ms: int = 0, to_ms: int = 1 << 52) -> str | None:
        """See `CallData.together`."""
        days = self.days(table, from_ms, to_ms)
        return "(" + " UNION ALL ".join(f'SELECT * FROM "{day}"' for day in days) + ") WHERE true" if days else None

    def export(self, sql: str, values: Sequence[Cell], form: Format, file: Path) -> int:
        """See `CallData.export`."""
        with self.cursor() as cursor:
            return write_calls(cursor, sql, values, form, file)

    # Days

    def days(self, table: str, from_ms: int = 0, to_ms: int = 1 << 52) -> list[str]:
        """The tables of a kind that may hold something of this time, the oldest first."""
        low, high = f"{table}_{date_of(from_ms // DAY_MS):%Y%m%d}", f"{table}_{date_of(to_ms // DAY_MS):%Y%m%d}"
        with self.cursor() as cursor:
            rows = cursor.execute(
                "SELECT table_name FROM duckdb_tables() WHERE starts_with(table_name, ?) ORDER BY 1", [table + "_"]
            ).fetchall()
        return [name for (name,) in rows if low <= name <= high]

    def size(self) -> int:
        """Bytes that the records take in the file; what removed days leave is used again."""
        with self.cursor() as cursor:
            [(used,)] = cursor.execute("SELECT used_blocks * block_size FROM pragma_database_size()").fetchall()
        return int(used)

    def forget(self, oldest_ms: int, most_bytes: int) -> list[str]:
        """Remove the tables of days before `oldest_ms`, and the oldest while the file holds more; what was removed."""
        gone = []
        try:
            first = f"{date_of(oldest_ms // DAY_MS):%Y%m%d}"
            names = sorted(
                (name for table in {one.table for one in SHAPES} for name in self.days(table)),
                key=lambda name: name[-8:],
            )
            newest = names[-1][-8:] if names else ""
            for name in names:
                day = name[-8:]
                if day >= first and (day == newest or self.size() <= most_bytes):
                    break
                with self.cursor() as cursor:
                    cursor.execute(f"DROP TABLE {name}").fetchall()
                gone.append(name)
                with self.cursor() as cursor:
                    try:
                        cursor.execute("CHECKPOINT").fetchall()
                    except duckdb.TransactionException:
                        break  # somebody reads just now: what this day took is told only when it is given back
        except (duckdb.Error, OSError) as error:
            raise StoreFault(f"old call records cannot be removed from {self.path}: {_first_line(error)}") from error
        return gone


def write_calls(cursor: duckdb.DuckDBPyConnection, sql: str, values: Sequence[Cell], form: Format, file: Path) -> int:
    """Write what a SELECT of all columns of calls finds, '' for nothing, into a file; how many. Raises `StoreFault`."""
    nothing = ", ".join(f'NULL::{kind} AS "{name}"' for name, kind in CALLS.types.items())
    quoted = str(file).replace("'", "''")
    [(count,)] = _run(cursor, f"COPY ({sql or f'SELECT {nothing} LIMIT 0'}) TO '{quoted}' ({_WRITTEN[form]})", values)
    return int(count or 0)


def _run(cursor: duckdb.DuckDBPyConnection, sql: str, values: Sequence[Cell]) -> list[tuple[Cell, ...]]:
    try:
        return cursor.execute(sql, list(values)).fetchall()
    except duckdb.Error as error:
        raise StoreFault(_first_line(error)) from error


def date_of(day: int) -> datetime:
    """The date of a day since 1970, held to what a date can be."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=min(max(day, 0), 2_900_000))


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
