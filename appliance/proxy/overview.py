"""What an operator sees of the telephone side: calls, registrations and trunks at one moment, as plain facts.

Read by the status page, the command and the metrics; nothing here changes anything, and no secret is in it.
"""

from __future__ import annotations

import hashlib
from itertools import islice

import attrs

from appliance.config.dialplan import TrunkSettings
from appliance.media.figures import CallMedia
from appliance.proxy.call import Call
from appliance.proxy.core import SipCore
from appliance.proxy.location import Binding
from appliance.router.bans import BanRecord
from appliance.router.gateway import Standing
from appliance.router.outcome import End
from appliance.sip.errors import BadMessage
from appliance.sip.flow import host_port
from appliance.sip.message import Request


@attrs.frozen
class CallOverview:
    """One call. Times are wall-clock seconds, None where it did not come to that; `media` None where not anchored."""

    serial: str
    call_id: str
    caller: str
    called: str
    callee: str
    trunk: str
    state: str
    status: int
    route: str
    ending: str
    started_at: float
    ringing_at: float | None
    answered_at: float | None
    ended_at: float | None
    media: CallMedia | None


@attrs.frozen
class RefusalOverview:
    """An INVITE that we answered ourselves and that made no call; `cause` is for people."""

    at: float
    call_id: str
    caller: str
    called: str
    source: str
    status: int
    cause: str
    serial: str
    """Of its page; "" where there is none."""


@attrs.frozen
class RegistrationOverview:
    """One binding of a phone."""

    user: str
    display_name: str
    contact: str
    transport: str
    source: str
    user_agent: str
    expires_in_s: float
    q: float
    id: str
    """Tells bindings apart; stays the same when one is refreshed."""


@attrs.frozen
class GatewayOverview:
    """One gateway of a trunk. `state` is a word or two, `why` a sentence, "" where there is nothing to say.

    `usable`: new calls go there, be it a few only. `attempts` and `failed` (no answer, not reachable, or refused) are
    counted since the start where there is anything to choose or watch, `latency_ms` is None where it is not known.
    """

    trunk: str
    gateway: str
    state: str
    why: str
    usable: bool
    calls: int
    attempts: int
    failed: int
    pings: int
    pings_unanswered: int
    latency_ms: int | None
    quality: str
    """The figures of its calls in words, "" where they are not counted."""


@attrs.frozen
class TrunkOverview:
    """One trunk and what it carries now, and how our registration there stands."""

    name: str
    gateways: tuple[GatewayOverview, ...]
    trusted: tuple[str, ...]
    calls: int
    account: str = ""
    """The address that we register there, '' for none."""
    registration: str = ""
    """The state of it."""
    registrar: str = ""
    """Which of them took us last."""
    registered_for_s: float = 0.0
    reason: str = ""
    """Why we are not registered, or that our password is not taken, in words."""


def calls(core: SipCore, most: int | None = None) -> list[CallOverview]:
    """Calls in progress, the oldest first; `most` of them at most."""
    return [_call(call) for call in islice(core.calls, most)]


def ended_calls(core: SipCore, most: int | None = None) -> list[CallOverview]:
    """The last calls that ended, the latest first; their media as it was at the end."""
    return [_call(call) for call in islice(core.calls.ended, most)]


def refusals(core: SipCore) -> list[RefusalOverview]:
    """The last INVITEs that made no call, the latest first."""
    return [
        RefusalOverview(
            at=one.at,
            call_id=one.request.call_id,
            caller=written_caller(one.request),
            called=one.request.request_uri.username or one.request.request_uri.host,
            source=host_port(*one.source),
            status=one.status,
            cause=one.cause,
            serial=one.serial,
        )
        for one in core.refusals.latest
    ]


def written_caller(request: Request) -> str:
    """Whom a request says it comes from; nobody has proved it."""
    try:
        return request.from_name
    except BadMessage:
        return ""


def _call(call: Call) -> CallOverview:
    return CallOverview(
        serial=call.serial,
        call_id=call.call_id,
        caller=call.caller,
        called=call.called,
        callee=call.callee,
        trunk=call.trunk,
        state=call.state.value,
        status=call.status,
        route=call.route,
        ending=call.ending,
        started_at=call.started_at,
        ringing_at=call.ringing_at,
        answered_at=call.answered_at,
        ended_at=call.ended_at,
        media=call.last_media if call.media is None else call.media.media.snapshot(),
    )


def bans(core: SipCore, most: int | None = None) -> list[BanRecord]:
    """Bans in force, those by hand first, then the latest first."""
    return core.gate.guard.bans.records(core.clock(), most)


