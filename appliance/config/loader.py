"""conf.d/*.conf into Settings: read in name order, later files override key by key, every mistake told at once."""

from __future__ import annotations

import datetime
import difflib
import errno
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import attrs

from .checks import find_contradictions
from .ini import Block, Entry, read_ini
from .kinds import flag
from .mistakes import ConfigRejected, Mistake, Place
from .numbers import load_numbers
from .places import Places
from .route_checks import find_route_doubts
from .secret import Secret
from .setting import Declaration, declarations
from .settings import SECTIONS, SectionKind, Settings, Written

ENABLED: Final = "enabled"
ENABLED_ABOUT: Final = "no takes the whole section away, for example one that an earlier file brought."
_UNREADABLE: Final = {
    errno.EACCES: "Mend its permissions",
    errno.EISDIR: "Give the directory another name: only files end in .conf",
    errno.ENOENT: "It is a link to a file that is not there: mend it or take it away",
}
_HEADINGS: Final = {kind.heading: kind for kind in SECTIONS}
_COMMENT_BEHIND: Final = re.compile(r"\s[#;]")
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,4}")
_NAME: Final = re.compile(r"[A-Za-z0-9+*#._~!$&'()-]{1,64}")


@attrs.define
class _Section:
    """What all files together say about one section."""

    kind: SectionKind
    name: str
    place: Place
    entries: dict[str, Entry] = attrs.field(factory=dict)

    @property
    def title(self) -> str:
        return self.kind.title(self.name)


def load_settings(conf_dir: Path, doubts: list[Mistake] | None = None) -> Settings:
    """Read and verify the drop-ins of a directory.

    What works but is hardly meant is added to `doubts`, where given.

    Raises ConfigRejected with every mistake there is: unreadable files and lines, unknown sections and keys,
    bad values, references that lead nowhere, ports that are taken twice, certificates that do not load.
    """
    mistakes: list[Mistake] = []
    sections: dict[tuple[str, str], _Section] = {}
    for file in _files(conf_dir, mistakes):
        try:
            data = file.read_bytes()
        except OSError as error:
            reason = error.strerror or str(error)
            remedy = _UNREADABLE.get(error.errno or 0, "Mend the file or take it away")
            mistakes.append(Mistake(Place(str(file)), "", "", f"cannot be read: {reason}", remedy))
            continue
        blocks, wrong = read_ini(data, str(file))
        mistakes += wrong
        for block in blocks:
            _gather(block, sections, mistakes)
    places = Places(str(conf_dir), {(s.kind.heading, s.name): s.place for s in sections.values()})
    built: dict[str, dict[str, Any]] = {}
    written: dict[str, tuple[Written, ...]] = {}
    for section in sections.values():
        if not _is_enabled(section, mistakes):
            places.disabled.add((section.kind.heading, section.name))
            continue
        for entry in section.entries.values():
            places.entries[section.kind.heading, section.name, entry.key] = entry.place
        before = len(mistakes)
        written[section.title] = tuple(_written(section))
        made = _build(section, mistakes)
        if len(mistakes) > before:
            places.faulty.add((section.kind.heading, section.name))
        if made is not None:
            built.setdefault(section.kind.attribute, {})[section.name] = made
    if not sections and mistakes:
        raise ConfigRejected(mistakes)
    settings = _assemble(built)
    lists, wrong = load_numbers(settings.numbers, places)
    in_order = sorted(sections.values(), key=lambda one: (SECTIONS.index(one.kind), one.name))
    lines = tuple(line for one in in_order for line in written.get(one.title, ()))
    settings = attrs.evolve(settings, number_lists=lists, written=lines)
    mistakes += wrong
    mistakes += find_contradictions(settings, places)
    if mistakes:
        raise ConfigRejected(mistakes)
    if doubts is not None:
        doubts += sorted(find_route_doubts(settings, places, datetime.date.today()))
    return settings


def _files(conf_dir: Path, mistakes: list[Mistake]) -> list[Path]:
    place = Place(str(conf_dir))
    try:
        files = sorted(
            (file for file in conf_dir.iterdir() if file.suffix == ".conf" and not file.name.startswith(".")),
            key=lambda file: file.name.encode(errors="surrogateescape"),
        )
    except OSError as error:
        remedy = "Name a directory with *.conf files by --conf-dir"
        mistakes.append(Mistake(place, "", "", f"cannot be read: {error.strerror}", remedy))
        return []
    if not files:
        remedy = "Put drop-ins there, or name another directory by --conf-dir"
        mistakes.append(Mistake(place, "", "", "holds no *.conf file", remedy))
    return files


