"""Who asks for what: the caller of a request outside a dialog, and the question that the dial plan is asked about it.

A caller is a trunk by its address, registration or certificate, a user by password (RFC 3261 §22.3), or anyone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from appliance.config.settings import Settings
from appliance.proxy.inner_flow import InnerFlow
from appliance.proxy.ownership import Ownership
from appliance.proxy.rewriting import Rewriting
from appliance.router.causes import Cause
from appliance.router.dialplan import DialPlan
from appliance.router.question import Caller, CallerKind, Question
from appliance.router.trusted import TrustedSources
from appliance.sip.errors import BadMessage, Rejected
from appliance.sip.flow import Flow
from appliance.sip.message import Request
from appliance.sip.server_transaction import ServerTransaction
from appliance.sip.uri import Uri, parse_uri_untrusted

if TYPE_CHECKING:
    from appliance.proxy.core import SipCore

ANYONE = Caller(CallerKind.ANYONE)
_TRUNK = CallerKind.TRUNK
_SEPARATORS = str.maketrans("", "", "-.()")
"""What a tel URI may be written with for the eye (RFC 3966 §5.1.1)."""


class Asking:
    """By the settings of one moment."""

    def __init__(
        self, core: SipCore, settings: Settings, ownership: Ownership, rewriting: Rewriting, plan: DialPlan
    ) -> None:
        self._core = core
        self._settings = settings
        self._ownership = ownership
        self._rewriting = rewriting
        self._takes_foreign = plan.takes_foreign
        self._location = core.location
        self._registrations = core.trunk_registrations
        self._trusted = TrustedSources(settings.trunks)
        self._trunk_callers = {name: Caller(_TRUNK, name) for name in settings.trunks}

    def caller(self, transaction: ServerTransaction, now: float) -> Caller:
        """Who asks: a trunk by its address, a user by password (RFC 3261 §22.3), or anyone."""
        request = transaction.request
        flow = transaction.flow
        if isinstance(flow, InnerFlow):
            return flow.caller
        guests = self._core.guests.staying
        is_guest = bool(guests) and request.from_.uri.username in guests
        trunk = None if is_guest else self.trunk_of(request, flow)
        if trunk is not None:
            if request.veil is None and self._core.hiding.hides_from(trunk.name):
                self._core.hiding.receive(request, transaction.flow)
            return trunk
        origin = request.from_.uri
        claims_user = origin.scheme in ("sip", "sips") and self._ownership.has_domain(origin.host)
        if not claims_user and "proxy-authorization" not in request:
            return ANYONE
        user = self._core.sign_in.user_of(transaction, proxy=True)
        if claims_user and origin.username != user and not self._may_be(user, origin.username):
            cause = f"{user} gave their password, but From says {origin.username}"
            raise Rejected(403, "Forbidden", cause, why=Cause.CREDENTIALS)
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
            return self.trunk_of(request, flow) is not None
        except Rejected:
            return False

    def trunk_of(self, request: Request, flow: Flow) -> Caller | None:
        """The trunk that a request comes from, None for nobody's. Raises `Rejected` where its ACL shuts it out."""
        trunk = self._trusted.trunk_of(flow.remote[0])
        if self._registrations.any:
            trunk = self._registrations.trunk_of(flow, request.request_uri) or trunk
        trunk = self._core.trunk_tls.trunk_of(flow, trunk, self._settings.trunks)
        if trunk is None:
            return None
        self._core.gate.admit_to_trunk(trunk, flow.remote[0])
        return self._trunk_callers[trunk]

    def readable(self, request: Request) -> tuple[Uri, bool]:
        """The request URI, and whether it is ours. Raises `Rejected` for what no proxy may forward (§16.3)."""
        uri = request.request_uri
        if uri.scheme not in ("sip", "sips", "tel") and not request.uri.startswith("urn:service:"):
            raise Rejected(416, "Unsupported URI Scheme", f"scheme {uri.scheme}")
        extensions = request.values("proxy-require") if "proxy-require" in request.kinds else None
        if extensions:
            self._core.counters.proxy_require += 1
            raise Rejected(420, "Bad Extension", "Proxy-Require", (("Unsupported", ", ".join(extensions)),))
        if "route" in request.kinds:
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
        if not ours and not self._takes_foreign:
            cause = f"{uri.host} is not a domain of this box"
            raise Rejected(403, "Relaying Denied", cause, why=Cause.FOREIGN)
        called = uri
        if caller.kind is _TRUNK:
            called = self._registrations.called(caller.name, request, uri)
        number = self.number(called, ours)
        return Question(number, caller, uri.host, not ours, request, flow, self._core.wall())

    def number(self, uri: Uri, ours: bool = True) -> str:
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

    def asks_us(self, transaction: ServerTransaction, uri: Uri) -> bool:
        """Whether an OPTIONS is for the box: it names nobody, may go no further, or a registrar looks for us."""
        if not uri.user or transaction.request.get("max-forwards") == "0":
            return True
        return self._registrations.any and self._registrations.trunk_of(transaction.flow, uri) is not None
