"""A `Tried`: one destination that a call was offered to in vain, as its record tells it."""

from __future__ import annotations

import attrs


@attrs.define(eq=False)
class Tried:
    """One destination that a call was offered to in vain. Times are monotonic seconds."""

    to: str
    trunk: str
    gateway: str
    status: int
    sentence: str
    opened: float
    heard: float | None
    """Its first answer but 100."""
    ended: float
