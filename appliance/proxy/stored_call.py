"""The page of a call that is in memory no more: what its record holds, in the shape of a living one."""

from __future__ import annotations

import json
from collections.abc import Iterator

from appliance.logs import log
from appliance.proxy.call_detail import CallDetail, Measured, Party, Vain
from appliance.proxy.records import Records
from appliance.router.causes import Cause, cause_of_answer
from appliance.storage.call_data import StoreFault
from appliance.storage.call_record import CallRecord

_OURS = {
    401: Cause.CREDENTIALS,
    407: Cause.CREDENTIALS,
    408: Cause.TIMEOUT,
    415: Cause.CODEC,
    488: Cause.CODEC,
}
"""What an answer of the box itself says where the record names no kind of limit."""


async def stored_detail(records: Records, name: str) -> CallDetail | None:
    """The call of this serial, None where there is no record, or none can be read."""
    try:
        record = await records.call(name)
    except (ValueError, StoreFault) as fault:
        log.warning("records.unread", name=name[:64], reason=str(fault))
        return None
    return None if record is None else detail_of_record(record)


def detail_of_record(record: CallRecord) -> CallDetail:
    """The media over time, the ladder's names and the steps of its route are not kept."""
    return CallDetail(
        serial=record.serial or str(record.id),
        call_id=record.call_id,
        state="ended",
        caller=Party(name=record.caller, address=record.source_address, trunk=_trunk(record)),
        callee=Party(name=record.callee, trunk=record.trunk),
        called=record.called,
        number=record.number,
        status=record.status,
        cause=_cause(record),
        ending=record.ending,
        reason=record.reason,
        seen_at=record.ended_ms / 1000,
        started_at=record.started_ms / 1000,
        ringing_at=_seconds(record.ringing_ms),
        answered_at=_seconds(record.answered_ms),
        ended_at=record.ended_ms / 1000,
        steps=(record.explanation,) if record.explanation else (),
        attempts=_attempts(record),
        recorded=True,
        sound=record.sound,
        sound_remedy=record.remedy,
        measured=tuple(_measured(record)),
    )


def _measured(record: CallRecord) -> Iterator[Measured]:
    """Of the JSON in the record."""
    told = json.loads(record.quality) if record.quality else {}
    for side, name in (("caller", "caller"), ("callee", "called")):
        for direction, way in (("received", "from"), ("sent", "to")):
            one = told.get(side, {}).get(direction)
            if one is not None:
                yield Measured(
                    f"{way} the {name}",
                    one["packets"],
                    one["loss_percent"],
                    one["jitter_ms"],
                    one["rtt_ms"],
                    one["mos"],
                    one["measured"] or "",
                )


def _trunk(record: CallRecord) -> str:
    return record.source if record.source_kind == "trunk" else ""


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


def _cause(record: CallRecord) -> Cause:
    """The kind of cause; inferred where the record was written before it was kept."""
    if record.why in set(Cause) - {Cause.NONE}:
        return Cause(record.why)
    if record.answered_ms is not None:
        return {"caller": Cause.CALLER, "callee": Cause.CALLEE}.get(record.ended_by, Cause.NONE)
    if record.refusal:
        return Cause.LIMIT
    if record.ended_by == "caller":
        return Cause.CANCELLED
    if record.ended_by == "callee" and record.status >= 300:
        return cause_of_answer(record.status)
    return _OURS.get(record.status, Cause.NONE)


def _attempts(record: CallRecord) -> tuple[Vain, ...]:
    """Those in vain, of the JSON in the record."""
    tried = json.loads(record.attempts) if record.attempts else []
    after_s, found = 0.0, []
    for one in tried:
        if "sentence" in one:
            after_s += one["length_ms"] / 1000
            found.append(Vain(one["to"], after_s, one["status"], one["sentence"], one["gateway"]))
    return tuple(found)
