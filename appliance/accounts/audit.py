"""Who did what through the web side: sign-ins, actions and reloads, one JSON line each, appended and bounded.

The file is for the owner's eyes. Once it is full it is put aside as .1, .2 … and the oldest goes. A line that cannot
be written is told by the log and never keeps the operator from acting.
"""

from __future__ import annotations

import json
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import attrs
import trio

from appliance.logs import log

AUDIT_FILE: Final = "audit.log"
FILE_BYTES: Final = 2 * 1024 * 1024
FILES_KEPT: Final = 4
"""Full ones, besides the one that is written."""
LONGEST_FIELD: Final = 300


@attrs.frozen(kw_only=True)
class AuditEntry:
    """One thing that somebody did or tried; `at` is seconds of the day's clock, `source` an address."""

    at: float
    who: str
    role: str = ""
    source: str
    what: str
    subject: str = ""
    result: str


class Audit:
    """One file of the state directory. `write` keeps the order of the calls."""

    def __init__(self, state_dir: Path, *, wall: Callable[[], float] = time.time, file_bytes: int = FILE_BYTES) -> None:
        self._file = state_dir / AUDIT_FILE
        self._wall = wall
        self._file_bytes = file_bytes
        self._writing = trio.Lock()
        self.on_entry: list[Callable[[AuditEntry], None]] = []
        """Told of each entry; must not wait."""

    async def write(self, *, who: str, source: str, what: str, result: str, subject: str = "", role: str = "") -> None:
        """Add one entry, with the time of now; it is written even where the caller is cancelled meanwhile."""
        fields = {"who": who, "role": role, "source": source, "what": what, "subject": subject, "result": result}
        entry = AuditEntry(at=round(self._wall(), 3), **{name: text[:LONGEST_FIELD] for name, text in fields.items()})
        for tell in self.on_entry:
            tell(entry)
        line = json.dumps(attrs.asdict(entry)).encode() + b"\n"
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 5):
            async with self._writing:
                try:
                    await trio.to_thread.run_sync(self._append, line)
                except OSError as error:
                    log.error("audit.unwritten", error, who=entry.who, what=entry.what, subject=entry.subject)

    async def last(self, most: int) -> list[AuditEntry]:
        """The latest entries, the latest first. Raises `OSError` where a file cannot be read."""
        return await trio.to_thread.run_sync(last_entries, self._file.parent, most)

    def _append(self, line: bytes) -> None:
        handle = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(handle).st_size + len(line) > self._file_bytes:
                self._rotate()
                os.close(handle)
                handle = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            os.write(handle, line)
        finally:
            os.close(handle)

    def _rotate(self) -> None:
        for number in range(FILES_KEPT - 1, 0, -1):
            older = _older(self._file, number)
            if older.exists():
                older.replace(_older(self._file, number + 1))
        self._file.replace(_older(self._file, 1))


def last_entries(state_dir: Path, most: int) -> list[AuditEntry]:
    """The latest entries of a state directory, the latest first; lines that are none are passed over.

    Raises `OSError` where a file cannot be read.
    """
    found: list[AuditEntry] = []
    file = state_dir / AUDIT_FILE
    for one in [file, *(_older(file, number) for number in range(1, FILES_KEPT + 1))]:
        if len(found) >= most:
            break
        found += list(deque(_entries(one), most - len(found)))[::-1]
    return found


def _entries(file: Path) -> Iterator[AuditEntry]:
    try:
        with file.open("rb") as lines:
            for line in lines:
                try:
                    yield AuditEntry(**json.loads(line))
                except (ValueError, TypeError):
                    continue  # a line that a power cut broke
    except FileNotFoundError:
        return


def _older(file: Path, number: int) -> Path:
    return file.with_name(f"{file.name}.{number}")
