"""What a database of call records is to those who fill it and ask it, and the few words in which their SQL differs."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Protocol

import attrs

from appliance.storage.journal import Journal

Cell = str | int | float | None


class StoreFault(Exception):  # noqa: N818
    """The database cannot do what was asked; the text says what is wrong, for people."""


class Format(StrEnum):
    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


@attrs.frozen(kw_only=True)
class Dialect:
    """Functions, written with {} for what they are asked of; a ? is a value."""

    count_if: str
    contains: str
    lower: str
    text: str
    matches: str
    replace_first: str


class CallData(Protocol):
    """Calls and events of one box, each record once. Its methods block and raise `StoreFault`; one thread at a time
    opens, takes in and forgets, others may ask meanwhile.
    """

    imported: int
    """Records taken in since the start."""
    spoilt: int
    """Bytes of the journal that belonged to no whole group."""
    last_id: int
    """The highest id that is known to have been given."""

    @property
    def dialect(self) -> Dialect: ...

    def open(self) -> None: ...

    def close(self) -> None: ...

    def take_in(self, journal: Journal) -> int:
        """Bring sealed segments in, the oldest first, and remove them; how many records are new. It may leave some for
        the next time, so as not to be away for long.
        """

    def forget(self, oldest_ms: int, most_bytes: int) -> list[str]:
        """Remove days before `oldest_ms`, and the oldest while all take more room; what was removed."""

    def copy_to(self, folder: Path) -> None:
        """A consistent copy of what this directory holds of it, as it lies here."""

    def day_by_day(self, table: str, from_ms: int = 0, to_ms: int = 1 << 52) -> list[str]:
        """For SQL, `TABLE WHERE CONDITION` of each day of this time, the oldest first; more conditions may follow."""

    def together(self, table: str, from_ms: int = 0, to_ms: int = 1 << 52) -> str | None:
        """The same for the whole time, None where there is nothing."""

    def rows(self, sql: str, values: Sequence[Cell] = ()) -> list[tuple[Cell, ...]]: ...

    def export(self, sql: str, values: Sequence[Cell], form: Format, file: Path) -> int:
        """Write the calls that a SELECT of all their columns finds into a file; how many."""
