"""Where numbers are looked up that have become URIs: ENUM in DNS (RFC 6116)."""

from __future__ import annotations

import attrs

from .kinds import host, listed
from .setting import setting


@attrs.frozen(kw_only=True)
class EnumSettings:
    """An ENUM look-up, for `target = enum:NAME`: a number in E.164 with its + becomes SIP URIs.

    URIs of ours go through the route tables again, others where their host leads by DNS. A number that no suffix knows
    goes to what stands in the route's `then`, or is answered 404.
    """

    name: str
    suffixes: tuple[str, ...] = setting(
        listed(host(), least=1),
        "e164.arpa",
        "Domains under which the number is asked for, all at once; the first of them that knows it decides.",
    )
