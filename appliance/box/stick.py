"""A USB stick or a CD labelled JACKFIELD, mounted read-only for as long as somebody looks at it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import trio

from .machine import Machine, Refused

LABEL: Final = "JACKFIELD"
_OPTIONS: Final = "ro,nosuid,nodev,noexec"


@asynccontextmanager
async def open_stick(machine: Machine, label: str = LABEL) -> AsyncIterator[Path]:
    """Its folder. Raises `Refused` where there is none; as root."""
    device = machine.root / "dev/disk/by-label" / label
    if not device.exists():
        raise Refused(f"there is no stick labelled {label}")
    folder = machine.root / "run/jackfield-stick"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    await machine.do("mount", "-o", _OPTIONS, str(device), str(folder))
    try:
        yield folder
    finally:
        with trio.CancelScope(shield=True):
            await machine.run(("umount", str(folder)), b"")
