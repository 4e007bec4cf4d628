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
from appliance.proxy.leftover import Leftover
from appliance.router.causes import Cause
from appliance.router.question import CallerKind
from appliance.sip.errors import BadMessage
from appliance.sip.message import Request
from appliance.storage.call_record import CallRecord

if TYPE_CHECKING:
    from appliance.proxy.core import Refusal

_Q850 = re.compile(r"Q\.850\s*;(?:[^;]*;)*?\s*cause\s*=\s*(\d{1,3})", re.I)


def record_of_call(call: Call, settings: Settings, names: Callable[[str], tuple[str, ...]]) -> CallRecord:
    """The record of a call that has ended; its id is given later. `names` gives all Call-IDs of a hidden dialog."""
    decision = call.decision
    caller = decision.caller
    source = call.caller_side.flow
    answered_at = call.answered_at
    first = call.ringing_at if call.ringing_at is not None else answered_at
    ended_at = call.ended_at or call.started_at
    last = call.tried[-1] if call.tried and answered_at is None else None
    mos_caller, mos_callee, quality = _quality(call)
    return CallRecord(
        serial=call.serial,
        call_id=call.call_id,
        out_call_id=_masked(call, names),
        started_ms=_ms(call.started_at),
        ringing_ms=_ms_or_none(call.ringing_at),
        answered_ms=_ms_or_none(answered_at),
        ended_ms=_ms(ended_at),
        pdd_ms=None if first is None else max(0, _ms(first - call.started_at)),
        talk_ms=None if answered_at is None else max(0, _ms(ended_at - answered_at)),
        caller=_caller(call),
        called=decision.called,
        number=call.number or decision.number,
        source_kind=caller.kind.value,
        source=caller.name,
        source_tenant=_tenant(settings, caller.kind is CallerKind.USER, caller.name),
        source_address="" if source is None else f"{source.remote[0]}:{source.remote[1]}",
        trunk=call.trunk or ("" if last is None else last.trunk),
        gateway=call.gateway_name or ("" if last is None else last.gateway),
        user=call.callee_user,
        callee=call.callee or ("" if last is None else last.to),
        tenant=_tenant(settings, not call.trunk, call.callee_user or call.trunk),
        status=call.status,
        cause=cause_of(call.reason) if call.reason else None,
        reason=call.reason,
        ended_by=call.ended_by,
        ending=call.ending,
        refusal="limit" if call.cause is Cause.LIMIT else "",
        route=decision.route,
        explanation=call.route,
        transfer=_transfer(call),
        mos_caller=mos_caller,
        mos_callee=mos_callee,
        quality=quality,
        attempts=_attempts(call),
        why=call.cause.value,
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
        source_address="{}:{}".format(*refused.source),
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
        source_address="{}:{}".format(*left.source) if left.by_caller else "",
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


def _ms_or_none(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)


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
    """Those in vain, then the one that answered; '' where the first one did."""
    if not call.tried:
        return ""
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
        for one in call.tried
    ]
    if call.answered_at is not None:
        found.append({"to": call.callee, "trunk": call.trunk, "gateway": call.gateway_name, "status": call.status})
    return json.dumps(found, ensure_ascii=False, separators=(",", ":"))


def _quality(call: Call) -> tuple[float | None, float | None, str]:
    """MOS of what came from the caller and from the callee, and all figures of their audio."""
    media = call.last_media
    if media is None:
        return None, None, ""
    told: dict[str, dict[str, dict[str, object]]] = {}
    worst: dict[str, float | None] = {}
    for who, leg in (("caller", "a"), ("callee", call.leg)):
        streams = _audio(media, leg)
        heard = min((one.mos for one, _ in streams if one.mos is not None), default=None)
        worst[who] = None if heard is None else round(heard, 2)
        if streams:
            told[who] = {"received": _figures(streams[0][0]), "sent": _figures(streams[0][1])}
    quality = json.dumps(told, separators=(",", ":")) if told else ""
    return worst["caller"], worst["callee"], quality


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
