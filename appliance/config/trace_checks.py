"""Contradictions about the trace and those who get copies of it."""

from __future__ import annotations

from collections.abc import Iterator

from .mistakes import Mistake
from .places import Places
from .settings import Settings


def trace_contradictions(settings: Settings, places: Places) -> Iterator[Mistake]:
    if not settings.trace.enabled:
        for name in settings.heps:
            yield Mistake(
                places.of("hep", name),
                f"[hep {name}]",
                "",
                "gets nothing, since enabled of [trace] is no",
                "Trace, or take the section away",
            )
    marked = [method.startswith("!") for method in settings.trace.methods]
    if any(marked) and not all(marked):
        yield Mistake(
            places.of("trace", "", "methods"),
            "[trace]",
            "methods",
            "names methods that are kept, and some with ! that are not",
            "Give one sort only",
        )
