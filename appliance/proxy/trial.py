"""A `Trial` follows one branch to a gateway and reports how it went, once; `call_outcome` tells how the call went."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appliance.router.outcome import AttemptOutcome, CallOutcome, End, Outcomes

if TYPE_CHECKING:
    from appliance.proxy.branch import Branch
    from appliance.proxy.call import Call
    from appliance.router.gateway import LivingGateway
    from appliance.sip.message import Response


class Trial:
    """From the opening of a branch to its end; `token` stands for the call among those that the gateway carries."""

    __slots__ = ("_first_at", "_living", "_outcomes", "_progress_at", "_started_at", "_token")

    def __init__(self, living: LivingGateway, token: object, outcomes: Outcomes, now: float) -> None:
        self._living = living
        self._token = token
        self._outcomes = outcomes
        self._started_at = now
        self._first_at: float | None = None
        self._progress_at: float | None = None
        living.tried(token, now)

    def provisional(self, status: int, now: float) -> None:
        if self._first_at is None:
            self._first_at = now
        if status > 100 and self._progress_at is None:
            self._progress_at = now

    def answered(self, branch: Branch, now: float) -> None:
        """A 2xx: the gateway goes on carrying the call."""
        self._report(branch, End.ANSWERED, 200, now)

    def failed(self, branch: Branch, response: Response | None, now: float, *, ours: bool = False) -> None:
        """It came to `response`, of the gateway or made by us; None where nothing was sent yet."""
        self._living.carried.discard(self._token)
        if branch.cancelled or branch.context.cancelled or response is None:
            end = End.GIVEN_UP
        elif ours:
            end = End.OURS
        elif branch.timed_out:
            end = End.UNANSWERED
        elif branch.unreachable:
            end = End.SILENT if response.status == 408 else End.UNREACHABLE
        else:
            end = End.REFUSED
        self._report(branch, end, 0 if response is None else response.status, now, response)

    def _report(self, branch: Branch, end: End, status: int, now: float, response: Response | None = None) -> None:
        branch.trial = None
        started, first, progress = self._started_at, self._first_at, self._progress_at
        if end is End.ANSWERED or end is End.REFUSED:
            first = now if first is None else first
            progress = now if progress is None else progress
        living = self._living
        destination = branch.destination
        if first is not None:
            living.answered_after(first - started, now)
        elif end is End.SILENT or end is End.UNREACHABLE:
            living.answered_after(max(now - started, destination.attempt_timeout_s or 0.0), now)
        outcome = AttemptOutcome(
            gateway=living,
            group=destination.group,
            number=destination.number,
            end=end,
            status=status,
            at=now,
            first_answer_s=None if first is None else first - started,
            pdd_s=None if progress is None else progress - started,
            ring_s=None if progress is None else now - progress,
            retry_after_s=_retry_after(response) if end is End.REFUSED and response is not None else None,
        )
        living.attempt(outcome)
        self._outcomes.attempt(outcome)


def _retry_after(response: Response) -> int | None:
    """The seconds of a Retry-After (RFC 3261 §20.33), None where there is none that can be read."""
    digits = (response.get("retry-after") or "").partition("(")[0].partition(";")[0].strip()
    return int(digits[:6]) if digits.isascii() and digits.isdigit() else None


def call_outcome(call: Call, wall: float) -> CallOutcome | None:
    """What there is to say of a call that has ended; None where it never stood at a gateway."""
    if call.gateway is None or call.answered_at is None:
        return None
    heard: list[float] = []
    sent: list[float] = []
    for leg in call.last_media.legs if call.last_media is not None else ():
        if leg.name == call.leg:
            for stream in (stream for one in leg.transports for stream in one.streams if stream.kind == "audio"):
                heard += [stream.received.mos] if stream.received.mos is not None else []
                sent += [stream.sent.mos] if stream.sent.mos is not None else []
    return CallOutcome(
        gateway=call.gateway,
        number=call.number,
        at=wall,
        talked_s=max(0.0, wall - call.answered_at),
        mos_from=min(heard, default=None),
        mos_towards=min(sent, default=None),
    )
