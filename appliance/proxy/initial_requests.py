"""Initial requests: who asks, where the dial plan sends it, what the box answers by itself (RFC 3261 §16.3, §16.5)."""

from __future__ import annotations

from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

from appliance.config.admission import RefusalKind
from appliance.config.patch import Target, TargetKind
from appliance.config.sections import Anchor
from appliance.config.settings import Settings
from appliance.proxy.branch import Branch
from appliance.proxy.call_follower import CallFollower
from appliance.proxy.contact import parse_contact_untrusted
from appliance.proxy.credentials import Authenticator
from appliance.proxy.destination import Destination
from appliance.proxy.enum_lookup import EnumLookup, LookedUp
from appliance.proxy.forwarding import breadth, contact_is_source, spend_hop
from appliance.proxy.gateway_redirects import followed_untrusted
from appliance.proxy.inner_flow import InnerFlow
from appliance.proxy.lines import Lines
from appliance.proxy.location import Location
from appliance.proxy.overload import overloaded
from appliance.proxy.ownership import Ownership
from appliance.proxy.refusal import refusal
from appliance.proxy.registrar import Registrar
from appliance.proxy.response_context import ResponseContext
from appliance.proxy.rewriting import Rewriting
from appliance.proxy.sips import keep_secure
from appliance.proxy.target_set import Groups, Targets, TargetSets
from appliance.router.decision import Decision
from appliance.router.dialplan import DialPlan
from appliance.router.question import Caller, CallerKind, Question
from appliance.router.trusted import TrustedSources
from appliance.sip.build import response_to
from appliance.sip.errors import BadMessage, Rejected
from appliance.sip.flow import Flow
from appliance.sip.message import Request, Response
from appliance.sip.server_transaction import ServerTransaction
from appliance.sip.uri import Uri, parse_uri_untrusted

if TYPE_CHECKING:
    from appliance.proxy.core import SipCore

