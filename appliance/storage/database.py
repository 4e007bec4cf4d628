"""The SQLite file behind `Storage`: opening, migrating, committing a group, setting a broken file aside.

Its coroutines are asyncio's and run in the loop that `storage.py` opens; nobody else awaits them. The file is in WAL
mode, so that a commit is one append and, with synchronous FULL, one fsync.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from itertools import chain, repeat
from pathlib import Path
from typing import Final, TypeVar

import aiosqlite

from appliance.logs import log
from appliance.storage.bindings import BindingRow
from appliance.storage.schema import (
    MIGRATIONS,
    MOST_AT_ONCE,
    SELECT_BINDINGS,
    VERSION,
    put_bindings,
    remove_bindings,
)

_Row = TypeVar("_Row")

_BROKEN: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


class DatabaseFault(Exception):  # noqa: N818
    """Storage cannot do what was asked; the text says what is wrong, for people."""


class _Broken(Exception):  # noqa: N818
    """The file is no database that we can read."""


class Database:
    """One file. Methods raise `DatabaseFault`."""

    def __init__(self, path: Path, *, synchronous: str, busy_timeout_s: float) -> None:
        self.path = path
        self._synchronous = synchronous
        self._busy_timeout_s = busy_timeout_s
        self._connection: aiosqlite.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self.set_aside: str | None = None
        """Says, for people, which broken file was put where; None as long as none was."""

    async def open(self) -> Sequence[BindingRow]:
        """Open or make the file, bring its tables up to date and read it.

        A broken file, or one of a newer version, is renamed and a new one begun.
        """
        await self.close()
        try:
            try:
                return await self._open()
            except (_Broken, sqlite3.DatabaseError) as error:
                if not _is_broken(error):
                    raise
                await self.close()
                self._put_aside(str(error))
                return await self._open()
        except (sqlite3.Error, OSError, ValueError, _Broken) as error:
            await self.close()
            raise DatabaseFault(f"cannot open {self.path}: {error}") from error

    async def _open(self) -> Sequence[BindingRow]:
        connection = await aiosqlite.connect(self.path, timeout=self._busy_timeout_s, isolation_level=None)
        self._connection = connection
        await connection.execute("PRAGMA journal_mode = WAL")
        await connection.execute(f"PRAGMA synchronous = {self._synchronous}")
        for row in await connection.execute_fetchall("PRAGMA quick_check(1)"):
            if row[0] != "ok":
                raise _Broken(row[0])
        await self._migrate(connection)
        rows = [BindingRow(*row) for row in await connection.execute_fetchall(SELECT_BINDINGS)]
        self._identity = self._file_identity()
        return rows

    async def _migrate(self, connection: aiosqlite.Connection) -> None:
        (version,) = next(iter(await connection.execute_fetchall("PRAGMA user_version")))
        if version > VERSION:
            raise _Broken(f"written by a newer version ({version}, this one knows {VERSION})")
        for number in range(version, VERSION):
            await connection.executescript(
                f"BEGIN IMMEDIATE; {MIGRATIONS[number]}; PRAGMA user_version = {number + 1}; COMMIT;"
            )

    async def commit(self, puts: Sequence[BindingRow], removals: Sequence[tuple[str, str]]) -> None:
        """Write one group, durably."""
        if self._connection is None or self._identity != self._file_identity():
            raise DatabaseFault(f"{self.path} is gone")
        statements = [(remove_bindings, chunk) for chunk in _chunks(removals)]
        await self._write(self._connection, statements + [(put_bindings, chunk) for chunk in _chunks(puts)])

    async def replace(self, rows: Sequence[BindingRow]) -> None:
        """Make the file hold these rows and no others."""
        if self._connection is None:
            raise DatabaseFault(f"{self.path} is not open")
        await self._write(self._connection, [(put_bindings, chunk) for chunk in _chunks(rows)], everything=True)

    async def _write(
        self,
        connection: aiosqlite.Connection,
        statements: Sequence[tuple[Callable[[int], str], Sequence[Sequence[object]]]],
        *,
        everything: bool = False,
    ) -> None:
        """Run the statements, each for all its rows at once, as one transaction.

        A statement passes two threads and two loops, and SQLite gives up the interpreter's lock with each one: on a
        busy box `executemany` would wait for that lock once a row.
        """
        alone = len(statements) == 1 and not everything
        try:
            if not alone:
                await connection.execute("BEGIN IMMEDIATE")
            if everything:
                await connection.execute("DELETE FROM binding")
            for statement, rows in statements:
                size = 1 << (len(rows) - 1).bit_length()
                filled = chain(rows, repeat(rows[-1], size - len(rows)))
                await connection.execute(statement(size), list(chain.from_iterable(filled)))
            if not alone:
                await connection.commit()
        except (sqlite3.Error, OSError, ValueError) as error:
            try:
                await connection.rollback()
            except (sqlite3.Error, ValueError):
                pass  # The first error is the one that tells.
            raise DatabaseFault(f"cannot write {self.path}: {error}") from error

    async def close(self) -> None:
        """Close the file; what was committed stays."""
        connection, self._connection, self._identity = self._connection, None, None
        if connection is not None:
            try:
                await connection.close()
            except sqlite3.Error:
                pass  # Committed groups are in the log (WAL) anyhow and are read when it is opened again.

    def _file_identity(self) -> tuple[int, int] | None:
        try:
            found = os.stat(self.path)
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def _put_aside(self, why: str) -> None:
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
        aside = self.path.with_name(f"{self.path.name}.broken-{stamp}")
        number = 1
        while aside.exists():
            number += 1
            aside = self.path.with_name(f"{self.path.name}.broken-{stamp}-{number}")
        for suffix in ("-wal", "-shm"):
            companion = self.path.with_name(self.path.name + suffix)
            if companion.exists():
                companion.rename(aside.with_name(aside.name + suffix))
        self.path.rename(aside)
        self.set_aside = f"{self.path} could not be read ({why}); it was put aside as {aside} and a new one begun"
        log.error("storage.set_aside", notice=self.set_aside)


def _is_broken(error: Exception) -> bool:
    code: int = getattr(error, "sqlite_errorcode", 0)
    return isinstance(error, _Broken) or code & 0xFF in _BROKEN


def _chunks(rows: Sequence[_Row]) -> list[Sequence[_Row]]:
    return [rows[start : start + MOST_AT_ONCE] for start in range(0, len(rows), MOST_AT_ONCE)]
