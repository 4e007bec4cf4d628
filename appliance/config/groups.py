"""How one of several is chosen: the gateways of a trunk, the trunks of a [group NAME].

Priority tiers come first, then the algorithm within a tier. The choosing itself is the router's.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

import attrs

from .kinds import listed, one_of, optional, seconds, text, whole
from .patch import statuses
from .setting import REQUIRED, Kind, setting
from .terms import TERMS_ACCEPTED, USUAL, Terms, read_terms

NAME: Final = r"[A-Za-z0-9+*#._~!$&'()-]{1,64}"
"""What the name of a section may be."""


class Algorithm(StrEnum):
    PRIORITY = "priority"
    ROUND_ROBIN = "round-robin"
    WEIGHTED = "weighted"
    HASH = "hash"
    LEAST_CALLS = "least-calls"
    MOST_FREE = "most-free"
    LATENCY = "latency"
    PERCENTAGE = "percentage"


class WhenDown(StrEnum):
    LAST = "last"
    SKIP = "skip"


class Redirects(StrEnum):
    BACK = "pass"
    FOLLOW = "follow"


@attrs.frozen
class Member:
    """A trunk as part of a group."""

    trunk: str
    terms: Terms = USUAL

    def __str__(self) -> str:
        return self.trunk


def member() -> Kind[Member]:
    """The name of a trunk, and on what terms it takes part."""

    def read(value: str) -> Member:
        name, terms = read_terms(value)
        if not re.fullmatch(NAME, name):
            raise ValueError(f"{name!r} is not the name of a trunk with terms behind it")
        return Member(name, terms)

    return Kind(f"TRUNK{TERMS_ACCEPTED}", read)


@attrs.frozen(kw_only=True)
class ChoiceSettings:
    """What trunks and groups have in common."""

    algorithm: Algorithm = setting(
        one_of(Algorithm),
        "priority",
        "Who of equal priority comes first. priority: in the order written; round-robin: in turn; weighted: in turn by "
        "`weight`; hash: the same for the same call, as `hash-on` says; least-calls: who carries the fewest calls for "
        "its `weight`; most-free: who has most of its `capacity` left; latency: who answers quickest, calls and pings "
        "alike; percentage: each its `share`, and who has none part of the rest.",
    )
    hash_on: str = setting(
        text(
            "call-id, from, to, source or header:NAME",
            pattern=r"call-id|from|to|source|header:[A-Za-z0-9-]{1,60}",
        ),
        "call-id",
        "What algorithm hash looks at. Where one is out of service only its own share moves to the others.",
    )
    tries: int = setting(whole(0, 100), "0", "How many are tried for one call; 0: all.")
    total_time_s: float | None = setting(
        optional(seconds(1, 600), "none", "as long as it takes"),
        "none",
        "After this long nobody further is tried, and who has not answered at all is given up.",
    )
    when_down: WhenDown = setting(
        one_of(WhenDown),
        "last",
        "What becomes of who is out of service. last: tried after all others; skip: not at all, and where nobody is "
        "left the call is refused with 503. Who is drained or blocked is never tried.",
    )


@attrs.frozen(kw_only=True)
class GroupSettings(ChoiceSettings):
    """Several trunks that a route may lead to as one: target = group:NAME.

    Within each trunk its own algorithm orders its gateways; a call goes from gateway to gateway until one takes it.
    """

    name: str
    members: tuple[Member, ...] = setting(
        listed(member(), least=1),
        REQUIRED,
        "The trunks. Those of the lowest priority number come first, the next ones when all of these have failed.",
    )
    failover: frozenset[int] | None = setting(
        optional(statuses(), "auto", "as each trunk says"), "auto", "Answers after which the next is tried."
    )
