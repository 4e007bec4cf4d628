"""Before another version starts for the first time: a copy of configuration and databases, for the way back.

The copy is named by the version that left them. When that version comes back, it gets from its copy what it cannot use
any more: a database of a newer schema (`PRAGMA user_version`), a configuration that it does not understand. Everything
else stays as it is now: calls that were recorded and phones that registered meanwhile are not taken back.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ..config.loader import load_settings
from ..config.mistakes import ConfigRejected
from ..logs import log
from .machine import Machine, Refused, sync_directory, write_file

FOLDER: Final = "snapshots"
MARK: Final = "version"
"""Which version started last."""
MOST_KEPT: Final = 3
_MAGIC: Final = b"SQLite format 3\0"
_BESIDE: Final = ("-wal", "-shm", "-journal")


def before_start(machine: Machine) -> list[str]:
    """As root, while Jackfield does not run. What was done, a sentence each; nothing where the version is the last one.

    Raises `NotOurImage`, `Refused` where the copy cannot be made, and `OSError`.
    """
    machine.must_be_ours()
    version, mark = machine.version or "", machine.own / MARK
    try:
        last = mark.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        last = version  # the first start of all
    done = []
    if last != version:
        _take(machine, last)
        done.append(f"configuration and databases of version {last} were copied")
        done += _give_back(machine, _folder(machine, version))
        _forget_old(machine, keep={last, version})
    write_file(mark, version.encode() + b"\n")
    for sentence in done:
        log.info("update.snapshot", version=version, last=last, did=sentence)
    return done


def snapshots(machine: Machine) -> list[str]:
    """The versions there is a copy of, the latest first."""
    try:
        found = [one for one in (machine.own / FOLDER).iterdir() if one.is_dir() and not one.name.startswith(".")]
    except FileNotFoundError:
        return []
    return [one.name for one in sorted(found, key=lambda one: one.stat().st_mtime, reverse=True)]


def _take(machine: Machine, version: str) -> None:
    target = _folder(machine, version)
    new = target.with_name(f".{target.name}.new")
    sources = [*_configuration(machine), *_databases(machine)]
    needed = sum(file.stat().st_size for file in sources)
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    disk = os.statvfs(target.parent)
    if needed * 2 > disk.f_bavail * disk.f_frsize:
        raise Refused(
            f"there is no room for a copy of configuration and databases: {needed >> 20} MiB are needed twice"
        )
    shutil.rmtree(new, ignore_errors=True)
    for file in sources:
        base, kind = (machine.conf_dir, "conf.d") if machine.conf_dir in file.parents else (machine.state_dir, "state")
        copy = new / kind / file.relative_to(base)
        copy.parent.mkdir(parents=True, exist_ok=True)
        _copy(file, copy)
    new.mkdir(exist_ok=True)
    shutil.rmtree(target, ignore_errors=True)
    new.rename(target)
    sync_directory(target.parent)


def _give_back(machine: Machine, copy: Path) -> list[str]:
    """What this version cannot use as it is now."""
    done = []
    for file in sorted((copy / "state").glob("*")):
        now = machine.state_dir / file.name
        if file.name.endswith(_BESIDE) or not now.exists() or _schema(now) <= _schema(file):
            continue
        for suffix in ("", *_BESIDE):
            now.with_name(now.name + suffix).unlink(missing_ok=True)
        for suffix in ("", *_BESIDE[:1]):
            if file.with_name(file.name + suffix).exists():
                _copy(file.with_name(file.name + suffix), now.with_name(now.name + suffix))
        done.append(f"{file.name} was of a newer schema: it is again as it was when this version last ran")
    old = copy / "conf.d"
    if old.is_dir() and not _understood(machine.conf_dir) and _understood(old):
        for file in _files(machine.conf_dir):
            file.unlink()
        for file in _files(old):
            now = machine.conf_dir / file.relative_to(old)
            now.parent.mkdir(parents=True, exist_ok=True)
            _copy(file, now)
        done.append(
            "the configuration was written for a newer version: it is again as it was when this version last ran"
        )
    return done


def _forget_old(machine: Machine, keep: set[str]) -> None:
    known = {_folder(machine, one).name for one in keep}
    there = sorted(snapshots(machine), key=lambda name: name not in known)
    for name in there[MOST_KEPT:]:
        shutil.rmtree(machine.own / FOLDER / name, ignore_errors=True)


def _folder(machine: Machine, version: str) -> Path:
    safe = "".join(letter if letter.isalnum() or letter in ".+~-" else "_" for letter in version).lstrip(".")
    return machine.own / FOLDER / (safe[:100] or "unknown")


def _configuration(machine: Machine) -> Iterator[Path]:
    return _files(machine.conf_dir)


def _databases(machine: Machine) -> Iterator[Path]:
    for file in sorted(machine.state_dir.glob("*")):
        if _is_plain(file) and not file.name.endswith(_BESIDE) and _is_database(file):
            yield file
            wal = file.with_name(file.name + _BESIDE[0])
            if _is_plain(wal):
                yield wal


def _files(folder: Path) -> Iterator[Path]:
    return (file for file in sorted(folder.rglob("*")) if _is_plain(file))


def _is_plain(file: Path) -> bool:
    """A file of its own: who may write there shall not have us copy another's by a link."""
    return file.is_file() and not file.is_symlink()


def _is_database(file: Path) -> bool:
    with file.open("rb") as content:
        return content.read(len(_MAGIC)) == _MAGIC


def _schema(file: Path) -> int:
    """`PRAGMA user_version` as the header has it; what the log beside the file (WAL) says comes first."""
    try:
        connection = sqlite3.connect(f"file:{file}?mode=rw", uri=True)
        try:
            [(version,)] = connection.execute("PRAGMA user_version")
            return int(version)
        finally:
            connection.close()
    except sqlite3.Error:
        return 0


def _understood(conf_dir: Path) -> bool:
    try:
        load_settings(conf_dir)
    except (ConfigRejected, OSError):
        return False
    return True


def _copy(file: Path, copy: Path) -> None:
    """Durably, with owner and mode; never through a link."""
    facts = os.stat(file, follow_symlinks=False)
    source = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with open(source, "rb") as given:
        handle = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(handle, "wb") as out:
            shutil.copyfileobj(given, out)
            out.flush()
            os.fsync(handle)
            os.fchmod(handle, facts.st_mode & 0o777)
            if os.geteuid() == 0:
                os.fchown(handle, facts.st_uid, facts.st_gid)
