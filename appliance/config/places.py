"""Where each section and each key was written, so that a contradiction found later can be told with its line."""

from __future__ import annotations

import attrs

from .mistakes import Place


@attrs.define
class Places:
    """Lines by (heading, name) and by (heading, name, key); disabled sections count as not there."""

    conf_dir: str
    sections: dict[tuple[str, str], Place]
    entries: dict[tuple[str, str, str], Place] = attrs.field(factory=dict)
    disabled: set[tuple[str, str]] = attrs.field(factory=set)

    def of(self, heading: str, name: str = "", key: str = "") -> Place:
        """The key's line, or its section's, or the directory where both are defaults."""
        entry = self.entries.get((heading, name, key))
        return entry or self.sections.get((heading, name)) or Place(self.conf_dir)

    def written(self, heading: str) -> set[str]:
        """Names of all sections of a kind that were written, the faulty ones too."""
        return {name for (kind, name) in self.sections if kind == heading and (kind, name) not in self.disabled}
