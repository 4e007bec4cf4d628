"""What the MIB holds, declared once: the agent answers from these declarations, and the MIB file is written from them.

An object is a scalar or the column of a table; a table's rows are found by their index, which is encoded into the
OID as SMIv2 says (RFC 2578 §7.7).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2s
from typing import Any, Final, Generic, TypeVar

import attrs

from .tree import KEPT_S, Branch, Cell, Scalar, Table, Value
from .value import Oid, Syntax

LONGEST_LABEL: Final = 32
LONGEST_NAME: Final = 64

R = TypeVar("R")


@attrs.frozen
class Kind:
    """A type as the MIB writes it, and as it goes on the wire; `words` are the values of an enumeration."""

    text: str
    syntax: Syntax
    words: Mapping[str, int] = attrs.field(factory=dict)


COUNTER32: Final = Kind("Counter32", Syntax.COUNTER32)
COUNTER64: Final = Kind("Counter64", Syntax.COUNTER64)
GAUGE: Final = Kind("Gauge32", Syntax.GAUGE32)
UNSIGNED: Final = Kind("Unsigned32", Syntax.GAUGE32)
NUMBER: Final = Kind("Unsigned32 (1..4294967295)", Syntax.GAUGE32)
TEXT: Final = Kind("JfText", Syntax.OCTETS)
LABEL: Final = Kind(f"OCTET STRING (SIZE (0..{LONGEST_LABEL}))", Syntax.OCTETS)
NAME: Final = Kind(f"OCTET STRING (SIZE (1..{LONGEST_NAME}))", Syntax.OCTETS)
TRUTH: Final = Kind("TruthValue", Syntax.INTEGER)
TIME_STAMP: Final = Kind("TimeStamp", Syntax.TIME_TICKS)
DATE: Final = Kind("DateAndTime", Syntax.OCTETS)


def words(**numbers: int) -> Kind:
    """An enumeration."""
    listed = ", ".join(f"{word}({number})" for word, number in numbers.items())
    return Kind(f"INTEGER {{ {listed} }}", Syntax.INTEGER, numbers)


def truth(value: object) -> int:
    """As a TruthValue (RFC 2579)."""
    return 1 if value else 2


def date_and_time(wall: float | None) -> bytes | None:
    """Seconds since 1970 as a DateAndTime in UTC (RFC 2579); None stays None."""
    if wall is None:
        return None
    at = time.gmtime(wall)
    tenths = int(wall * 10) % 10
    return bytes(
        (at.tm_year >> 8, at.tm_year & 255, at.tm_mon, at.tm_mday, at.tm_hour, at.tm_min, min(at.tm_sec, 60), tenths)
    ) + bytes((ord("+"), 0, 0))


def label(text: str, longest: int = LONGEST_LABEL) -> Oid:
    """A text as a part of an index; one that is too long is cut, with a sum of all of it at its end."""
    data = text.encode()
    if len(data) > longest:
        kept = data[: longest - 9].decode(errors="ignore").encode()
        data = kept + b"~" + blake2s(data, digest_size=4).hexdigest().encode()
    return (len(data), *data)


def name(text: str) -> Oid:
    """A name of the configuration as a part of an index."""
    return label(text, LONGEST_NAME)


@attrs.frozen
class Index:
    """One part of a table's index, an object that cannot be read by itself."""

    name: str
    kind: Kind
    about: str


@attrs.frozen
class Field(Generic[R]):
    """A column, or with R None a scalar."""

    name: str
    kind: Kind
    about: str
    read: Callable[[R], Value]
    units: str = ""


@attrs.frozen
class TableKind(Generic[R]):
    """A table: `name` without its Table, `row` what one row is; rows gives all of them by their index.

    Columns are numbered behind the parts of the index, in their order.
    """

    number: int
    name: str
    about: str
    row: str
    index: tuple[Index, ...]
    columns: tuple[Field[R], ...]
    rows: Callable[[], Mapping[Oid, R]]
    kept_s: float = KEPT_S
    """For how long rows are taken to be the same."""

    def numbered(self) -> Iterable[tuple[int, Field[R]]]:
        return enumerate(self.columns, len(self.index) + 1)

    def branch(self, base: Oid, clock: Callable[[], float]) -> Branch:
        cells = [Cell(number, one.kind.syntax, one.read) for number, one in self.numbered()]
        return Table((*base, self.number), cells, self.rows, clock, self.kept_s)


@attrs.frozen
class Group:
    """Objects under one node: scalars by their numbers, tables by theirs."""

    number: int
    name: str
    scalars: tuple[tuple[int, Field[None]], ...] = ()
    tables: tuple[TableKind[Any], ...] = ()

    def branches(self, base: Oid, clock: Callable[[], float]) -> list[Branch]:
        own = (*base, self.number)
        found: list[Branch] = [Scalar((*own, number), one.kind.syntax, _reader(one)) for number, one in self.scalars]
        return [*found, *(table.branch(own, clock) for table in self.tables)]


def _reader(one: Field[None]) -> Callable[[], Value]:
    return lambda: one.read(None)
