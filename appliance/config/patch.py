"""Values that say where a call goes: gateways, matches, targets, answers that call for another gateway.

How a call is decided by them is the router's; here they are only read.
"""

from __future__ import annotations

import re
from enum import StrEnum

import attrs

from .kinds import host, listed, whole
from .pattern import Pattern
from .setting import Kind
from .terms import TERMS_ACCEPTED, USUAL, Terms, read_terms


class MatchKind(StrEnum):
    EXACT = "exact"
    PREFIX = "prefix"
    RANGE = "range"
    REGEX = "regex"
    NUMBERS = "numbers"
    AOR = "aor"
    ANY = "any"


class TargetKind(StrEnum):
    TRUNK = "trunk"
    GROUP = "group"
    LINE = "line"
    AOR = "aor"
    TABLE = "table"
    NUMBERS = "numbers"
    DNS = "dns"
    ENUM = "enum"
    REDIRECT = "redirect"
    REJECT = "reject"
    NEXT = "next"
    """What the next route that fits leads to; only behind another target."""


#: Targets that another one may follow when they cannot be reached.
REACHED = frozenset({TargetKind.TRUNK, TargetKind.GROUP, TargetKind.AOR, TargetKind.DNS, TargetKind.ENUM})
#: Targets that are tables: what they do not decide is decided by the next route.
LEADING_ON = frozenset({TargetKind.TABLE, TargetKind.NUMBERS})


@attrs.frozen
class Gateway:
    """One next hop of a trunk: port and transport are None where DNS decides (RFC 3263).

    As text it is without its terms: by that name it is known over reloads.
    """

    host: str
    port: int | None = None
    transport: str | None = None
    terms: Terms = USUAL

    def __str__(self) -> str:
        name = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port is None else f":{self.port}"
        return name + port + ("" if self.transport is None else f";transport={self.transport}")


@attrs.frozen
class Match:
    """What a route looks for in a number or a user part; value is "" for aor and any.

    Of a range, `value` is LOW-HIGH, both of one length, with or without a + in front.
    """

    kind: MatchKind
    value: str = ""
    pattern: Pattern | None = attrs.field(default=None, repr=False)
    """The compiled expression of a regex."""

    @property
    def bounds(self) -> tuple[str, str]:
        """Both ends of a range."""
        low, _, high = self.value.partition("-")
        return low, high

    def __str__(self) -> str:
        return f"{self.kind}:{self.value}" if self.value else str(self.kind)


@attrs.frozen
class Target:
    """Where a route leads: the name of a trunk, group, line, table or user, a URI to redirect to, a refusal's status.

    `aor` without a name is the user whom the number names.
    """

    kind: TargetKind
    name: str = ""
    status: int = 0

    def __str__(self) -> str:
        return f"{self.kind}:{self.name or self.status}" if self.name or self.status else str(self.kind)


_GATEWAY = re.compile(
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s:;\[\]]+)(?::(?P<port>\d{1,5}))?(?:;transport=(?P<transport>\w+))?",
    re.IGNORECASE,
)
_GATEWAY_TRANSPORTS = ("udp", "tcp", "tls", "ws", "wss")


def gateway() -> Kind[Gateway]:
    """host[:port][;transport=...], and on what terms it takes part; an IPv6 address stands in brackets."""

    def read(value: str) -> Gateway:
        value, terms = read_terms(value)
        match = _GATEWAY.fullmatch(value)
        if not match:
            raise ValueError(f"{value!r} is not a gateway")
        port = None if match["port"] is None else int(match["port"])
        if port is not None and not 1 <= port <= 65535:
            raise ValueError(f"the port of {value!r} is out of range")
        transport = match["transport"] and match["transport"].lower()
        if transport is not None and transport not in _GATEWAY_TRANSPORTS:
            raise ValueError(f"{transport!r} in {value!r} is not a transport")
        return Gateway(host().read(match["host"]), port, transport, terms)

    return Kind(f"host[:port][;transport=udp|tcp|tls|ws|wss]{TERMS_ACCEPTED}, IPv6 in brackets", read)


_RANGE = re.compile(r"(\+?)(\d{1,30})-(\+?)(\d{1,30})")


def read_range(value: str) -> str:
    """LOW-HIGH checked. Raises ValueError."""
    found = _RANGE.fullmatch(value)
    if not found or found[1] != found[3]:
        raise ValueError(f"{value!r} is not a range of numbers")
    if len(found[2]) != len(found[4]):
        raise ValueError(f"the ends of {value!r} have different lengths")
    if found[2] > found[4]:
        raise ValueError(f"{value!r} runs backwards")
    return value


