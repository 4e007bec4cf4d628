"""Stateless forwarding (RFC 3261 §16.11): no transaction, no dialog, no call; the route tables and a hash decide.

What belongs together goes the same way, since all is computed from the message: the gateway from the Call-ID or what
`hash-on` names, our Via branch from the sender's. The branch is keyed and covers what a response gives back of its
request, so that nobody uses the box to throw responses at others. Nobody is asked for a password here.
"""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import attrs

from appliance.config.patch import TargetKind
from appliance.proxy.asking import ANYONE
from appliance.proxy.forwarding import set_next_hop, size_with_via, spend_hop
from appliance.proxy.refusal import refusal
from appliance.sip.errors import BadMessage, Rejected
from appliance.sip.flow import Flow, FlowClosed
from appliance.sip.message import Message, Request, Response
from appliance.sip.parser import check_untrusted, parse_message_untrusted
from appliance.transport.options import Target

if TYPE_CHECKING:
    from appliance.config.settings import Settings
    from appliance.proxy.core import SipCore
    from appliance.proxy.destination import Destination, Hop
    from appliance.proxy.record_route import RecordRoutes

BRANCH = "z9hG4bKjfs"
"""Every Via branch of a request that was forwarded without state begins so."""
SERIAL = "-"
"""Stands for the call in the Record-Route entries of such a request."""
_RECORDED = frozenset({"INVITE", "SUBSCRIBE", "REFER"})
_KEY_BYTES = 9
_MOST_KNOWN = 4096


@attrs.define
class StatelessCounts:
    """Plain integers, read by the metrics catalogue."""

    requests: int = 0
    responses: int = 0
    refused: int = 0
    strays: int = 0
    """Responses that answer nothing we forwarded, or whose sender is gone."""


