"""Our registration at one trunk: a synchronous machine on the timer heap (RFC 3261 §10.2, RFC 6140, RFC 3608).

Registrars are tried in their order, each address of each; when none takes us, again after a growing pause. A binding
that stands is renewed well before its end, at the first registrar again where it was made at another.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from functools import partial
from typing import Protocol

import attrs

from appliance.config.account import KeepAlive
from appliance.logs import log
from appliance.proxy.contact import parse_contact_untrusted
from appliance.proxy.destination import Hop
from appliance.proxy.forwarding import new_via
from appliance.proxy.registration_plan import RegistrationPlan
from appliance.proxy.trunk_login import LoginRefused, Signing, TrunkLogin, sign
from appliance.sip.client_transaction import Cause, ClientTransaction, ClientUser
from appliance.sip.errors import BadMessage
from appliance.sip.flow import Flow, FlowClosed
from appliance.sip.headers import known_number, parse_name_addr_untrusted
from appliance.sip.message import Request, Response
from appliance.sip.timers import Timer
from appliance.sip.uri import parse_uri_untrusted
from appliance.transport.options import Target

_PATIENCE_S = 6.0
"""For an answer, before the next registrar is tried."""
_PARTING_S = 2.0
"""For the answer to our last REGISTER."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 30.0, 1800.0
"""RFC 5626 §4.5."""
_REFUSED_PAUSE_S, _LONGEST_REFUSED_PAUSE_S = 300.0, 3600.0
_LONGEST_EXPIRES_S = 86400.0
_MOST_ROUTES = 10
_MOST_ADDRESSES = 64
_REFUSALS = frozenset({401, 403, 404, 407})
"""Answers that another registrar would give as well, and that time alone does not mend."""


class RegistrationState(Enum):
    REGISTERING = "registering"
    REGISTERED = "registered"
    FAILING = "failing"
    REFUSED = "refused"
    LEAVING = "leaving"
    GONE = "gone"


class Surroundings(Protocol):
    """What a registration asks of the core."""

    user_agent: str

    def draw(self, low: float, high: float) -> float:
        """A random number between the two."""

    def clock(self) -> float: ...
    def wall(self) -> float: ...
    def unique(self) -> str: ...
    def schedule(self, when: float, callback: Callable[[float], None]) -> Timer: ...
    def resolve(self, hop: Hop, done: Callable[[list[Target]], None]) -> None: ...
    def connect(self, target: Target) -> Flow: ...
    def send(self, request: Request, flow: Flow, user: ClientUser, now: float, timeout_s: float) -> None:
        """In a transaction of its own; a client that has waited so long fails."""

    def changed(self, registration: TrunkRegistration) -> None:
        """Its state is another."""


@attrs.define(eq=False)
class _Try:
    """One REGISTER under way; a later one makes its answer worthless."""

    registration: TrunkRegistration
    flow: Flow
    expires_s: float
    signing: Signing | None

    def on_response(self, client: ClientTransaction, response: Response, now: float) -> None:
        if response.status >= 200 and self.registration.current is self:
            self.registration.answered(self, response, now)

    def on_failure(self, client: ClientTransaction, cause: Cause, now: float) -> None:
        if self.registration.current is self:
            self.registration.unanswered(self, cause, now)


