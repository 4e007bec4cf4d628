"""The lock that keeps a second appliance off a state directory."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

LOCK: Final = "lock"


class AlreadyRuns(Exception):  # noqa: N818 (it says what happened)
    """Another appliance holds this state directory; pid as it wrote it."""

    def __init__(self, pid: str) -> None:
        super().__init__(
            f"another jackfield runs on this state directory (process {pid or 'unknown'}). "
            "End it, or name a directory of its own for this one by --state-dir."
        )


@contextmanager
def hold_state_dir(state_dir: Path) -> Iterator[None]:
    """Be the only appliance on a state directory until the block is left, or raise AlreadyRuns."""
    handle = os.open(state_dir / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRuns(os.read(handle, 20).decode("ascii", "replace").strip()) from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, b"%d\n" % os.getpid(), 0)
        yield
    finally:
        os.close(handle)
