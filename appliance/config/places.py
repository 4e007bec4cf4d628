"""Where each section and each key was written, so that a contradiction found later can be told with its line."""

from __future__ import annotations

import attrs

from .mistakes import Place


@attrs.define
class Places:
    """Lines by (heading, name) and by (heading, name, key); disabled sections count as not there.

    faulty sections have defaults where a value cannot be read: what they refer to can be checked, but not
    what they are compared with.
    """

    conf_dir: str
    sections: dict[tuple[str, str], Place]
    entries: dict[tuple[str, str, str], Place] = attrs.field(factory=dict)
    disabled: set[tuple[str, str]] = attrs.field(factory=set)
    faulty: set[tuple[str, str]] = attrs.field(factory=set)

    def of(self, heading: str, name: str = "", key: str = "") -> Place:
        """The key's line, or its section's, or the directory where both are defaults."""
        entry = self.entries.get((heading, name, key))
        return entry or self.sections.get((heading, name)) or Place(self.conf_dir)

    def sound(self, heading: str, name: str = "") -> bool:
        """Whether every value of the section is as it was written."""
        return (heading, name) not in self.faulty

    def written(self, heading: str) -> set[str]:
        """Names of all sections of a kind that were written, the faulty ones too."""
        return {name for (kind, name) in self.sections if kind == heading and (kind, name) not in self.disabled}
