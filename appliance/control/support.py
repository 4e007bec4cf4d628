"""The support bundle: what only the running box knows for the command, and the whole of it for the web side."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import trio

from ..management.support import file_name, pack, still_parts
from .asking import Answer

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
