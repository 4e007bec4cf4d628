"""The tables of the business file, and how an older file becomes a newer one.

A migration is a script; its place in the list is the version (`PRAGMA user_version`) that it leads to. Scripts that
have been shipped are never changed: a new one is added.
"""

from __future__ import annotations

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
)

VERSION: Final = len(MIGRATIONS)

_COLUMNS = ", ".join(BindingRow._fields)
SELECT_BINDINGS: Final = f"SELECT {_COLUMNS} FROM binding"  # noqa: S608 (names of our own)
PUT_BINDING: Final = (
    f"INSERT OR REPLACE INTO binding ({_COLUMNS}) VALUES ({', '.join('?' for _ in BindingRow._fields)})"  # noqa: S608
)
REMOVE_BINDING: Final = "DELETE FROM binding WHERE aor = ? AND key = ?"
