"""What would give away the network to a trunk that is to see none of it."""

from __future__ import annotations

from collections.abc import Iterator

from .mistakes import Mistake
from .patch import Target, TargetKind
from .places import Places
from .sections import Anchor
from .settings import Settings


def hiding_contradictions(settings: Settings, places: Places) -> Iterator[Mistake]:
    """Every one, in no order."""
    for trunk in settings.trunks.values():
        if trunk.hide_topology and trunk.anchor is Anchor.NEVER and places.sound("trunk", trunk.name):
            yield Mistake(
                places.of("trunk", trunk.name, "anchor"),
                f"[trunk {trunk.name}]",
                "anchor",
                "never shows the trunk the media addresses of the inside, which hide-topology hides",
                "Make it auto, or take hide-topology away",
            )
    yield from _stateless(settings, places)


def _stateless(settings: Settings, places: Places) -> Iterator[Mistake]:
    """Answers cannot be masked where nobody remembers what was asked."""
    hiding = {trunk.name for trunk in settings.trunks.values() if trunk.hide_topology}
    if not hiding:
        return
    ways = [("listener", one.name) for one in settings.listeners.values() if one.stateless]
    for route in settings.routes.values():
        if route.stateless and not hiding.isdisjoint(_trunks_of(settings, route.target)):
            ways.append(("route", route.name))
    for heading, name in ways:
        if places.sound(heading, name):
            yield Mistake(
                places.of(heading, name, "stateless"),
                f"[{heading} {name}]",
                "stateless",
                f"hides nothing, as [trunk {min(hiding)}] wants it",
                "Make it stateful, or take hide-topology away",
            )


def _trunks_of(settings: Settings, target: Target) -> set[str]:
    if target.kind is TargetKind.GROUP:
        group = settings.groups.get(target.name)
        return set() if group is None else {member.trunk for member in group.members}
    return {target.name} if target.kind is TargetKind.TRUNK else set()
