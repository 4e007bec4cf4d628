"""Object identifiers and the values of SNMP (SMIv2, RFC 2578 §7), with their bounds.

Whole numbers only. What is too large for its type wraps where it counts (§7.1.6) and stops at the end where it
measures (§7.1.7); a gauge is never below zero.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import attrs

Oid = tuple[int, ...]

LONGEST_OID: Final = 128
LONGEST_TEXT: Final = 255
_MOST_32: Final = 2**32 - 1
_MOST_64: Final = 2**64 - 1


class Syntax(IntEnum):
    """The types of a variable's value, by their numbers in AgentX (RFC 2741 §5.4)."""

    INTEGER = 2
    OCTETS = 4
    NULL = 5
    OBJECT_ID = 6
    IP_ADDRESS = 64
    COUNTER32 = 65
    GAUGE32 = 66
    TIME_TICKS = 67
    OPAQUE = 68
    COUNTER64 = 70
    NO_SUCH_OBJECT = 128
    NO_SUCH_INSTANCE = 129
    END_OF_MIB_VIEW = 130


Content = int | bytes | Oid | None


@attrs.frozen
class Variable:
    """A name, the type of its value, and the value: int, bytes, an OID, or None where the type has none."""

    name: Oid
    syntax: Syntax
    content: Content = None


def oid(dotted: str) -> Oid:
    """1.3.6.1 as numbers."""
    return tuple(int(part) for part in dotted.split("."))


def bounded(syntax: Syntax, value: float | str | bytes | Oid) -> Content:
    """A value of ours as its type can hold it: counters wrap, gauges and times stop, texts are cut at a character."""
    if isinstance(value, str):
        data = value.encode()[:LONGEST_TEXT]
        return data.decode(errors="ignore").encode()
    if isinstance(value, bytes):
        return value[:LONGEST_TEXT]
    if isinstance(value, tuple):
        return value
    number = int(value)
    if syntax is Syntax.COUNTER32:
        return number & _MOST_32
    if syntax is Syntax.COUNTER64:
        return number & _MOST_64
    if syntax is Syntax.TIME_TICKS:
        return max(0, number) & _MOST_32
    if syntax is Syntax.GAUGE32:
        return min(max(0, number), _MOST_32)
    return min(max(-(2**31), number), 2**31 - 1)