class StatelessProxy:
    """The listeners and routes that keep nothing. `key` is the box's token secret, kept over restarts."""

    def __init__(self, core: SipCore, key: bytes, record_routes: RecordRoutes) -> None:
        self.counts = StatelessCounts()
        self.in_use = False
        self._core = core
        self._record_routes = record_routes
        own = hashlib.blake2b(key, person=b"stateless").digest()
        self._keyed = hashlib.blake2b(key=own, digest_size=_KEY_BYTES)
        self._names: dict[str, str] = {}
        self._flows: dict[str, Flow] = {}
        """Of UDP, by name; both bounded."""

    def configure(self, settings: Settings) -> None:
        self._listeners = frozenset(one.name for one in settings.listeners.values() if one.stateless)
        self._unrecorded = frozenset(one.name for one in settings.listeners.values() if not one.record_route)
        self._routes = frozenset(one.name for one in settings.routes.values() if one.stateless)
        self.in_use = bool(self._listeners or self._routes)

    # Requests

    def receive(self, request: Request, flow: Flow, now: float) -> bool:
        """Forward, answer or refuse a checked request; False where it is for the transaction layer."""
        core = self._core
        listening = flow.listener in self._listeners
        try:
            if "route" in request.kinds:
                if not listening and core.path.serial_of(request) != SERIAL:
                    return False
                entry = core.path.entry_of(request, flow)
                if entry is not None:
                    spend_hop(request, core.settings.sip.max_forwards)
                    self._forward(request, flow, *core.path.way(request, entry), record=False)
                    return True
            if not listening and (not self._routes or request.method == "REGISTER"):
                return False
            decided = self._decide(request, flow, listening, now)
            if decided is None:
                return listening
            outgoing, destination = decided
            spend_hop(outgoing, core.settings.sip.max_forwards)
            outgoing.uri = destination.uri
            for route in reversed(destination.routes):
                outgoing.prepend("route", route)
            self._forward(outgoing, flow, destination.flow, destination.hop, record=request.to_tag is None)
        except Rejected as rejected:
            self._refuse(request, flow, rejected)
        except BadMessage as bad:
            self._refuse(request, flow, Rejected(bad.status, bad.reason))
        return True

    def _decide(self, request: Request, flow: Flow, listening: bool, now: float) -> tuple[Request, Destination] | None:
        """The request as rules rewrite it, and where the route tables send it.

        None where it has been answered, or is not for us to forward.
        """
        core = self._core
        initial = core.initial
        if request.to_tag is None and core.gate.hushes(request, flow, now):
            return None
        uri, ours = initial.asking.readable(request)
        if not uri.user and request.method == "OPTIONS" and ours:
            if listening:
                self._say(flow, initial.capabilities(request))
            return None
        if initial.draining and request.method == "INVITE" and listening:
            raise Rejected(503, "Service Unavailable", "the box is about to stop")
        caller = initial.asking.trunk_of(request, flow) or ANYONE
        decision = initial.plan.decide(initial.asking.question(request, flow, caller, uri, ours))
        if not listening and decision.route not in self._routes:
            return None
        target = decision.target
        if target is None or target.kind in (TargetKind.REJECT, TargetKind.REDIRECT):
            raise refusal(decision)
        destination = initial.ways.steady_destination(decision, now)
        return decision.question.request, destination

    def _forward(self, request: Request, upstream: Flow, flow: Flow | None, hop: Hop | None, *, record: bool) -> None:
        if flow is not None and flow.closed:
            flow = None
        record = record and request.method in _RECORDED and upstream.listener not in self._unrecorded
        self._core.sender.reach(flow, hop, partial(self._send, request, upstream, hop, record))

    def _send(self, request: Request, upstream: Flow, hop: Hop | None, record: bool, flow: Flow) -> None:
        core = self._core
        if "route" in request.kinds:
            set_next_hop(request)
        plain = flow.transport == "UDP" and hop is not None and hop.transport is None
        if plain and size_with_via(request) > core.udp_threshold_bytes:  # RFC 3261 §18.1.1
            host, port = flow.remote
            flow = core.connect(Target(transport="TCP", host=host, port=port))
        if record:
            make = self._record_routes.entry
            call_id = request.call_id
            by_contact = not upstream.reliable
            request.put_above(
                "record-route",
                "Record-Route: " + make(flow, call_id, SERIAL, "b", not flow.reliable),
                "Record-Route: " + make(upstream, call_id, SERIAL, "a", by_contact),
            )
        back = self._name_of(upstream)
        key = self._key_of(request, request.via.branch, back)
        via = f"Via: SIP/2.0/{flow.transport} {flow.sent_by};branch={BRANCH}{key};rport;jf={back}"
        request.put_above("via", via)
        try:
            flow.send(request.to_bytes())
        except FlowClosed:
            request.drop_top_via()
            self._give_up(request, upstream)
            return
        self.counts.requests += 1

    def _give_up(self, request: Request, upstream: Flow) -> None:
        self._refuse(request, upstream, Rejected(503, "Service Unavailable", "the gateway cannot be reached"))

    def unreachable_untrusted(self, quoted: bytes) -> None:
        """A request that we forwarded has reached nobody; as long as it is quoted whole, its sender is told."""
        with suppress(BadMessage):
            request = parse_message_untrusted(quoted)
            check_untrusted(request)
            if isinstance(request, Request):
                upstream = self._upstream_of(request)
                if upstream is not None:
                    self._give_up(request, upstream)

    def _upstream_of(self, message: Message) -> Flow | None:
        """Take off the Via that we put on; gives where the request came from, None where that is not told truly."""
        via = message.via
        back = via.param("jf") or ""
        message.drop_top_via()
        if "via" not in message.kinds or via.branch != BRANCH + self._key_of(message, _next_branch(message), back):
            return None
        return self._flow_of(back)

    # Responses

    def relay(self, response: Response, flow: Flow) -> bool:
        """Send a response back by its next Via; False where it answers nothing that was forwarded here."""
        if not response.branch.startswith(BRANCH):
            return False
        upstream = self._upstream_of(response)
        if upstream is None or not self._answer(upstream, response):
            self.counts.strays += 1
        else:
            self.counts.responses += 1
        return True

    # Both

    def _key_of(self, message: Message, branch: str, back: str) -> str:
        """What the sender's branch, Call-ID, From tag and CSeq number make, alike for a request and its responses.

        So for a repeated request, its CANCEL, and the ACK to its non-2xx.
        """
        keyed = self._keyed.copy()
        text = f"{branch}\n{message.call_id}\n{message.from_tag}\n{message.cseq.number}\n{back}"
        keyed.update(text.encode("utf-8", "surrogateescape"))
        return keyed.hexdigest()

    def _name_of(self, flow: Flow) -> str:
        """The flow's id as a Via parameter."""
        name = self._names.get(flow.id)
        if name is None:
            if len(self._names) >= _MOST_KNOWN:
                self._names.clear()
            name = self._names[flow.id] = urlsafe_b64encode(flow.id.encode()).decode().rstrip("=")
        return name

    def _flow_of(self, name: str) -> Flow | None:
        """The flow that `_name_of` named, None for a connection that is gone."""
        flow = self._flows.get(name)
        if flow is None or flow.closed:
            flow = self._core.wires.flow(urlsafe_b64decode(name + "=" * (-len(name) % 4)).decode())
            if flow is not None and not flow.reliable:
                if len(self._flows) >= _MOST_KNOWN:
                    self._flows.clear()
                self._flows[name] = flow
        return flow

    def _refuse(self, request: Request, flow: Flow, rejected: Rejected) -> None:
        self.counts.refused += 1
        if request.method != "ACK":
            headers = [(name.lower(), value) for name, value in rejected.headers]
            self._say(flow, self._core.steady.response(request, rejected.status, rejected.reason, headers))

    def _say(self, flow: Flow, response: Response) -> None:
        """An answer of our own: never much more than was asked, where the sender of a datagram may be forged."""
        if self._core.gate.may_be_told(flow, response):
            self._answer(flow, response)

    def _answer(self, flow: Flow, response: Response) -> bool:
        try:
            flow.send(response.to_bytes())
        except FlowClosed:
            return False
        return True


def _next_branch(message: Message) -> str:
    """The branch of the Via that is now on top."""
    line = message.lines[message.keys.index("via")]
    if "," in line or '"' in line:
        return message.via.branch
    return line.partition(";branch=")[2].partition(";")[0].strip() or message.via.branch
