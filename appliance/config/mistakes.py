"""What is wrong in the configuration: where, what, and what to do about it."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

import attrs


@attrs.frozen(order=True)
class Place:
    """A line of a file; line 0 is the file as a whole."""

    file: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


@attrs.frozen(order=True)
class Mistake:
    """One mistake; section is the heading as written ("[listener wss]") or "", key is "" for the whole section."""

    place: Place
    section: str
    key: str
    mistake: str
    remedy: str

    def __str__(self) -> str:
        where = " ".join(part for part in (self.section, self.key) if part)
        stop = "" if self.mistake.endswith("?") else "."
        return f"{self.place}: {where + ': ' if where else ''}{self.mistake}{stop} {self.advice}"

    @property
    def advice(self) -> str:
        """The remedy as a sentence."""
        return self.remedy + ("?" if self.remedy.startswith("Did you mean ") else ".")


class ConfigRejected(Exception):  # noqa: N818 (it says what happened)
    """The configuration cannot be used; every mistake is in it, in the order of files and lines."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        self.mistakes = tuple(sorted(mistakes))
        super().__init__("\n".join(str(mistake) for mistake in self.mistakes))


def nearest(name: str, heading: str, known: set[str]) -> str:
    """The remedy for a name that leads nowhere: what was meant, or what there is."""
    near = difflib.get_close_matches(name, known, 1)
    if near:
        return f"Did you mean {near[0]}"
    return f"Known are {', '.join(sorted(known))}" if known else f"Add a section [{heading} {name}]"
