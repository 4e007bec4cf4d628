"""Messages on their way in: who may speak, what it says, and which transaction takes it.

Those that came together are dealt with step by step, and in rows: a processor does what it has just done far faster
than anything else, and each kind of message takes its own way through the core. What belongs to one call keeps its
order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from appliance.proxy.masks import MARK
from appliance.router.guard import Source
from appliance.sip.errors import BadMessage
from appliance.sip.flow import Flow
from appliance.sip.message import Request, Response
from appliance.sip.parser import check_untrusted, parse_message_untrusted
from appliance.transport.tap import Tap

if TYPE_CHECKING:
    from appliance.proxy.core import SipCore

_ROWS_FROM = 4
"""So many messages at once are dealt with step by step; fewer gain nothing by it."""
_MASKED = MARK.encode()

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


class Arrivals:
    """The door of a core. `tap` is told what comes, and what nothing is done with, while there is a trace."""

    def __init__(self, core: SipCore) -> None:
        self.tap: Tap | None = None
        self._core = core
        self._at_hand = b""
        """The message that is dealt with, as it came."""
        self._clock = core.clock
        self._counters = core.counters
        self._gate = core.gate
        self._sources = core.gate.sources
        self._layer = core.layer
        self._hiding = core.hiding
        self._stateless = core.stateless

    def receive(self, data: bytes, flow: Flow) -> None:
        """One message of the network. Never raises for a peer's fault."""
        now = self._clock()
        source = self._let_in(data, flow, now)
        if source is not None:
            message = self._read(data, flow, source, now)
            if message is not None:
                self._deal(message, data, flow, source, now)

    def receive_together(self, received: Sequence[tuple[bytes, Flow]]) -> None:
        """The same for several that came at once, step by step: a processor does again what it has just done much
        faster. Under overload what is refused goes first.
        """
        if len(received) < _ROWS_FROM:
            for data, flow in received:
                self.receive(data, flow)
            return
        now = self._clock()
        let_in = []
        for data, flow in received:
            source = self._let_in(data, flow, now)
            if source is not None:
                let_in.append((data, flow, source))
        arrivals: list[Arrival] = []
        for data, flow, source in let_in:
            message = self._read(data, flow, source, now)
            if message is not None:
                arrivals.append((message, data, flow, source))
        for row in in_rows(arrivals):
            now = self._clock()
            for message, data, flow, source in row:
                self._deal(message, data, flow, source, now)

    def _let_in(self, data: bytes, flow: Flow, now: float) -> Source | None:
        """Who sent a message that is dealt with; None where it is dropped, delayed or refused unread."""
        self._counters.messages_in += 1
        source = self._sources.get(flow.remote[0]) or self._gate.guard.meet(flow.remote[0], now)
        source.left -= 1
        if source.stranger:
            self._gate.guard.hears(source, len(data))
        if source.left < 0 and not self._gate.admits(source, data, flow, now):
            if self.tap is not None:
                self.tap.dropped(data, flow, "banned" if source.ban is not None else "over its limits")
            return None
        if self._core.shedder.active and self._core.shedder.take(data, flow, source.trusted):
            return None
        return source

    def _read(self, data: bytes, flow: Flow, source: Source, now: float) -> Request | Response | None:
        """The message as the rest of us shall see it; None where it cannot be read, and that has been answered."""
        if self.tap is not None:
            self.tap.heard(data, flow)
        message: Request | Response | None = None
        try:
            message = parse_message_untrusted(data)
            if not message.sound:
                check_untrusted(message)
            if isinstance(message, Request):
                message.mark_source(*flow.remote)
        except BadMessage as bad:
            request = bad.request if message is None else message
            self._unreadable(data, request if isinstance(request, Request) else None, bad, source, flow, now)
            return None
        if self._hiding.in_use and _MASKED in data:
            self._hiding.unmask(message, flow)
        return message

    def _deal(self, message: Request | Response, data: bytes, flow: Flow, source: Source, now: float) -> None:
        """Hand a message to its transaction."""
        self._at_hand = data
        if isinstance(message, Response):
            self._counters.responses_in += 1
            source.left += 1  # who answers us is not counted, but for responses that nobody waits for
            if not (self._stateless.in_use and self._stateless.relay(message, flow)):
                self._layer.receive_response(message, flow, now)
            return
        if (
            not source.trusted
            and self._gate.bears_trust(message)
            and not self._core.initial.asking.is_of_trunk(message, flow)
        ):
            self._gate.relieve(message)
        if flow.peer_identities and message.via.param("alias") is not None:
            self._core.wires.alias(flow, message.via.port or 5061)  # RFC 5923 §5
        if self._stateless.in_use:
            if source.stranger and message.to_tag is None and self._gate.scans(message, source, flow, now):
                return
            if self._stateless.receive(message, flow, now):
                return
        self._layer.receive_request(message, flow, now)

    def _unreadable(
        self, data: bytes, request: Request | None, bad: BadMessage, source: Source, flow: Flow, now: float
    ) -> None:
        self._counters.malformed += 1
        if self.tap is not None:
            self.tap.dropped(data, flow, f"malformed: {bad.reason}")
        if not self._gate.guard.unreadable(source, now, proved=flow.reliable) or request is None:
            return
        if source.stranger and self._gate.scans(request, source, flow, now):
            return
        if not self._core.steady.refuse(request, flow, bad):
            self._counters.flow_errors += 1

    def come_late(self, data: bytes, flow: Flow) -> None:
        """A message that was only delayed."""
        source = self._gate.guard.source(flow.remote[0], self._clock())
        source.left = max(source.left, 0) + 1
        self.receive(data, flow)

    def passed_over(self, flow: Flow, cause: str) -> None:
        """Nothing is done with the message at hand."""
        if self.tap is not None:
            self.tap.dropped(self._at_hand, flow, cause)
