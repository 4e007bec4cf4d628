"""Bans outside the call path: kept in a file of the state directory over a restart, listed and changed by the operator.

What a ban means, and whom it may hit, is the router's business (router/guard.py). The file is written whole, by a
thread, a little after something has changed.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import attrs
import trio

from ..logs import log
from ..proxy.gate import Gate
from ..router.bans import BanRecord
from ..storage.whole_file import write_whole
from .asking import Answer

BANS_FILE: Final = "bans.json"
_WRITE_EVERY_S: Final = 5.0
_UNITS: Final = {"": 1, "s": 1, "min": 60, "m": 60, "h": 3600, "d": 86400}


class BanControl:
    """For one core's gate; `load` takes up what the last run left."""

    def __init__(self, gate: Gate, state_dir: Path) -> None:
        self._gate = gate
        self._file = state_dir / BANS_FILE
        self._writing = trio.Lock()
        self.on_change: list[Callable[[str, str], None]] = []
        """Told of each change by hand, with its source and why, "" for a ban that is lifted; must not wait."""

    def load(self) -> None:
        """A file that cannot be read is told and left alone until the next change."""
        try:
            kept = json.loads(self._file.read_bytes())
            passed = max(0.0, time.time() - float(kept["at"]))
            records = [BanRecord(**one) for one in kept["bans"]]
            records = [attrs.evolve(one, left_s=None if one.left_s is None else one.left_s - passed) for one in records]
        except FileNotFoundError:
            return
        except (OSError, ValueError, TypeError, KeyError) as error:
            log.error("bans.unreadable", error, file=self._file)
            return
        living = [one for one in records if one.left_s is None or one.left_s > 0]
        self._gate.guard.restore(living, trio.current_time())

    async def run(self, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED) -> None:
        """Write down what changes until cancelled, and once more then."""
        task_status.started(str(self._file))
        try:
            while True:
                await trio.sleep(_WRITE_EVERY_S)
                await self._save()
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 2):
                await self._save()

    async def _save(self) -> str:
        """The reason why it could not be written, empty where it was."""
        bans = self._gate.guard.bans
        async with self._writing:
            if not bans.changed:
                return ""
            bans.changed = False
            kept = {"at": time.time(), "bans": [attrs.asdict(one) for one in bans.records(trio.current_time())]}
            try:
                await trio.to_thread.run_sync(lambda: write_whole(self._file, json.dumps(kept, indent=1).encode()))
            except OSError as error:
                bans.changed = True
                log.error("bans.unsaved", error, file=self._file)
                return f"{self._file} cannot be written: {error.strerror}"
        return ""

    async def command(self, action: str = "list", source: str = "", length: str = "", *more: str) -> Answer:
        """One command of `jackfield ban`: list, add SOURCE [FOR], remove SOURCE."""
        guard, now = self._gate.guard, trio.current_time()
        if action == "list" and not source:
            return {"ok": True, "bans": [attrs.asdict(one) for one in guard.bans.records(now)]}
        if action not in ("add", "remove") or not source or more or (action == "remove" and length):
            return {"ok": False, "error": "known are list, add SOURCE [FOR], remove SOURCE"}
        try:
            if action == "add":
                source = guard.ban(source, _length_s(length), now)
            elif not guard.unban(source, now):
                return {"ok": False, "error": f"{source} is not banned. See: jackfield ban list"}
        except ValueError as error:
            return {"ok": False, "error": str(error)}
        log.warning(
            "source.banned_by_hand" if action == "add" else "source.unbanned", source=source, for_s=length or None
        )
        why = f"by hand, for {length}" if length else "by hand"
        for tell in self.on_change:
            tell(source, why if action == "add" else "")
        fault = await self._save()
        if fault:
            return {"ok": False, "error": f"it is so now, but would be forgotten at a restart: {fault}"}
        return {"ok": True, "bans": [attrs.asdict(one) for one in guard.bans.records(now) if one.source == source]}


def _length_s(text: str) -> float | None:
    """Seconds in 30s, 5min, 12h, 7d; None for no end. Raises ValueError."""
    if not text:
        return None
    found = re.fullmatch(r"(\d{1,9})\s*(|s|min|m|h|d)", text.strip().lower())
    if found is None or not int(found[1]):
        raise ValueError(f"{text!r} is not a time such as 30s, 5min, 12h or 7d")
    return float(int(found[1]) * _UNITS[found[2]])
