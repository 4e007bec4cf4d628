"""Every fuzz target by name, ROOM-TARGET; a room is a module `ROOM_targets`, read only when it is asked for.

To instrument the whole core takes a while, and whoever tries a single reader need not wait for it.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

ROOMS = ("sip", "rtc", "shedder", "core")

Target = Callable[[bytes], None]


def of_room(room: str) -> dict[str, Target]:
    """Its targets by their own names."""
    targets: dict[str, Target] = import_module(f"tests.fuzz.{room}_targets").TARGETS
    return targets


def target(name: str) -> Target:
    """Raises `KeyError` where there is no such target."""
    room, _, own_name = name.partition("-")
    return of_room(room)[own_name]


def names() -> list[str]:
    return [f"{room}-{name}" for room in ROOMS for name in of_room(room)]
