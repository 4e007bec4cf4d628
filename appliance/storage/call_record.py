"""A `CallRecord`: what is kept of one call attempt, and how it stands as one line of comma-separated values.

The line is what the journal holds and what the database reads; its columns are the fields in their order.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter
from typing import Final

import attrs

Value = int | float | str | None


@attrs.frozen(kw_only=True)
class CallRecord:
    """One call attempt. Times `…_ms` are wall-clock milliseconds since 1970, lengths `…_ms` milliseconds; None where it
    did not come to that. Texts are '' where there is nothing to say.
    """

    id: int = 0
    """Unique over restarts, and rising; given when it is taken into the journal."""
    serial: str
    """The call's name while it was in progress, '' where it was refused before it was one."""
    call_id: str
    out_call_id: str = ""
    """The Call-ID on the far side, where topology hiding changes it."""
    started_ms: int
    ringing_ms: int | None = None
    answered_ms: int | None = None
    ended_ms: int
    pdd_ms: int | None = None
    """From the INVITE to the first answer but 100."""
    talk_ms: int | None = None
    caller: str = ""
    called: str = ""
    """The number or name as it came."""
    number: str = ""
    """The number as the destination was given it."""
    source_kind: str = ""
    """user, trunk or anyone."""
    source: str = ""
    """The user or trunk that it came from."""
    source_tenant: str = ""
    source_address: str = ""
    trunk: str = ""
    """The trunk that it went to last."""
    gateway: str = ""
    user: str = ""
    """The user of ours whose phone answered."""
    callee: str = ""
    """The destination in words."""
    tenant: str = ""
    """The tenant of the destination."""
    status: int = 0
    """The final response to the INVITE."""
    cause: int | None = None
    """By Q.850, where somebody said it."""
    reason: str = ""
    """The Reason header (RFC 3326)."""
    ended_by: str = ""
    """caller, callee or box."""
    ending: str = ""
    """One sentence: who ended or refused it, and why."""
    refusal: str = ""
    """Which kind of limit refused it, as [refusal KIND] names it."""
    route: str = ""
    """The route that decided."""
    explanation: str = ""
    transfer: str = ""
    """What became of a transfer that the box carried out."""
    mos_caller: float | None = None
    """How the caller was heard here: the worst audio stream of its leg."""
    mos_callee: float | None = None
    quality: str = ""
    """JSON: for each leg, of caller and callee, and direction: loss, jitter, MOS and who measured."""
    attempts: str = ""
    """JSON: each destination tried, with status, times and sentence."""


COLUMNS: Final = tuple(field.name for field in attrs.fields(CallRecord))
INTEGERS: Final = frozenset({"id", "status", "cause", *(name for name in COLUMNS if name.endswith("_ms"))})
REALS: Final = frozenset({"mos_caller", "mos_callee"})
_STRAY: Final = re.compile(r"[\x00-\x1f\x7f]+")
_values: Final = attrgetter(*COLUMNS)


def line_of(record: CallRecord) -> str:
    """The record as one line whose id is 0: the journal knows it. Control characters become spaces."""
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow(_values(record))
    line = out.getvalue()
    return _STRAY.sub(" ", line) if _STRAY.search(line) else line


def records_of(lines: Iterable[str]) -> Iterator[CallRecord]:
    """Records from whole lines, id first. Raises `ValueError` where one is none."""
    for values in csv.reader(lines):
        yield record_of(values)


def record_of(values: Sequence[str]) -> CallRecord:
    """A record from its values in the order of the columns."""
    if len(values) != len(COLUMNS):
        raise ValueError(f"{len(values)} values where {len(COLUMNS)} belong")
    return CallRecord(**{name: _read(name, value) for name, value in zip(COLUMNS, values, strict=True)})  # type: ignore[arg-type]


def _read(name: str, value: str) -> Value:
    if name in INTEGERS:
        return int(value) if value else None
    if name in REALS:
        return float(value) if value else None
    return value
