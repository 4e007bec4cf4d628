"""In which order messages are dealt with that came together.

A processor does what it has just done far faster than anything else, and each kind of message takes its own way through
the core: those of a kind go in a row. What belongs to one call keeps its order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from appliance.router.guard import Source
from appliance.sip.flow import Flow
from appliance.sip.message import Request, Response

Arrival = tuple[Request | Response, bytes, Flow, Source]
"""A message, read and as it came, and where from."""


def in_rows(arrivals: Sequence[Arrival]) -> Iterator[Sequence[Arrival]]:
    """The same messages, those of a kind in a row; what has the same Call-ID keeps its order."""
    while arrivals:
        rows: dict[str | tuple[int, str], list[Arrival]] = {}
        met = set()
        later = []
        for arrival in arrivals:
            message = arrival[0]
            call_id = message.call_id
            if call_id in met:
                later.append(arrival)
                continue
            met.add(call_id)
            kind = message.method if isinstance(message, Request) else (message.status, message.cseq.method)
            row = rows.get(kind)
            if row is None:
                rows[kind] = [arrival]
            else:
                row.append(arrival)
        yield from rows.values()
        arrivals = later
