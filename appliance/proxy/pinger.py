"""Pings: an OPTIONS now and then to every gateway that is watched (RFC 3261 §11.1), and what comes of it.

One timer a gateway in the heap of the core, no task. A gateway given by name is asked at its addresses one after the
other, as a call would be; its ping has failed when none of them answered well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from appliance.config.dialplan import TrunkSettings
from appliance.config.health import HealthSettings
from appliance.config.patch import Gateway
from appliance.config.settings import Settings
from appliance.logs import log
from appliance.proxy.destination import Hop
from appliance.proxy.forwarding import push_via
from appliance.proxy.trunk_tls import tls_options
from appliance.router.gateway import Hold, LivingGateway
from appliance.sip.message import Request, Response
from appliance.sip.timers import Timer
from appliance.transport.options import Target

if TYPE_CHECKING:
    from appliance.proxy.core import SipCore
    from appliance.sip.client_transaction import Cause, ClientTransaction

_FIRST_WITHIN_S = 2.0
"""After a start the first pings are spread over this time."""
_JITTER = 0.1


class Pinger:
    """All pings of the box."""

    def __init__(self, core: SipCore) -> None:
        self._core = core
        self._watches: dict[tuple[str, str], _Watch] = {}

    def configure(self, settings: Settings) -> None:
        """Ping whom the settings want pinged; who is pinged already goes on in its time."""
        wanted: dict[tuple[str, str], _Watch] = {}
        for trunk in settings.trunks.values():
            health = settings.health.get(trunk.health) if trunk.health is not None else None
            if health is None or health.ping_interval_s is None:
                continue
            for gateway in trunk.gateways:
                key = trunk.name, str(gateway)
                watch = self._watches.pop(key, None) or _Watch(self._core, self._core.hunts.gateways.of(*key))
                watch.configure(trunk, gateway, health, health.ping_interval_s)
                wanted[key] = watch
        for gone in self._watches.values():
            gone.stop()
        self._watches = wanted


class _Watch:
    """The pings of one gateway."""

    def __init__(self, core: SipCore, living: LivingGateway) -> None:
        self._core = core
        self._living = living
        self._timer: Timer | None = None
        self._interval_s = 0.0
        self._ping: _Ping | None = None

    def configure(self, trunk: TrunkSettings, gateway: Gateway, health: HealthSettings, interval_s: float) -> None:
        transport = gateway.transport.upper() if gateway.transport else None
        self._hop = Hop(gateway.host, gateway.port, transport, tls=tls_options(trunk))
        self._address = str(gateway)
        self._health = health
        self._dscp = trunk.qos_signalling
        if interval_s != self._interval_s:
            self._interval_s = interval_s
            self.stop()
            self._schedule(min(interval_s, _FIRST_WITHIN_S) * self._drawn())

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _drawn(self) -> float:
        """At random, from 0 to 1."""
        return int(self._core.unique()[:6], 16) / 0xFFFFFF

    def _schedule(self, in_s: float) -> None:
        core = self._core
        self._timer = core.schedule(core.clock() + in_s, self._due)

    def _due(self, now: float) -> None:
        self._schedule(self._interval_s * (1 + _JITTER * (2 * self._drawn() - 1)))
        if self._ping is not None:
            return  # names are still looked up, or the answer is late: its own time decides
        if self._living.hold is Hold.BLOCKED:
            return
        self._ping = ping = _Ping(self, now)
        ping.begin()

    @property
    def now(self) -> float:
        return self._core.clock()

    @property
    def health(self) -> HealthSettings:
        return self._health

    def resolve(self, ping: _Ping) -> None:
        self._core.sender.resolve(self._hop, ping.resolved)

    def later(self, in_s: float, ping: _Ping) -> Timer:
        return self._core.schedule(self._core.clock() + in_s, ping.overdue)

    def send(self, target: Target, ping: _Ping) -> None:
        """The OPTIONS to one address."""
        core, health = self._core, self._health
        flow = core.connect(target if self._dscp is None else evolve(target, dscp=self._dscp))
        domain = core.path.ownership.domain
        unique = core.unique()
        to = f"sip:{health.ping_to}@{self._address}" if health.ping_to else f"sip:{self._address}"
        from_ = f"sip:{health.ping_from}@{domain}" if health.ping_from else f"sip:{domain}"
        request = Request.make(
            "OPTIONS",
            to,
            [
                ("max-forwards", "70"),
                ("from", f"<{from_}>;tag={unique[:8]}"),
                ("to", f"<{to}>"),
                ("call-id", f"{unique}@{domain}"),
                ("cseq", "1 OPTIONS"),
                ("accept", "application/sdp"),
            ],
        )
        branch = push_via(request, flow, core.unique())
        core.layer.open_client(request, flow, ping, core.clock(), timeout_s=health.ping_timeout_s, branch=branch)

    def ended(self, ping: _Ping, status: int | None, now: float) -> None:
        """The ping came to `status`, None for no answer."""
        if self._ping is not ping:
            return
        self._ping = None
        living = self._living
        log.debug(
            "gateway.pinged",
            trunk=living.trunk,
            gateway=living.name,
            status=status,
            after_ms=1000 * (now - ping.sent_at),
        )
        living.pings[status is not None] += 1
        if status is not None:
            living.answered_after(now - ping.sent_at, now)
        if living.health is not None:
            living.health.pinged(status, now)


class _Ping:
    """One ping: the addresses that are left to ask, and when the last was asked."""

    def __init__(self, watch: _Watch, now: float) -> None:
        self._watch = watch
        self._targets: list[Target] = []
        self._status: int | None = None
        self._limit: Timer | None = None
        self.sent_at = now

    def begin(self) -> None:
        self._limit = self._watch.later(self._watch.health.ping_timeout_s, self)
        self._watch.resolve(self)

    def resolved(self, targets: list[Target]) -> None:
        if self._limit is None:
            return  # too late
        self._limit.cancel()
        self._limit = None
        self._targets = targets.copy()
        self._next(self._watch.now)

    def overdue(self, now: float) -> None:
        """The name was not resolved in time."""
        self._limit = None
        self._watch.ended(self, None, now)

    def _next(self, now: float) -> None:
        if not self._targets:
            self._watch.ended(self, self._status, now)
            return
        self.sent_at = now
        self._watch.send(self._targets.pop(0), self)

    def on_response(self, client: ClientTransaction, response: Response, now: float) -> None:
        if response.status < 200:
            return
        self._status = response.status
        if response.status in self._watch.health.out_of_service:
            self._next(now)
        else:
            self._watch.ended(self, response.status, now)

    def on_failure(self, client: ClientTransaction, cause: Cause, now: float) -> None:
        self._next(now)
