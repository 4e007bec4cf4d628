"""Routes that nothing can reach, and routes that are in each other's way.

A route is in the shadow of an earlier one of its table that takes at least the same numbers, callers and conditions and
always decides. Where two only cross, both are told about, since the order of names decides what lies in both.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Network

import attrs

from .kinds import Network
from .mistakes import Mistake
from .patch import LEADING_ON, Match, MatchKind, TargetKind
from .places import Places
from .routes import MAIN, RouteSettings
from .settings import Settings


def find_shadows(settings: Settings, places: Places) -> Iterator[Mistake]:
    """Every match of a route that never gets there."""
    for route, match, before, by in _pairs(settings, places):
        place = places.of("route", route.name, "match")
        because = "" if by == match else f" by {by}"
        mistake = f"{match} never gets here, [route {before.name}] takes it before{because}"
        yield Mistake(place, f"[route {route.name}]", "match", mistake, "Take one of them away, or tell callers apart")


def find_crossings(settings: Settings, places: Places) -> Iterator[Mistake]:
    """Ranges that cross without one lying in the other, where the order of the names decides."""
    for table in {route.table for route in settings.routes.values()}:
        ranges = [
            (*match.bounds, route)
            for route in settings.routes.values()
            for match in route.match
            if match.kind is MatchKind.RANGE and route.table == table
        ]
        ranges.sort(key=lambda one: (len(one[0]), one[0], one[1]))
        for position, (low, high, route) in enumerate(ranges):
            for other_low, other_high, other in ranges[position + 1 :]:
                if len(other_low) != len(low) or other_low > high:
                    break
                if other is not route and low < other_low and other_high > high:
                    first, later = sorted((route, other), key=lambda one: one.name)
                    place = places.of("route", later.name, "match")
                    mistake = f"{other_low}-{high} stands in [route {first.name}] too, which comes first"
                    yield Mistake(place, f"[route {later.name}]", "match", mistake, "Cut one of the ranges shorter")


@attrs.define
class _Seen:
    """The earlier routes of a table that always decide, by what they could take away from a later one."""

    same: dict[str, list[RouteSettings]] = attrs.field(factory=dict)
    wide: list[RouteSettings] = attrs.field(factory=list)
    """With ranges or expressions."""

    def add(self, route: RouteSettings) -> None:
        for match in route.match:
            self.same.setdefault(str(match), []).append(route)
        if any(match.kind in (MatchKind.RANGE, MatchKind.REGEX) for match in route.match):
            self.wide.append(route)

    def before(self, match: Match) -> Iterator[RouteSettings]:
        yield from self.same.get("any", ())
        if match.kind is not MatchKind.ANY:
            yield from self.same.get(str(match), ())
        if match.kind in (MatchKind.EXACT, MatchKind.PREFIX, MatchKind.RANGE):
            low = match.bounds[0] if match.kind is MatchKind.RANGE else match.value
            for length in range(1, len(low) + (match.kind is not MatchKind.PREFIX)):
                yield from self.same.get(f"prefix:{low[:length]}", ())
            if match.kind is not MatchKind.PREFIX:
                yield from self.wide


def _pairs(settings: Settings, places: Places) -> Iterator[tuple[RouteSettings, Match, RouteSettings, Match]]:
    """Each match that is in a shadow, with the earlier route and the match of it that takes it all."""
    tables: dict[str, _Seen] = {}
    for route in settings.routes.values():
        if not places.sound("route", route.name):
            continue
        seen = tables.setdefault(route.table, _Seen())
        for match in route.match:
            for before in seen.before(match):
                by = next((one for one in before.match if _covers_match(one, match)), None)
                if by is not None and _covers(before, route):
                    yield route, match, before, by
                    break
        if _decides(route):
            seen.add(route)


def _decides(route: RouteSettings) -> bool:
    """Whether what it takes goes nowhere else afterwards."""
    targets = (route.target, *(share.target for share in route.split))
    return all(one.kind is not TargetKind.NEXT for one in route.then) and not any(
        target.kind in LEADING_ON for target in targets
    )


def _covers_match(first: Match, later: Match) -> bool:
    """Whether every number of the later match is one of the first's."""
    if first.kind is MatchKind.ANY or first == later:
        return True
    value = later.value
    match first.kind, later.kind:
        case MatchKind.PREFIX, MatchKind.EXACT | MatchKind.PREFIX:
            return value.startswith(first.value)
        case MatchKind.PREFIX, MatchKind.RANGE:
            return all(end.startswith(first.value) for end in later.bounds)
        case MatchKind.RANGE, MatchKind.EXACT:
            low, high = first.bounds
            digits = value.removeprefix("+")
            return len(value) == len(low) and digits.isascii() and digits.isdigit() and low <= value <= high
        case MatchKind.RANGE, MatchKind.RANGE:
            low, high = first.bounds
            other_low, other_high = later.bounds
            return len(low) == len(other_low) and low <= other_low and other_high <= high
        case MatchKind.REGEX, MatchKind.EXACT:
            return first.pattern is not None and first.pattern.matches(value)
        case _:
            return False


def _covers(first: RouteSettings, later: RouteSettings) -> bool:
    """Whether the first takes every caller and every request that the later one would."""
    inherited = ("users",) if first.table == MAIN else ("anyone",)
    if not _callers_cover(first.callers or inherited, later.callers or inherited):
        return False
    ours = ("ours",) if first.table == MAIN else ("*",)
    return (
        _hosts_cover(first.host or ours, later.host or ours)
        and (not first.caller_host or _hosts_cover(first.caller_host, later.caller_host))
        and _holds_all(first.listener, later.listener)
        and _holds_all(first.transport, later.transport)
        and _holds_all(first.method, later.method)
        and _holds_all(first.schedule, later.schedule)
        and _holds_all(first.location, later.location)
        and all(test in later.header for test in first.header)
        and _networks_cover(first.source, later.source)
        and (
            not first.caller_number
            or (
                bool(later.caller_number)
                and all(any(_covers_match(one, other) for one in first.caller_number) for other in later.caller_number)
            )
        )
    )


def _callers_cover(first: Sequence[str], later: Sequence[str]) -> bool:
    def admitted(caller: str) -> bool:
        heading, colon, _ = caller.partition(":")
        return caller in first or (bool(colon) and f"{heading}s" in first)

    return "anyone" in first or all(map(admitted, later))


def _holds_all(first: Sequence[object], later: Sequence[object]) -> bool:
    """Several values are alternatives; none is all there are."""
    return not first or (bool(later) and set(later) <= set(first))


def _hosts_cover(first: Sequence[str], later: Sequence[str]) -> bool:
    def named(host: str) -> bool:
        return host in first or any(one[:2] == "*." and host.endswith(one[1:]) for one in first)

    return "*" in first or (bool(later) and all(map(named, later)))


def _networks_cover(first: Sequence[Network], later: Sequence[Network]) -> bool:
    def inside(network: Network, wide: Network) -> bool:
        if isinstance(network, IPv4Network):
            return isinstance(wide, IPv4Network) and network.subnet_of(wide)
        return not isinstance(wide, IPv4Network) and network.subnet_of(wide)

    return not first or (bool(later) and all(any(inside(one, wide) for wide in first) for one in later))
