"""The MIB module as text (SMIv2, RFC 2578 to 2580), written from the declarations that the agent answers from."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import Any, Final

import attrs

from .mib import Field, Group, Index, TableKind

MODULE: Final = "JACKFIELD-MIB"
_PREFIX: Final = "jackfieldMIB"
_WIDTH: Final = 72


@attrs.frozen
class Notice:
    """A notification type."""

    number: int
    name: str
    about: str


@attrs.frozen
class Module:
    """All that stands in the module; `enterprise` is the number it hangs under."""

    enterprise: int
    groups: tuple[Group, ...]
    notices: tuple[Notice, ...]
    noticed: tuple[str, ...]
    """The objects that each notification carries."""
    about: str
    updated: str
    """YYYYMMDDhhmmZ."""


def render(module: Module) -> str:
    """The whole file."""
    parts = [_head(module)]
    for group in module.groups:
        parts.append(f"{group.name} OBJECT IDENTIFIER ::= {{ jackfieldObjects {group.number} }}")
        parts += [_scalar(group, number, one) for number, one in group.scalars]
        for table in group.tables:
            parts += _table(group, table)
    parts += [_notice(one, module.noticed) for one in module.notices]
    parts += _conformance(module)
    return "\n\n".join(parts) + "\n\nEND\n"


def _head(module: Module) -> str:
    return f"""{MODULE} DEFINITIONS ::= BEGIN

IMPORTS
    MODULE-IDENTITY, OBJECT-TYPE, NOTIFICATION-TYPE, enterprises,
    Counter64, Gauge32, Unsigned32
        FROM SNMPv2-SMI
    TEXTUAL-CONVENTION, TruthValue, TimeStamp, DateAndTime
        FROM SNMPv2-TC
    MODULE-COMPLIANCE, OBJECT-GROUP, NOTIFICATION-GROUP
        FROM SNMPv2-CONF;

{_PREFIX} MODULE-IDENTITY
    LAST-UPDATED "{module.updated}"
    ORGANIZATION "Jackfield"
    CONTACT-INFO
        "The place that this copy of Jackfield came from."
    DESCRIPTION
{_quoted(module.about)}
    REVISION "{module.updated}"
    DESCRIPTION
        "The first one."
    ::= {{ jackfieldEnterprise 1 }}

jackfieldEnterprise OBJECT IDENTIFIER ::= {{ enterprises {module.enterprise} }}

JfText ::= TEXTUAL-CONVENTION
    DISPLAY-HINT "255t"
    STATUS current
    DESCRIPTION
        "A text for people, in UTF-8; one that is longer is cut."
    SYNTAX OCTET STRING (SIZE (0..255))

jackfieldNotifications OBJECT IDENTIFIER ::= {{ {_PREFIX} 0 }}
jackfieldObjects OBJECT IDENTIFIER ::= {{ {_PREFIX} 1 }}
jackfieldConformance OBJECT IDENTIFIER ::= {{ {_PREFIX} 2 }}"""


def _scalar(group: Group, number: int, one: Field[None]) -> str:
    return _object(one.name, one.kind.text, "read-only", one.about, f"{group.name} {number}", one.units)


def _table(group: Group, table: TableKind[Any]) -> list[str]:
    row = table.name[:1].upper() + table.name[1:] + "Entry"
    entry = f"{table.name}Entry"
    columns: list[Index | Field[Any]] = [*table.index, *table.columns]
    listed = ",\n".join(f"    {one.name} {_plain(one.kind.text)}" for one in columns)
    found = [
        _object(
            f"{table.name}Table", f"SEQUENCE OF {row}", "not-accessible", table.about, f"{group.name} {table.number}"
        ),
        _object(
            entry,
            row,
            "not-accessible",
            table.row,
            f"{table.name}Table 1",
            index=", ".join(one.name for one in table.index),
        ),
        f"{row} ::= SEQUENCE {{\n{listed}\n}}",
    ]
    for number, part in enumerate(table.index, 1):
        found.append(_object(part.name, part.kind.text, "not-accessible", part.about, f"{entry} {number}"))
    for number, one in table.numbered():
        found.append(_object(one.name, one.kind.text, "read-only", one.about, f"{entry} {number}", one.units))
    return found


def _object(name: str, syntax: str, access: str, about: str, place: str, units: str = "", index: str = "") -> str:
    lines = [f"{name} OBJECT-TYPE", *textwrap.wrap(f"SYNTAX {syntax}", _WIDTH, initial_indent="    ",
                                                   subsequent_indent=" " * 8)]  # fmt: skip
    if units:
        lines.append(f'    UNITS "{units}"')
    lines += [f"    MAX-ACCESS {access}", "    STATUS current", "    DESCRIPTION", _quoted(about)]
    if index:
        lines.append(f"    INDEX {{ {index} }}")
    return "\n".join([*lines, f"    ::= {{ {place} }}"])


def _notice(one: Notice, objects: Sequence[str]) -> str:
    return "\n".join(
        [
            f"{one.name} NOTIFICATION-TYPE",
            _names("OBJECTS", objects),
            "    STATUS current",
            "    DESCRIPTION",
            _quoted(one.about),
            f"    ::= {{ jackfieldNotifications {one.number} }}",
        ]
    )


def _conformance(module: Module) -> list[str]:
    objects = [
        one.name
        for group in module.groups
        for one in (*(scalar for _, scalar in group.scalars), *(c for table in group.tables for c in table.columns))
    ]
    return [
        "jackfieldCompliance MODULE-COMPLIANCE\n    STATUS current\n    DESCRIPTION\n"
        + _quoted("All objects can be read, none can be written; every notification can be sent.")
        + "\n    MODULE\n    MANDATORY-GROUPS { jackfieldObjectGroup, jackfieldNotificationGroup }"
        + "\n    ::= { jackfieldConformance 1 }",
        "jackfieldObjectGroup OBJECT-GROUP\n"
        + _names("OBJECTS", objects)
        + "\n    STATUS current\n    DESCRIPTION\n"
        + _quoted("Everything that can be read.")
        + "\n    ::= { jackfieldConformance 2 }",
        "jackfieldNotificationGroup NOTIFICATION-GROUP\n"
        + _names("NOTIFICATIONS", [one.name for one in module.notices])
        + "\n    STATUS current\n    DESCRIPTION\n"
        + _quoted("Every alarm as it begins and as it ends.")
        + "\n    ::= { jackfieldConformance 3 }",
    ]


def _names(word: str, names: Iterable[str]) -> str:
    return f"    {word} {{\n        " + ",\n        ".join(names) + "\n    }"


def _plain(syntax: str) -> str:
    """A type as it stands in a SEQUENCE: without ranges and values (RFC 2578 §7.1.12)."""
    return syntax.partition(" (")[0].partition(" {")[0]


def _quoted(text: str) -> str:
    """A DESCRIPTION's text, wrapped; paragraphs have an empty line between them."""
    paragraphs = text.replace('"', "'").split("\n\n")
    wrapped = ["\n".join(textwrap.wrap(one, _WIDTH - 9, break_on_hyphens=False)) for one in paragraphs]
    return textwrap.indent('"' + "\n\n".join(wrapped) + '"', " " * 8)
