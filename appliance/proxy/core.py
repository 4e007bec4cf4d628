"""The SIP core: every message of every transport comes in here and leaves again, without a single await.

Retransmissions die in the transaction layer. Requests inside a dialog are forwarded at once by our signed Route
entries; initial ones wait in a bounded inbox until they are authenticated, routed and forked (RFC 3261 §16).
"""

from __future__ import annotations

import os
import random
from collections import deque
from collections.abc import Callable, Collection
from typing import Protocol

import attrs

from appliance.config.sections import Anchor
from appliance.config.settings import Settings
from appliance.media.backend import PortsExhausted
from appliance.media.bridge import Bridge
from appliance.proxy.anchoring import Anchoring
from appliance.proxy.call import Call, Calls, CallState, Side
from appliance.proxy.credentials import Authenticator, Challenge
from appliance.proxy.destination import Destination, Hop
from appliance.proxy.forwarding import (
    breadth,
    contact_is_source,
    hidden,
    loop_mark,
    note_source,
    push_via,
    refuse_loops,
    spend_hop,
)
from appliance.proxy.hang_up import bye
from appliance.proxy.lines import Lines
from appliance.proxy.location import Location
from appliance.proxy.record_route import RecordRoutes
from appliance.proxy.registrar import Registrar
from appliance.proxy.response_context import Branch, ResponseContext
from appliance.proxy.target_set import Groups, TargetSets
from appliance.router.dialplan import Caller, CallerKind, Decision, DialPlan
from appliance.router.trusted import TrustedSources
from appliance.sip.build import response_to
from appliance.sip.client_transaction import NOBODY, ClientTransaction
from appliance.sip.errors import BadMessage, Rejected
from appliance.sip.flow import Flow, FlowClosed
from appliance.sip.headers import parse_name_addr_untrusted
from appliance.sip.layer import TransactionLayer
from appliance.sip.message import Request, Response
from appliance.sip.parser import check_untrusted, parse_message_untrusted
from appliance.sip.server_transaction import ServerTransaction
from appliance.sip.timers import Timer, TimerHeap
from appliance.sip.transaction import TransactionOptions
from appliance.sip.uri import Uri, parse_uri_untrusted
from appliance.transport.options import Target

ALLOW = "INVITE, ACK, CANCEL, BYE, OPTIONS, REGISTER, PRACK, UPDATE, INFO, REFER, MESSAGE, SUBSCRIBE, NOTIFY, PUBLISH"
_DIALOG_FORMING = frozenset({"INVITE", "SUBSCRIBE", "REFER"})


class Wires(Protocol):
    """What the core asks of the transports."""

    def connect(self, target: Target) -> Flow: ...

    def flow(self, flow_id: str) -> Flow | None: ...


class Names(Protocol):
    """What the core asks of the resolver (RFC 3263)."""

    def resolve_now(self, host: str, port: int | None, transport: str | None, secure: bool) -> list[Target] | None: ...

    def resolve_later(
        self,
        host: str,
        port: int | None,
        transport: str | None,
        secure: bool,
        done: Callable[[list[Target]], None],
    ) -> None: ...


@attrs.define
class Counters:
    """Plain integers, read by the metrics catalogue."""

    messages_in: int = 0
    malformed: int = 0
    rejected: int = 0
    overloaded: int = 0
    stray_responses: int = 0
    flow_errors: int = 0


