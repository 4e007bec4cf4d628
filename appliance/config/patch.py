"""Values that say where a call goes: gateways, matches, targets, answers that call for another gateway.

How a call is decided by them is the router's; here they are only read.
"""

from __future__ import annotations

import re
from enum import StrEnum

import attrs

from .kinds import host, whole
from .setting import Kind
from .terms import TERMS_ACCEPTED, USUAL, Terms, read_terms


class MatchKind(StrEnum):
    EXACT = "exact"
    PREFIX = "prefix"
    AOR = "aor"
    ANY = "any"


class TargetKind(StrEnum):
    TRUNK = "trunk"
    GROUP = "group"
    LINE = "line"
    AOR = "aor"
    REJECT = "reject"


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
    """What a route looks for in the user part of the request URI; value is "" for aor and any."""

    kind: MatchKind
    value: str = ""

    def __str__(self) -> str:
        return f"{self.kind}:{self.value}" if self.value else str(self.kind)


@attrs.frozen
class Target:
    """Where a route leads: a trunk's, a group's or a line's name, the location service, or a refusal's status."""

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


def match() -> Kind[Match]:
    """exact:NUMBER, prefix:DIGITS, aor or any."""

    def read(value: str) -> Match:
        word, colon, rest = value.partition(":")
        if word not in set(MatchKind):
            raise ValueError(f"{value!r} is not a match")
        kind = MatchKind(word)
        if (kind in (MatchKind.EXACT, MatchKind.PREFIX)) != bool(rest) or (colon and not rest):
            raise ValueError(f"{value!r} is not a match")
        if re.search(r"[\s@<>\"]", rest):
            raise ValueError(f"{rest!r} cannot be the user part of a URI")
        return Match(kind, rest)

    return Kind("exact:NUMBER, prefix:DIGITS, aor (a user of ours) or any", read)


def target() -> Kind[Target]:
    """trunk:NAME, group:NAME, line:NAME, aor or reject:STATUS."""

    def read(value: str) -> Target:
        word, _, rest = value.partition(":")
        if word in (TargetKind.TRUNK, TargetKind.GROUP, TargetKind.LINE) and rest:
            return Target(TargetKind(word), name=rest)
        if value == TargetKind.AOR:
            return Target(TargetKind.AOR)
        if word == TargetKind.REJECT:
            return Target(TargetKind.REJECT, status=whole(400, 699).read(rest))
        raise ValueError(f"{value!r} is not a target")

    return Kind("trunk:NAME, group:NAME, line:NAME, aor or reject:STATUS (400 to 699)", read)


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
