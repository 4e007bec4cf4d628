"""All trunks at which we register: begun, kept over reloads, ended; and the calls that come to us because of it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING

from appliance.config.account import CalledNumber
from appliance.config.dialplan import TrunkSettings
from appliance.config.settings import Settings
from appliance.proxy.destination import Hop
from appliance.proxy.registration_plan import RegistrationPlan
from appliance.proxy.trunk_registration import TrunkRegistration
from appliance.sip.client_transaction import ClientUser
from appliance.sip.errors import BadMessage
from appliance.sip.flow import Flow
from appliance.sip.headers import parse_name_addr_untrusted
from appliance.sip.message import Request
from appliance.sip.timers import Timer
from appliance.sip.uri import Uri
from appliance.transport.options import Target

if TYPE_CHECKING:
    from appliance.proxy.core import SipCore

_AUTO, _REQUEST_URI = CalledNumber.AUTO, CalledNumber.REQUEST_URI
"""By themselves, since looking a member up costs as much as a dozen comparisons."""


class TrunkRegistrations:
    """Those that live, by trunk. Nothing is sent before `start`; `any` is False where no trunk registers."""

    def __init__(self, core: SipCore) -> None:
        self.any = False
        self.on_change: Callable[[TrunkRegistration], None] = lambda registration: None
        """Told of each change of state, and of each failure."""
        self.leaving: set[TrunkRegistration] = set()
        """Those whose last REGISTER is under way."""
        self.user_agent = ""
        self.clock = core.clock
        self.wall = core.wall
        self.unique = core.unique
        self._core = core
        self._living: dict[str, TrunkRegistration] = {}
        self._trunks: Mapping[str, TrunkSettings] = {}
        self._started = False

    def __iter__(self) -> Iterator[TrunkRegistration]:
        return iter(list(self._living.values()))

    def of(self, trunk: str) -> TrunkRegistration | None:
        return self._living.get(trunk)

    def configure(self, settings: Settings) -> None:
        """Registrations whose plan and account did not change go on untouched; others end, and new ones begin."""
        self._trunks = settings.trunks
        self.user_agent = settings.appliance.server
        plans = {name: RegistrationPlan.of(trunk) for name, trunk in settings.trunks.items()}
        for name, registration in list(self._living.items()):
            if plans.get(name) != registration.plan or registration.login is not self._core.logins.of(name):
                self._end(registration)
        for name, plan in plans.items():
            if plan is not None and name not in self._living:
                self._living[name] = TrunkRegistration(plan, self, self._core.logins.of(name))
                if self._started:
                    self._living[name].begin(self.clock())
        self.any = bool(self._living)
        if self._started:
            self._core.logins.look_up(self._core.sender.resolve)

    def start(self) -> None:
        """The box is ready: register."""
        self._started = True
        self._core.logins.look_up(self._core.sender.resolve)
        now = self.clock()
        for registration in self:
            registration.begin(now)

    def stop(self) -> None:
        """The box is about to stop: take every binding back."""
        for registration in self:
            self._end(registration)
        self._started = False

    def _end(self, registration: TrunkRegistration) -> None:
        del self._living[registration.plan.trunk]
        self.leaving.add(registration)
        registration.leave(self.clock(), partial(self.leaving.discard, registration))

    def flow_closed(self, flow: Flow, now: float) -> None:
        for registration in self:
            registration.flow_closed(flow, now)

    def service_route(self, trunk: str) -> tuple[str, ...]:
        """What the registrar wants on top of the Route of requests to the trunk (RFC 3608), as long as we are known."""
        registration = self._living.get(trunk)
        return registration.service_route if registration is not None and registration.registered else ()

    # Calls that come in

    def trunk_of(self, flow: Flow, uri: Uri) -> str | None:
        """The trunk whose registrar sends a request to `uri` over `flow`, None where it is no registrar of ours.

        By the Contact that we registered, so that accounts at one address are told apart; for a number block by the
        address alone.
        """
        address = flow.remote[0]
        found = None
        for registration in self._living.values():
            if flow is not registration.flow and address not in registration.addresses:
                continue
            if registration.plan.number_block:
                found = found or registration.plan.trunk
            elif uri.username == registration.plan.contact_user:
                return registration.plan.trunk
        return found

    def called(self, trunk: str, request: Request, uri: Uri) -> Uri:
        """Where a call of the trunk says which number was called, as its section tells."""
        where = self._trunks[trunk].called_number
        if where is _AUTO:
            registration = self._living.get(trunk)
            if registration is None or uri.username != registration.plan.contact_user:
                return uri
        if where is _REQUEST_URI:
            return uri
        keys = ["p-called-party-id", "to"] if where is _AUTO else [where.value]
        for key in keys:
            value = request.get(key)
            if value is None:
                continue
            try:
                named = parse_name_addr_untrusted(value, key).uri
            except BadMessage:
                continue
            if named.scheme in ("sip", "sips", "tel") and named.username:
                return named
        return uri

    # What a registration asks of the core

    def draw(self, low: float, high: float) -> float:
        return random.uniform(low, high)  # noqa: S311 (times are spread with it)

    def schedule(self, when: float, callback: Callable[[float], None]) -> Timer:
        return self._core.timers.schedule(when, callback)

    def resolve(self, hop: Hop, done: Callable[[list[Target]], None]) -> None:
        self._core.sender.resolve(hop, done)

    def connect(self, target: Target) -> Flow:
        return self._core.connect(target)

    def send(self, request: Request, flow: Flow, user: ClientUser, now: float, timeout_s: float) -> None:
        self._core.layer.open_client(request, flow, user, now, timeout_s=timeout_s)

    def changed(self, registration: TrunkRegistration) -> None:
        self.on_change(registration)
