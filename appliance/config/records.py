"""The section [records]: whether every call leaves a record, how soon it is on disk, and how long it is kept."""

from __future__ import annotations

from pathlib import Path

import attrs

from .kinds import flag, milliseconds, path, seconds, size, whole
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
        size(16 << 20, 1 << 44), "20480 MiB", "When the database holds more than this, the oldest days are removed."
    )