def match() -> Kind[Match]:
    """exact:NUMBER, prefix:DIGITS, range:LOW-HIGH, regex:EXPRESSION, numbers:NAME, aor or any."""

    def read(value: str) -> Match:
        word, colon, rest = value.partition(":")
        if word not in set(MatchKind):
            raise ValueError(f"{value!r} is not a match")
        kind = MatchKind(word)
        if (kind not in (MatchKind.AOR, MatchKind.ANY)) != bool(rest) or (colon and not rest):
            raise ValueError(f"{value!r} is not a match")
        if kind is MatchKind.REGEX:
            return Match(kind, rest, Pattern(rest))
        if re.search(r"[\s@<>\"]", rest):
            raise ValueError(f"{rest!r} cannot be the user part of a URI")
        return Match(kind, read_range(rest) if kind is MatchKind.RANGE else rest)

    accepts = (
        "exact:NUMBER, prefix:DIGITS, range:2000-2999 (numbers of that length), numbers:NAME (a number of a [numbers "
        "NAME]), regex:EXPRESSION (RE2, of the whole number), aor (a user of ours) or any"
    )
    return Kind(accepts, read)


def matches(*, least: int = 0) -> Kind[tuple[Match, ...]]:
    """Several matches with commas between them. A regular expression may hold commas, so it stands last."""
    one, several = match(), listed(match(), least=least)

    def read(value: str) -> tuple[Match, ...]:
        found = re.search(r"(?:^|,)\s*(regex:.*)", value, re.DOTALL)
        if found is None:
            return several.read(value)
        before = value[: found.start()]
        return (*(several.read(before) if before.strip() else ()), one.read(found[1]))

    return Kind(f"{one.accepts}; several with commas between them, a regular expression last", read)


_NAMED = frozenset(
    {
        TargetKind.TRUNK,
        TargetKind.GROUP,
        TargetKind.LINE,
        TargetKind.TABLE,
        TargetKind.NUMBERS,
        TargetKind.AOR,
        TargetKind.ENUM,
    }
)
_REDIRECTION = re.compile(r"(?:sips?|tel):[^\s<>\",]+")


def target() -> Kind[Target]:
    """A trunk, group, line, table, number table, ENUM look-up or user by name, dns, redirect:URI or reject:STATUS."""

    def read(value: str) -> Target:
        word, _, rest = value.partition(":")
        if word in _NAMED and rest and not re.search(r"\s", rest):
            return Target(TargetKind(word), name=rest)
        if value in (TargetKind.AOR, TargetKind.DNS):
            return Target(TargetKind(value))
        if word == TargetKind.REDIRECT and _REDIRECTION.fullmatch(rest):
            if "{" in rest.replace("{number}", ""):
                raise ValueError(f"{rest!r} has braces around something else than number")
            return Target(TargetKind.REDIRECT, name=rest)
        if word == TargetKind.REJECT:
            return Target(TargetKind.REJECT, status=whole(400, 699).read(rest))
        raise ValueError(f"{value!r} is not a target")

    accepts = (
        "trunk:NAME, group:NAME, line:NAME, aor (the user whom the number names), aor:USER, table:NAME, numbers:NAME, "
        "enum:NAME, dns (where the request URI's own host leads), redirect:URI ({number} in it is the number) or "
        "reject:STATUS (400 to 699)"
    )
    return Kind(accepts, read)


def statuses() -> Kind[frozenset[int]]:
    """Final answers, singly (503), as a class (5xx) or a range (500-504)."""

    def read(value: str) -> frozenset[int]:
        found: set[int] = set()
        for item in filter(None, (part.strip().lower() for part in value.split(","))):
            if re.fullmatch(r"[3-6]xx", item):
                first, last = int(item[0]) * 100, int(item[0]) * 100 + 99
            elif re.fullmatch(r"[3-6]\d\d(-[3-6]\d\d)?", item):
                first, last = int(item[:3]), int(item[-3:])
            else:
                raise ValueError(f"{item!r} is not a final answer that could fail")
            if first > last:
                raise ValueError(f"{item!r} runs backwards")
            found.update(range(first, last + 1))
        return frozenset(found)

    return Kind("answers from 300 to 699, as in 408, 500-504, 6xx", read)
