"""INI text into sections and entries that remember their lines.

A line is a comment (# or ; in front), a heading, "key = value", or, indented, the rest of the value above.
There are no comments behind a value: passwords may hold a # and gateways a semicolon.
"""

from __future__ import annotations

import re
from typing import Final

import attrs

from .mistakes import Mistake, Place

LONGEST_FILE: Final = 16 * 1024 * 1024
_HEADING: Final = re.compile(r"\[\s*([^\s\[\]]+)(?:\s+([^\[\]]*?))?\s*\]")
_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")


@attrs.frozen
class Entry:
    """One key with its value, as written; the key in small letters with dashes."""

    key: str
    value: str
    place: Place


@attrs.define
class Block:
    """One heading with what stands below it; name is "" for [media].

    heading is "" where the line cannot be read as a heading: name is the whole of it then.
    """

    heading: str
    name: str
    place: Place
    entries: list[Entry] = attrs.field(factory=list)

    @property
    def title(self) -> str:
        if not self.heading:
            return self.name  # what was written in place of a heading
        return f"[{self.heading} {self.name}]" if self.name else f"[{self.heading}]"


def read_ini(data: bytes, file: str) -> tuple[list[Block], list[Mistake]]:
    """Every section of a file in order, and every line that cannot be understood."""
    mistakes: list[Mistake] = []
    blocks: list[Block] = []
    if len(data) > LONGEST_FILE:
        return [], [Mistake(Place(file), "", "", f"is longer than {LONGEST_FILE} bytes", "Split the file")]
    lines = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    for number, raw in enumerate(lines, 1):
        place = Place(file, number)
        title = blocks[-1].title if blocks else ""
        try:
            line = raw.decode().rstrip()
        except UnicodeDecodeError:
            mistakes.append(Mistake(place, title, "", "is not UTF-8", "Save the file as UTF-8"))
            continue
        text = line.strip()
        if not text or text[0] in "#;":
            continue
        if line[0] in " \t":
            _continue(text, place, blocks, mistakes)
        elif text[0] == "[":
            match = _HEADING.fullmatch(text)
            if match:
                blocks.append(Block(match[1].lower(), match[2] or "", place))
            else:
                blocks.append(Block("", text, place))
                mistakes.append(
                    Mistake(place, "", "", f"{text!r} is not a heading", "Write it as [name] or [kind name]")
                )
        else:
            _entry(text, place, blocks, mistakes)
    return blocks, mistakes


def _continue(text: str, place: Place, blocks: list[Block], mistakes: list[Mistake]) -> None:
    if not blocks or not blocks[-1].entries:
        title = blocks[-1].title if blocks else ""
        remedy = "An indented line goes on with the value above it: take the blanks away"
        mistakes.append(Mistake(place, title, "", "is indented, but there is no value above it", remedy))
        return
    last = blocks[-1].entries[-1]
    blocks[-1].entries[-1] = attrs.evolve(last, value=f"{last.value} {text}".strip())


def _entry(text: str, place: Place, blocks: list[Block], mistakes: list[Mistake]) -> None:
    key, equals, value = text.partition("=")
    key = key.strip()
    if not blocks:
        mistakes.append(
            Mistake(place, "", "", "stands above the first heading", "Put a heading such as [appliance] above it")
        )
    elif not equals or not _KEY.fullmatch(key):
        # What was written may be a password gone astray: it is not repeated.
        mistakes.append(Mistake(place, blocks[-1].title, "", "is not a setting", "Write it as key = value"))
    else:
        blocks[-1].entries.append(Entry(key.lower().replace("_", "-"), value.strip(), place))
