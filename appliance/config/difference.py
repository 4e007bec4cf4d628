"""What changed between two configurations, and which of it waits for a restart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any

import attrs

from .setting import declarations
from .settings import SECTIONS, SectionKind, Settings


class ChangeKind(StrEnum):
    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@attrs.frozen
class Change:
    """One key that changed (values are not told, they may be secret), or a section that came or went."""

    section: str
    key: str
    kind: ChangeKind
    restart: bool

    def __str__(self) -> str:
        where = f"{self.section} {self.key}".rstrip()
        return f"{where} {self.kind}" + (" (after a restart)" if self.restart else "")


def difference(old: Settings, new: Settings) -> tuple[Change, ...]:
    """Every change from old to new, in the order of the sections."""
    found: list[Change] = []
    for kind in SECTIONS:
        before, after = getattr(old, kind.attribute), getattr(new, kind.attribute)
        if kind.named:
            found += _named(kind, before, after)
            if kind.heading == "numbers":
                found += _contents(kind, old, new)
        else:
            found += _keys(kind, kind.title(), before, after)
    return tuple(found)


def _named(kind: SectionKind, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    for name in sorted({*before, *after}):
        title = kind.title(name)
        if name not in after:
            yield Change(title, "", ChangeKind.REMOVED, kind.restart)
        elif name not in before:
            yield Change(title, "", ChangeKind.ADDED, kind.restart)
        else:
            yield from _keys(kind, title, before[name], after[name])


def _contents(kind: SectionKind, old: Settings, new: Settings) -> Iterator[Change]:
    """Number tables whose file says something else than before."""
    for name, after in new.number_lists.items():
        before = old.number_lists.get(name)
        if before is not None and before.digest != after.digest:
            yield Change(kind.title(name), f"contents ({len(after)} numbers)", ChangeKind.CHANGED, False)


def _keys(kind: SectionKind, title: str, before: Any, after: Any) -> Iterator[Change]:
    for declared in declarations(kind.settings):
        if getattr(before, declared.attribute) != getattr(after, declared.attribute):
            yield Change(title, "" if declared.numbered else declared.key, ChangeKind.CHANGED, declared.restart)
