"""A call that has ended, or an INVITE that made none, put into the words of its record.

Done in a thread after the call, from what the call holds; nothing in the call path waits for it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from appliance.config.settings import Settings
from appliance.media.figures import CallMedia, DirectionFigures
from appliance.proxy.call import Call
from appliance.proxy.call_detail import detail_of
from appliance.proxy.leftover import Leftover
from appliance.proxy.verdict import JUDGED_AFTER_S, verdict_on_sound
from appliance.router.causes import Cause
from appliance.router.question import CallerKind
from appliance.sip.errors import BadMessage
from appliance.sip.flow import host_port
from appliance.sip.message import Request
from appliance.storage.call_record import CallRecord

if TYPE_CHECKING:
    from appliance.proxy.refusals import Refusal

_UNHEARD = "", "", ""
_Q850 = re.compile(r"Q\.850\s*;(?:[^;]*;)*?\s*cause\s*=\s*(\d{1,3})", re.I)


def texts_of_call(call: Call, settings: Settings, names: Callable[[str], tuple[str, ...]]) -> tuple[str, ...]:
    """A call that has ended as the values of a `CallRecord` but the id, in their order, '' for what is not known.

    `names` gives all Call-IDs of a hidden dialog. No record is made first, which would cost as much again.
    """
    decision = call.decision
    caller = decision.caller
    source = call.caller_side.flow
    started_at, ringing_at, answered_at = call.started_at, call.ringing_at, call.answered_at
    ended_at = call.ended_at or started_at
    first = ringing_at if ringing_at is not None else answered_at
    last = call.tried[-1] if call.tried and answered_at is None else None
    mos_caller, mos_callee, quality = _UNHEARD if call.last_media is None else _quality(call, call.last_media)
    return (
        call.serial,
        call.call_id,
        _masked(call, names),
        f"{started_at * 1000:.0f}",
        "" if ringing_at is None else f"{ringing_at * 1000:.0f}",
        "" if answered_at is None else f"{answered_at * 1000:.0f}",
        f"{ended_at * 1000:.0f}",
        "" if first is None else f"{max(0.0, first - started_at) * 1000:.0f}",
        "" if answered_at is None else f"{max(0.0, ended_at - answered_at) * 1000:.0f}",
        _caller(call),
        decision.called,
        call.number or decision.number,
        caller.kind,
        caller.name,
        _tenant(settings, caller.kind is CallerKind.USER, caller.name),
        "" if source is None else host_port(*source.remote),
        call.trunk or ("" if last is None else last.trunk),
        call.gateway_name or ("" if last is None else last.gateway),
        call.callee_user,
        call.callee or ("" if last is None else last.to),
        _tenant(settings, not call.trunk, call.callee_user or call.trunk),
        f"{call.status}",
        _text(cause_of(call.reason)) if call.reason else "",
        call.reason,
        call.ended_by,
        call.ending,
        "limit" if call.cause is Cause.LIMIT else "",
        decision.route,
        call.route,
        _transfer(call),
        mos_caller,
        mos_callee,
        quality,
        _attempts(call) if call.tried else "",
        call.cause,
        *(("", "") if call.last_media is None else _sound(call, ended_at)),
    )


def record_of_refusal(refused: Refusal, settings: Settings) -> CallRecord:
    """The record of an INVITE that made no call."""
    request = refused.request
    at = _ms(refused.at)
    return CallRecord(
        serial=refused.serial,
        call_id=request.call_id,
        started_ms=at,
        ended_ms=at,
        caller=_address(request, "from"),
        called=_target(request),
        source_address=host_port(*refused.source),
        status=refused.status,
        cause=cause_of(refused.reason),
        reason=refused.reason,
        ended_by="box",
        ending=refused.cause,
        refusal=refused.kind,
        why=refused.why,
    )


def record_of_leftover(left: Leftover) -> CallRecord:
    """The record of a call whose beginning a restart cut off: what its BYE tells."""
    request = left.request
    at = _ms(left.at)
    caller, callee = _address(request, "from"), _address(request, "to")
    if not left.by_caller:
        caller, callee = callee, caller
    reason = request.get("reason") or ""
    who = "caller" if left.by_caller else "callee"
    return CallRecord(
        serial=left.serial,
        call_id=request.call_id,
        started_ms=at,
        ended_ms=at,
        caller=caller,
        called=callee,
        source_address=host_port(*left.source) if left.by_caller else "",
        status=200,
        cause=cause_of(reason),
        reason=reason,
        ended_by=who,
        ending=f"the {who} hung up; the box was started again during the call, so its beginning is not known",
    )


def cause_of(reason: str) -> int | None:
    """The Q.850 cause in a Reason header, None where it holds none."""
    found = _Q850.search(reason[:500])
    return int(found[1]) if found else None


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def _text(figure: float | None) -> str:
    return "" if figure is None else f"{figure}"


def _masked(call: Call, names: Callable[[str], tuple[str, ...]]) -> str:
    callee_side = call.callee_side
    if call.caller_side.hiding is None and (callee_side is None or callee_side.hiding is None):
        return ""
    return next((name for name in names(call.call_id) if name != call.call_id), "")


def _transfer(call: Call) -> str:
    stand_in = call.stand_in
    if stand_in is None or not stand_in.taken:
        return ""
    return f"the {'caller' if stand_in.caller else 'callee'} was replaced by a transfer"


def _tenant(settings: Settings, is_user: bool, name: str) -> str:
    found = settings.users.get(name) if is_user else settings.trunks.get(name)
    return (found.tenant or "") if found is not None else ""


def _caller(call: Call) -> str:
    try:
        return call.caller
    except BadMessage:
        return ""


def _address(request: Request, key: str) -> str:
    try:
        uri = (request.from_ if key == "from" else request.to).uri
    except BadMessage:
        return ""
    return uri.username or uri.host


def _target(request: Request) -> str:
    try:
        target = request.request_uri
    except BadMessage:
        return ""
    return target.username or target.host


def _attempts(call: Call) -> str:
    """Those in vain, then the one that answered."""
    found: list[dict[str, object]] = [
        {
            "to": one.to,
            "trunk": one.trunk,
            "gateway": one.gateway,
            "status": one.status,
            "pdd_ms": None if one.heard is None else _ms(one.heard - one.opened),
            "length_ms": _ms(one.ended - one.opened),
            "sentence": one.sentence,
        }
        for one in call.tried or ()
    ]
    if call.answered_at is not None:
        found.append({"to": call.callee, "trunk": call.trunk, "gateway": call.gateway_name, "status": call.status})
    return json.dumps(found, ensure_ascii=False, separators=(",", ":"))


def _quality(call: Call, media: CallMedia) -> tuple[str, str, str]:
    """MOS of what came from the caller and from the callee, and all figures of their audio."""
    told: dict[str, dict[str, dict[str, object]]] = {}
    worst: dict[str, float | None] = {}
    for who, leg in (("caller", "a"), ("callee", call.leg)):
        streams = _audio(media, leg)
        heard = min((one.mos for one, _ in streams if one.mos is not None), default=None)
        worst[who] = None if heard is None else round(heard, 2)
        if streams:
            told[who] = {"received": _figures(streams[0][0]), "sent": _figures(streams[0][1])}
    quality = json.dumps(told, separators=(",", ":")) if told else ""
    return _text(worst["caller"]), _text(worst["callee"]), quality


def _sound(call: Call, ended_at: float) -> tuple[str, str]:
    """Which side was not heard, and what to do about it."""
    if call.answered_at is None or ended_at - call.answered_at < JUDGED_AFTER_S:
        return "", ""
    found = verdict_on_sound(detail_of(call, ended_at, brief=True))
    return ("", "") if found is None else (found.sentence, found.remedy)


def _audio(media: CallMedia, leg: str) -> list[tuple[DirectionFigures, DirectionFigures]]:
    return [
        (stream.received, stream.sent)
        for one in media.legs
        if one.name == leg
        for transport in one.transports
        for stream in transport.streams
        if stream.kind == "audio"
    ]


def _figures(one: DirectionFigures) -> dict[str, object]:
    return {
        "packets": one.packets,
        "lost": one.lost,
        "loss_percent": _rounded(one.loss_percent),
        "jitter_ms": _rounded(one.jitter_ms),
        "rtt_ms": _rounded(one.rtt_ms),
        "mos": _rounded(one.mos),
        "measured": one.source,
    }


def _rounded(figure: float | None) -> float | None:
    return None if figure is None else round(figure, 2)
