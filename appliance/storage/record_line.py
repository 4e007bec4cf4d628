"""How a record stands as one line of values: what the journal holds and the databases read.

The columns are the fields in their order. The first is the id; in a line it is a letter for the kind of record, for the
journal knows the id. A character that no text holds stands between values, so that none is ever quoted; '' stands for a
number that is not known.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from operator import attrgetter
from typing import Final, Generic, TypeVar

import attrs

from appliance.storage.call_record import CallRecord
from appliance.storage.event_record import EventRecord

R = TypeVar("R", CallRecord, EventRecord)
BETWEEN: Final = "\x1f"
_SEEN: Final = bytes(32 if (at < 32 and at != ord(BETWEEN)) or at == 127 else at for at in range(256))
"""Makes a space of what no line may hold."""
_STRAY: Final = re.compile(r"[\x00-\x1f\x7f]+")
_LONGEST: Final = 60_000
_SHORTENED: Final = 1_000
_REALS: Final = ("mos_caller", "mos_callee")


class Shape(Generic[R]):
    """One kind of record: its letter, its columns, and the one that tells the day it belongs to."""

    def __init__(self, letter: str, table: str, made: type[R], time: str) -> None:
        self.letter = letter
        self.table = table
        self.time = time
        self.columns = tuple(field.name for field in attrs.fields(made))
        self.types = {name: _type(name) for name in self.columns}
        self._made: type[R] = made
        self._values = attrgetter(*self.columns[1:])
        self._between = len(self.columns) - 2

    def line_of(self, record: R) -> str:
        """Of a record whose id is not known yet."""
        return self.line(["" if value is None else str(value) for value in self._values(record)])

    def line(self, texts: Sequence[str]) -> str:
        """Of all columns but the id. Control characters become spaces; texts beyond all measure are cut."""
        line = BETWEEN.join(texts)
        if len(line) > _LONGEST:
            texts = [text[:_SHORTENED] for text in texts]
            line = BETWEEN.join(texts)
        data = line.encode("utf-8", "replace")
        if data.translate(_SEEN) != data or line.count(BETWEEN) != self._between:
            line = BETWEEN.join([_STRAY.sub(" ", text) for text in texts])
        return f"{self.letter}{BETWEEN}{line}"

    def record_of(self, values: Sequence[object]) -> R:
        """The record of a row of the database."""
        made: R = self._made(**dict(zip(self.columns, values, strict=True)))
        return made


def values_of(line: str) -> list[str]:
    """The texts of a line, its letter first."""
    if line[1:2] == ",":  # as the first boxes wrote it; such a line may have waited for an update to end
        return next(csv.reader([line]))
    return line.split(BETWEEN)


def numbered(line: str, row_id: int) -> str:
    """The same line with its id in place of the letter."""
    if line[1:2] == ",":
        return BETWEEN.join([str(row_id), *values_of(line)[1:]])
    return f"{row_id}{line[1:]}"


def _type(column: str) -> str:
    if column == "id" or column.endswith("_ms"):
        return "BIGINT"
    if column in _REALS:
        return "DOUBLE"
    return "INTEGER" if column in ("status", "cause") else "VARCHAR"


CALLS: Final = Shape("C", "calls", CallRecord, "started_ms")
EVENTS: Final = Shape("E", "events", EventRecord, "at_ms")
LEFTOVERS: Final = Shape("L", "calls", CallRecord, "started_ms")
"""Ends of calls that a restart cut in two: dropped where the call has a record already."""
SHAPES: Final = (CALLS, LEFTOVERS, EVENTS)
