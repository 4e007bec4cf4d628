"""Backup and restore of the whole box: the commands, and what the running box does for its page.

What a backup is and how it is taken back stands in box/. Here the running box copies its call records, whose database
nobody else may open, and a start takes up what was laid ready.
"""

from __future__ import annotations

import argparse
import getpass
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import trio

from . import __version__
from .box.archive import Manifest
from .box.asking import ask_box
from .box.machine import NotOurImage, Refused
from .box.restoring import is_ready, stage, stage_the_state_before, take_up
from .box.saving import CopyRecords, Places, backup_name, make_backup
from .box.sealing import Damaged
from .config import Settings
from .config.loader import load_settings
from .config.mistakes import ConfigRejected
from .control import AlreadyRuns, Answer, NothingRuns, ask, hold_state_dir
from .identity import open_state_dir
from .proxy.records import Records
from .storage.call_data import StoreFault
from .storage.schema import VERSION

UPLOAD: Final = "upload.new"
COPY_DEADLINE_S: Final = 3600.0


class BackupControl:
    """For one running box."""

    def __init__(self, conf_dir: Path, state_dir: Path, settings: Callable[[], Settings], records: Records) -> None:
        self._conf_dir = conf_dir
        self._state_dir = state_dir
        self._settings = settings
        self._records = records
        self._turn = trio.Lock()

    async def command(self, folder: str) -> Answer:
        """Copy the call records into a folder, for `jackfield backup`."""
        try:
            await self._records.copy_to(Path(folder))
        except StoreFault as fault:
            return {"ok": False, "error": str(fault)}
        return {"ok": True}

    async def make(self, passphrase: str, *, records: bool) -> tuple[str, Path]:
        """A backup as a file, which the caller removes; the name that it goes by. Raises `ValueError`, `OSError`."""
        settings = self._settings()
        name = backup_name(time.time(), sealed=bool(passphrase))
        file = self._state_dir / f"download-{os.urandom(8).hex()}.new"
        token = trio.lowlevel.current_trio_token()

        def copy(folder: Path) -> None:
            try:
                trio.from_thread.run(self._records.copy_to, folder, trio_token=token)
            except StoreFault as fault:
                raise ValueError(str(fault)) from fault

        def work() -> None:
            places = Places.of(self._conf_dir, self._state_dir, settings)
            copier = copy if records and settings.records.enabled else None
            make_backup(file, places, settings, __version__, passphrase=passphrase or None, copy_records=copier)

        async with self._turn:
            await trio.to_thread.run_sync(work)
        return name, file

    async def take_part(self, data: bytes, offset: int) -> Answer:
        """A piece of a file that comes from the page; offset 0 begins it anew."""
        file = self._state_dir / UPLOAD

        def write() -> Answer:
            size = file.stat().st_size if offset and file.exists() else 0
            if offset != size:
                return {"ok": False, "error": "The pieces came out of order. Send the file again."}
            if shutil.disk_usage(self._state_dir).free < len(data) + (64 << 20):
                return {"ok": False, "error": "There is no room for the file on this box."}
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | (0 if offset else os.O_TRUNC)
            with open(os.open(file, flags, 0o600), "wb") as out:
                out.write(data)
            return {"ok": True, "size": size + len(data)}

        async with self._turn:
            return await trio.to_thread.run_sync(write)

    async def take(self, passphrase: str) -> Answer:
        """Prove the file that came from the page and lay it ready; on our image the service is restarted for it."""

        def work() -> Answer:
            file = self._state_dir / UPLOAD
            try:
                with open(file, "rb") as source:
                    manifest = stage(source, self._conf_dir, self._state_dir, passphrase or None, newest_schema=VERSION)
            except ConfigRejected as rejected:
                return {"ok": False, "mistakes": [str(one) for one in rejected.mistakes]}
            except (Damaged, OSError) as error:
                return {"ok": False, "error": _sentence(error)}
            finally:
                file.unlink(missing_ok=True)
            return {"ok": True, "changes": [_told(manifest), restart_for_it()]}

        async with self._turn:
            return await trio.to_thread.run_sync(work)


def take_up_restore(state_dir: Path) -> None:
    """At a start: swap in what was laid ready, or finish what was cut off. Raises `AlreadyRuns`, `OSError`."""
    if is_ready(state_dir):
        with hold_state_dir(open_state_dir(state_dir)):
            take_up(state_dir)


def restart_for_it() -> str:
    """Have our image's service restarted; or say who has to."""
    try:
        ask_box("restart", service="jackfield")
    except (NotOurImage, Refused):
        return "It is taken up when Jackfield starts next: restart it."
    return "Jackfield restarts now and takes it up."


def add_backup_arguments(name: str, sub: argparse.ArgumentParser) -> None:
    """What follows `jackfield backup` and `jackfield restore`."""
    if name == "backup":
        sub.add_argument("file", nargs="?", type=Path, metavar="FILE", help="default: one named by the time, here")
        sub.add_argument("--no-records", action="store_true", help="without the call records")
    else:
        sub.add_argument("file", nargs="?", type=Path, metavar="FILE", help="the backup")
        sub.add_argument("--back", action="store_true", help="in place of a file: what the last restore put aside")
    sub.add_argument("--passphrase-file", type=Path, metavar="FILE", help="its first line is the passphrase")
    sub.add_argument("--encrypt" if name == "backup" else "--encrypted", action="store_true", help="ask for one")


