"""In which order messages are dealt with that came together, where there is more to do than there is time for.

A processor does what it has just done far faster than anything else, and each kind of message takes its own way through
the core: those of a kind go in a row. What belongs to one call keeps its order. To sort costs as much as it brings
where few come at once.
"""

from __future__ import annotations

from collections.abc import Sequence

from appliance.router.guard import Source
from appliance.sip.flow import Flow

Arrival = tuple[bytes, Flow, Source]
"""A message as it came, and where from."""

_CALL_ID = b"\r\nCall-ID:"
_KIND = len(b"SIP/2.0 200")


def in_rows(arrivals: Sequence[Arrival]) -> Sequence[Arrival]:
    """The same messages, those of a kind in a row. What has the same Call-ID, or writes its name in an unusual way,
    keeps its order.
    """
    before: dict[bytes, int] = {}
    places = []
    for place, (data, _, _) in enumerate(arrivals):
        at = data.find(_CALL_ID)
        call_id = data[at : data.find(b"\r", at + 2)] if at >= 0 else b""
        turn = before.get(call_id, 0)
        before[call_id] = turn + 1
        places.append((turn, data[:_KIND], place))
    places.sort()
    return [arrivals[place] for _, _, place in places]