def registrations(core: SipCore, most: int | None = None, search: str = "") -> list[RegistrationOverview]:
    """Living bindings, by user; where there are more than `most`, those that came first.

    `search`: only those that hold it in user, contact, source or user agent, whatever the case.
    """
    search = search.lower()
    wall = core.wall()
    users = core.settings.users
    found = []
    living = (one for one in core.location if one.expires_at > wall and (not search or search in _searched(one)))
    for binding in islice(living, most):
        user = binding.aor.removeprefix("sip:").rpartition("@")[0]
        found.append(
            RegistrationOverview(
                user=user,
                display_name=users[user].display_name if user in users else "",
                contact=binding.contact,
                transport=binding.transport,
                source=f"{binding.received[1]}:{binding.received[2]}",
                user_agent=binding.user_agent,
                expires_in_s=max(0.0, binding.expires_at - wall),
                q=binding.q,
                id=binding_id(binding),
            )
        )
    return sorted(found, key=lambda one: (one.user, one.source))


def _searched(binding: Binding) -> str:
    words = (binding.aor, binding.contact, binding.received[1], binding.transport, binding.user_agent)
    return "\n".join(words).lower()


def binding_id(binding: Binding) -> str:
    """A short name of a binding for a page, where its key may be of any length."""
    return hashlib.sha256(f"{binding.aor}\0{binding.key}".encode()).hexdigest()[:20]


def gateways(core: SipCore) -> list[GatewayOverview]:
    """Every gateway of every trunk, in the order of the settings."""
    now = core.clock()
    carried: dict[tuple[str, str], int] = {}
    for call in core.calls:
        if call.gateway_name:
            key = call.trunk, call.gateway_name
            carried[key] = carried.get(key, 0) + 1
    found = []
    for hunt in core.hunts.trunks.values():
        for place in hunt.places:
            one = place.living
            latency_s = one.latency_s(now)
            state, why = one.told(now)
            found.append(
                GatewayOverview(
                    trunk=one.trunk,
                    gateway=one.name,
                    state=state,
                    why=why,
                    usable=one.standing(now) in (Standing.IN, Standing.SPARE),
                    calls=max(one.calls, carried.get((one.trunk, one.name), 0)),
                    attempts=sum(one.ends.values()),
                    failed=sum(one.ends[end] for end in (End.REFUSED, End.SILENT, End.UNREACHABLE)),
                    pings=sum(one.pings.values()),
                    pings_unanswered=one.pings[False],
                    latency_ms=None if latency_s is None else round(latency_s * 1000),
                    quality="" if one.quality is None else one.quality.told(core.wall()),
                )
            )
    return found


def trunks(core: SipCore) -> list[TrunkOverview]:
    by_trunk: dict[str, list[GatewayOverview]] = {}
    for one in gateways(core):
        by_trunk.setdefault(one.trunk, []).append(one)
    carried: dict[str, int] = {}
    for call in core.calls:
        for name in {call.trunk, call.from_trunk} - {""}:
            carried[name] = carried.get(name, 0) + 1
    return [
        _trunk(core, trunk, tuple(by_trunk.get(trunk.name, ())), carried.get(trunk.name, 0))
        for trunk in core.settings.trunks.values()
    ]


def _trunk(core: SipCore, trunk: TrunkSettings, gateways: tuple[GatewayOverview, ...], carried: int) -> TrunkOverview:
    trusted = tuple(map(str, trunk.trusted))
    registration = core.trunk_registrations.of(trunk.name)
    if registration is None:
        login = core.logins.of(trunk.name)
        return TrunkOverview(trunk.name, gateways, trusted, carried, reason="" if login is None else login.fault)
    return TrunkOverview(
        name=trunk.name,
        gateways=gateways,
        trusted=trusted,
        calls=carried,
        account=registration.plan.address,
        registration=registration.state.value,
        registrar=registration.registrar,
        registered_for_s=max(0.0, registration.expires_at - core.wall()),
        reason=registration.reason,
    )


@attrs.frozen
class CapacityOverview:
    """One limit and what is used of one of its sizes; `what` says which, with its unit."""

    limit: str
    scope: str
    what: str
    used: float
    size: float
    refused: int


def capacity(core: SipCore) -> list[CapacityOverview]:
    """What is used of each limit, the box's own first; figures in kbit/s for bandwidth."""
    most_calls, most_media = core.settings.sip.max_calls, core.settings.media.max_sessions
    found = [
        CapacityOverview("max-calls of [sip]", "box", "calls", len(core.calls.active), most_calls, 0),
        CapacityOverview("max-sessions of [media]", "box", "calls", len(core.calls.anchored), most_media, 0),
    ]
    for one in core.admission.states(core.clock()):
        scope = f"{one.scope.partition(':')[0]} {one.subject}" if one.subject else one.scope.replace(":", " ")
        for what, used, size, unit in (
            ("calls", one.calls, one.calls_size, 1),
            ("audio kbit/s", one.audio, one.audio_size, 1000),
            ("video kbit/s", one.video, one.video_size, 1000),
            ("registrations", one.registrations, one.registrations_size, 1),
            (f"calls at once, {one.rate:g}/s", one.burst_used, one.burst_size, 1),
        ):
            if size is not None:
                found.append(CapacityOverview(one.name, scope, what, round(used / unit, 1), size / unit, one.refused))
    return found