class SipCore:
    """One for the box. `clock` is monotonic, `wall` the time of day; both in seconds."""

    def __init__(
        self,
        *,
        settings: Settings,
        own_hosts: Collection[str],
        own_ports: Collection[int],
        key: bytes,
        timers: TimerHeap,
        wires: Wires,
        names: Names,
        location: Location,
        registrar: Registrar,
        authenticator: Authenticator,
        bridge: Bridge,
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self.timers = timers
        self.wires = wires
        self.names = names
        self.location = location
        self.registrar = registrar
        self.clock = clock
        self.wall = wall
        self.counters = Counters()
        self.calls = Calls(os.urandom(4).hex() + "-", limit=settings.sip.max_calls)
        self.layer = TransactionLayer(
            timers, self, TransactionOptions(t1=settings.sip.t1_s, t2=settings.sip.t2_s, t4=settings.sip.t4_s)
        )
        self.lines = Lines(self, bridge, settings)
        self.draining = False
        self.wake: Callable[[], None] = lambda: None
        """Called when the inbox is no longer empty."""
        self._record_routes = RecordRoutes(key)
        self._bridge = bridge
        self._inbox: deque[tuple[ServerTransaction, str]] = deque()
        self._pending: dict[str, set[ResponseContext]] = {}
        """Unanswered INVITEs by the connection that they came over."""
        self._entropy = ""
        self.configure(settings, own_hosts, own_ports, authenticator)

    def configure(
        self,
        settings: Settings,
        own_hosts: Collection[str],
        own_ports: Collection[int],
        authenticator: Authenticator,
    ) -> None:
        """Take new settings; calls, transactions and registrations go on."""
        self.settings = settings
        self.timer_c_s = settings.sip.timer_c_s
        self.udp_threshold_bytes = settings.sip.udp_threshold_bytes
        self.calls.limit = settings.sip.max_calls
        self.authenticator = authenticator
        self.own_hosts = frozenset(host.lower() for host in own_hosts)
        self.own_ports = frozenset(own_ports)
        self.domain = self._domain(settings)
        self.trusted = TrustedSources(settings.trunks)
        self.plan = DialPlan(settings.routes, frozenset(settings.users))
        self.target_sets = TargetSets(settings, self.location, self.wires, self.domain)
        self.anchoring = Anchoring(settings, self._bridge)
        self.lines.configure(settings)

    def _domain(self, settings: Settings) -> str:
        domains = settings.appliance.domains
        return domains[0] if domains else settings.appliance.name

    # Messages in

    def receive(self, data: bytes, flow: Flow) -> None:
        """One message of the network. Never raises for a peer's fault."""
        now = self.clock()
        self.counters.messages_in += 1
        try:
            message = parse_message_untrusted(data)
        except BadMessage:
            self.counters.malformed += 1
            return
        if isinstance(message, Response):
            try:
                check_untrusted(message)
            except BadMessage:
                self.counters.malformed += 1
                return
            self.layer.receive_response(message, flow, now)
            return
        try:
            check_untrusted(message)
            note_source(message, flow)
        except BadMessage as bad:
            self.counters.malformed += 1
            self._answer_unchecked(message, flow, bad)
            return
        self.layer.receive_request(message, flow, now)

    def _answer_unchecked(self, request: Request, flow: Flow, bad: BadMessage) -> None:
        """400 without a transaction (RFC 3261 §16.3): where there is a Via to send it by, and never to an ACK."""
        if request.method == "ACK" or not {"via", "from", "to", "call-id", "cseq"} <= set(request.keys):
            return
        try:
            flow.send(response_to(request, bad.status, bad.reason, to_tag=self.unique()).to_bytes())
        except FlowClosed:
            self.counters.flow_errors += 1

    def flow_closed(self, flow: Flow) -> None:
        """A connection is gone: what waited on it is told, what rang for it stops ringing."""
        now = self.clock()
        self.layer.flow_closed(flow, now)
        for context in self._pending.pop(flow.id, ()):
            context.cancel(now, (("Reason", 'SIP;cause=487;text="Caller is gone"'),))
        self.registrar.flow_closed(flow)

    # The transaction user

    def on_request(self, transaction: ServerTransaction, now: float) -> None:
        try:
            self._take(transaction, now)
        except Rejected as rejected:
            self.reject(transaction, rejected, now)
        except BadMessage as bad:
            self.reject(transaction, Rejected(bad.status, bad.reason), now)

    def on_cancel(self, transaction: ServerTransaction, cancel: Request, now: float) -> None:
        context = transaction.context
        headers = tuple(("Reason", value) for value in cancel.get_all("reason"))
        if isinstance(context, ResponseContext):
            context.cancel(now, headers)
        else:
            # Still in the inbox, or rung by a line of ours.
            transaction.context = None
            transaction.respond(response_to(transaction.request, 487, to_tag=self.unique()), now)

    def on_ack(self, request: Request, flow: Flow, now: float) -> None:
        """The ACK to a 2xx: forwarded without a transaction (RFC 3261 §16.11 does for it)."""
        try:
            entry = self._pop_routes(request) or self._routeless(request, flow)
            if entry is None:
                self.lines.acknowledge(request, now)
                return
            spend_hop(request, self.settings.sip.max_forwards)
            destination = self._towards(request, entry)
            call = self._call_of(entry, request)
            if call is not None:
                call.heard_at = now
                self._follow_ack(call, request, entry.leg)
            self._send_once(request, destination)
        except (Rejected, BadMessage):
            self.counters.rejected += 1

    def on_stray_response(self, response: Response, flow: Flow, now: float) -> None:
        # RFC 6026 §7.1: a response that belongs to nothing is not forwarded.
        self.counters.stray_responses += 1

    def _take(self, transaction: ServerTransaction, now: float) -> None:
        request = transaction.request
        mark = loop_mark(request)
        refuse_loops(request, mark)
        entry = self._pop_routes(request)
        if entry is not None or request.to_tag is not None:
            self._forward_in_dialog(transaction, entry, mark, now)
            return
        if len(self._inbox) >= self.settings.sip.inbox:
            self.counters.overloaded += 1
            raise self.overloaded("the inbox is full")
        if not self._inbox:
            self.wake()
        self._inbox.append((transaction, mark))

    def work(self, most: int = 64) -> bool:
        """Decide up to `most` initial requests; True while more are waiting."""
        now = self.clock()
        inbox = self._inbox
        while inbox and most:
            most -= 1
            transaction, mark = inbox.popleft()
            if transaction.final_sent:
                continue  # cancelled meanwhile
            try:
                self._begin(transaction, mark, now)
            except Rejected as rejected:
                self.reject(transaction, rejected, now)
            except BadMessage as bad:
                self.reject(transaction, Rejected(bad.status, bad.reason), now)
        return bool(inbox)

    def reject(self, transaction: ServerTransaction, rejected: Rejected, now: float) -> None:
        self.counters.rejected += 1
        transaction.respond(
            response_to(
                transaction.request,
                rejected.status,
                rejected.reason or None,
                to_tag=self.unique(),
                headers=[(name.lower(), value) for name, value in rejected.headers],
            ),
            now,
        )

    def overloaded(self, cause: str) -> Rejected:
        """503 with a Retry-After drawn from a range, so that phones do not all come back at once."""
        span = self.settings.sip.retry_after
        seconds = random.randint(span.low, span.high)  # noqa: S311 (spread, not secrecy)
        return Rejected(503, "Service Unavailable", cause, (("Retry-After", str(seconds)),))

    # Initial requests

    def _begin(self, transaction: ServerTransaction, mark: str, now: float) -> None:
        request = transaction.request
        method = request.method
        uri = request.request_uri
        if uri.scheme not in ("sip", "sips", "tel"):
            raise Rejected(416, "Unsupported URI Scheme", f"scheme {uri.scheme}")
        extensions = request.values("proxy-require")
        if extensions:
            raise Rejected(420, "Bad Extension", "Proxy-Require", (("Unsupported", ", ".join(extensions)),))
        ours = uri.scheme == "tel" or self.is_ours(uri)
        if method == "REGISTER" and ours:
            self._register(transaction, now)
            return
        if method == "OPTIONS" and ours and (not uri.user or request.get("max-forwards") == "0"):
            transaction.respond(self._capabilities(request), now)
            return
        if self.draining and method == "INVITE":
            raise self.overloaded("the box is about to stop")
        spend_hop(request, self.settings.sip.max_forwards)
        caller = self._caller(transaction, now)
        if not ours:
            raise Rejected(403, "Relaying Denied", f"{uri.host} is not a domain of this box")
        number = self._number(uri)
        decision = self.plan.decide(number, caller)
        if decision.target is None and decision.forbidden and caller.kind is CallerKind.ANYONE:
            caller = Caller(CallerKind.USER, self._authenticate(request, proxy=True))
            decision = self.plan.decide(number, caller)
        self._route(transaction, mark, caller, decision, now)

    def _number(self, uri: Uri) -> str:
        """What the dial plan looks at: the user part, or for a GRUU the user whose phone it names (RFC 5627 §4.1)."""
        if uri.param("gr") is None:
            return uri.username
        phones = self.location.by_gruu(uri, self.wall())
        if not phones:
            raise Rejected(480, "Temporarily Unavailable", "the phone of this GRUU is not registered")
        return parse_uri_untrusted(phones[0].aor).username

    def _caller(self, transaction: ServerTransaction, now: float) -> Caller:
        """Who asks: a trunk by its address, a user by password (RFC 3261 §22.3), or anyone."""
        request = transaction.request
        trunk = self.trusted.trunk_of(transaction.flow.remote[0])
        if trunk is not None:
            return Caller(CallerKind.TRUNK, trunk)
        origin = request.from_.uri
        claims_user = origin.scheme in ("sip", "sips") and self.is_our_domain(origin.host)
        if not claims_user and "proxy-authorization" not in request:
            return Caller(CallerKind.ANYONE)
        user = self._authenticate(request, proxy=True)
        if claims_user and origin.username != user:
            raise Rejected(403, "Forbidden", f"{user} gave their password, but From says {origin.username}")
        self.authenticator.strip(request)
        request.remove("p-asserted-identity")  # RFC 3325 §5: only a trusted peer may assert
        return Caller(CallerKind.USER, user)

    def _authenticate(self, request: Request, *, proxy: bool) -> str:
        """The user whose password the request proves. Raises `Rejected` with a challenge (RFC 3261 §22)."""
        answer = self.authenticator.check(request, self.wall(), proxy=proxy)
        if isinstance(answer, Challenge):
            raise Rejected(answer.status, "", answer.cause or "no credentials yet", answer.headers)
        return answer

    def _route(self, transaction: ServerTransaction, mark: str, caller: Caller, decision: Decision, now: float) -> None:
        request = transaction.request
        target = decision.target
        if target is None:
            if decision.forbidden:
                raise Rejected(403, "Forbidden", decision.explanation)
            raise Rejected(404, "Not Found", decision.explanation)
        if target.kind == "reject":
            raise Rejected(target.status, decision.reason or "", decision.explanation)
        if target.kind == "line":
            self.lines.receive(transaction, target.name, caller, decision, now)
            return
        groups = self.groups_of(decision, request.request_uri)
        call = None
        if request.method == "INVITE":
            call = self.open_call(transaction, caller, decision, now)
        context = ResponseContext(
            self,
            transaction,
            mark,
            breadth=breadth(request, self.settings.sip.max_breadth),
            call=call,
            record=request.method in _DIALOG_FORMING,
        )
        transaction.context = context
        flow = transaction.flow
        context.upstream_by_contact = caller.kind is CallerKind.TRUNK or contact_is_source(request, flow)
        context.caller_anchor = self._anchor_of(caller)
        if call is not None:
            call.caller_side.by_contact = context.upstream_by_contact
            if flow.reliable:
                self._pending.setdefault(flow.id, set()).add(context)
        try:
            context.start(groups, now)
        except Rejected as rejected:
            if call is not None:
                self.calls.end(call, rejected.cause, self.wall(), rejected.status)
            raise

    def _anchor_of(self, caller: Caller) -> Anchor:
        settings = self.settings
        if caller.kind is CallerKind.TRUNK:
            return settings.trunks[caller.name].anchor
        user = settings.users.get(caller.name)
        return user.anchor if user is not None else Anchor.AUTO

    def groups_of(self, decision: Decision, uri: Uri) -> Groups:
        target = decision.target
        if uri.param("gr") is not None:
            return self.target_sets.of_gruu(uri, self.wall())
        if target is not None and target.kind == "trunk":
            return self.target_sets.of_trunk(target.name, decision.number)
        return self.target_sets.of_user(decision.number, self.wall())

    def open_call(self, transaction: ServerTransaction, caller: Caller, decision: Decision, now: float) -> Call:
        if self.calls.full:
            raise self.overloaded(f"{self.calls.limit} calls are in progress")
        request = transaction.request
        contacts = request.values("contact")
        side = Side(
            request.require("from"),
            _bare(contacts[0]) if contacts else "",
            tuple(request.values("record-route")),
            transaction.flow,
            request.cseq.number,
        )
        call = self.calls.open(
            call_id=request.call_id,
            caller=_named(caller, request),
            called=request.request_uri.username,
            route=decision.explanation,
            caller_side=side,
            wall=self.wall(),
            now=now,
        )
        if caller.kind is CallerKind.TRUNK:
            call.from_trunk = caller.name
        return call

    def _register(self, transaction: ServerTransaction, now: float) -> None:
        request = transaction.request
        address = request.to.uri
        if not self.is_our_domain(address.host):
            raise Rejected(404, "Not Found", f"{address.host} is not a domain of this box")
        user = self._authenticate(request, proxy=False)
        if user != address.username:
            raise Rejected(403, "Forbidden", f"{user} may not register {address.username}")
        if self.settings.users.get(user) is None:
            raise Rejected(404, "Not Found", f"{user} is not a user of this box")

        def reply(response: Response) -> None:
            transaction.respond(response, self.clock())

        self.registrar.register(request, transaction.flow, self.target_sets.aor(user), self.wall(), reply)

    def _capabilities(self, request: Request) -> Response:
        return response_to(
            request,
            200,
            to_tag=self.unique(),
            headers=[
                ("allow", ALLOW),
                ("accept", "application/sdp"),
                ("supported", "path, outbound, gruu"),
                *self._server(),
            ],
        )

    def _server(self) -> list[tuple[str, str]]:
        name = self.settings.appliance.server
        return [("server", name)] if name else []

    # Requests inside a dialog

    def _pop_routes(self, request: Request) -> Entry | None:
        """Take our own entries off the Route (RFC 3261 §16.4); the last of them tells the side to go to."""
        if "route" not in request.keys:
            return None
        if request.uri.startswith("sip:jf-") and self._record_routes.claims(request.request_uri):
            # A strict router put our entry into the Request-URI and the target at the end of the Route.
            *before, last = request.values("route")
            request.uri = _bare(last)
            request.remove("route")
            for value in before:
                request.append("route", value)
        found: Uri | None = None
        while "route" in request.keys:
            value = request.values("route")[0]
            uri = parse_name_addr_untrusted(value, "Route").uri
            if not self.is_ours(uri):
                break
            request.pop_first("route")
            if self._record_routes.claims(uri):
                found = uri
        if found is None:
            return None
        opened = self._record_routes.open(found, request.call_id)
        if opened is None:
            raise Rejected(403, "Forbidden", "a Route entry of ours with a foreign signature")
        return Entry(*opened)

    def _towards(self, request: Request, entry: Entry) -> Destination:
        """Where a request inside a dialog goes: over the flow of our entry, else to the Route or the target."""
        flow = self.wires.flow(entry.flow_id) if entry.flow_id else None
        routes = request.values("route") if "route" in request.keys else []
        target = parse_name_addr_untrusted(routes[0], "Route").uri if routes else request.request_uri
        hop = None
        if flow is None:
            binding = None if routes else self.location.by_contact(target)
            if binding is not None:
                flow = self.wires.flow(binding.flow_id)  # the phone came back over another connection
            if flow is None:
                if target.host.endswith(".invalid"):
                    raise Rejected(430, "Flow Failed", "the phone's connection is gone and it has not come back")
                hop = Hop.of(target)
        return Destination(uri=request.uri, label=f"the other end of the dialog at {target.host}", flow=flow, hop=hop)

    def _routeless(self, request: Request, flow: Flow) -> Entry | None:
        """A request of a client that ignores Record-Route: its call's other end, as long as we remember the call.

        Only from the address that the call came from or went to, and only where it names us as its target.
        """
        call = self.calls.of_dialog(request.call_id)
        if call is None or call.callee_side is None or not call.leg or not self.is_ours(request.request_uri):
            return None
        for leg, side, peer in (
            (call.leg, call.callee_side, call.caller_side),
            ("a", call.caller_side, call.callee_side),
        ):
            known = side.flow is not None and peer.flow is not None and peer.flow.remote == flow.remote
            if known and side.contact and parse_name_addr_untrusted(peer.address).tag == request.from_tag:
                request.uri = side.contact
                for route in reversed(side.routes):
                    request.prepend("route", route)
                return Entry(call.serial, leg, "" if side.by_contact or side.flow is None else side.flow.id)
        return None

    def _call_of(self, entry: Entry, request: Request) -> Call | None:
        return self.calls.find(entry.serial, request.call_id) if entry.serial else None

    def _forward_in_dialog(self, transaction: ServerTransaction, entry: Entry | None, mark: str, now: float) -> None:
        request = transaction.request
        if entry is None:
            entry = self._routeless(request, transaction.flow)
        if entry is None:
            uri = request.request_uri
            if not self.is_ours(uri):
                raise Rejected(404, "Not Here", "a request inside a dialog, without a Route entry of ours")
            if self.lines.receive_in_dialog(transaction, now):
                return
            if request.method == "OPTIONS" and not uri.user:
                transaction.respond(self._capabilities(request), now)
                return
            raise Rejected(481, "Call/Transaction Does Not Exist", "no such dialog of ours")
        spend_hop(request, self.settings.sip.max_forwards)
        destination = self._towards(request, entry)
        call = self._call_of(entry, request)
        context = ResponseContext(
            self, transaction, mark, breadth=1, call=call, record=request.method in ("SUBSCRIBE", "REFER")
        )
        context.to_leg = entry.leg
        context.from_leg = "a" if entry.leg != "a" else (call.leg if call is not None else "")
        if call is not None:
            call.heard_at = now
            side = call.caller_side if entry.leg != "a" else call.callee_side
            if side is not None:
                side.cseq = max(side.cseq, request.cseq.number)
        transaction.context = context
        context.start([[destination]], now)

    def _follow_ack(self, call: Call, request: Request, to_leg: str) -> None:
        if call.media is not None and request.body:
            call.media.request(request, "a" if to_leg != "a" else call.leg, to_leg)

    def _send_once(self, request: Request, destination: Destination) -> None:
        """Without a transaction: the ACK to a 2xx."""

        def send(flow: Flow) -> None:
            push_via(request, flow, self.unique(), "0")
            try:
                flow.send(request.to_bytes())
            except FlowClosed:
                self.counters.flow_errors += 1

        self._reach(destination.flow, destination.hop, send)

    def _reach(self, flow: Flow | None, hop: Hop | None, send: Callable[[Flow], None]) -> None:
        """Call `send` with the flow, or with one to the first address of the hop."""
        if flow is not None:
            send(flow)
            return
        assert hop is not None

        def resolved(targets: list[Target]) -> None:
            if targets:
                send(self.wires.connect(targets[0]))

        self._resolve(hop, resolved)

    def _resolve(self, hop: Hop, done: Callable[[list[Target]], None]) -> None:
        found = self.names.resolve_now(hop.host, hop.port, hop.transport, hop.secure)
        if found is not None:
            done(found)
        else:
            self.names.resolve_later(hop.host, hop.port, hop.transport, hop.secure, done)

    # What a response context asks of us

    def resolve(self, branch: Branch, destination: Destination, now: float) -> None:
        assert destination.hop is not None
        self._resolve(destination.hop, lambda targets: branch.resolved(list(targets), self.clock()))

    def connect(self, target: Target) -> Flow:
        return self.wires.connect(target)

    def unique(self) -> str:
        """16 hexadecimal digits of the system's randomness, drawn in bulk."""
        if not self._entropy:
            self._entropy = os.urandom(4096).hex()
        drawn, self._entropy = self._entropy[:16], self._entropy[16:]
        return drawn

    def open_client(self, request: Request, flow: Flow, branch: Branch, now: float) -> ClientTransaction:
        return self.layer.open_client(request, flow, branch, now)

    def schedule(self, when: float, callback: Callable[[float], None]) -> Timer:
        return self.timers.schedule(when, callback)

    def prepare(self, context: ResponseContext, branch: Branch, request: Request, flow: Flow) -> None:
        call = context.call
        if call is not None:
            if context.record:
                branch.leg = branch.leg or call.next_leg()
                self._anchor(call, context, branch, flow)
            if call.media is not None:
                from_leg, to_leg = context.from_leg, branch.leg or context.to_leg
                try:
                    branch.exchange = call.media.request(request, from_leg, to_leg)
                except PortsExhausted as none:
                    raise self.overloaded(str(none) or "no media port is free") from None
        if context.record:
            upstream = context.transaction.flow
            serial = call.serial if call is not None else ""
            call_id = request.call_id
            by_contact = branch.destination.by_contact
            make = self._record_routes.entry
            request.prepend(
                "record-route",
                make(upstream, call_id, serial=serial, leg="a", by_contact=context.upstream_by_contact),
            )
            request.prepend("record-route", make(flow, call_id, serial=serial, leg=branch.leg, by_contact=by_contact))

    def _anchor(self, call: Call, context: ResponseContext, branch: Branch, flow: Flow) -> None:
        upstream = context.transaction.flow
        destination = branch.destination
        profile = self.anchoring.offered(context.request, upstream)
        nat = destination.hidden or hidden(context.request, upstream)
        if self.anchoring.wanted(context.caller_anchor, profile, destination, nat=nat):
            self.anchoring.place(call, profile, upstream, branch.leg, destination, flow)

    def arrived(self, context: ResponseContext, branch: Branch, response: Response, now: float) -> None:
        call = context.call
        if call is None:
            return
        call.heard_at = now
        method = context.request.method
        status = response.status
        if method == "INVITE" and context.record:
            if status < 200 and call.state is CallState.TRYING:
                call.state = CallState.RINGING
                call.ringing_at = self.wall()
                call.callee = branch.destination.label
            elif 200 <= status < 300 and call.state is not CallState.ANSWERED:
                self._answered(call, branch, response)
            elif status >= 300 and call.media is not None and branch.leg:
                call.media.drop(branch.leg)
                return
        if call.media is not None and branch.exchange is not None:
            call.media.response(response, branch.exchange, method)

    def _answered(self, call: Call, branch: Branch, response: Response) -> None:
        call.state = CallState.ANSWERED
        call.answered_at = self.wall()
        call.status = response.status
        call.callee = branch.destination.label
        call.trunk = branch.destination.trunk
        call.leg = branch.leg
        contacts = response.values("contact")
        # The entries above ours are nearer to the callee (RFC 3261 §12.1.2).
        beyond = []
        for value in response.values("record-route"):
            if self._record_routes.claims(parse_name_addr_untrusted(value, "Record-Route").uri):
                break
            beyond.append(value)
        call.callee_side = Side(
            response.require("to"),
            _bare(contacts[0]) if contacts else "",
            tuple(beyond),
            branch.flow,
            by_contact=branch.destination.by_contact,
        )
        self.calls.answered += 1
        if call.media is not None:
            if branch.exchange is None:
                call.media.close()  # the branch that won is not anchored
                call.media = None
            else:
                call.media.select(branch.leg)
        call.hang_up = lambda sentence: self.hang_up(call, sentence)

    def redirected(self, context: ResponseContext, branch: Branch, response: Response) -> Groups:
        return []

    def finished(self, context: ResponseContext, response: Response | None, now: float) -> None:
        transaction = context.transaction
        method = context.request.method
        call = context.call
        waiting = self._pending.get(transaction.flow.id)
        if waiting is not None:
            waiting.discard(context)
            if not waiting:
                del self._pending[transaction.flow.id]
        if call is None or response is None:
            return
        if method == "INVITE" and context.record and response.status >= 300:
            why = "the caller gave up" if context.cancelled else f"{response.status} {response.reason}"
            self.calls.end(call, why, self.wall(), response.status)
        elif method == "BYE":
            ended_by = "the caller" if context.to_leg != "a" else "the callee"
            self.calls.end(call, f"{ended_by} hung up", self.wall())

    # Ending calls ourselves

    def hang_up(self, call: Call, sentence: str) -> None:
        """End a call that stands: BYE to both sides, and the sentence into its record."""
        caller, callee = call.caller_side, call.callee_side
        self.calls.end(call, sentence, self.wall())
        if callee is not None:
            self.send_bye(bye(call, callee, caller, sentence), callee)
            self.send_bye(bye(call, caller, callee, sentence), caller)

    def send_bye(self, request: Request | None, side: Side) -> None:
        """A request of our own to one side of a dialog; nobody waits for its answer."""
        if request is None:
            return
        routes = request.values("route")
        target = parse_name_addr_untrusted(routes[0], "Route").uri if routes else request.request_uri
        flow = side.flow if side.flow is not None and not side.flow.closed and not side.by_contact else None

        def send(flow: Flow) -> None:
            push_via(request, flow, self.unique(), "0")
            self.layer.open_client(request, flow, NOBODY, self.clock())

        self._reach(flow, Hop.of(target), send)

    def sweep(self) -> None:
        """Once a second: registrations that have run out, calls that nobody has heard of for too long."""
        now = self.clock()
        self.registrar.expire(self.wall())
        longest = self.settings.sip.longest_call_s
        for call in self.calls:
            if now - call.heard_at > longest:
                call.hang_up(f"nothing was heard of the call for {longest:g} s")

    # Whose is it

    def is_our_domain(self, host: str) -> bool:
        domains = self.settings.appliance.domains
        return host in self.own_hosts or (domains is not None and host in domains)

    def is_ours(self, uri: Uri) -> bool:
        """Whether a URI names this box or a domain of it."""
        return self.is_our_domain(uri.host) and (uri.port is None or uri.port in self.own_ports)


@attrs.frozen
class Entry:
    """What one of our Record-Route entries says: the call, the leg that it faces, the flow to it ('': by Contact)."""

    serial: str
    leg: str
    flow_id: str


def _bare(value: str) -> str:
    """The URI of a name-addr as text."""
    return str(parse_name_addr_untrusted(value).uri)


def _named(caller: Caller, request: Request) -> str:
    """How the caller is called on our pages: the user, or what From says."""
    if caller.kind is CallerKind.USER:
        return caller.name
    origin = request.from_.uri
    return origin.username or origin.host
