"""The configuration files looked at beside what runs: what `check` says of them, and what a reload would change."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import trio

from .config import Settings
from .config.difference import difference
from .config.loader import load_settings
from .config.mistakes import ConfigRejected, Mistake
from .identity import Identity
from .web.inside import ConfigurationLook


class Running(Protocol):
    """What runs, as far as it is compared."""

    @property
    def conf_dir(self) -> Path: ...
    @property
    def settings(self) -> Settings: ...
    @property
    def identity(self) -> Identity: ...


async def look_at_files(running: Callable[[], Running]) -> ConfigurationLook:
    """Read and verify the files in a thread; nothing is taken up."""
    now = running()
    doubts: list[Mistake] = []
    try:
        settings = await trio.to_thread.run_sync(load_settings, now.conf_dir, doubts)
    except ConfigRejected as rejected:
        return ConfigurationLook(tuple(map(str, rejected.mistakes)), (), ())
    changes = difference(now.settings, settings.with_passwords(now.identity.passwords))
    return ConfigurationLook((), tuple(map(str, doubts)), tuple(map(str, changes)))