@attrs.define(eq=False)
class TrunkRegistration:
    """One account that registers. `reason` tells why it is not registered; `expires_at` is wall-clock, as `since`."""

    plan: RegistrationPlan
    core: Surroundings
    login: TrunkLogin | None
    state: RegistrationState = RegistrationState.REGISTERING
    reason: str = ""
    since: float = 0.0
    expires_at: float = 0.0
    registrar: str = ""
    """Where the binding was made, in words."""
    flow: Flow | None = None
    """Over which it was made."""
    service_route: tuple[str, ...] = ()
    addresses: set[str] = attrs.field(factory=set)
    """Of registrars, as far as they are known."""
    current: _Try | None = None
    _position: int = 0
    _home: int = 0
    """The registrar that took us last."""
    _untried: int = 0
    _targets: list[Target] = attrs.field(factory=list)
    _asked: object = None
    _expires_s: float = 0.0
    _failures: int = 0
    _impatient: bool = False
    """The interval was too brief for the registrar once already in this try."""
    _cseq: int = 0
    _call_id: str = ""
    _tag: str = ""
    _timer: Timer | None = None
    _pulse: Timer | None = None
    _leave: Callable[[], None] | None = None

    @property
    def registered(self) -> bool:
        return self.expires_at > self.core.wall()

    # What is done

    def begin(self, now: float) -> None:
        """Register, at the first registrar."""
        self._call_id = f"{self.core.unique()}{self.core.unique()}"
        self._tag = self.core.unique()
        self._cseq = int(self.core.draw(1, 10000))
        self._expires_s = self.plan.expires_s
        self.since = self.core.wall()
        self.renew(now)

    def renew(self, now: float) -> None:
        """Register once more; the first registrar is tried first, and then whichever comes after it."""
        if self.state in (RegistrationState.LEAVING, RegistrationState.GONE):
            return
        self._wait(None)
        self._position = 0
        self._untried = len(self.plan.registrars)
        self._ask(now)

    def leave(self, now: float, done: Callable[[], None]) -> None:
        """Take the binding back, if there is one; `done` is called when that is over, at once where there is none."""
        stood = self.registered and self.flow is not None and not self.flow.closed
        self._wait(None)
        self._silence()
        self.current = None
        self._asked = None
        self._leave = done
        if stood:
            assert self.flow is not None
            self._become(RegistrationState.LEAVING, "")
            self._send(self.flow, 0, now)
        else:
            self._gone()

    def flow_closed(self, flow: Flow, now: float) -> None:
        """The connection to the registrar broke: a new one is made at once, or nearly."""
        if flow is self.flow and self.state is RegistrationState.REGISTERED:
            self.flow = None
            self._silence()
            self._wait(now + self.core.draw(0.1, 1.0))

    # One try

    def _ask(self, now: float) -> None:
        gateway = self.plan.registrars[self._position]
        transport = gateway.transport.upper() if gateway.transport else None
        asked = self._asked = object()
        self.core.resolve(Hop(gateway.host, gateway.port, transport, tls=self.plan.tls), partial(self._resolved, asked))

    def _resolved(self, asked: object, targets: list[Target]) -> None:
        if self._asked is not asked:
            return
        now = self.core.clock()
        self._targets = targets.copy()
        login = self.login
        for target in targets[: _MOST_ADDRESSES - len(self.addresses)]:
            self.addresses.add(target.host)
        if login is not None:
            login.learn(*(target.host for target in targets))
        if targets:
            self._next_target(now)
        else:
            self._failed("its name leads nowhere", now)

    def _next_target(self, now: float) -> None:
        self._impatient = False
        self._send(self.core.connect(self._targets.pop(0)), self._expires_s, now)

    def _send(self, flow: Flow, expires_s: float, now: float, signing: Signing | None = None) -> None:
        core = self.core
        if signing is None:
            login = self.login
            signing = None if login is None or not login.owns(flow.remote[0]) else Signing(login)
        request = self._request(flow, expires_s)
        if signing is not None:
            signing.begin(flow.remote, now)
            sign(request, signing.signatures, core.unique())
        self.current = _Try(self, flow, expires_s, signing)
        core.send(request, flow, self.current, now, _PATIENCE_S if expires_s else _PARTING_S)

    def _request(self, flow: Flow, expires_s: float) -> Request:
        self._cseq += 1
        via = new_via(flow, self.core.unique())[0]
        return self.plan.register(flow, via, self._tag, self._call_id, self._cseq, expires_s, self.core.user_agent)

    # What comes of it

    def answered(self, one: _Try, response: Response, now: float) -> None:
        """The final response to the latest REGISTER."""
        signing = one.signing
        status = response.status
        sentence = f"answers {status} {response.reason}"
        if signing is not None:
            signing.heard(status)
        if status in (401, 407) and signing is not None:
            try:
                if signing.challenged(response, now, room=True):
                    self._send(one.flow, one.expires_s, now, signing)
                    return
                sentence = f"{sentence}: its challenge is for none of our realms"
            except LoginRefused as refused:
                sentence = str(refused)
        if not one.expires_s:
            self._gone()
        elif status < 300:
            self._registered(one, response, now)
        elif status == 423 and not self._impatient:
            line = response.line("min-expires")
            least = known_number[line] if line is not None else None
            self._impatient = True
            if least is not None and one.expires_s < least <= _LONGEST_EXPIRES_S:
                self._expires_s = float(least)
                self._send(one.flow, self._expires_s, now)
            else:
                self._failed(sentence, now)
        elif status in _REFUSALS or status >= 600:
            self._refused(sentence, now)
        elif status < 400:
            self._failed(f"{sentence}, which is not followed", now)
        else:
            self._failed(sentence, now, _retry_after(response))

    def unanswered(self, one: _Try, cause: Cause, now: float) -> None:
        """No response came."""
        if not one.expires_s:
            self._gone()
        elif self._targets:
            self._next_target(now)
        else:
            self._failed("does not answer" if cause == "timeout" else "cannot be reached", now)

    def _registered(self, one: _Try, response: Response, now: float) -> None:
        self.current = None
        self._targets = []
        self._failures = 0
        granted = self._granted(one, response)
        if granted <= 0:
            self._failed("does not keep our Contact", now)
            return
        self.flow = one.flow
        self.expires_at = self.core.wall() + granted
        self.registrar = str(self.plan.registrars[self._position])
        self.service_route = _service_route_untrusted(response)
        self._become(RegistrationState.REGISTERED, "")
        self._wait(now + granted * self.core.draw(0.7, 0.9))
        self._keep_alive(now)

    def _granted(self, one: _Try, response: Response) -> float:
        """For how many seconds our binding stands: as our Contact says there, or Expires, or as we asked."""
        line = response.line("expires")
        usual = known_number[line] if line is not None else None
        usual_s = one.expires_s if usual is None else float(usual)
        try:
            contacts = [parse_contact_untrusted(value) for value in response.values("contact")]
        except BadMessage:
            contacts = []
        if not contacts:
            return min(usual_s, _LONGEST_EXPIRES_S)
        here = parse_uri_untrusted(f"sip:{one.flow.sent_by}")
        wanted = "" if self.plan.number_block else self.plan.contact_user, here.host, here.port
        ours = [one for one in contacts if (one.uri.username, one.uri.host, one.uri.port) == wanted]
        granted = [usual_s if one.expires_s is None else float(one.expires_s) for one in ours or contacts]
        return min(max(granted), _LONGEST_EXPIRES_S)

    def _failed(self, sentence: str, now: float, retry_after_s: float | None = None) -> None:
        """This registrar does not take us: the next, or all of them again after a while."""
        self.current = None
        where = self.plan.registrars[self._position]
        self.reason = f"registrar {where} {sentence}"
        log.info("trunk.register_failed", trunk=self.plan.trunk, registrar=str(where), cause=sentence)
        self._untried -= 1
        if self._untried > 0:
            self._position = (self._position + 1) % len(self.plan.registrars)
            self._ask(now)
            return
        pause = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** min(self._failures, 10))
        self._pause(pause if retry_after_s is None else max(retry_after_s, 1.0), now)
        self._become(RegistrationState.FAILING, self.reason)

    def _refused(self, sentence: str, now: float) -> None:
        """Another registrar would say the same: an operator has to look at it."""
        self.current = None
        where = self.plan.registrars[self._position]
        self._pause(min(_LONGEST_REFUSED_PAUSE_S, _REFUSED_PAUSE_S * 2 ** min(self._failures, 10)), now)
        self._become(RegistrationState.REFUSED, f"registrar {where} {sentence}")

    def _pause(self, pause_s: float, now: float) -> None:
        self._failures += 1
        self._wait(now + pause_s * self.core.draw(0.5, 1.0))

    def _gone(self) -> None:
        self.current = None
        self.expires_at = 0.0
        self._become(RegistrationState.GONE, "")
        done, self._leave = self._leave, None
        if done is not None:
            done()

    def _become(self, state: RegistrationState, reason: str) -> None:
        self.reason = reason
        if state is not self.state:
            self.state = state
            self.since = self.core.wall()
            log.info("trunk.registration", trunk=self.plan.trunk, state=state.value, registrar=self.registrar)
        self.core.changed(self)

    # Time

    def _wait(self, until: float | None) -> None:
        """Renew at that time; None: nothing is waited for."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if until is None else self.core.schedule(until, self.renew)

    def _silence(self) -> None:
        if self._pulse is not None:
            self._pulse.cancel()
            self._pulse = None

    def _keep_alive(self, now: float) -> None:
        self._silence()
        plan = self.plan
        if plan.keep_alive is not KeepAlive.NONE:
            pause = plan.keep_alive_interval_s * self.core.draw(0.8, 1.0)
            self._pulse = self.core.schedule(now + pause, self._beat)

    def _beat(self, now: float) -> None:
        """RFC 5626 §3.5.1 has CRLF for connections; on UDP it only has to pass the NATs."""
        self._pulse = None
        flow = self.flow
        if flow is None or self.state is not RegistrationState.REGISTERED:
            return
        if self.plan.keep_alive is KeepAlive.CRLF:
            try:
                flow.send(b"\r\n\r\n")
            except FlowClosed:
                self.renew(now)
                return
        else:
            unique = self.core.unique
            options = self.plan.options(new_via(flow, unique())[0], unique(), unique())
            self.core.send(options, flow, _Beat(self), now, _PATIENCE_S)
        self._keep_alive(now)


@attrs.define(eq=False)
class _Beat:
    """An OPTIONS that asks whether the registrar is still there; any answer says so."""

    registration: TrunkRegistration

    def on_response(self, client: ClientTransaction, response: Response, now: float) -> None:
        """It is."""

    def on_failure(self, client: ClientTransaction, cause: Cause, now: float) -> None:
        registration = self.registration
        if registration.state is RegistrationState.REGISTERED and registration.current is None:
            registration.renew(now)


def _service_route_untrusted(response: Response) -> tuple[str, ...]:
    """RFC 3608 §6.1: what goes on top of the Route of our requests; none where it cannot be read."""
    try:
        routes = response.values("service-route")[:_MOST_ROUTES]
        for route in routes:
            parse_name_addr_untrusted(route, "Service-Route")
    except BadMessage:
        return ()
    return tuple(routes)


def _retry_after(response: Response) -> float | None:
    """Seconds that the registrar asks for, an hour at most."""
    text = response.get("retry-after") or ""
    digits = text[: len(text) - len(text.lstrip("0123456789"))]
    return min(float(digits), 3600.0) if 0 < len(digits) < 10 else None
