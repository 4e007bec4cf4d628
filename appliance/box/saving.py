"""Making a backup: what belongs to it, consistent copies of it, and the file.

Everything is copied into a folder of its own first, databases by SQLite's own backup; call records by whoever has
their database open (`copy_records`). It reads and writes files: for a thread.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import stat
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import BinaryIO, Final

import attrs

from ..config.setting import declarations
from ..config.settings import SECTIONS, Settings
from .archive import MOST_FILES, Entry, Manifest, write_archive

CopyRecords = Callable[[Path], None]
"""Puts a consistent copy of the call records into an empty folder, as they lie in theirs. Raises `ValueError`."""

NOT_OURS: Final = frozenset(
    {"lock", "control.sock", "trace", "restore", "restore.json", "setup.json", "updates", "outbox"}
)
"""What a state directory holds beside what is worth keeping."""
SET_ASIDE: Final = "before-restore-"
STAGING: Final = ".restore"
_STAGED_BACKUP: Final = "backup-"
_SQLITE: Final = b"SQLite format 3\0"
_SPARE_BYTES: Final = 64 << 20


@attrs.frozen(kw_only=True)
class Places:
    """Where a box keeps what. `records` is the folder of call records within the state directory, None for none."""

    conf_dir: Path
    state_dir: Path
    records: Path | None

    @classmethod
    def of(cls, conf_dir: Path, state_dir: Path, settings: Settings) -> Places:
        folder = state_dir / settings.records.directory
        inside = folder.resolve().parent == state_dir.resolve()
        return cls(conf_dir=conf_dir, state_dir=state_dir, records=folder if inside else None)


def backup_name(at: float, *, sealed: bool) -> str:
    """What the file is called where nobody says."""
    return time.strftime("jackfield-%Y%m%d-%H%M%S", time.gmtime(at)) + (".backup" if sealed else ".tar.gz")


def make_backup(
    file: Path,
    places: Places,
    settings: Settings,
    version: str,
    *,
    passphrase: str | None = None,
    copy_records: CopyRecords | None = None,
    extras: Mapping[str, bytes] | None = None,
    now: float | None = None,
) -> Manifest:
    """Write the backup into a new file, for the owner's eyes, whole or not at all; what is in it. `extras` are files
    that come into the state directory beside its own.

    Raises `OSError`, or `ValueError` with a sentence.
    """
    _sweep(places.state_dir)
    with tempfile.TemporaryDirectory(prefix=_STAGED_BACKUP, dir=places.state_dir) as name:
        staged = Path(name)
        _must_have_room(places, staged, with_records=copy_records is not None)
        copy_tree(places.conf_dir, staged / "conf", lambda path: not belongs_to_conf(path, places.state_dir))
        copy_tree(places.state_dir, staged / "state", lambda path: _left_out(path, places))
        if copy_records is not None and places.records is not None:
            folder = staged / "state" / places.records.name
            folder.mkdir(parents=True, mode=0o700)
            copy_records(folder)
        for extra, data in (extras or {}).items():
            (staged / "state" / extra).write_bytes(data)
        files = tuple(_entries(staged, places))
        if len(files) > MOST_FILES:
            raise ValueError(f"{places.conf_dir} and {places.state_dir} hold more than {MOST_FILES} files")
        manifest = Manifest(
            made_at=int(time.time() if now is None else now),
            version=version,
            box=settings.appliance.name,
            records=copy_records is not None and places.records is not None,
            records_folder=places.records.name if places.records is not None else "",
            outside=tuple(_outside(settings, places)),
            files=files,
        )

        def opened(entry: Entry) -> BinaryIO:
            return open(staged / entry.path, "rb")

        new = file.with_name(f".{file.name}.new")
        try:
            with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as out:
                write_archive(out, manifest, opened, passphrase)
                out.flush()
                os.fsync(out.fileno())
            new.replace(file)
        except BaseException:
            new.unlink(missing_ok=True)
            raise
    return manifest


def belongs_to_conf(path: Path, state_dir: Path) -> bool:
    """Whether something in the folder of the configuration is configuration."""
    return not path.name.startswith((STAGING, f".{SET_ASIDE}")) and not holds(path, state_dir)


def holds(path: Path, folder: Path) -> bool:
    """Whether a path is the folder, or one of those that it lies in."""
    folder = folder.resolve()
    return path.resolve() == folder or path.resolve() in folder.parents


def _sweep(state_dir: Path) -> None:
    """What a backup that was cut off has left."""
    for folder in state_dir.glob(f"{_STAGED_BACKUP}*"):
        if folder.is_dir() and time.time() - folder.stat().st_mtime > 86_400:
            shutil.rmtree(folder, ignore_errors=True)


def _left_out(path: Path, places: Places) -> bool:
    name = path.name
    if path.parent != places.state_dir:
        return name.endswith(".new")
    return (
        name in NOT_OURS
        or name.startswith((SET_ASIDE, _STAGED_BACKUP, "."))
        or name.endswith((".new", "-wal", "-shm", "-journal"))
        or (places.records is not None and path == places.records)
        or holds(path, places.conf_dir)
    )


def copy_tree(source: Path, target: Path, left_out: Callable[[Path], bool]) -> None:
    """Plain files, and what links to files lead to; sockets, pipes and links to folders stay where they are."""
    target.mkdir(parents=True, mode=0o700)
    for path in sorted(source.iterdir()):
        if left_out(path):
            continue
        try:
            mode = path.stat().st_mode
        except FileNotFoundError:
            continue  # a link that leads nowhere, or gone meanwhile
        if stat.S_ISDIR(mode) and not path.is_symlink():
            copy_tree(path, target / path.name, left_out)
        elif stat.S_ISREG(mode):
            _copy(path, target / path.name)


def _copy(source: Path, target: Path) -> None:
    with open(source, "rb") as data:
        is_database = data.read(len(_SQLITE)) == _SQLITE
    if not is_database:
        shutil.copyfile(source, target)
        return
    try:
        with closing(sqlite3.connect(source)) as live, closing(sqlite3.connect(target)) as copy:
            live.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.Error as error:
        raise ValueError(f"{source} cannot be copied: {error}") from error


def _entries(staged: Path, places: Places) -> Iterator[Entry]:
    for file in sorted(path for path in staged.rglob("*") if path.is_file()):
        path = file.relative_to(staged)
        original = places.conf_dir / Path(*path.parts[1:])
        mode = original.stat().st_mode & 0o755 if path.parts[0] == "conf" and original.exists() else 0o600
        with open(file, "rb") as data:
            yield Entry(str(path), file.stat().st_size, hashlib.file_digest(data, "sha256").hexdigest(), mode)


def _must_have_room(places: Places, staged: Path, *, with_records: bool) -> None:
    roots = [places.conf_dir, places.state_dir]
    needed = sum(
        file.stat().st_size
        for root in roots
        for file in root.rglob("*")
        if file.is_file()
        and (with_records or places.records not in file.parents)
        and not any(part.startswith((SET_ASIDE, f".{SET_ASIDE}")) or part == "trace" for part in file.parts)
    )
    free = shutil.disk_usage(staged).free
    if free < needed + _SPARE_BYTES:
        raise ValueError(
            f"{places.state_dir} has {free >> 20} MiB free, the copies need {(needed + _SPARE_BYTES) >> 20}: make room"
        )


def _outside(settings: Settings, places: Places) -> Iterator[str]:
    """Files that the configuration names and that lie neither beside it nor in the state directory."""
    inside = places.conf_dir.resolve(), places.state_dir.resolve()
    known = {(kind.heading, one.key): one for kind in SECTIONS for one in declarations(kind.settings)}
    found = []
    for line in settings.written:
        declared = known.get((line.section.strip("[]").split(" ")[0], line.key))
        if declared is None or not line.text.startswith("/"):
            continue
        if declared.kind.accepts.startswith("the path of a file"):
            path = Path(line.text)
            if not any(folder in path.resolve().parents for folder in inside) and line.text.isprintable():
                found.append(line.text)
    yield from dict.fromkeys(found)
