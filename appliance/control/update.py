"""Updates as the running box does them for its web side: a bundle is taken, judged and handed over to boxd."""

from __future__ import annotations

import io
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import attrs
import trio

from .. import alarm_kinds
from ..alarms import Alarms
from ..box.asking import ask_box
from ..box.bundle import judge
from ..box.machine import Machine, NotOurImage, Refused
from ..box.update import inbox, is_bundle_name
from .asking import Answer

MOST_BYTES: Final = 2 << 30
SPARE_BYTES: Final = 16 << 20
SILENCE_S: Final = 30.0
ASK_DEADLINE_S: Final = 90.0
FIRST_LOOK_S: Final = 120.0
LOOK_S: Final = 600.0
_WRITTEN_AT_ONCE: Final = 1 << 20


@attrs.define(eq=False)
class UpdateControl:
    """For one running box that is our image."""

    machine: Machine
    alarms: Alarms
    _taking: trio.Lock = attrs.field(factory=trio.Lock, init=False)

    async def run(self, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED) -> None:
        """As a service: an alarm as long as a version is known that fell back."""
        task_status.started(f"version {self.machine.version}")
        await trio.sleep(FIRST_LOOK_S)
        while True:
            fallen = (await self.status()).get("fallen")
            versions = {str(fallen["version"])} if isinstance(fallen, dict) else set()
            if isinstance(fallen, dict):
                sentence = f"version {fallen['version']} was given up: {fallen['reason']}"
                self.alarms.raise_(alarm_kinds.UPDATE, str(fallen["version"]), sentence)
            self.alarms.keep(alarm_kinds.UPDATE, versions)
            await trio.sleep(LOOK_S)

    async def status(self) -> Answer:
        return await self._ask("update-status")

    async def find(self) -> Answer:
        """Bundles on a stick."""
        return await self._ask("update-find")

    async def install(self, name: str, *, stick: bool, anyway: bool = False) -> Answer:
        """Begin; `status` tells how it goes. `anyway`: though the box is not well itself."""
        options = [option for option, holds in (("stick", stick), ("anyway", anyway)) if holds]
        return await self._ask("update-install", file=name, **dict.fromkeys(options, "yes"))

    async def previous(self) -> Answer:
        return await self._ask("update-previous")

    async def give_up(self) -> Answer:
        return await self._ask("update-give-up")

    async def restart(self) -> Answer:
        return await self._ask("reboot")

    async def take(self, name: str, size: int | None, chunks: AsyncIterator[bytes]) -> Answer:
        """Write a bundle into the inbox as it comes, and judge it. One that is refused or cut off is not kept."""
        if not is_bundle_name(name):
            return _no("Give it a name of letters, digits and . _ + ~ - that ends in .raucb.")
        if self._taking.locked():
            return _no("Somebody else sends a bundle just now.")
        async with self._taking:
            file = inbox(self.machine) / name
            new = file.with_name(f".{name}.new")
            try:
                await trio.to_thread.run_sync(self._clear)
                room = min(MOST_BYTES, await trio.to_thread.run_sync(_room, file.parent))
                if size is not None and size > room:
                    return _no(f"There is room for {room >> 20} MiB only.")
                got = await _write(new, chunks, room)
                if size is not None and got != size:
                    return _no(f"Only {got} of {size} bytes came.")
                await trio.to_thread.run_sync(new.rename, file)
                bundle = await judge(self.machine, file)
            except Refused as refused:
                await trio.to_thread.run_sync(_remove, file)
                return _no(str(refused))
            except trio.TooSlowError:
                return _no(f"Nothing more came for {SILENCE_S:g} s.")
            except OSError as error:
                return _no(f"It cannot be written: {error.strerror or error}")
            finally:
                with trio.CancelScope(shield=True):
                    await trio.to_thread.run_sync(_remove, new)
        return {"ok": True, **attrs.asdict(bundle)}

    def _clear(self) -> None:
        """One bundle at a time lies there: what was sent and not installed makes room for the next."""
        folder = inbox(self.machine)
        folder.mkdir(mode=0o700, exist_ok=True)
        for file in folder.iterdir():
            _remove(file)

    async def _ask(self, verb: str, **words: str) -> Answer:
        try:
            return await trio.to_thread.run_sync(
                lambda: ask_box(verb, machine=self.machine, deadline_s=ASK_DEADLINE_S, **words)
            )
        except (Refused, NotOurImage) as refused:
            return _no(str(refused))


def updates_of(machine: Machine, alarms: Alarms) -> UpdateControl | None:
    """None where the machine is somebody's own."""
    return None if machine.version is None else UpdateControl(machine, alarms)


async def _write(file: Path, chunks: AsyncIterator[bytes], room: int) -> int:
    """The number of bytes. Raises `Refused` beyond the room, `OSError`, `TooSlowError`."""
    got, held = 0, bytearray()
    with await trio.to_thread.run_sync(_create, file) as out:
        while True:
            with trio.fail_after(SILENCE_S):
                chunk = await anext(chunks, b"")
            got += len(chunk)
            if got > room:
                raise Refused(f"There is room for {room >> 20} MiB only.")
            held += chunk
            if len(held) >= _WRITTEN_AT_ONCE or not chunk:
                await trio.to_thread.run_sync(_write_all, out, bytes(held))
                held.clear()
            if not chunk:
                return got


def _create(file: Path) -> io.FileIO:
    return io.FileIO(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb")


def _write_all(out: io.FileIO, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[out.write(left) :]


def _remove(file: Path) -> None:
    file.unlink(missing_ok=True)


def _room(folder: Path) -> int:
    disk = os.statvfs(folder)
    return max(0, disk.f_bavail * disk.f_frsize - SPARE_BYTES)


def _no(error: str) -> Answer:
    return {"ok": False, "error": error}
