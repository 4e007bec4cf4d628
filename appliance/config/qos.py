"""The section [qos]: the DSCP of each class of traffic (RFC 2474), by number or by name."""

from __future__ import annotations

import difflib
import re
from typing import Final

import attrs

from .kinds import flag, optional
from .setting import Kind, setting

DSCP_NAMES: Final = {
    "NONE": 0,
    "DF": 0,
    "LE": 1,
    **{f"CS{n}": n << 3 for n in range(8)},
    **{f"AF{c}{d}": (c << 3) + (d << 1) for c in range(1, 5) for d in range(1, 4)},
    "VA": 44,
    "EF": 46,
}
"""CS: RFC 2474. AF: RFC 2597. EF: RFC 3246. VA: RFC 5865. LE: RFC 8622."""

_PRECEDENCE = re.compile(r"PRECEDENCE\s*([0-7])")


def dscp() -> Kind[int]:
    """A differentiated services code point, 0 to 63."""

    def read(value: str) -> int:
        word = value.upper()
        if word in DSCP_NAMES:
            return DSCP_NAMES[word]
        precedence = _PRECEDENCE.fullmatch(word)
        if precedence:
            return int(precedence[1]) << 3
        if re.fullmatch(r"\d{1,3}", word):
            if int(word) > 63:
                raise ValueError(f"{value!r} is out of range (a DSCP, not the whole octet: divide a TOS value by 4)")
            return int(word)
        near = difflib.get_close_matches(word, DSCP_NAMES, 1)
        raise ValueError(f"{value!r} is no DSCP" + (f", did you mean {near[0]}?" if near else ""))

    return Kind("a DSCP as EF, AF41, CS3, VA, LE, DF, 0 to 63, precedence 0 to precedence 7, or none", read)


def inherited_dscp(meaning: str) -> Kind[int | None]:
    """A DSCP, or auto for the one of a wider scope, which `meaning` names."""
    return optional(dscp(), "auto", meaning)


@attrs.frozen(kw_only=True)
class QosSettings:
    """Marking of what the box sends, by class of traffic, on IPv4 and IPv6; listeners and trunks may differ.

    Marks on received packets are neither trusted nor copied, unless `trust` says so. The web pages are not marked.
    """

    signalling: int = setting(
        dscp(),
        "CS3",
        "DSCP of SIP on every transport. CS3 is what IP phones and call managers use, and what networks that look at "
        "the precedence only treat like the older AF31; RFC 4594 has CS5, which such networks mix with the voice.",
    )
    trust: bool = setting(
        flag(),
        "no",
        "Media that comes in goes on with the marking that it came with, where it goes through us. Only for networks "
        "that mark as you would; a trunk may differ by qos-trust.",
    )
    audio: int = setting(dscp(), "EF", "DSCP of audio and its RTCP (RFC 4594, RFC 8837).")
    video: int = setting(
        dscp(),
        "AF41",
        "DSCP of video and its RTCP (RFC 4594, RFC 8837). Where a browser takes audio and video on one port (BUNDLE) "
        "each packet has its own mark; RTCP and the keys' exchange there go with the audio.",
    )
