"""All that is known of one call, in progress, ended or refused, as its page and its verdict need it: plain facts.

Made when somebody asks. Texts are as they came from the net.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import attrs

from appliance.media.figures import CallMedia
from appliance.proxy.call import Call, Side
from appliance.proxy.media_history import Key, Point
from appliance.proxy.overview import written_caller
from appliance.router.causes import Cause
from appliance.sip.flow import host_port
from appliance.sip.message import Message

if TYPE_CHECKING:
    from appliance.proxy.core import SipCore
    from appliance.proxy.refusals import Refusal

_RTPMAP = re.compile(rb"^a=rtpmap:\d+ ([A-Za-z0-9.-]+)/", re.MULTILINE)
_AUDIO = re.compile(rb"^m=audio \d+ \S+ ([0-9 ]+)", re.MULTILINE)
_STATIC = {b"0": "PCMU", b"3": "GSM", b"4": "G723", b"8": "PCMA", b"9": "G722", b"18": "G729"}
_MOST_CODECS = 12


@attrs.frozen(kw_only=True)
class Party:
    """One end. `name` as our pages call it, `address` 'UDP 192.0.2.1:5060', '' where it is not known."""

    name: str
    address: str = ""
    agent: str = ""
    """Its User-Agent or Server header."""
    trunk: str = ""


@attrs.frozen
class Vain:
    """A destination that was tried in vain; `after_s` from the call's begin until it had failed."""

    label: str
    after_s: float
    status: int
    sentence: str
    gateway: str = ""


@attrs.frozen
class Measured:
    """The audio of one direction as the record has it: `way` such as "from the caller", `by` "own" or "rtcp"."""

    way: str
    packets: int
    loss_percent: float | None
    jitter_ms: float | None
    rtt_ms: float | None
    mos: float | None
    by: str


@attrs.frozen(kw_only=True)
class CallDetail:
    """One call at the wall-clock time `seen_at`; other times as in `Call`. `state` is "refused" for an INVITE that made
    no call."""

    serial: str
    call_id: str
    state: str
    caller: Party
    callee: Party
    called: str
    """The number as it was dialled."""
    number: str = ""
    """The number as the gateway was given it."""
    status: int = 0
    cause: Cause = Cause.NONE
    ending: str = ""
    reason: str = ""
    """The Reason (RFC 3326) of the BYE or of the final answer."""
    seen_at: float
    started_at: float
    ringing_at: float | None = None
    answered_at: float | None = None
    ended_at: float | None = None
    steps: tuple[str, ...] = ()
    """How the route was found, a sentence a step."""
    selection: str = ""
    """How the gateway was chosen."""
    detours: tuple[str, ...] = ()
    rewriting: tuple[str, ...] = ()
    signature: str = ""
    attempts: tuple[Vain, ...] = ()
    held: tuple[str, ...] = ()
    """The limits that it is or was counted in."""
    offered: tuple[str, ...] = ()
    """The audio codecs that the caller offered."""
    leg: str = ""
    """The media leg of the callee."""
    media: CallMedia | None = None
    recorded: bool = False
    """It is known by its record only."""
    sound: str = ""
    """What its record says of a side that was not heard."""
    sound_remedy: str = ""
    measured: tuple[Measured, ...] = ()
    """The audio over the whole call, where only the record is known."""
    series: Mapping[Key, tuple[Point, ...]] = attrs.field(factory=dict)

    @property
    def talked_s(self) -> float:
        """How long the two were connected, 0 where they were not."""
        return 0.0 if self.answered_at is None else max(0.0, (self.ended_at or self.seen_at) - self.answered_at)

    @property
    def lasted_s(self) -> float:
        """From the INVITE to the end, or to now."""
        return max(0.0, (self.ended_at or self.seen_at) - self.started_at)


