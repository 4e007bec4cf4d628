"""Why a call was refused or ended, as a kind that programs can count by; the sentence beside it is for people."""

from __future__ import annotations

from enum import StrEnum


class Cause(StrEnum):
    """Kinds of causes; the empty one is for a call that goes on, or for what has no kind of its own."""

    NONE = ""
    LIMIT = "limit"
    """A limit of the admission control is full, or the box is."""
    NO_ROUTE = "no-route"
    NOT_ADMITTED = "not-admitted"
    """Routes fit, and none of them takes this caller."""
    BY_ROUTE = "by-route"
    """A route says so."""
    FOREIGN = "foreign"
    """For a host that is none of ours."""
    CREDENTIALS = "credentials"
    UNREGISTERED = "unregistered"
    """No phone of the called user is registered."""
    NO_GATEWAY = "no-gateway"
    """None is in service, or there is none at all."""
    CODEC = "codec"
    """SDP that cannot be carried, or that an end does not take."""
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    """No answer at all."""
    UNANSWERED = "unanswered"
    """It rang for as long as it may."""
    BUSY = "busy"
    DECLINED = "declined"
    REFUSED = "refused"
    """Whoever was called answered with another code."""
    CANCELLED = "cancelled"
    CALLER = "caller-hung-up"
    CALLEE = "callee-hung-up"
    SILENCE = "media-silence"
    SESSION = "session-timer"
    UNHEARD = "unheard"
    """No message of the dialog came for as long as the box waits."""
    OPERATOR = "operator"
    TRANSFER = "transfer"
    FORGOTTEN = "forgotten"
    """An end knows the call no more."""


def cause_of_answer(status: int) -> Cause:
    """What a final answer of somebody else than us says, 300 to 699."""
    return _OF_ANSWER.get(status, Cause.REFUSED)


_OF_ANSWER = {
    401: Cause.CREDENTIALS,
    407: Cause.CREDENTIALS,
    415: Cause.CODEC,
    486: Cause.BUSY,
    488: Cause.CODEC,
    600: Cause.BUSY,
    603: Cause.DECLINED,
    606: Cause.CODEC,
}
