"""A `EventRecord`: something beside calls that the store of records keeps, such as a registration or a sign-in."""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class EventRecord:
    """`at_ms` is wall-clock milliseconds since 1970; `kind` a word or two, `subject` whom it is about."""

    id: int = 0
    """As in `CallRecord`, of the same row of numbers."""
    at_ms: int
    kind: str
    subject: str = ""
    source: str = ""
    """The address that it came from."""
    detail: str = ""
