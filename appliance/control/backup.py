"""Backup and restore of the whole box: what the running box does for the command and for its page.

What a backup is and how it is taken back stands in box/. Here the running box copies its call records, whose database
nobody else may open, and a start takes up what was laid ready.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

import trio

from .. import __version__
from ..box.archive import Manifest
from ..box.asking import ask_box
from ..box.machine import NotOurImage, Refused
from ..box.restoring import is_ready, stage, take_up
from ..box.saving import Places, backup_name, make_backup
from ..box.sealing import Damaged
from ..config import Settings
from ..config.mistakes import ConfigRejected
from ..identity import open_state_dir
from ..proxy.records import Records
from ..storage.call_data import StoreFault
from ..storage.schema import VERSION
from .asking import Answer
from .lock import hold_state_dir

UPLOAD: Final = "upload.new"
ENGINE: Final = "snmp-engine.json"
"""In a state directory after a restore, until boxd has it."""
SPARE_BYTES: Final = 64 << 20
SILENCE_S: Final = 30.0


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
            make_backup(
                file,
                places,
                settings,
                __version__,
                passphrase=passphrase or None,
                copy_records=copier,
                extras=engine_extra(),
            )

        async with self._turn:
            await trio.to_thread.run_sync(work)
        return name, file

    async def receive(self, size: int | None, chunks: AsyncIterator[bytes]) -> Answer:
        """Write a file that a page sends, as it comes; `take` then proves it. One that is cut off is not kept."""
        if self._turn.locked():
            return {"ok": False, "error": "A backup is made or taken just now. Wait a minute."}
        async with self._turn:
            file = self._state_dir / UPLOAD
            room = shutil.disk_usage(self._state_dir).free - SPARE_BYTES
            if size is not None and size > room:
                return {"ok": False, "error": f"There is room for {max(0, room) >> 20} MiB only."}
            got, whole = 0, False
            try:
                handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
                with open(handle, "wb") as out:  # noqa: ASYNC230 (it opens nothing any more)
                    while True:
                        with trio.fail_after(SILENCE_S):
                            chunk = await anext(chunks, None)
                        if chunk is None:
                            break
                        got += len(chunk)
                        if got > room:
                            return {"ok": False, "error": f"There is room for {max(0, room) >> 20} MiB only."}
                        await trio.to_thread.run_sync(out.write, chunk)
                whole = size is None or got == size
                return {"ok": True} if whole else {"ok": False, "error": f"Only {got} of {size} bytes came."}
            except trio.TooSlowError:
                return {"ok": False, "error": f"Nothing more came for {SILENCE_S:g} s."}
            except OSError as error:
                return {"ok": False, "error": f"It cannot be written: {error.strerror or error}"}
            finally:
                if not whole:
                    file.unlink(missing_ok=True)

    async def take(self, passphrase: str) -> Answer:
        """Prove the file that came from the page and lay it ready; on our image the service is restarted for it."""

        def work() -> Answer:
            file = self._state_dir / UPLOAD
            try:
                if not file.exists():
                    return {"ok": False, "error": "Send the file first."}
                with open(file, "rb") as source:
                    manifest = stage(source, self._conf_dir, self._state_dir, passphrase or None, newest_schema=VERSION)
            except ConfigRejected as rejected:
                return {"ok": False, "mistakes": [str(one) for one in rejected.mistakes]}
            except (Damaged, OSError) as error:
                return {"ok": False, "error": sentence_of(error)}
            finally:
                file.unlink(missing_ok=True)
            return {"ok": True, "changes": [told(manifest), restart_for_it()]}

        async with self._turn:
            return await trio.to_thread.run_sync(work)


def engine_extra() -> dict[str, bytes]:
    """Who snmpd of our image is, as a file of a backup; nothing on other machines, and where snmpd never ran."""
    try:
        found = ask_box("snmp-state")
    except (NotOurImage, Refused):
        return {}
    facts = {name: found[name] for name in ("engine_id", "engine_boots")}
    return {ENGINE: json.dumps(facts).encode()} if all(facts.values()) else {}


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


def told(manifest: Manifest) -> str:
    """What is in a backup, in words."""
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(manifest.made_at))
    records = "with" if manifest.records else "without"
    return (
        f"the backup of {manifest.box} from {at} UTC by Jackfield {manifest.version}, {len(manifest.files)} files, "
        f"{max(1, manifest.size >> 10)} KiB, {records} call records"
    )


def sentence_of(error: Exception) -> str:
    """What went wrong, with the file that it is about."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)
