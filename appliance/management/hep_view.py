"""The trace as collectors of HEP see it: masked, and both sides of a call as one."""

from __future__ import annotations

from collections.abc import Callable

from ..outlets.hep_packet import Captured
from ..proxy.masks import MARK
from ..trace.message import Direction
from ..trace.ring import Entry, traced
from ..trace.trace import Trace


def for_collectors(trace: Trace) -> Callable[[Entry], Captured]:
    """How a traced message goes to a HEP collector: masked, and both sides of a call under one correlation id."""

    def read(entry: Entry) -> Captured:
        message = trace.shown(traced(entry, 0))
        call_id = message.call_id
        outgoing = message.direction is Direction.OUT
        return Captured(
            at=message.at,
            source=message.local if outgoing else message.remote,
            target=message.remote if outgoing else message.local,
            stream=message.transport != "UDP",
            data=message.data,
            call_id=trace.aliases(call_id)[0] if call_id.startswith(MARK) else call_id,
        )

    return read
