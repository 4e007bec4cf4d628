"""One declaration per setting: parser, default, unit, help, live or restart, secrecy.

A section of the configuration is an attrs.frozen class whose fields are made by setting(). The loader, the
manual page, the example files and the comparison of two configurations read these declarations and nothing
else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar, cast

import attrs

T = TypeVar("T")

REQUIRED: Final = None
"""Stands in place of a default: the section is refused without this key."""

FIRST_NUMBER: Final = "10"
"""What stands for all numbers where one key is shown, in the manual and the example."""

_DECLARATION: Final = "jackfield.setting"
_UNIT_SUFFIXES: Final = ("_s", "_ms", "_bytes")


@attrs.frozen
class Kind(Generic[T]):
    """What a setting's text may be, and how it is read.

    accepts finishes the sentence "give ..." in an error's remedy and stands in the manual.
    read raises ValueError with the mistake in words.
    """

    accepts: str
    read: Callable[[str], T]
    example: str = ""


@attrs.frozen
class Declaration:
    """All there is to know about one setting; key is its name in the files, attribute its name in Python."""

    key: str
    attribute: str
    kind: Kind[Any]
    default: str | None
    about: str
    restart: bool
    secret: bool
    numbered: bool = False
    """Any number is a key of its own, as in 10 = ...; the attribute is a tuple of (number, value) in order."""

    @property
    def required(self) -> bool:
        return self.default is REQUIRED


def setting(kind: Kind[T], default: str | None, about: str, *, restart: bool = False, secret: bool = False) -> T:
    """Declare one setting as the field of an attrs class; the default is written as in a file.

    restart: a change is taken up only by a restart, otherwise by a reload.
    secret: the value never shows in a dump; its kind should give a Secret as well.
    """
    metadata = {_DECLARATION: (kind, default, about, restart, secret)}
    if default is REQUIRED:
        field = attrs.field(metadata=metadata, repr=not secret)
    else:
        field = attrs.field(default=kind.read(default), metadata=metadata, repr=not secret)
    return cast(T, field)


def numbered(kind: Kind[T | None], about: str) -> tuple[tuple[int, T], ...]:
    """Declare lines whose keys are numbers, in whose order they count; a value read as None takes a line away."""
    return cast(
        tuple[tuple[int, T], ...],
        attrs.field(default=(), metadata={_DECLARATION: (kind, "", about, False, False, True)}),
    )


def key_of(attribute: str) -> str:
    """The name in the files of a Python attribute: t1_s is written t1, max_forwards max-forwards."""
    for suffix in _UNIT_SUFFIXES:
        if attribute.endswith(suffix):
            attribute = attribute.removesuffix(suffix)
            break
    return attribute.replace("_", "-")


def declarations(section: type[Any]) -> tuple[Declaration, ...]:
    """Every setting of a section's class, in the order of the source, and after them those of what it extends."""
    found = _declared.get(section)
    if found is None:
        found = _declared[section] = tuple(
            _declaration(field.name, field.metadata[_DECLARATION])
            for field in sorted(attrs.fields(section), key=lambda field: field.inherited)
            if _DECLARATION in field.metadata
        )
    return found


def _declaration(attribute: str, said: tuple[Any, ...]) -> Declaration:
    declared = Declaration(key_of(attribute), attribute, *said)
    return attrs.evolve(declared, key=FIRST_NUMBER) if declared.numbered else declared


_declared: dict[type[Any], tuple[Declaration, ...]] = {}
