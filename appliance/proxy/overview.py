"""What an operator sees of the telephone side: calls, registrations and trunks at one moment, as plain facts.

Read by the status page, the command and the metrics; nothing here changes anything, and no secret is in it.
"""

from __future__ import annotations

from itertools import islice

import attrs

from appliance.media.figures import CallMedia
from appliance.proxy.call import Call
from appliance.proxy.core import SipCore
from appliance.sip.errors import BadMessage
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


@attrs.frozen
class TrunkOverview:
    """One trunk and what it carries now."""

    name: str
    gateways: tuple[str, ...]
    trusted: tuple[str, ...]
    calls: int


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
            caller=_written(one.request),
            called=one.request.request_uri.username or one.request.request_uri.host,
            source="{}:{}".format(*one.source),
            status=one.status,
            cause=one.cause,
        )
        for one in core.refused
    ]


def _written(request: Request) -> str:
    """Whom a request says it comes from; nobody has proved it."""
    try:
        origin = request.from_.uri
    except BadMessage:
        return ""
    return origin.username or origin.host


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


def registrations(core: SipCore, most: int | None = None) -> list[RegistrationOverview]:
    """Living bindings, by user; where there are more than `most`, those that came first."""
    wall = core.wall()
    users = core.settings.users
    found = []
    for binding in islice((one for one in core.location if one.expires_at > wall), most):
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
            )
        )
    return sorted(found, key=lambda one: (one.user, one.source))


def trunks(core: SipCore) -> list[TrunkOverview]:
    carried: dict[str, int] = {}
    for call in core.calls:
        for name in {call.trunk, call.from_trunk} - {""}:
            carried[name] = carried.get(name, 0) + 1
    return [
        TrunkOverview(
            name=trunk.name,
            gateways=tuple(map(str, trunk.gateways)),
            trusted=tuple(map(str, trunk.trusted)),
            calls=carried.get(trunk.name, 0),
        )
        for trunk in core.settings.trunks.values()
    ]
