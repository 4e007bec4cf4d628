"""The SIP core: every message of every transport comes in here and leaves again, without a single await.

Retransmissions die in the transaction layer. Requests inside a dialog are forwarded at once by our signed Route
entries; initial ones wait in a bounded inbox until they are authenticated, routed and forked (RFC 3261 §16).
"""

from __future__ import annotations

import os
import random
import re
from collections import deque
from collections.abc import Callable, Collection

import attrs

from appliance.config.admission import RefusalKind
from appliance.config.settings import Settings
from appliance.config.stir_material import StirMaterial
from appliance.logs import log
from appliance.media.bridge import Bridge
from appliance.proxy.anchoring import Anchoring
from appliance.proxy.arrivals import Arrivals
from appliance.proxy.branch import Branch
from appliance.proxy.call import Call, Calls
from appliance.proxy.call_follower import CallFollower
from appliance.proxy.credentials import Authenticator
from appliance.proxy.deadlines import Deadlines
from appliance.proxy.destination import Destination
from appliance.proxy.dialog_path import DialogPath
from appliance.proxy.dialog_requests import DialogRequests
from appliance.proxy.forwarding import loop_mark, refuse_loops
from appliance.proxy.gate import Gate
from appliance.proxy.guests import Guests
from appliance.proxy.hang_up import HangUp
from appliance.proxy.initial_requests import InitialRequests
from appliance.proxy.inner_flow import InnerFlow
from appliance.proxy.leftover import Leftover
from appliance.proxy.lines import Lines
from appliance.proxy.load import LoadWatch
from appliance.proxy.location import Location
from appliance.proxy.media_history import SAMPLED_A_SECOND, STEP_S, MediaHistory
from appliance.proxy.overload import overloaded
from appliance.proxy.ownership import Ownership
from appliance.proxy.pinger import Pinger
from appliance.proxy.record_route import RecordRoutes
from appliance.proxy.refusals import Refusals
from appliance.proxy.registrar import Registrar
from appliance.proxy.response_context import ResponseContext
from appliance.proxy.rewriting import Rewriting
from appliance.proxy.sender import Names, Sender, Wires
from appliance.proxy.shedder import Shedder
from appliance.proxy.sign_in import SignIn
from appliance.proxy.stateless import StatelessProxy
from appliance.proxy.steady_answers import SteadyAnswers
from appliance.proxy.stir import Stir
from appliance.proxy.topology import TopologyHiding
from appliance.proxy.transfer import Transfers
from appliance.proxy.trial import call_outcome
from appliance.proxy.trunk_logins import TrunkLogins
from appliance.proxy.trunk_registrations import TrunkRegistrations
from appliance.proxy.trunk_tls import TrunkTls
from appliance.router.admission import Admission
from appliance.router.causes import Cause
from appliance.router.hunting import Hunts
from appliance.router.outcome import AttemptOutcome, CallOutcome, Outcomes
from appliance.sip.build import response_to
from appliance.sip.errors import BadMessage, Rejected
from appliance.sip.flow import Address, Flow
from appliance.sip.layer import TransactionLayer
from appliance.sip.message import Request, Response
from appliance.sip.server_transaction import ServerTransaction
from appliance.sip.timers import TimerHeap
from appliance.sip.transaction import TransactionOptions

_AT_ONCE = 64
_QUOTED_REQUEST = re.compile(
    rb"([A-Z]{1,20}) [^\r\n]{1,1000}\r\n(?:(?!Via:)[^\r\n]*\r\n){0,20}Via: [^;\r\n]*;branch=([A-Za-z0-9.]{1,80})"
)
"""The beginning of a request of ours, its method and the branch of its top Via."""


