"""A `CallRecord`: what is kept of one call attempt."""

from __future__ import annotations

import attrs


@attrs.define(kw_only=True)  # not frozen: one is made for every call, and frozen costs four times as much to make
class CallRecord:
    """One call attempt. Times `…_ms` are wall-clock milliseconds since 1970, lengths `…_ms` milliseconds; None where it
    did not come to that. Texts are '' where there is nothing to say.
    """

    id: int = 0
    """Unique over restarts, and rising; given when it is taken into the journal."""
    serial: str
    """The call's name on the pages and in the log."""
    call_id: str
    out_call_id: str = ""
    """The Call-ID on the far side, where topology hiding changes it."""
    started_ms: int
    ringing_ms: int | None = None
    answered_ms: int | None = None
    ended_ms: int
    pdd_ms: int | None = None
    """From the INVITE to the first answer but 100."""
    talk_ms: int | None = None
    caller: str = ""
    called: str = ""
    """The number or name as it came."""
    number: str = ""
    """The number as the destination was given it."""
    source_kind: str = ""
    """user, trunk or anyone."""
    source: str = ""
    """The user or trunk that it came from."""
    source_tenant: str = ""
    source_address: str = ""
    trunk: str = ""
    """The trunk that it went to last."""
    gateway: str = ""
    user: str = ""
    """The user of ours whose phone answered."""
    callee: str = ""
    """The destination in words."""
    tenant: str = ""
    """The tenant of the destination."""
    status: int = 0
    """The final response to the INVITE."""
    cause: int | None = None
    """By Q.850, where somebody said it."""
    reason: str = ""
    """The Reason header (RFC 3326)."""
    ended_by: str = ""
    """caller, callee or box."""
    ending: str = ""
    """One sentence: who ended or refused it, and why."""
    refusal: str = ""
    """Which kind of limit refused it, as [refusal KIND] names it; `limit` where that was on its way out."""
    route: str = ""
    """The route that decided."""
    explanation: str = ""
    transfer: str = ""
    """What became of a transfer that the box carried out."""
    mos_caller: float | None = None
    """How the caller was heard here: the worst audio stream of its leg."""
    mos_callee: float | None = None
    quality: str = ""
    """JSON: for each leg, of caller and callee, and direction: loss, jitter, MOS and who measured."""
    attempts: str = ""
    """JSON: each destination tried, with status, times and sentence; '' where the first one answered."""
    why: str = ""
    """The kind of cause, as router/causes.py names it. New fields come last: journals and days of older versions lack
    them."""
    sound: str = ""
    """One sentence where a side was not heard: which, why and how long; '' where both were, or nobody knows."""
    remedy: str = ""
    """What to do about the sound."""
