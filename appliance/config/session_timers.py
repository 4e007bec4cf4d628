"""The section [session-timers]: how long a call may go without a sign that both ends still know it (RFC 4028)."""

from __future__ import annotations

import attrs

from .kinds import flag, optional, seconds
from .setting import setting


@attrs.frozen(kw_only=True)
class SessionTimerSettings:
    """Session timers in the part of a proxy (RFC 4028 §8). What the ends agree on is kept to; the rest is up to you.

    A call whose session neither end refreshes in time is hung up on both sides, and what it held of limits is free.
    """

    watch: bool = setting(flag(), "yes", "End calls whose session ran out without a refresh.")
    least_s: float = setting(
        seconds(90, 86400),
        "90 s",
        "A shorter Session-Expires is refused with 422 and this as Min-SE; where the caller knows no timers it is "
        "made this long.",
    )
    interval_s: float | None = setting(
        optional(seconds(90, 604800), "none", "as the ends want it"),
        "none",
        "Session-Expires for calls that come without it, and the longest that others may have.",
    )