ALLOW = "INVITE, ACK, CANCEL, BYE, OPTIONS, REGISTER, PRACK, UPDATE, INFO, REFER, MESSAGE, SUBSCRIBE, NOTIFY, PUBLISH"
_SEPARATORS = str.maketrans("", "", "-.()")
"""What a tel URI may be written with for the eye (RFC 3966 §5.1.1)."""
_ANYONE = Caller(CallerKind.ANYONE)
_MOST_REDIRECTS = 5
_MOST_CONTACTS = 10
TRUNK, LINE, ENUM = CallerKind.TRUNK, TargetKind.LINE, TargetKind.ENUM
"""By themselves, since looking a member up costs as much as a dozen comparisons."""
_REFUSALS = (TargetKind.REJECT, TargetKind.REDIRECT)
_FOLLOWED = frozenset({TargetKind.AOR, TargetKind.TRUNK, TargetKind.GROUP})
"""Where a redirection of a phone may lead."""
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
        self._settings = settings
        self._rewriting = rewriting
        self._ownership = ownership
        self._authenticator = authenticator
        self._trusted = TrustedSources(settings.trunks)
        self._trunk_callers = {name: Caller(CallerKind.TRUNK, name) for name in settings.trunks}
        self._registrations = self._core.trunk_registrations
        self._plan = DialPlan(settings, owned=ownership.has_domain, registered=self._registered_at)
        self._target_sets = TargetSets(
            settings,
            self._location,
            self._core.wires,
            ownership,
            self._core.hunts,
            self._registrations,
            self._core.wall,
        )
        self._enum = EnumLookup(settings, self._core.sender.names, ownership, self._plan)

    def begin(self, transaction: ServerTransaction, mark: str, now: float) -> None:
        """Answer it, or open its response context. Raises `Rejected` and `BadMessage`."""
        request = transaction.request
        method = request.method
        uri, ours = self.readable(request)
        if method == "REGISTER" and ours:
            self._register(transaction, now)
            return
        if method == "OPTIONS" and ours and self._asks_us(transaction, uri):
            transaction.respond(self._core.gate.fitted(transaction, self.capabilities(request)), now)
            return
        if self.draining and method == "INVITE":
            raise overloaded(self._settings, "the box is about to stop", RefusalKind.STOPPING)
        spend_hop(request, self._settings.sip.max_forwards)
        caller = self._caller(transaction, now)
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
        question = self.question(request, transaction.flow, caller, uri, ours)
        decision = self._plan.decide(question)
        if decision.target is None and caller.kind is CallerKind.ANYONE:
            # Whether there is such a number is none of a stranger's business either: 407 in both cases.
            caller = Caller(CallerKind.USER, self._core.sign_in.user_of(transaction, proxy=True))
            question = self.question(request, transaction.flow, caller, uri, ours)
            decision = self._plan.decide(question)
        request = question.request
        self._authenticator.strip(request)
        self._route(transaction, request, mark, caller, decision, now)

    def readable(self, request: Request) -> tuple[Uri, bool]:
        """The request URI, and whether it is ours. Raises `Rejected` for what no proxy may forward (§16.3)."""
        uri = request.request_uri
        if uri.scheme not in ("sip", "sips", "tel") and not request.uri.startswith("urn:service:"):
            raise Rejected(416, "Unsupported URI Scheme", f"scheme {uri.scheme}")
        extensions = request.values("proxy-require") if "proxy-require" in request.keys else None
        if extensions:
            raise Rejected(420, "Bad Extension", "Proxy-Require", (("Unsupported", ", ".join(extensions)),))
        if "route" in request.keys:
            raise Rejected(403, "Route Leads Elsewhere", f"not to this box: {request.get('route')}")
        return uri, uri.scheme in ("tel", "urn") or self._ownership.owns(uri)

    def question(self, received: Request, flow: Flow, caller: Caller, uri: Uri, ours: bool) -> Question:
        """What the dial plan is asked: the request as the rules of where it came from make it.

        Raises `Rejected` 403 where its URI is none of ours and no route could take it.
        """
        request = self._rewriting.arrived(received, flow.listener, caller)
        if request.uri != received.uri:
            uri = request.request_uri
            ours = uri.scheme in ("tel", "urn") or self._ownership.owns(uri)
        if not ours and not self._plan.takes_foreign:
            raise Rejected(403, "Relaying Denied", f"{uri.host} is not a domain of this box")
        called = uri
        if caller.kind is TRUNK:
            called = self._registrations.called(caller.name, request, uri)
        number = self._number(called, ours)
        return Question(number, caller, uri.host, not ours, request, flow, self._core.wall())

    def _asks_us(self, transaction: ServerTransaction, uri: Uri) -> bool:
        """Whether an OPTIONS is for the box: it names nobody, may go no further, or a registrar looks for us."""
        if not uri.user or transaction.request.get("max-forwards") == "0":
            return True
        return self._registrations.any and self._registrations.trunk_of(transaction.flow, uri) is not None

    def _number(self, uri: Uri, ours: bool = True) -> str:
        """What the dial plan looks at: the user part, or for a GRUU the user whose phone it names (RFC 5627 §4.1).

        A service URN (RFC 5031) is looked at as it is.
        """
        if uri.scheme == "urn":
            return f"urn:{uri.username}"
        if uri.param("gr") is None or not ours:
            number = uri.username
            if not number.isprintable():
                raise BadMessage("Bad Request-URI: control characters")
            return number.translate(_SEPARATORS) if uri.scheme == "tel" else number
        phones = self._location.by_gruu(uri, self._core.wall())
        if not phones:
            raise Rejected(480, "Temporarily Unavailable", "the phone of this GRUU is not registered")
        return parse_uri_untrusted(phones[0].aor).username

    def _caller(self, transaction: ServerTransaction, now: float) -> Caller:
        """Who asks: a trunk by its address, a user by password (RFC 3261 §22.3), or anyone."""
        request = transaction.request
        flow = transaction.flow
        if isinstance(flow, InnerFlow):
            return flow.caller
        trunk = self._trunk_of(request, flow)
        if trunk is not None:
            if request.veil is None and self._core.hiding.hides_from(trunk.name):
                self._core.hiding.receive(request, transaction.flow)
            return trunk
        origin = request.from_.uri
        claims_user = origin.scheme in ("sip", "sips") and self._ownership.has_domain(origin.host)
        if not claims_user and "proxy-authorization" not in request:
            return _ANYONE
        user = self._core.sign_in.user_of(transaction, proxy=True)
        if claims_user and origin.username != user and not self._may_be(user, origin.username):
            raise Rejected(403, "Forbidden", f"{user} gave their password, but From says {origin.username}")
        return Caller(CallerKind.USER, user)

    def _may_be(self, user: str, name: str) -> bool:
        """Whether `user` may call in this name: a number of theirs, or any where nobody checks."""
        settings = self._settings
        known = settings.users.get(user)
        if not settings.security.check_from:
            return True
        return bool(name) and known is not None and name in (known.number, *known.numbers)

    def is_of_trunk(self, request: Request, flow: Flow) -> bool:
        """Whether a trunk sends it, by address, registration or certificate, or an agent inside the box."""
        if flow.inside:
            return True
        try:
            return self._trunk_of(request, flow) is not None
        except Rejected:
            return False

    def _trunk_of(self, request: Request, flow: Flow) -> Caller | None:
        """The trunk that a request comes from, None for nobody's. Raises `Rejected` where its ACL shuts it out."""
        trunk = self._trusted.trunk_of(flow.remote[0])
        if self._registrations.any:
            trunk = self._registrations.trunk_of(flow, request.request_uri) or trunk
        trunk = self._core.trunk_tls.trunk_of(flow, trunk, self._settings.trunks)
        if trunk is None:
            return None
        self._core.gate.admit_to_trunk(trunk, flow.remote[0])
        return self._trunk_callers[trunk]

    def steady(self, request: Request, flow: Flow, uri: Uri, ours: bool) -> Decision:
        """The decision on a request that is forwarded without state: of a trunk, or of anyone."""
        caller = self._trunk_of(request, flow) or _ANYONE
        return self._plan.decide(self.question(request, flow, caller, uri, ours))

    def steady_destination(self, decision: Decision, now: float) -> Destination:
        """The one place that such a request and all that belongs to it goes to. Raises `Rejected` where there is none.

        Of several phones the first, of several gateways the one that a hash gives.
        """
        question = decision.question
        assert decision.target is not None
        for target, number in ((decision.target, decision.number), *decision.alternatives):
            match target.kind:
                case TargetKind.TRUNK | TargetKind.GROUP:
                    found = self._target_sets.steady(target, number, question, now)
                case TargetKind.AOR:
                    found = self._target_sets.of_user(number, self._core.wall())[0][0]
                case TargetKind.DNS:
                    found = self._target_sets.of_uri(question.request.request_uri)[0][0]
                case _:
                    raise Rejected(501, "Not Implemented", f"{target} needs state: {decision.explanation}")
            if found is not None:
                return found
        raise Rejected(503, "Service Unavailable", f"no gateway is in service: {decision.explanation}")

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
            if not self._enum.look_up(decision, looked_up, resume):
                return
        groups = self._groups_of(decision, request.request_uri, transaction, now, looked_up)
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
        context = ResponseContext(
            self._core,
            transaction,
            mark,
            breadth=breadth(request, self._settings.sip.max_breadth),
            call=call,
            record=request.method in _DIALOG_FORMING,
            spread=True,
        )
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
                self._follower.calls.end(call, rejected.cause, self._core.wall(), rejected.status)
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

    def redirected(self, context: ResponseContext, branch: Branch, response: Response) -> Groups:
        """Where a 3xx of one of our users' phones leads (RFC 3261 §16.5), by the dial plan and with that user's rights.

        Nothing where not every Contact of it is ours to route, where all were tried before, or where one redirection
        follows another for too long: then it goes back to the caller.
        """
        destination = branch.destination
        if destination.trunk and context.spread:
            return self._redirected_by_gateway(context, destination, response)
        user = destination.user
        depth = branch.destination.redirects + 1
        if not user or depth > _MOST_REDIRECTS or not context.spread:
            return []
        groups: Groups = []
        try:
            contacts = [parse_contact_untrusted(value) for value in response.values("contact")[: _MOST_CONTACTS + 1]]
            if len(contacts) > _MOST_CONTACTS or not all(self._ownership.owns(contact.uri) for contact in contacts):
                return []
            for contact in sorted(contacts, key=lambda contact: -contact.q):
                decision = self._plan.decide(
                    Question(
                        self._number(contact.uri),
                        Caller(CallerKind.USER, user),
                        contact.uri.host,
                        False,
                        context.request,
                        context.transaction.flow,
                        self._core.wall(),
                    )
                )
                if decision.target is None or decision.target.kind not in _FOLLOWED:
                    return []
                groups += self._groups_of(decision, contact.uri, context.transaction, self._core.clock())
        except (Rejected, BadMessage):
            return []
        tried = {one.destination.uri for one in context.branches}
        groups = [[one for one in group if one.uri not in tried] for group in groups]
        for one in chain.from_iterable(groups):
            one.redirects = depth
        if context.call is not None and any(groups):
            to = ", ".join(contact.uri.username for contact in contacts)
            context.call.detours += f"; {user} redirects it to {to}"
        return [group for group in groups if group]

    def _redirected_by_gateway(self, context: ResponseContext, destination: Destination, response: Response) -> Groups:
        """As its trunk allows."""
        trunk = self._settings.trunks.get(destination.trunk)
        if trunk is None:
            return []
        tried = {one.destination.uri for one in context.branches}
        groups = followed_untrusted(trunk, self._core.hunts, destination, response, tried)
        if context.call is not None and groups:
            to = ", ".join(one.label for [one] in groups)
            context.call.detours += f"; {destination.label} redirects it to {to}"
        return groups

    def _anchor_of(self, caller: Caller) -> Anchor:
        settings = self._settings
        if caller.kind is TRUNK:
            return settings.trunks[caller.name].media_anchor
        user = settings.users.get(caller.name)
        return user.anchor if user is not None else Anchor.AUTO

    def _groups_of(
        self,
        decision: Decision,
        uri: Uri,
        transaction: ServerTransaction,
        now: float,
        looked_up: LookedUp | None = None,
    ) -> Groups:
        assert decision.target is not None
        if uri.param("gr") is not None and not decision.question.foreign:
            return self._target_sets.of_gruu(uri, self._core.wall())
        if not decision.alternatives and decision.target.kind is not ENUM:
            return self._way(decision.target, decision.number, uri, transaction, now)
        groups: Groups | None = None
        refused: Rejected | None = None
        for target, number in ((decision.target, decision.number), *decision.alternatives):
            try:
                if target.kind is ENUM:
                    found = self._by_enum(target, number, decision, transaction, now, looked_up or {})
                else:
                    found = self._way(target, number, uri, transaction, now)
            except Rejected as rejected:
                refused = refused or rejected
                continue
            if groups is None:
                groups = found  # with the selection that it came from
            else:
                groups += found
        if groups is None:
            assert refused is not None
            raise refused
        return groups

    def _way(self, target: Target, number: str, uri: Uri, transaction: ServerTransaction, now: float) -> Groups:
        """Where one target leads. Raises `Rejected` where it leads nowhere now."""
        match target.kind:
            case TargetKind.TRUNK:
                return self._target_sets.of_trunk(target.name, number, transaction, now)
            case TargetKind.GROUP:
                return self._target_sets.of_group(target.name, number, transaction, now)
            case TargetKind.DNS:
                return self._target_sets.of_uri(uri)
            case _:
                return self._target_sets.of_user(number, self._core.wall())

    def _by_enum(
        self,
        target: Target,
        number: str,
        decision: Decision,
        transaction: ServerTransaction,
        now: float,
        looked_up: LookedUp,
    ) -> Groups:
        """Where the URIs of a number lead. Raises `Rejected` 404 where it has none."""
        groups: Groups = []
        for lead in self._enum.leads(looked_up.get((target.name, number), []), decision.question):
            if lead.decision is None:
                groups += self._target_sets.of_uri(lead.uri)
            else:
                groups += self._groups_of(lead.decision, lead.uri, transaction, now)
        if not groups:
            raise Rejected(404, "Not Found", f"ENUM {target.name} leads nowhere for {number}: {decision.explanation}")
        return groups

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
        if self._settings.users.get(user) is None:
            raise Rejected(404, "Not Found", f"{user} is not a user of this box")

        if self._admission.limited:
            self._admission.register(user, transaction.flow.remote[0], self._target_sets.aor(user), now)

        def reply(response: Response) -> None:
            transaction.respond(response, self._core.clock())

        self._registrar.register(request, transaction.flow, self._target_sets.aor(user), self._core.wall(), reply)

    def capabilities(self, request: Request) -> Response:
        return response_to(
            request,
            200,
            to_tag=self._core.unique(),
            headers=[
                ("allow", ALLOW),
                ("accept", "application/sdp"),
                ("supported", "path, outbound, gruu"),
                *self._server(),
            ],
        )

    def _server(self) -> list[tuple[str, str]]:
        name = self._settings.appliance.server
        return [("server", name)] if name else []
