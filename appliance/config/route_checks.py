"""Contradictions of the route tables: names that lead nowhere, circles, rows that nothing can reach.

Each is told with the line at fault and what to do about it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import attrs

from .mistakes import Mistake, Place, nearest
from .patch import MatchKind, Target, TargetKind
from .places import Places
from .routes import MAIN
from .settings import Settings
from .shadows import find_shadows

_NAMED = (TargetKind.TRUNK, TargetKind.GROUP, TargetKind.LINE, TargetKind.TABLE, TargetKind.NUMBERS)


def find_route_mistakes(settings: Settings, places: Places) -> list[Mistake]:
    """Every contradiction, in no order."""
    return [
        *_names(settings, places),
        *find_shadows(settings, places),
        *_targets(settings, places),
    ]


@attrs.frozen
class Use:
    """A target somewhere in the configuration; `node` is the table or number table that it leads on from."""

    target: Target
    place: Place
    title: str
    key: str
    node: tuple[str, str]


def uses(settings: Settings, places: Places) -> Iterator[Use]:
    """Every target of routes, tables and number tables."""
    for route in settings.routes.values():
        title = f"[route {route.name}]"
        node = ("table", route.table)
        for key, targets in (
            ("target", (route.target,)),
            ("split", tuple(share.target for share in route.split)),
            ("then", route.then),
        ):
            for target in targets:
                yield Use(target, places.of("route", route.name, key), title, key, node)
    for table in settings.tables.values():
        if table.otherwise is not None:
            place = places.of("table", table.name, "otherwise")
            yield Use(table.otherwise, place, f"[table {table.name}]", "otherwise", ("table", table.name))
    for numbers in settings.number_lists.values():
        for lead, line in numbers.targets().items():
            if lead.target is not None:
                place = Place(numbers.file, line)
                yield Use(lead.target, place, f"[numbers {numbers.name}]", "", ("numbers", numbers.name))


def _targets(settings: Settings, places: Places) -> Iterator[Mistake]:
    for use in uses(settings, places):
        target = use.target
        if target.kind is TargetKind.AOR and target.name and target.name not in places.written("user"):
            yield _unknown(use.place, use.title, use.key, "user", target.name, places)
        if target.kind not in _NAMED:
            continue
        if target.name not in _written(str(target.kind), places):
            yield _unknown(use.place, use.title, use.key, str(target.kind), target.name, places)
        trunk = settings.trunks.get(target.name) if target.kind is TargetKind.TRUNK else None
        if trunk is not None and not trunk.gateways and places.sound("trunk", trunk.name):
            mistake = f"[trunk {trunk.name}] has no gateways"
            yield Mistake(use.place, use.title, use.key, mistake, "Give the trunk gateways, or another target")


def _written(heading: str, places: Places) -> set[str]:
    return places.written(heading) | ({MAIN} if heading == "table" else set())


def _unknown(place: Place, title: str, key: str, heading: str, name: str, places: Places) -> Mistake:
    mistake = f"there is no [{heading} {name}]"
    return Mistake(place, title, key, mistake, nearest(name, heading, _written(heading, places)))


def _names(settings: Settings, places: Places) -> Iterator[Mistake]:
    """Names of sections that routes ask for."""
    for route in settings.routes.values():
        asked: list[tuple[str, str, str]] = [("table", "table", route.table)]
        asked += [("listener", "listener", name) for name in route.listener]
        for key, words in (("schedule", route.schedule), ("location", route.location)):
            asked += [(key, key, re.sub(r"^not\s+", "", word)) for word in words]
        for key, wanted in (("match", route.match), ("caller-number", route.caller_number)):
            asked += [(key, "numbers", one.value) for one in wanted if one.kind is MatchKind.NUMBERS]
        for caller in route.callers or ():
            heading, colon, name = caller.partition(":")
            if colon:
                asked.append(("callers", heading, name))
        for key, heading, name in asked:
            if name not in _written(heading, places):
                place = places.of("route", route.name, key)
                yield _unknown(place, f"[route {route.name}]", key, heading, name, places)