@attrs.define
class Counters:
    """Plain integers, read by the metrics catalogue."""

    messages_in: int = 0
    responses_in: int = 0
    malformed: int = 0
    rejected: int = 0
    inbox_full: int = 0
    stray_responses: int = 0
    flow_errors: int = 0
    proxy_require: int = 0
    """Requests that wanted an extension of a proxy (Proxy-Require) and got 420."""
    lost_leases: int = 0
    """Leases that outlived their call: a fault of ours, mended by the sweep."""


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
        material: StirMaterial | None = None,
    ) -> None:
        self.timers = timers
        self.wires = wires
        self.location = location
        self.registrar = registrar
        self.clock = clock
        self.wall = wall
        self.counters = Counters()
        self.steady = SteadyAnswers(key)
        self.calls = Calls(os.urandom(4).hex() + "-", limit=settings.sip.max_calls)
        sip = settings.sip
        options = TransactionOptions(t1=sip.t1_s, t2=sip.t2_s, t4=sip.t4_s, limit=sip.max_transactions)
        self.refusals = Refusals(self.calls, wall)
        self.record_leftover: Callable[[Leftover], None] | None = None
        """Takes the end of each call from before the box was started."""
        self.record_message: Callable[[Request, Flow, int, str], None] | None = None
        """Takes each MESSAGE outside of calls with the status it got, and why where we refused it."""
        self.gate = Gate(timers, lambda data, flow: self.arrivals.come_late(data, flow))
        self.sign_in = SignIn(self.gate, clock, wall)
        self.layer = TransactionLayer(timers, self, options)
        self.shedder = Shedder(self.layer.servers)
        self.load = LoadWatch(settings, self.shedder)
        self.hiding = TopologyHiding(key, self.calls)
        self.hide = self.hiding.send
        self.stir = Stir(self, key, wall)
        self.sign = self.stir.sign
        self.sender = Sender(wires, names, self.hide)
        self.connect = wires.connect
        self.unique = self.sender.unique
        self.schedule = timers.schedule
        self.deadlines = Deadlines(timers)
        self.guests = Guests(location, registrar, timers.schedule, clock)
        self.hunts = Hunts()
        self.outcomes = Outcomes()
        self.outcomes.of_attempts.append(self._score)
        self.outcomes.of_calls.append(self._score_call)
        self.calls.left_gateway = self._left_gateway
        self.pinger = Pinger(self)
        self.open_client = self.layer.open_client
        record_routes = RecordRoutes(key)
        self.hang_up = HangUp(self)
        self.unwanted = self.hang_up.answer
        self.admission = Admission(settings, random.randint, clock())
        self.logins = TrunkLogins(self.unique)
        self.trunk_tls = TrunkTls()
        self.trunk_registrations = TrunkRegistrations(self)
        self.follower = CallFollower(self.calls, record_routes, self.logins, wall, self.hang_up.call, self.admission)
        self.admit = self.follower.admit
        location.on_change.append(self._registered)
        self.prepare = self.follower.prepare
        self.arrived = self.follower.arrived
        self.lost = self.follower.lost
        self.inner_flows: dict[str, InnerFlow] = {}
        """Those to user agents inside the box, by id."""
        self.path = DialogPath(
            record_routes, Ownership(settings, (), ()), wires, self.inner_flows, location, self.calls, self.trunk_tls
        )
        self.session_timers = self.follower.session_timers
        self.lines = Lines(self, bridge)
        self.transfers = Transfers(self, record_routes)
        self.stateless = StatelessProxy(self, key, record_routes)
        self.arrivals = Arrivals(self)
        self.receive = self.arrivals.receive
        self.dialogs = DialogRequests(self, self.path, self.follower, self.lines, self.transfers)
        self.initial = InitialRequests(self, location, registrar, self.follower, self.lines)
        self.wake: Callable[[], None] = lambda: None
        """Called when there is something to do for `work`."""
        self._bridge = bridge
        self._inbox: deque[tuple[ServerTransaction, str]] = deque()
        self._credit = _AT_ONCE
        """How many initial requests may still pass the inbox by; renewed by `work`."""
        self._pending: dict[str, set[ResponseContext]] = {}
        """Unanswered INVITEs by the connection that they came over."""
        self.configure(settings, own_hosts, own_ports, authenticator, material)

    def configure(
        self,
        settings: Settings,
        own_hosts: Collection[str],
        own_ports: Collection[int],
        authenticator: Authenticator,
        material: StirMaterial | None = None,
    ) -> None:
        """Take new settings; calls, transactions and registrations go on."""
        self.settings = settings
        self.admission.configure(settings, self.clock())
        self.shedder.configure(settings)
        self.load.configure(settings)
        self.gate.configure(settings)
        self.guests.configure(authenticator)
        self.sign_in.configure(authenticator, settings.security.account_attempts)
        self.follower.adopt(self.clock())
        for aor in {binding.aor for binding in self.location} if self.admission.counts_registrations else ():
            self._registered(aor)
        self.timer_c_s = settings.sip.timer_c_s
        self.udp_threshold_bytes = settings.sip.udp_threshold_bytes
        self.anchoring = Anchoring(settings, self._bridge)
        self.path.own(Ownership(settings, own_hosts, own_ports))
        self.hunts.configure(settings, self.clock(), self.wall())
        self.pinger.configure(settings)
        self.logins.configure(settings.trunks)
        self.trunk_tls.configure(settings.trunks)
        self.trunk_registrations.configure(settings)
        self.hiding.configure(settings)
        self.stir.configure(settings, material or StirMaterial())
        self.rewriting = Rewriting(settings, self.path.ownership.domain)
        self.follower.configure(settings, self.anchoring, self.rewriting)
        self.initial.configure(settings, self.path.ownership, authenticator, self.rewriting)
        self.redirected = self.initial.ways.redirected
        self.dialogs.configure(settings, authenticator)
        self.transfers.configure(settings)
        self.stateless.configure(settings)
        self.lines.configure(settings)

    def _registered(self, aor: str) -> None:
        """The bindings of an AOR have changed."""
        if self.admission.counts_registrations:
            now = self.clock()
            sources = frozenset(binding.received[1] for binding in self.location.registered(aor, self.wall()))
            self.admission.registered(aor.removeprefix("sip:").rpartition("@")[0], sources, aor, now)

    @property
    def waiting(self) -> int:
        """Initial requests in the inbox."""
        return len(self._inbox)

    # The transports

    def unreachable_untrusted(self, quoted: bytes, remote: Address) -> None:
        """ICMP or the kernel says that nobody takes our datagrams at `remote`: the request quoted has failed."""
        sent = _QUOTED_REQUEST.match(quoted)
        if sent is not None:
            client = self.layer.clients.get((sent[2].decode("ascii"), sent[1].decode("ascii")))
            if client is not None:
                if client.flow.remote == remote and client.unanswered:
                    client.transport_failed(self.clock())
            elif self.stateless.in_use:
                self.stateless.unreachable_untrusted(quoted)

    def flow_closed(self, flow: Flow) -> None:
        """A connection is gone: what waited on it is told, what rang for it stops ringing."""
        now = self.clock()
        self.layer.flow_closed(flow, now)
        for context in self._pending.pop(flow.id, ()):
            context.cancel(now, (("Reason", 'SIP;cause=487;text="Caller is gone"'),), "the caller's connection broke")
        self.registrar.flow_closed(flow)
        if self.trunk_registrations.any:
            self.trunk_registrations.flow_closed(flow, now)

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
            context.cancel(now, headers, "the caller gave up")
        else:
            # Still in the inbox, or rung by a line of ours.
            transaction.context = None
            transaction.respond(response_to(transaction.request, 487, to_tag=self.unique()), now)

    def on_ack(self, request: Request, flow: Flow, now: float) -> None:
        """The ACK to a 2xx: forwarded without a transaction (RFC 3261 §16.11 does for it)."""
        try:
            self.dialogs.acknowledge(request, flow, now)
        except (Rejected, BadMessage):
            self.counters.rejected += 1

    def on_stray_response(self, response: Response, flow: Flow, now: float) -> None:
        # RFC 6026 §7.1: a response that belongs to nothing is not forwarded.
        self.counters.stray_responses += 1
        self.arrivals.passed_over(flow, "belongs to nothing")
        self.gate.guard.source(flow.remote[0], now).left -= 1

    def _take(self, transaction: ServerTransaction, now: float) -> None:
        request = transaction.request
        mark = loop_mark(request)
        refuse_loops(request, mark)
        entry = self.path.entry_of(request, transaction.flow)
        if entry is not None or request.to_tag is not None:
            self.dialogs.forward(transaction, entry, mark, now)
            return
        if not self.gate.welcomes(transaction, now):
            self.arrivals.passed_over(transaction.flow, "unwelcome: a scanner, or too many requests")
            return
        self.shedder.offered += 1
        if self._credit:
            # A wake of the inbox's task costs as much as half a call: only a flood has to stand in line.
            self._credit -= 1
            if not self._credit:
                self.wake()
            self.initial.begin(transaction, mark, now)
            return
        if len(self._inbox) >= self.settings.sip.inbox:
            self.counters.inbox_full += 1
            raise overloaded(self.settings, "the inbox is full", RefusalKind.OVERLOAD)
        self._inbox.append((transaction, mark))

    def resume(self, transaction: ServerTransaction, go_on: Callable[[], None]) -> None:
        """Go on with a request that had to wait for something."""
        try:
            go_on()
        except Rejected as rejected:
            self.reject(transaction, rejected, self.clock())
        except BadMessage as bad:
            self.reject(transaction, Rejected(bad.status, bad.reason), self.clock())

    def work(self, most: int = 64) -> bool:
        """Decide up to `most` of the initial requests that wait; True while there are more."""
        now = self.clock()
        inbox = self._inbox
        while inbox and most:
            most -= 1
            transaction, mark = inbox.popleft()
            if transaction.final_sent:
                continue  # cancelled meanwhile
            try:
                self.initial.begin(transaction, mark, now)
            except Rejected as rejected:
                self.reject(transaction, rejected, now)
            except BadMessage as bad:
                self.reject(transaction, Rejected(bad.status, bad.reason), now)
        if inbox:
            return True
        self._credit = _AT_ONCE
        return False

    def reject(self, transaction: ServerTransaction, rejected: Rejected, now: float) -> None:
        self.counters.rejected += 1
        challenged = rejected.status in (401, 407)
        if transaction.method == "INVITE" and (not challenged or rejected.why):
            self.refusals.add(transaction, rejected)
        if not challenged:
            self._tell_message(transaction.request, transaction.flow, rejected.status, rejected.cause)
            log.info(
                "request.refused",
                method=transaction.method,
                call_id=transaction.request.call_id,
                flow=transaction.flow.id,
                status=rejected.status,
                cause=rejected.cause,
            )
        headers = [(name.lower(), value) for name, value in rejected.headers]
        if rejected.status in (401, 407) and self.gate.challenges_steadily(transaction, headers, self.steady):
            return
        response = response_to(
            transaction.request, rejected.status, rejected.reason or None, to_tag=self.unique(), headers=headers
        )
        transaction.respond(response, now)

    # What a response context asks of us

    def resolve(self, branch: Branch, destination: Destination, now: float) -> None:
        hop = destination.hop
        assert hop is not None
        known = self.sender.known(hop)
        if known is not None:
            branch.resolved(known, now)
        else:
            self.sender.resolve(hop, lambda targets: branch.resolved(targets, self.clock()))

    def finished(self, context: ResponseContext, response: Response, now: float) -> None:
        flow = context.transaction.flow
        waiting = self._pending.get(flow.id) if flow.reliable else None
        if waiting is not None:
            waiting.discard(context)
            if not waiting:
                del self._pending[flow.id]
        self.follower.finished(context, response, now)
        if self.record_message is not None:
            self._tell_message(context.request, flow, response.status, "")

    def _tell_message(self, request: Request, flow: Flow, status: int, cause: str) -> None:
        if request.method == "MESSAGE" and self.record_message is not None and request.to_tag is None:
            self.record_message(request, flow, status, cause)

    def _score(self, outcome: AttemptOutcome) -> None:
        quality = outcome.gateway.quality
        if quality is not None:
            quality.attempt(outcome, self.wall())

    def _score_call(self, outcome: CallOutcome) -> None:
        if outcome.gateway.quality is not None:
            outcome.gateway.quality.call(outcome, self.wall())

    def _left_gateway(self, call: Call) -> None:
        outcome = call_outcome(call, self.wall())
        if outcome is not None:
            self.outcomes.call(outcome)

    def expect(self, context: ResponseContext) -> None:
        """An INVITE over a connection is pending: it is cancelled when the connection breaks."""
        self._pending.setdefault(context.transaction.flow.id, set()).add(context)

    def sweep(self) -> None:
        """Once a second: registrations that have run out, calls that nobody has heard of for too long."""
        now = self.clock()
        self.registrar.expire(self.wall())
        lost = self.admission.sweep(now)
        if lost:
            self.counters.lost_leases += lost
            log.error("admission.leases_lost", leases=lost)
        self.gate.sweep(now)
        self.sign_in.lapsed.sweep(now)
        longest = self.settings.sip.longest_call_s
        wall, step = self.wall(), max(STEP_S, len(self.calls.anchored) / SAMPLED_A_SECOND)
        for call in self.calls:
            if call.media is not None and call.answered_at is not None:
                history = call.history = call.history or MediaHistory()
                if wall - history.added_at >= step:
                    history.add(call.media.media.snapshot(), wall)
            sentence = self.session_timers.over(call, now)
            cause = Cause.SESSION
            if now - call.heard_at > longest:
                sentence, cause = f"nothing was heard of the call for {longest:g} s", Cause.UNHEARD
            if sentence:
                call.hang_up_for(cause, sentence)
                self.calls.end(call, sentence, self.wall(), cause=cause)