def _gather(block: Block, sections: dict[tuple[str, str], _Section], mistakes: list[Mistake]) -> None:
    if not block.heading:
        return
    kind = _HEADINGS.get(block.heading)
    if kind is None:
        near = difflib.get_close_matches(block.heading, _HEADINGS, 1)
        known = ", ".join(known.title("NAME") for known in SECTIONS)
        remedy = f"Did you mean {_HEADINGS[near[0]].title(block.name or 'NAME')}" if near else f"Known are {known}"
        mistakes.append(Mistake(block.place, block.title, "", "is not a known section", remedy))
        return
    if kind.named and not _NAME.fullmatch(block.name):
        remedy = f"Write {kind.title('NAME')}, NAME being of letters, digits and .-_~+*#!$&'()"
        what = "has a name that cannot be" if block.name else "has no name"
        mistakes.append(Mistake(block.place, block.title, "", what, remedy))
        return
    if not kind.named and block.name:
        mistakes.append(
            Mistake(block.place, block.title, "", "has a name, but there is one only", f"Write {kind.title()}")
        )
        return
    section = sections.setdefault((kind.heading, block.name), _Section(kind, block.name, block.place))
    known_keys = {one.key: one for one in declarations(kind.settings)}
    for entry in block.entries:
        before = section.entries.get(entry.key)
        is_number = bool(_NUMBER.fullmatch(entry.key)) and any(one.numbered for one in known_keys.values())
        if entry.key not in known_keys and not is_number and not (kind.named and entry.key == ENABLED):
            mistakes.append(_unknown_key(kind, entry, block.title, known_keys))
        elif before is not None and before.place.file == entry.place.file:
            what = f"stands twice in this file, first in line {before.place.line}"
            mistakes.append(Mistake(entry.place, block.title, entry.key, what, "Take one of them away"))
        else:
            section.entries[entry.key] = entry


def _unknown_key(kind: SectionKind, entry: Entry, title: str, known_keys: Mapping[str, Declaration]) -> Mistake:
    near = difflib.get_close_matches(entry.key, known_keys, 1)
    elsewhere = [
        other.title("NAME")
        for other in SECTIONS
        if other is not kind and any(one.key == entry.key for one in declarations(other.settings))
    ]
    if near:
        remedy = f"Did you mean {near[0]}"
    elif elsewhere:
        remedy = f"It belongs to {' or '.join(elsewhere)}"
    else:
        remedy = f"Known here are {', '.join(known_keys)}"
    return Mistake(entry.place, title, entry.key, "is not a setting of this section", remedy)


def _is_enabled(section: _Section, mistakes: list[Mistake]) -> bool:
    entry = section.entries.pop(ENABLED, None) if section.kind.named else None
    if entry is None:
        return True
    try:
        return flag().read(entry.value)
    except ValueError as error:
        mistakes.append(Mistake(entry.place, section.title, ENABLED, str(error), "Give yes or no"))
        return True


def _build(section: _Section, mistakes: list[Mistake]) -> Any:
    """The section's object, with defaults for what cannot be read; None where a required value is missing."""
    values: dict[str, Any] = {"name": section.name} if section.kind.named else {}
    complete = True
    for declared in declarations(section.kind.settings):
        if declared.numbered:
            values[declared.attribute] = _numbered(section, declared, mistakes)
            continue
        entry = section.entries.get(declared.key)
        if entry is None:
            if declared.required:
                complete = False
                remedy = f"Give {declared.kind.accepts}"
                mistakes.append(Mistake(section.place, section.title, declared.key, "is missing", remedy))
            continue
        try:
            value = declared.kind.read(entry.value)
        except ValueError as error:
            remedy = f"Give {declared.kind.accepts}"
            if _COMMENT_BEHIND.search(entry.value):
                remedy += ". A comment needs a line of its own"
            mistakes.append(Mistake(entry.place, section.title, declared.key, str(error), remedy))
            complete = complete and not declared.required
            continue
        if isinstance(value, Path) and section.kind.heading != "storage":
            value = Path(entry.place.file).parent / value
        values[declared.attribute] = value
    return section.kind.settings(**values) if complete else None


def _written(section: _Section) -> Iterator[Written]:
    """The section's lines without its secrets; one without lines is a heading."""
    secrets = {declared.key for declared in declarations(section.kind.settings) if declared.secret}
    if not section.entries:
        yield Written(section.title, "", "", section.place)
    for entry in section.entries.values():
        text = Secret.SHOWN if entry.key in secrets else entry.value
        yield Written(section.title, entry.key, text, entry.place)


def _numbered(section: _Section, declared: Declaration, mistakes: list[Mistake]) -> tuple[tuple[int, Any], ...]:
    """The lines whose keys are numbers, in their order."""
    found = {}
    for entry in section.entries.values():
        if _NUMBER.fullmatch(entry.key):
            try:
                value = declared.kind.read(entry.value)
            except ValueError as error:
                remedy = f"Give {declared.kind.accepts}"
                mistakes.append(Mistake(entry.place, section.title, entry.key, str(error), remedy))
                continue
            if value is not None:
                found[int(entry.key)] = value
    return tuple(sorted(found.items()))


def _assemble(built: Mapping[str, Mapping[str, Any]]) -> Settings:
    values: dict[str, Any] = {}
    for kind in SECTIONS:
        found = built.get(kind.attribute, {})
        if kind.named:
            values[kind.attribute] = found
        elif found:
            values[kind.attribute] = found[""]
    return Settings(**values)
