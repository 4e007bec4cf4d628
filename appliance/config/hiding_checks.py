"""What would give away the network behind a trunk that is to see none of it."""

from __future__ import annotations

from collections.abc import Iterator

from .mistakes import Mistake
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