def detail(core: SipCore, serial: str) -> CallDetail | None:
    """The call or refusal of that serial; None where it is not kept any more."""
    call = core.calls.active.get(serial) or next((one for one in core.calls.ended if one.serial == serial), None)
    if call is not None:
        return detail_of(call, core.wall())
    refusal = next((one for one in core.refusals.latest if one.serial == serial), None)
    return None if refusal is None else detail_of_refusal(refusal)


def all_details(core: SipCore) -> Iterator[CallDetail]:
    """Those in progress, then those that ended and were refused; without what only the page of one shows."""
    wall = core.wall()
    for call in (*core.calls, *core.calls.ended):
        yield detail_of(call, wall, brief=True)
    for refusal in core.refusals.latest:
        yield detail_of_refusal(refusal)


def detail_of(call: Call, wall: float, *, brief: bool = False) -> CallDetail:
    """`brief`: without the route and the rewriting in words, and with media only where it is over."""
    decision, lease = call.decision, call.lease
    message = call.caller_side.message
    found = CallDetail(
        serial=call.serial,
        call_id=call.call_id,
        state=call.state.value,
        caller=_party(call.caller, call.caller_side, call.from_trunk),
        callee=_callee(call),
        called=call.called,
        number=call.number,
        status=call.status,
        cause=call.cause,
        ending=call.ending,
        reason=call.reason,
        seen_at=wall,
        started_at=call.started_at,
        ringing_at=call.ringing_at,
        answered_at=call.answered_at,
        ended_at=call.ended_at,
        attempts=tuple(
            Vain(one.to, one.ended - call.began, one.status, one.sentence, one.gateway) for one in call.tried or ()
        ),
        leg=call.leg,
        media=call.last_media if call.media is None or brief else call.media.media.snapshot(),
    )
    if brief:
        return found
    return attrs.evolve(
        found,
        steps=decision.steps,
        selection=call.selection.explanation if call.selection is not None else "",
        detours=tuple(one for one in call.detours.split("; ") if one),
        rewriting=tuple(call.rewriting_steps),
        signature=message.get("x-identity-verdict") or "",
        held=call.held if lease is None else lease.told,
        offered=_offered(message),
        series={key: tuple(points) for key, points in call.history.series.items()} if call.history else {},
    )


def detail_of_refusal(refusal: Refusal) -> CallDetail:
    """An INVITE that made no call."""
    request = refusal.request
    address = f"{request.via.transport.upper()} {host_port(*refusal.source)}"
    return CallDetail(
        serial=refusal.serial,
        call_id=request.call_id,
        state="refused",
        caller=Party(name=written_caller(request), address=address, agent=_agent(request)),
        callee=Party(name=""),
        called=request.request_uri.username or request.request_uri.host,
        status=refusal.status,
        cause=Cause(refusal.why),
        ending=refusal.cause,
        reason=refusal.reason,
        seen_at=refusal.at,
        started_at=refusal.at,
        ended_at=refusal.at,
        offered=_offered(request),
    )


def _party(name: str, side: Side, trunk: str) -> Party:
    flow = side.flow
    address = "" if flow is None else f"{flow.transport} {host_port(*flow.remote)}"
    return Party(name=name, address=address, agent=_agent(side.message), trunk=trunk)


def _callee(call: Call) -> Party:
    side = call.callee_side
    if side is None or side.message is call.caller_side.message:  # nobody yet, or the box itself
        last = call.tried[-1] if call.tried else None
        return Party(
            name=call.callee or ("" if last is None else last.to), trunk=call.trunk or (last.trunk if last else "")
        )
    return _party(call.callee, side, call.trunk)


def _agent(message: Message) -> str:
    return message.get("user-agent") or message.get("server") or ""


def _offered(message: Message) -> tuple[str, ...]:
    """Names of the codecs in the caller's SDP, whatever else it says."""
    body = message.body
    names = [name.decode("ascii", "replace") for name in _RTPMAP.findall(body)]
    if not names:
        names = [_STATIC[one] for found in _AUDIO.findall(body) for one in found.split() if one in _STATIC]
    return tuple(dict.fromkeys(names))[:_MOST_CODECS]
