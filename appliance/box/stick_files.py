"""Verbs: files to and from a USB stick, whichever is plugged in; one labelled JACKFIELD goes before others.

They pass through the folder `outbox` of the state directory, where the user jackfield puts them and finds them.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import trio

from .machine import Machine, Refused
from .stick import LABEL
from .verb import Answer, Callers, Verb, Words

OUTBOX: Final = "outbox"
BACKUPS: Final = (".backup", ".tar.gz")
MOST_SHOWN: Final = 20
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}")
_READABLE: Final = frozenset({"vfat", "exfat", "ext4", "ext3", "ext2", "iso9660", "ntfs"})
_SPARE_BYTES: Final = 4 << 20


@asynccontextmanager
async def any_stick(machine: Machine, *, writable: bool) -> AsyncIterator[Path]:
    """The folder of a stick. Raises `Refused` where there is none."""
    ran = await machine.run(("lsblk", "--json", "--paths", "--output", "NAME,RM,TRAN,FSTYPE,LABEL"), b"")
    found = sorted(_sticks(ran.output), key=lambda one: one[1] != LABEL)
    if not found:
        raise Refused("no stick is plugged in, or none with a file system that this box reads (FAT, exFAT, ext)")
    folder = machine.root / "run/jackfield-stick"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    options = f"{'rw' if writable else 'ro'},nosuid,nodev,noexec"
    await machine.do("mount", "-o", options, found[0][0], str(folder))
    try:
        yield folder
    finally:
        with trio.CancelScope(shield=True):
            await machine.run(("umount", str(folder)), b"")


def _sticks(listed: str) -> Iterator[tuple[str, str]]:
    """Device and label of each partition on a removable or USB disk."""
    try:
        said: Any = json.loads(listed)
        for disk in said["blockdevices"]:
            if disk.get("tran") == "usb" or disk.get("rm") in (True, "1"):
                for part in [disk, *disk.get("children", ())]:
                    if part.get("fstype") in _READABLE:
                        yield str(part["name"]), str(part.get("label") or "").upper()
    except (ValueError, TypeError, KeyError, AttributeError):
        return


async def _save(machine: Machine, words: Words) -> Answer:
    name = _name(words)
    with _outbox(machine) as outbox:
        async with any_stick(machine, writable=True) as folder:
            with _opened(folder) as stick:
                await trio.to_thread.run_sync(_copy, outbox, stick, name, "the stick")
        os.unlink(name, dir_fd=outbox)
    return {"file": name}


async def _list(machine: Machine, words: Words) -> Answer:
    async with any_stick(machine, writable=False) as folder:
        files = [file for file in folder.iterdir() if file.is_file() and _is_backup(file.name)]
        files.sort(key=lambda file: file.stat().st_mtime, reverse=True)
    return {"files": [file.name for file in files[:MOST_SHOWN]]}


async def _fetch(machine: Machine, words: Words) -> Answer:
    name = _name(words)
    if not _is_backup(name):
        raise Refused(f"{name} is not named like a backup")
    with _outbox(machine) as outbox:
        async with any_stick(machine, writable=False) as folder:
            with _opened(folder) as stick:
                await trio.to_thread.run_sync(_copy, stick, outbox, name, "the box")
        owner = machine.state_dir.stat()
        if os.geteuid() == 0:
            os.chown(name, owner.st_uid, owner.st_gid, dir_fd=outbox, follow_symlinks=False)
    return {"file": name}


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    """A folder as a descriptor; no link is followed to it, for the user jackfield could have laid one."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield handle
    finally:
        os.close(handle)


@contextmanager
def _outbox(machine: Machine) -> Iterator[int]:
    folder = machine.state_dir / OUTBOX
    folder.mkdir(exist_ok=True, mode=0o700)
    with _opened(folder) as handle:
        owner = machine.state_dir.stat()
        if os.geteuid() == 0:
            os.fchown(handle, owner.st_uid, owner.st_gid)
        yield handle


def _copy(source: int, target: int, name: str, where: str) -> None:
    """A plain file, no link, from folder to folder, in place of what is there."""
    with open(os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=source), "rb") as data:
        facts = os.fstat(data.fileno())
        if not stat.S_ISREG(facts.st_mode):
            raise Refused(f"{name} is no plain file")
        disk = os.fstatvfs(target)
        free = disk.f_bavail * disk.f_frsize
        if free < facts.st_size + _SPARE_BYTES:
            raise Refused(f"{where} has {free >> 20} MiB free, {(facts.st_size + _SPARE_BYTES) >> 20} are needed")
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=target)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(name, flags, 0o600, dir_fd=target), "wb") as out:
            shutil.copyfileobj(data, out, 1 << 20)
            out.flush()
            os.fsync(out.fileno())


VERBS: Final = (
    Verb("stick-save", f"Move a file of {OUTBOX}/ onto the stick.", Callers.SERVICE, _save, ("file",)),
    Verb("stick-list", "The backups on the stick, the latest first.", Callers.SERVICE, _list),
    Verb("stick-fetch", f"Copy a backup from the stick into {OUTBOX}/.", Callers.SERVICE, _fetch, ("file",)),
)


def _name(words: Words) -> str:
    if not _NAME.fullmatch(words["file"]):
        raise Refused(f"{words['file'][:80]!r} is no name of a file")
    return words["file"]


def _is_backup(name: str) -> bool:
    return name.startswith("jackfield-") and name.endswith(BACKUPS) and not name.startswith("jackfield-support-")
