"""The section [records]: whether every call leaves a record, how soon it is on disk, and how long it is kept."""

from __future__ import annotations

from pathlib import Path

import attrs

from .kinds import flag, milliseconds, optional, path, seconds, secret, size, text, whole
from .secret import Secret
from .setting import setting


@attrs.frozen(kw_only=True)
class RecordsSettings:
    """Call records: one for every call attempt, in a synced journal and then in a database for questions."""

    enabled: bool = setting(
        flag(), "yes", "Keep a record of every call, refused ones included, and of registrations and sign-ins."
    )
    directory: Path = setting(
        path(), "records", "Where they are kept; a relative one lies in the state directory.", restart=True
    )
    sync_ms: float = setting(
        milliseconds(1, 10_000),
        "100 ms",
        "Records that come within this time are written and synced together. What a power cut may cost is what ended "
        "within it; no call waits for it.",
    )
    waiting: int = setting(
        whole(100, 10_000_000),
        "100000",
        "Records that may wait in memory while the disk takes none; further ones are lost, and counted.",
    )
    keep_time_s: float = setting(
        seconds(86400, 3660 * 86400), "400 d", "Records of days longer ago than this are removed, a day at a time."
    )
    keep_size_bytes: int = setting(
        size(16 << 20, 1 << 44), "20 GiB", "When the database holds more than this, the oldest days are removed."
    )
    journal_size_bytes: int = setting(
        size(64 << 20, 1 << 44),
        "4 GiB",
        "When the journal holds more than this, because the database takes nothing, its oldest records are given up, "
        "and counted.",
    )
    url: str | None = setting(
        optional(
            text("an address such as https://clickhouse.example.com:8443", pattern=r"https?://[^\s#?@]+", longest=2000),
            "none",
            "a file beside the journal",
        ),
        "none",
        "A ClickHouse server that the records go to in place of the file. While it is away they wait in the journal.",
    )
    database: str = setting(
        text("a name of letters, digits and _", pattern=r"[A-Za-z_][A-Za-z0-9_]{0,62}"),
        "jackfield",
        "The database in ClickHouse; it is made where it is missing. Boxes with names of their own may share it.",
    )
    username: str | None = setting(
        optional(text("a user name", pattern=r"[!-~]+"), "none", "the default user"), "none", "The user in ClickHouse."
    )
    password: Secret | None = setting(
        optional(secret("the password", pattern=r"[ -~]+"), "none", "no password"),
        "none",
        "The password of username.",
        secret=True,
    )
    ca: Path | None = setting(
        optional(path(), "auto", "the authorities of the system"),
        "auto",
        "PEM file with the authorities that the certificate of the ClickHouse server must come from.",
    )
