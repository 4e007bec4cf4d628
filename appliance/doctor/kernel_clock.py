"""Whether somebody keeps the kernel's clock right."""

from __future__ import annotations

import ctypes
from typing import Final

_STA_UNSYNC: Final = 0x0040
_TIME_ERROR: Final = 5


class _Timex(ctypes.Structure):
    """struct timex of adjtimex(2), as far as we read it; the rest is room."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("before", ctypes.c_long * 4),
        ("status", ctypes.c_int),
        ("room", ctypes.c_byte * 256),
    )


def synchronised() -> bool | None:
    """Whether the kernel's clock is kept right by somebody (adjtimex(2)); None where it does not say."""
    try:
        timex = _Timex()
        state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(timex))
    except (OSError, AttributeError):
        return None
    if state < 0:
        return None
    return state != _TIME_ERROR and not timex.status & _STA_UNSYNC
