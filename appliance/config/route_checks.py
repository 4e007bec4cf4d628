"""Contradictions of the route tables: names that lead nowhere, circles, rows that nothing can reach.

Each is told with the line at fault and what to do about it.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator

import attrs

from .mistakes import Mistake, Place, nearest
from .patch import LEADING_ON, MatchKind, Target, TargetKind
from .places import Places
from .routes import DEEPEST, MAIN
from .settings import Settings
from .shadows import find_crossings, find_shadows

_NAMED = (
    TargetKind.TRUNK,
    TargetKind.GROUP,
    TargetKind.LINE,
    TargetKind.TABLE,
    TargetKind.NUMBERS,
    TargetKind.ENUM,
)


def find_route_mistakes(settings: Settings, places: Places) -> list[Mistake]:
    """Every contradiction, in no order."""
    return [
        *_names(settings, places),
        *find_shadows(settings, places),
        *_targets(settings, places),
        *_circles(settings, places),
        *_empty(settings, places),
        *_never(settings, places),
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
            if heading == "tenant":
                users = (one.tenant for one in settings.users.values())
                if name not in {*users, *(one.tenant for one in settings.trunks.values())}:
                    place = places.of("route", route.name, "callers")
                    mistake = f"nobody belongs to tenant {name}"
                    remedy = f"Give a user or trunk tenant = {name}"
                    yield Mistake(place, f"[route {route.name}]", "callers", mistake, remedy)
            elif colon:
                asked.append(("callers", heading, name))
        for key, heading, name in asked:
            if name not in _written(heading, places):
                place = places.of("route", route.name, key)
                yield _unknown(place, f"[route {route.name}]", key, heading, name, places)


def _circles(settings: Settings, places: Places) -> Iterator[Mistake]:
    """Tables that lead to themselves, over however many others; told once each circle."""
    leads: dict[tuple[str, str], list[Use]] = {}
    for use in uses(settings, places):
        if use.target.kind in LEADING_ON:
            leads.setdefault(use.node, []).append(use)
    done: set[tuple[str, str]] = set()

    def walk(node: tuple[str, str], way: list[tuple[str, str]]) -> Iterator[Mistake]:
        for use in leads.get(node, ()):
            to = (str(use.target.kind), use.target.name)
            if to in way:
                circle = " → ".join(f"{kind} {name}" for kind, name in (*way[way.index(to) :], to))
                yield Mistake(use.place, use.title, use.key, f"leads in a circle: {circle}", "Lead it somewhere else")
            elif len(way) > DEEPEST:
                mistake = f"is led to over more than {DEEPEST} tables, one behind the other"
                yield Mistake(use.place, use.title, use.key, mistake, "Lead it there in fewer steps")
            elif to not in done:
                yield from walk(to, [*way, to])
        done.add(node)

    for node in sorted(leads):
        if node not in done:
            yield from walk(node, [node])


def _empty(settings: Settings, places: Places) -> Iterator[Mistake]:
    """Targets behind which nothing can be decided."""
    filled = {route.table for route in settings.routes.values()}
    filled |= {name for name, table in settings.tables.items() if table.otherwise is not None}
    without: dict[str, int] = {}
    for numbers in settings.number_lists.values():
        for lead, line in numbers.targets().items():
            if lead.target is None:
                without.setdefault(numbers.name, line)
    for use in uses(settings, places):
        kind, name = use.target.kind, use.target.name
        if kind is TargetKind.TABLE and name not in filled and name in _written("table", places):
            remedy = f"Give it one: a [route NAME] with table = {name}"
            yield Mistake(use.place, use.title, use.key, f"no route stands in table {name}", remedy)
        if kind is TargetKind.NUMBERS and name in settings.number_lists:
            numbers = settings.number_lists[name]
            if name in without:
                mistake = f"{numbers.file}:{without[name]} names a number without a target"
                remedy = "Give each number a target, or ask for the table by match = numbers:NAME"
                yield Mistake(use.place, use.title, use.key, mistake, remedy)
            elif not len(numbers) and places.sound("numbers", name):
                mistake = f"{numbers.file} holds no number"
                yield Mistake(use.place, use.title, use.key, mistake, "Write one number a line, and its target behind")


def _never(settings: Settings, places: Places) -> Iterator[Mistake]:
    """Conditions that nothing fulfils, and shares of more than there is."""
    for schedule in settings.schedules.values():
        if places.sound("schedule", schedule.name) and not schedule.opens_in(schedule.years):
            place = places.of("schedule", schedule.name, "dates" if schedule.dates else "times")
            mistake = "is never open: none of its days is one of its dates and no holiday"
            yield Mistake(place, f"[schedule {schedule.name}]", "", mistake, "Look at times, dates and holidays")
    for location in settings.locations.values():
        if places.sound("location", location.name) and not location.networks and not location.prefixes:
            place = places.of("location", location.name)
            yield Mistake(place, f"[location {location.name}]", "", "holds nobody", "Give it networks or prefixes")
    for route in settings.routes.values():
        if not places.sound("route", route.name):
            continue
        title = f"[route {route.name}]"
        total = sum(share.percent for share in route.split)
        if total > 100:
            place = places.of("route", route.name, "split")
            yield Mistake(place, title, "split", f"the shares add up to {total}%", "Make them 100% at most")
        targets = {route.target.kind, *(one.target.kind for one in route.split), *(one.kind for one in route.then)}
        if TargetKind.DNS in targets and route.table == MAIN and not set(route.host) - {"ours"}:
            place = places.of("route", route.name, "target")
            mistake = "dns leads requests for hosts that are not ours, and this route takes none"
            yield Mistake(place, title, "target", mistake, "Name the hosts by host = example.net, *.example.net")


def find_route_doubts(settings: Settings, places: Places, today: datetime.date) -> list[Mistake]:
    """What works, but hardly as it was meant: told by `jackfield check`, and no hindrance."""
    return [*find_crossings(settings, places), *_unused(settings, places), *_past(settings, places, today)]


def _unused(settings: Settings, places: Places) -> Iterator[Mistake]:
    led = {(str(use.target.kind), use.target.name) for use in uses(settings, places)}
    asked: set[tuple[str, str]] = set()
    for route in settings.routes.values():
        asked |= {("numbers", one.value) for one in (*route.match, *route.caller_number)}
        asked |= {("schedule", re.sub(r"^not\s+", "", word)) for word in route.schedule}
        asked |= {("location", re.sub(r"^not\s+", "", word)) for word in route.location}
    named = (
        ("table", settings.tables, "no route leads there", "Lead a route there by target = table:{}"),
        ("numbers", settings.numbers, "no route asks for it", "Lead a route there by target = numbers:{}"),
        ("enum", settings.enums, "no route leads there", "Lead a route there by target = enum:{}"),
        ("schedule", settings.schedules, "no route asks for it", "Name it in a route by schedule = {}"),
        ("location", settings.locations, "no route asks for it", "Name it in a route by location = {}"),
    )
    for heading, sections, mistake, remedy in named:
        for name in sections:
            if (heading, name) not in led | asked and (heading, name) != ("table", MAIN):
                place = places.of(heading, name)
                yield Mistake(place, f"[{heading} {name}]", "", mistake, remedy.format(name) + ", or take it away")


def _past(settings: Settings, places: Places, today: datetime.date) -> Iterator[Mistake]:
    now = (today.year, today.month, today.day)
    for schedule in settings.schedules.values():
        if schedule.dates and all(dates.last[0] and dates.last < now for dates in schedule.dates):
            place = places.of("schedule", schedule.name, "dates")
            mistake = "all its dates have passed"
            yield Mistake(place, f"[schedule {schedule.name}]", "dates", mistake, "Give it new ones, or take it away")
