"""jackfield support: the running box tells what only it knows, the command adds what lies in files and packs it."""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import trio

from .control import Answer, NothingRuns, ask
from .support import file_name, pack, still_parts

Live = Callable[[tuple[str, ...]], Awaitable[dict[str, str]]]
"""The parts of the running box; the words are Call-IDs whose ladders are wanted."""


class SupportControl:
    """For one box."""

    def __init__(self, conf_dir: Path, state_dir: Path, live: Live) -> None:
        self._conf_dir = conf_dir
        self._state_dir = state_dir
        self._live = live

    async def command(self, *call_ids: str) -> Answer:
        return {"ok": True, "parts": dict(await self._live(call_ids))}

    async def bundle(self) -> tuple[str, bytes]:
        """The name of the file and what is in it, for the web side."""
        at = time.time()
        live = await self._live(())

        def make() -> bytes:
            return pack({**still_parts(self._conf_dir, self._state_dir), **live}, at)

        return file_name(at), await trio.to_thread.run_sync(make)


def write_bundle(conf_dir: Path, state_dir: Path, file: Path | None, call_ids: list[str]) -> tuple[Path, bool]:
    """Make the file, for its owner's eyes; whether the box ran and told its part. Raises OSError."""
    at = time.time()
    parts = still_parts(conf_dir, state_dir)
    runs = True
    try:
        live = ask(state_dir, "support", *call_ids).get("parts")
        parts |= {name: str(text) for name, text in live.items()} if isinstance(live, dict) else {}
    except NothingRuns as nothing:
        runs = False
        parts["status.json"] = f"{nothing}\n"
    file = file or Path(file_name(at))
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as out:
        out.write(pack(parts, at))
    return file, runs