def backup(asked: argparse.Namespace) -> int:
    """The command. Raises `ConfigRejected`, `StateDamaged`."""
    settings = load_settings(asked.conf_dir)
    state_dir = open_state_dir(asked.state_dir)
    try:
        passphrase = _passphrase(asked, asked.encrypt, twice=True)
        file = asked.file or Path(backup_name(time.time(), sealed=passphrase is not None))
        if file.exists():
            raise ValueError(f"{file} is there already: give another name")
        places = Places.of(asked.conf_dir, state_dir, settings)
        try:
            with hold_state_dir(state_dir):
                manifest = _make(file, places, settings, passphrase, asked, _copier_of_files(places))
        except AlreadyRuns:
            manifest = _make(file, places, settings, passphrase, asked, _copier_of_the_box(state_dir))
    except (OSError, ValueError) as error:
        print(f"jackfield: {_sentence(error)}", file=sys.stderr)
        return 1
    print(f"{file}: {_told(manifest)}")
    if passphrase is None:
        print("Passwords and keys are in it, unencrypted: keep it where nobody else reads, or use --encrypt.")
    for path in manifest.outside:
        print(f"Not in it, for it lies elsewhere: {path}")
    return 0


def _make(
    file: Path,
    places: Places,
    settings: Settings,
    passphrase: str | None,
    asked: argparse.Namespace,
    copy_records: CopyRecords,
) -> Manifest:
    has_records = not asked.no_records and places.records is not None and places.records.is_dir()
    return make_backup(
        file,
        places,
        settings,
        __version__,
        passphrase=passphrase,
        copy_records=copy_records if has_records else None,
    )


def _copier_of_files(places: Places) -> CopyRecords:
    def copy(folder: Path) -> None:
        if places.records is not None:
            ignored = shutil.ignore_patterns("*.broken-*", "*.csv", "*.parquet", "*.json")
            shutil.copytree(places.records, folder, dirs_exist_ok=True, ignore=ignored)

    return copy


def _copier_of_the_box(state_dir: Path) -> CopyRecords:
    def copy(folder: Path) -> None:
        try:
            answer = ask(state_dir, "backup", str(folder.resolve()), deadline_s=COPY_DEADLINE_S)
        except NothingRuns as nothing:
            raise ValueError(f"{nothing}: try again, or leave the call records out by --no-records") from None
        if not answer.get("ok"):
            raise ValueError(str(answer.get("error")))

    return copy


def restore(asked: argparse.Namespace) -> int:
    """The command. Raises `ConfigRejected`, `StateDamaged`; then nothing has changed."""
    state_dir = open_state_dir(asked.state_dir)
    try:
        if asked.back == (asked.file is not None):
            raise ValueError("name the file of a backup, or give --back")
        if asked.back:
            told = f"Back to what {stage_the_state_before(asked.conf_dir, state_dir)} kept."
        else:
            passphrase = _passphrase(asked, asked.encrypted, twice=False)
            with open(asked.file, "rb") as source:
                told = _told(stage(source, asked.conf_dir, state_dir, passphrase, newest_schema=VERSION))
        print(told)
        try:
            with hold_state_dir(state_dir):
                kept = take_up(state_dir)
            print(
                f"It is in place. What was there before is kept in {kept}, and comes back by jackfield restore --back."
            )
        except AlreadyRuns:
            print(restart_for_it())
    except (OSError, ValueError, Damaged) as error:
        print(f"jackfield: {_sentence(error)}", "Nothing was changed.", sep="\n", file=sys.stderr)
        return 1
    return 0


def _passphrase(asked: argparse.Namespace, wanted: bool, *, twice: bool) -> str | None:
    if asked.passphrase_file is not None:
        with open(asked.passphrase_file, encoding="utf-8") as text:
            return text.readline().rstrip("\r\n")
    if not wanted:
        return None
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    typed = getpass.getpass("Passphrase: ")
    if twice and getpass.getpass("Once more: ") != typed:
        raise ValueError("that were two different passphrases")
    return typed


def _told(manifest: Manifest) -> str:
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(manifest.made_at))
    records = "with" if manifest.records else "without"
    return (
        f"the backup of {manifest.box} from {at} UTC by Jackfield {manifest.version}, {len(manifest.files)} files, "
        f"{max(1, manifest.size >> 10)} KiB, {records} call records"
    )


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)


BACKUP_COMMANDS: Final = (
    ("backup", backup, "Write everything that makes this box into one file: configuration, keys, data, call records."),
    ("restore", restore, "Take such a file back, once every part of it has been proved; what was there is kept."),
)
BACKUP_MANUAL: Final = {
    "backup": "It runs beside a running box. `--no-records` leaves the call records out, `--encrypt` asks for a "
    "passphrase (scrypt and AES-256-GCM), `--passphrase-file FILE` reads it. Unencrypted it is a tar.gz. "
    "The trace of SIP messages is not in it.",
    "restore": "Where the box runs, it is taken up at its next start; else at once. A damaged file, one of a newer "
    "Jackfield, or one whose configuration has mistakes here is refused and changes nothing. `--encrypted` asks for "
    "the passphrase, `--back` brings back what the last restore put aside.",
}
