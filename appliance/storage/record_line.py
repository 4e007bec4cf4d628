"""How a record stands as one line of comma-separated values: what the journal holds and the database reads.

The columns are the fields in their order. The first is the id; in a line it is a letter for the kind of record, for the
journal knows the id.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from operator import attrgetter
from typing import Final, Generic, TypeVar

import attrs

from appliance.storage.call_record import CallRecord
from appliance.storage.event_record import EventRecord

R = TypeVar("R", CallRecord, EventRecord)
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

    def line_of(self, record: R) -> str:
        """Control characters become spaces; texts beyond all measure are cut."""
        values = (self.letter, *self._values(record))
        line = _joined(values)
        if len(line) > _LONGEST:
            line = _joined([value[:_SHORTENED] if isinstance(value, str) else value for value in values])
        return line if line.isprintable() else _STRAY.sub(" ", line)

    def record_of(self, values: Sequence[object]) -> R:
        """The record of a row of the database."""
        made: R = self._made(**dict(zip(self.columns, values, strict=True)))
        return made


def _type(column: str) -> str:
    if column == "id" or column.endswith("_ms"):
        return "BIGINT"
    if column in _REALS:
        return "DOUBLE"
    return "INTEGER" if column in ("status", "cause") else "VARCHAR"


def _joined(values: Sequence[object]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow(values)
    return out.getvalue()


CALLS: Final = Shape("C", "calls", CallRecord, "started_ms")
EVENTS: Final = Shape("E", "events", EventRecord, "at_ms")
LEFTOVERS: Final = Shape("L", "calls", CallRecord, "started_ms")
"""Ends of calls that a restart cut in two: dropped where the call has a record already."""
SHAPES: Final = (CALLS, LEFTOVERS, EVENTS)
