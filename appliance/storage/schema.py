"""The tables of the business file, and how an older file becomes a newer one.

A migration is a script; its place in the list is the version (`PRAGMA user_version`) that it leads to. Scripts that
have been shipped are never changed: a new one is added.
"""

from __future__ import annotations

from functools import cache
from typing import Final

from appliance.storage.bindings import BindingRow

MIGRATIONS: Final = (
    """
    CREATE TABLE binding (
        aor TEXT NOT NULL,
        key TEXT NOT NULL,
        contact TEXT NOT NULL,
        q REAL NOT NULL,
        expires_at REAL NOT NULL,
        path TEXT NOT NULL,
        instance TEXT,
        reg_id INTEGER,
        gruu TEXT NOT NULL,
        flow_id TEXT NOT NULL,
        listener TEXT NOT NULL,
        transport TEXT NOT NULL,
        received_host TEXT NOT NULL,
        received_port INTEGER NOT NULL,
        call_id TEXT NOT NULL,
        cseq INTEGER NOT NULL,
        user_agent TEXT NOT NULL,
        features TEXT NOT NULL,
        registered_at REAL NOT NULL,
        refreshed_at REAL NOT NULL,
        PRIMARY KEY (aor, key)
    ) WITHOUT ROWID;
    """,
    "ALTER TABLE binding ADD COLUMN behind_nat INTEGER NOT NULL DEFAULT 0;",
)

VERSION: Final = len(MIGRATIONS)

_COLUMNS = ", ".join(BindingRow._fields)
SELECT_BINDINGS: Final = f"SELECT {_COLUMNS} FROM binding"  # noqa: S608 (names of our own)
_ROW = f"({', '.join('?' for _ in BindingRow._fields)})"
MOST_AT_ONCE: Final = 1024
"""Rows in one statement: 21 columns each, of the 32766 parameters that SQLite lets a statement have."""


@cache
def put_bindings(rows: int) -> str:
    """The statement that puts so many rows; a power of two, so that prepared statements are found again."""
    return f"INSERT OR REPLACE INTO binding ({_COLUMNS}) VALUES {', '.join([_ROW] * rows)}"  # noqa: S608


@cache
def remove_bindings(rows: int) -> str:
    """The statement that removes so many bindings, each named by (aor, key)."""
    return f"DELETE FROM binding WHERE (aor, key) IN (VALUES {', '.join(['(?, ?)'] * rows)})"  # noqa: S608
