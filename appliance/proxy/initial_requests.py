"""Initial requests: who asks, where the dial plan sends it, what the box answers by itself (RFC 3261 §16.3, §16.5)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from appliance.config.admission import RefusalKind
from appliance.config.patch import TargetKind
from appliance.config.sections import Anchor
from appliance.config.settings import Settings
from appliance.proxy.asking import Asking
from appliance.proxy.call_follower import CallFollower
from appliance.proxy.credentials import Authenticator
from appliance.proxy.enum_lookup import LookedUp
from appliance.proxy.extensions import UNDERSTOOD, refuse_unknown
from appliance.proxy.forwarding import breadth, contact_is_source, spend_hop
from appliance.proxy.lines import Lines
from appliance.proxy.location import Location
from appliance.proxy.overload import overloaded
from appliance.proxy.ownership import Ownership
from appliance.proxy.refusal import refusal
from appliance.proxy.registrar import Registrar
from appliance.proxy.response_context import ResponseContext
from appliance.proxy.rewriting import Rewriting
from appliance.proxy.sips import keep_secure
from appliance.proxy.target_set import Targets, TargetSets
from appliance.proxy.ways import Ways
from appliance.router.causes import Cause
from appliance.router.decision import Decision
from appliance.router.dialplan import DialPlan
from appliance.router.question import Caller, CallerKind
from appliance.sip.build import response_to
from appliance.sip.errors import BadMessage, Rejected
from appliance.sip.message import Request, Response
from appliance.sip.server_transaction import ServerTransaction
from appliance.sip.uri import Uri

if TYPE_CHECKING:
    from appliance.proxy.core import SipCore

ALLOW = "INVITE, ACK, CANCEL, BYE, OPTIONS, REGISTER, PRACK, UPDATE, INFO, REFER, MESSAGE, SUBSCRIBE, NOTIFY, PUBLISH"
TRUNK, LINE, ENUM = CallerKind.TRUNK, TargetKind.LINE, TargetKind.ENUM
"""By themselves, since looking a member up costs as much as a dozen comparisons."""
_REFUSALS = (TargetKind.REJECT, TargetKind.REDIRECT)
_DIALOG_FORMING = frozenset({"INVITE", "SUBSCRIBE", "REFER"})


class InitialRequests:
    """Decides one request after the other; everything it needs is in memory."""

    def __init__(
        self, core: SipCore, location: Location, registrar: Registrar, follower: CallFollower, lines: Lines
    ) -> None:
        self.draining = False
        self._core = core
        self._admission = core.admission
        self._location = location
        self._registrar = registrar
        self._follower = follower
        self._lines = lines

    def configure(
        self, settings: Settings, ownership: Ownership, authenticator: Authenticator, rewriting: Rewriting
    ) -> None:
        core = self._core
        self._settings = settings
        self._ownership = ownership
        self._authenticator = authenticator
        self._target_sets = TargetSets(
            settings, self._location, core.wires, ownership, core.hunts, core.trunk_registrations, core.wall
        )
        self.plan = DialPlan(settings, owned=ownership.has_domain, registered=self._registered_at)
        self.asking = Asking(core, settings, ownership, rewriting, self.plan)
        self.ways = Ways(core, settings, ownership, self.plan, self._target_sets, self.asking)

    def begin(self, transaction: ServerTransaction, mark: str, now: float) -> None:
        """Answer it, or open its response context. Raises `Rejected` and `BadMessage`."""
        request = transaction.request
        method = request.method
        uri, ours = self.asking.readable(request)
        if method == "REGISTER" and ours:
            self._register(transaction, now)
            return
        if method == "OPTIONS" and ours and self.asking.asks_us(transaction, uri):
            transaction.respond(self._core.gate.fitted(transaction, self.capabilities(request)), now)
            return
        if self.draining and method == "INVITE":
            raise overloaded(self._settings, "the box is about to stop", RefusalKind.STOPPING)
        spend_hop(request, self._settings.sip.max_forwards)
        caller = self.asking.caller(transaction, now)
        stir = self._core.stir
        if stir.verifying and method == "INVITE" and caller.kind is TRUNK and caller.name in stir.verifying:
            go_on = partial(self._decide, transaction, caller, mark, uri, ours)
            if stir.holds(transaction, caller.name, lambda: go_on(self._core.clock()), now):
                return
        self._decide(transaction, caller, mark, uri, ours, now)

    def _decide(
        self, transaction: ServerTransaction, caller: Caller, mark: str, uri: Uri, ours: bool, now: float
    ) -> None:
        """Send it where the dial plan says. Raises `Rejected` and `BadMessage`."""
        request = transaction.request
        if caller.kind is not TRUNK:
            self._core.gate.relieve(request)  # RFC 3325 §5: only a trusted peer may assert
        question = self.asking.question(request, transaction.flow, caller, uri, ours)
        guests = self._core.guests
        if guests.staying and caller.name in guests.staying and caller.kind is CallerKind.USER:
            decision = guests.decide(question, uri.username)
        else:
            decision = self.plan.decide(question)
        if decision.target is None and caller.kind is CallerKind.ANYONE:
            # Whether there is such a number is none of a stranger's business either: 407 in both cases.
            caller = Caller(CallerKind.USER, self._core.sign_in.user_of(transaction, proxy=True))
            question = self.asking.question(request, transaction.flow, caller, uri, ours)
            decision = self.plan.decide(question)
        request = question.request
        self._authenticator.strip(request)
        self._route(transaction, request, mark, caller, decision, now)

    def _route(
        self,
        transaction: ServerTransaction,
        request: Request,
        mark: str,
        caller: Caller,
        decision: Decision,
        now: float,
        looked_up: LookedUp | None = None,
    ) -> None:
        """`request` is the transaction's own, or a copy that is rewritten; `looked_up` what DNS has said so far."""
        target = decision.target
        if target is None or target.kind in _REFUSALS:
            raise refusal(decision)
        if target.kind is LINE:
            self._lines.receive(transaction, target.name, caller, decision, now)
            return
        if target.kind is ENUM or decision.alternatives:
            looked_up = {} if looked_up is None else looked_up
            resume = partial(self._resume, transaction, request, mark, caller, decision, looked_up)
            if not self.ways.enum.look_up(decision, looked_up, resume):
                return
        groups = self.ways.of(decision, request.request_uri, transaction, now, looked_up)
        if request.uri[:5].lower() == "sips:":
            keep_secure(groups)
        flow = transaction.flow
        if self._admission.limited and request.method != "INVITE":
            self._admission.message(caller, flow.remote[0], decision.route, now)
        by_contact = not flow.inside and (caller.kind is TRUNK or contact_is_source(request, flow))
        call = None
        if request.method == "INVITE":
            self._follower.session_timers.asked(request)
            call = self._follower.open(transaction, caller, decision, now)
            if isinstance(groups, Targets):
                call.selection = groups.selection
        most = breadth(request, self._settings.sip.max_breadth)
        context = ResponseContext(self._core, transaction, mark, most, call)
        context.record = request.method in _DIALOG_FORMING
        context.spread = True
        transaction.context = context
        context.outgoing = request
        context.caller = caller
        context.upstream_by_contact = by_contact
        context.caller_anchor = self._anchor_of(caller)
        if call is not None:
            call.caller_side.by_contact = by_contact
            if flow.reliable:
                self._core.expect(context)
        try:
            context.start(groups, now)
        except Rejected as rejected:
            if call is not None:
                ended = self._follower.calls.end
                ended(call, rejected.cause, self._core.wall(), rejected.status, Cause(rejected.why))
            raise

    def _resume(
        self,
        transaction: ServerTransaction,
        request: Request,
        mark: str,
        caller: Caller,
        decision: Decision,
        looked_up: LookedUp,
    ) -> None:
        """DNS has answered a look-up that a request waits for."""
        if transaction.final_sent:
            return  # cancelled meanwhile
        now = self._core.clock()
        try:
            self._route(transaction, request, mark, caller, decision, now, looked_up)
        except Rejected as rejected:
            self._core.reject(transaction, rejected, now)
        except BadMessage as bad:
            self._core.reject(transaction, Rejected(bad.status, bad.reason), now)

    def _anchor_of(self, caller: Caller) -> Anchor:
        settings = self._settings
        if caller.kind is TRUNK:
            return settings.trunks[caller.name].media_anchor
        user = settings.users.get(caller.name)
        return user.anchor if user is not None else Anchor.AUTO

    def _registered_at(self, user: str) -> list[str]:
        """The addresses that a user's phones are registered from, for routes that look at the caller's location."""
        bindings = self._location.bindings(self._target_sets.aor(user), self._core.wall())
        return [binding.received[1] for binding in bindings]

    def _register(self, transaction: ServerTransaction, now: float) -> None:
        request = transaction.request
        address = request.to.uri
        if not self._ownership.has_domain(address.host):
            raise Rejected(404, "Not Found", f"{address.host} is not a domain of this box")
        user = self._core.sign_in.user_of(transaction, proxy=False)
        if user != address.username:
            raise Rejected(403, "Forbidden", f"{user} may not register {address.username}")
        if user not in self._settings.users and user not in self._core.guests.staying:
            raise Rejected(404, "Not Found", f"{user} is not a user of this box")

        if self._admission.limited:
            self._admission.register(user, transaction.flow.remote[0], self._target_sets.aor(user), now)

        def reply(response: Response) -> None:
            transaction.respond(response, self._core.clock())

        self._registrar.register(request, transaction.flow, self._target_sets.aor(user), self._core.wall(), reply)

    def capabilities(self, request: Request) -> Response:
        """The answer to an OPTIONS for the box itself. Raises `Rejected` 420."""
        refuse_unknown(request, UNDERSTOOD)
        return response_to(
            request,
            200,
            to_tag=self._core.unique(),
            headers=[
                ("allow", ALLOW),
                ("accept", "application/sdp"),
                ("supported", ", ".join(UNDERSTOOD)),
                *self._server(),
            ],
        )

    def _server(self) -> list[tuple[str, str]]:
        name = self._settings.appliance.server
        return [("server", name)] if name else []
