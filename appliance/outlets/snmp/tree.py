"""What can be asked for: scalars and tables in the order of their OIDs, read at the moment when somebody asks.

A table's rows are looked up once for all that is asked within KEPT_S, so that a walk sees rows of one moment and
costs no more than its length; the values of scalars are never kept.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Generic, Protocol, TypeVar

import attrs

from .value import LONGEST_OID, Oid, Syntax, Variable, bounded

KEPT_S: Final = 1.0
MOST_ROWS: Final = 2000

_NO_INDEX: Final[Oid] = ()

R = TypeVar("R")
Value = float | str | bytes | Oid | None
"""None: there is no such instance."""


class Branch(Protocol):
    """A part of the tree below `oid`; no two of them overlap."""

    @property
    def oid(self) -> Oid: ...
    def get(self, name: Oid) -> Variable | None: ...
    def after(self, name: Oid, *, include: bool) -> Variable | None: ...


@attrs.frozen
class Scalar:
    """One value; its only instance is OID.0."""

    oid: Oid
    syntax: Syntax
    read: Callable[[], Value]

    def get(self, name: Oid) -> Variable | None:
        if name != (*self.oid, 0):
            return None
        value = self.read()
        return None if value is None else Variable(name, self.syntax, bounded(self.syntax, value))

    def after(self, name: Oid, *, include: bool) -> Variable | None:
        instance = (*self.oid, 0)
        return self.get(instance) if name < instance or (include and name == instance) else None


@attrs.frozen
class Cell(Generic[R]):
    """What stands in one column of a table; read gives None where a row has no such value."""

    number: int
    syntax: Syntax
    read: Callable[[R], Value]


class Table(Generic[R]):
    """Rows by their index; `rows` is asked for all of them, the entry's OID is `oid`.1."""

    def __init__(
        self,
        oid: Oid,
        columns: Sequence[Cell[R]],
        rows: Callable[[], Mapping[Oid, R]],
        clock: Callable[[], float],
        kept_s: float = KEPT_S,
    ) -> None:
        self.oid = oid
        self._kept_s = kept_s
        self._entry = (*oid, 1)
        self._columns = {column.number: column for column in columns}
        self._numbers = sorted(self._columns)
        self._rows = rows
        self._clock = clock
        self._kept: Mapping[Oid, R] = {}
        self._order: list[Oid] = []
        self._until = float("-inf")

    def get(self, name: Oid) -> Variable | None:
        depth = len(self._entry)
        if len(name) <= depth + 1 or name[:depth] != self._entry:
            return None
        column = self._columns.get(name[depth])
        self._look()
        index = name[depth + 1 :]
        return self._cell(column, index) if column is not None and index in self._kept else None

    def after(self, name: Oid, *, include: bool) -> Variable | None:
        self._look()
        depth = len(self._entry)
        first, index = 0, _NO_INDEX
        if name > self._entry:
            if name[:depth] != self._entry:
                return None
            first, index = name[depth], name[depth + 1 :]
        at = bisect_left(self._numbers, first)
        for number in self._numbers[at:]:
            column = self._columns[number]
            start = 0
            if number == first and index:
                start = bisect_left(self._order, index) if include else bisect_right(self._order, index)
            for place in range(start, len(self._order)):
                found = self._cell(column, self._order[place])
                if found is not None:
                    return found
        return None

    def _look(self) -> None:
        now = self._clock()
        if now < self._until:
            return
        self._until = now + self._kept_s
        deepest = LONGEST_OID - len(self._entry) - 1
        self._kept = {index: row for index, row in self._rows().items() if len(index) <= deepest}
        self._order = sorted(self._kept)[:MOST_ROWS]

    def _cell(self, column: Cell[R], index: Oid) -> Variable | None:
        value = column.read(self._kept[index])
        if value is None:
            return None
        return Variable((*self._entry, column.number, *index), column.syntax, bounded(column.syntax, value))


class Tree:
    """All branches in order."""

    def __init__(self, branches: Iterable[Branch]) -> None:
        self._branches: list[Any] = sorted(branches, key=lambda branch: branch.oid)
        self._starts = [branch.oid for branch in self._branches]
        for one, other in zip(self._starts, self._starts[1:], strict=False):
            if other[: len(one)] == one:
                raise ValueError(f"{other} lies within {one}")

    def get(self, name: Oid) -> Variable:
        """The value of exactly this name; noSuchObject or noSuchInstance where there is none (RFC 2741 §7.2.3.1)."""
        at = bisect_right(self._starts, name) - 1
        if at >= 0 and name[: len(self._starts[at])] == self._starts[at]:
            return self._branches[at].get(name) or Variable(name, Syntax.NO_SUCH_INSTANCE)
        return Variable(name, Syntax.NO_SUCH_OBJECT)

    def after(self, name: Oid, *, include: bool = False, end: Oid = ()) -> Variable:
        """The first value after this name, or of it where `include`; endOfMibView from `end` on (§7.2.3.2)."""
        for branch in self._branches[max(0, bisect_right(self._starts, name) - 1) :]:
            if end and branch.oid >= end:
                break
            found: Variable | None = branch.after(name, include=include)
            if found is not None:
                return Variable(name, Syntax.END_OF_MIB_VIEW) if end and found.name >= end else found
        return Variable(name, Syntax.END_OF_MIB_VIEW)
