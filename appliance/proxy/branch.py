"""One branch of a forwarded request: a destination, and the attempts at its addresses (RFC 3261 §16.6, RFC 3263 §4.3).

An attempt is one client transaction. A failed one is followed by the next address; an answer may still come from one
that was left behind, so each keeps its own flow and its own share of the offer/answer exchange.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from appliance.proxy.dialog_changes import UNCHANGED, restore
from appliance.proxy.forwarding import push_via, set_next_hop, size_with_via
from appliance.proxy.trial import Trial
from appliance.proxy.tried import Tried
from appliance.proxy.trunk_login import LoginRefused, Signing
from appliance.proxy.veil import growth
from appliance.router.causes import Cause
from appliance.sip.build import response_to
from appliance.sip.errors import BadMessage, Rejected
from appliance.sip.flow import Flow
from appliance.sip.message import Response
from appliance.transport.options import Target

if TYPE_CHECKING:
    from appliance.proxy.call import Call
    from appliance.proxy.destination import Destination
    from appliance.proxy.media_path import Exchange
    from appliance.proxy.response_context import ResponseContext
    from appliance.router.lease import Hold
    from appliance.sip.client_transaction import Cause as Failure
    from appliance.sip.client_transaction import ClientTransaction

_LATE = (("Reason", 'SIP;cause=200;text="Call completed elsewhere"'),)


class Attempt:
    """One try over one flow. `answer` is the 2xx as it went back, to be said again when it is repeated."""

    __slots__ = ("answer", "branch", "changed", "client", "ended", "exchange", "flow", "provisional", "trying")

    client: ClientTransaction

    def __init__(self, branch: Branch, flow: Flow) -> None:
        self.branch = branch
        self.flow = flow
        self.exchange: Exchange | None = None
        self.changed = False
        """Its From, To or CSeq are not those that came to us."""
        self.provisional = False
        self.trying = False
        """It has said 100 and no more, where that may not last."""
        self.answer: Response | None = None
        self.ended = False
        """We acknowledged its 2xx ourselves and hung up."""

    def on_response(self, client: ClientTransaction, response: Response, now: float) -> None:
        response.drop_top_via()
        if self.changed:
            restore(response, self.branch.context.request)
        core = self.branch.context.core
        if not self.branch.destination.trunk and core.gate.bears_trust(response):
            core.gate.relieve_answer(response, self.branch, self.flow)
        rewriting = core.rewriting
        if rewriting.within:
            rewriting.answered(self, response)
        if "via" in response.kinds:  # §16.7 step 3: without one it was meant for us, who asked nothing
            self.branch.on_response(self, response, now)

    def on_failure(self, client: ClientTransaction, cause: Failure, now: float) -> None:
        self.branch.on_failure(self, cause, now)


class Branch:
    """One destination. `breadth` is its share of Max-Breadth; `leg` the name of its media leg."""

    __slots__ = (
        "_answer_by",
        "_fallback",
        "_targets",
        "alive",
        "attempt",
        "breadth",
        "cancelled",
        "challenged",
        "changes",
        "context",
        "destination",
        "due",
        "full",
        "heard",
        "hold",
        "leg",
        "opened",
        "signing",
        "timed_out",
        "trial",
        "unreachable",
    )

    def __init__(self, context: ResponseContext, destination: Destination, breadth: int) -> None:
        self.context = context
        self.destination = destination
        self.breadth = breadth
        self.attempt: Attempt | None = None
        self.leg = ""
        self.changes = UNCHANGED
        """What we change in the dialog that this branch may make."""
        self.hold: Hold | None = None
        """Its share of the limits, until it fails; that of the branch that answers goes on with the call."""
        self.full = False
        """A limit had no room for it: the next is tried, whatever the code of the refusal."""
        self.alive = True
        self.cancelled = False
        self.signing: Signing | None = None
        """Set where it leads to a trunk that may ask for our password."""
        self.challenged: Attempt | None = None
        """The attempt that is made again with our password just now."""
        self.timed_out = ""
        """Why we cancelled it ourselves, in words."""
        self.unreachable = False
        """It failed without anybody having answered."""
        self._targets: tuple[Target, ...] = ()
        self._fallback: Target | None = None
        """The target that is only tried over UDP because nobody took the large request over TCP."""
        self.trial: Trial | None = None
        """Where the gateway's figures are kept, until it ended."""
        self.due = 0.0
        self.opened = 0.0
        self.heard: float | None = None
        """Its first answer but 100; of an INVITE."""
        self._answer_by: float | None = None

    def open(self, now: float) -> None:
        destination = self.destination
        core = self.context.core
        if self.context.invites:
            self.opened = now
            self.due = now + (destination.attempt_timeout_s or core.timer_c_s)
            core.deadlines.watch(self, now)
            if destination.living is not None and not self._has_time(now):
                return
            try:
                core.admit(self, now)
            except Rejected as full:
                self.full = True
                self._fail(full.status, full.reason, now, full.headers, full.cause, Cause(full.why))
                return
            if destination.living is not None:
                self.trial = Trial(destination.living, self.context.call, core.outcomes, now)
        flow = destination.flow
        if flow is not None and not flow.closed:
            self._send(flow, None, now)
        elif destination.hop is not None:
            core.resolve(self, destination, now)
        else:
            self._unreachable(430, "Flow Failed", now)

    def _has_time(self, now: float) -> bool:
        """Whether it may still be tried; else it has failed."""
        give_up_at = self.destination.give_up_at
        if give_up_at is None:
            return True
        if now < give_up_at:
            self.due = min(self.due, give_up_at)
            return True
        self.timed_out = f"{self.destination.label} was not tried: the time for all tries is over"
        self._unreachable(408, "Request Timeout", now)
        return False

    def resolved(self, targets: list[Target], now: float) -> None:
        """The addresses of the destination, best first; none where the name leads nowhere."""
        if self.alive and not self.cancelled:
            self._targets = tuple(targets)
            self._next_target(now)

    def _next_target(self, now: float) -> None:
        if not self._targets:
            self._unreachable(503 if self.attempt is not None else 502, "Destination Unreachable", now)
            return
        target = self._targets[0]
        self._targets = self._targets[1:]
        core = self.context.core
        limit = self.destination.attempt_timeout_s
        if limit is not None and (self._targets or self.context.invites):
            self.due = now + limit
            core.deadlines.watch(self, now)
            if not self._has_time(now):
                return
        dscp = self.destination.dscp
        self._send(core.connect(target if dscp is None else evolve(target, dscp=dscp)), target, now)

    def _send(self, flow: Flow, target: Target | None, now: float) -> None:
        context = self.context
        core = context.core
        destination = self.destination
        attempt = Attempt(self, flow)
        request = context.outgoing.copy()
        request.uri = destination.uri
        if destination.routes:
            for path in reversed(destination.routes):
                request.prepend("route", path)
        try:
            if "route" in request.kinds:
                set_next_hop(request)
            if core.logins.any:
                core.logins.begin(context, self, flow, now)
            if core.trunk_tls.any:
                core.trunk_tls.begin(context, self)
            core.prepare(context, attempt, request)
            if destination.signs and context.invites and context.spread:
                core.sign(request, context.caller, destination.trunk)
        except Rejected as rejected:
            self._fail(rejected.status, rejected.reason, now, rejected.headers, rejected.cause, Cause(rejected.why))
            return
        except BadMessage as bad:
            self._fail(bad.status, bad.reason, now)
            return
        if context.spread:
            if "max-breadth" in request.kinds:
                request.set("max-breadth", str(self.breadth))
            else:
                request.put_last("max-breadth", f"Max-Breadth: {self.breadth}")  # RFC 5393 §5.3.3
        if self.signing is not None:
            core.logins.sign(context, self, request)
            attempt.changed = True
        if flow.transport == "UDP" and target is not None and target is not self._fallback:
            size = size_with_via(request)
            if destination.hiding is not None:
                size += growth(request)
            if size > core.udp_threshold_bytes and (destination.hop is None or destination.hop.transport is None):
                # §18.1.1: a request this large goes over TCP; where nobody takes it there, over UDP after all.
                host, port = flow.remote
                self._fallback = Target(transport="UDP", host=host, port=port, listener=flow.listener)
                self._targets = (self._fallback, *self._targets)
                self._send(core.connect(Target(transport="TCP", host=host, port=port)), None, now)
                return
        if destination.hiding is not None:
            core.hide(request, flow, destination.hiding)
        self.attempt = attempt
        via_branch = push_via(request, flow, core.unique(), context.mark)
        attempt.client = core.open_client(request, flow, attempt, now, branch=via_branch)

    def overdue(self, now: float) -> None:
        """Timer C, or the destination's own limits."""
        if not self.alive:
            return
        attempt = self.attempt
        if attempt is not None and attempt.provisional and not attempt.trying:
            # §16.8. Where not even a 487 follows, the transaction ends the branch.
            self.timed_out = f"{self.destination.label} did not answer in time"
            attempt.client.cancel(now)
            return
        if attempt is not None:
            attempt.client.cancel(now)
        if self._targets and not self.cancelled:
            self._next_target(now)
        elif attempt is None:
            self._unreachable(504, "Name Server Timeout", now)  # RFC 3261 §21.5.5; nothing was sent yet
        else:
            self._unreachable(408, "Request Timeout", now)

    def on_response(self, attempt: Attempt, response: Response, now: float) -> None:
        context = self.context
        status = response.status
        if self.signing is not None and status != 100:
            self.signing.heard(status)
        if 200 <= status < 300:
            context.success(attempt, response, now)
            return
        if attempt is not self.attempt or not self.alive:
            return  # left for another address
        if status < 200:
            if self.trial is not None:
                self.trial.provisional(status, now)
            if context.invites:
                self._progress(attempt, status, now)
            if status > 100:
                context.provisional(attempt, response, now)
        elif status == 503 and self._targets and not self.cancelled:
            self._next_target(now)  # RFC 3263 §4.3
        elif (status == 401 or status == 407) and self.signing is not None:
            self._challenged(attempt, response, now)
        elif status == 401 or status == 407:
            context.failure(self, context.core.gate.muffled(response, self, attempt.flow), now)
        elif status == 487 and self.timed_out:
            self._fail(408, "Request Timeout", now)  # it says no more than that we cancelled
        else:
            context.failure(self, response, now)

    def _challenged(self, attempt: Attempt, response: Response, now: float) -> None:
        """By a trunk that knows us: once more with our password. What is not for us goes back to the caller."""
        try:
            ours = self.context.core.logins.challenged(self, response, now)
        except LoginRefused as refused:
            self._fail(502, "Trunk Login Failed", now, cause=str(refused), why=Cause.CREDENTIALS)
            return
        if ours:
            self.challenged = attempt
            self._send(attempt.flow, None, now)
            self.challenged = None
        else:
            self.context.failure(self, response, now)

    def _progress(self, attempt: Attempt, status: int, now: float) -> None:
        longest = self.context.core.timer_c_s
        if not attempt.provisional:
            attempt.provisional = True
            limit = self.destination.answer_timeout_s
            self._answer_by = None if limit is None else now + limit
            progress = self.destination.progress_timeout_s
            if status == 100 and progress is not None:
                attempt.trying = True
                self.due = now + progress
                return
        elif status == 100:
            return
        attempt.trying = False
        if self.heard is None:
            self.heard = now
        self.due = now + longest if self._answer_by is None else min(now + longest, self._answer_by)

    def on_failure(self, attempt: Attempt, cause: Failure, now: float) -> None:
        if attempt is not self.attempt or not self.alive:
            return
        if self._targets and not self.cancelled and not self.timed_out:
            self._next_target(now)
        elif cause == "timeout":
            self._unreachable(408, "Request Timeout", now)
        elif self.destination.flow is attempt.flow:
            self._unreachable(430, "Flow Failed", now)  # RFC 5626 §5.3
        else:
            self._unreachable(503, "Destination Unreachable", now)

    def _unreachable(self, status: int, reason: str, now: float) -> None:
        self.unreachable = True
        self._fail(status, reason, now)

    def _fail(
        self,
        status: int,
        reason: str,
        now: float,
        headers: tuple[tuple[str, str], ...] = (),
        cause: str = "",
        why: Cause = Cause.NONE,
    ) -> None:
        context = self.context
        lower = [(name.lower(), value) for name, value in headers]
        response = response_to(context.request, status, reason or None, to_tag=context.core.unique(), headers=lower)
        context.failure(self, response, now, ours=not self.unreachable, cause=cause, why=why)

    def cancel(self, now: float, headers: tuple[tuple[str, str], ...] = _LATE) -> None:
        """Give it up; `headers` (Reason) go into the CANCEL. It is alive until its final response comes."""
        if not self.alive or self.cancelled:
            return
        self.cancelled = True
        if self.attempt is None:
            if self.trial is not None:
                self.trial.failed(self, None, now)
            self.settle()  # nothing was sent yet
            self.release()
        else:
            self.attempt.client.cancel(now, headers)

    def note(self, call: Call, status: int, sentence: str, now: float) -> None:
        """It failed: the call's record tells it."""
        to = self.destination
        heard = now if self.heard is None and not (self.unreachable or self.full) else self.heard
        why = self.timed_out or sentence
        tried = Tried(to.label, to.trunk, to.gateway, status, why, self.opened, heard, now)
        if call.tried is None:
            call.tried = []
        call.tried.append(tried)

    def release(self) -> None:
        """Give back its share of the limits."""
        if self.hold is not None:
            self.hold.release()
            self.hold = None

    def settle(self) -> Attempt | None:
        """It has its final response, or needs none: no more timers. The last attempt, the first time."""
        self.alive = False
        attempt, self.attempt = self.attempt, None  # which holds the branch
        self._targets = ()
        self.context.core.deadlines.forget(self)
        return attempt
