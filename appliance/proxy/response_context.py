"""The response context of one forwarded request (RFC 3261 §16.6 to §16.10): its branches, and which response goes back.

Destinations come in groups: those of one group are tried at once, the groups one after the other. A synchronous state
machine, fed by the transaction layer; only a name that is not in the resolver's cache makes a branch wait.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from appliance.config.sections import Anchor
from appliance.proxy.best_response import NOTHING, BestResponse
from appliance.proxy.branch import Attempt, Branch
from appliance.proxy.deadlines import Deadlines
from appliance.proxy.destination import Destination
from appliance.proxy.veil import Hiding
from appliance.router.causes import Cause, cause_of_answer
from appliance.router.outcome import Outcomes
from appliance.sip.build import response_to
from appliance.sip.errors import BadMessage, Rejected
from appliance.sip.flow import Flow
from appliance.sip.message import Request, Response
from appliance.transport.options import Target

if TYPE_CHECKING:
    from appliance.proxy.call import Call
    from appliance.proxy.gate import Gate
    from appliance.proxy.rewriting import Rewriting
    from appliance.proxy.trunk_logins import TrunkLogins
    from appliance.proxy.trunk_tls import TrunkTls
    from appliance.router.question import Caller
    from appliance.sip.client_transaction import ClientTransaction, ClientUser
    from appliance.sip.server_transaction import ServerTransaction


_AUTO = Anchor.AUTO


class OpenClient(Protocol):
    def __call__(
        self, request: Request, flow: Flow, listener: ClientUser, now: float, *, branch: str | None = None
    ) -> ClientTransaction: ...


class Forwarder(Protocol):
    """What a response context asks of the core."""

    timer_c_s: float
    udp_threshold_bytes: int
    deadlines: Deadlines
    rewriting: Rewriting
    gate: Gate
    outcomes: Outcomes
    logins: TrunkLogins
    trunk_tls: TrunkTls

    def resolve(self, branch: Branch, destination: Destination, now: float) -> None:
        """Answer by `branch.resolved(targets, now)`, at once where no waiting is needed."""

    def connect(self, target: Target) -> Flow: ...

    def unique(self) -> str:
        """A part of a Via branch that nobody can guess and nothing repeats."""

    @property
    def open_client(self) -> OpenClient: ...

    def admit(self, branch: Branch, now: float) -> None:
        """A branch of an INVITE is about to be tried: its share of the limits. Raises `Rejected`."""

    def hide(self, request: Request, flow: Flow, hiding: Hiding) -> None:
        """Veil a request that is about to go over `flow`."""

    def sign(self, request: Request, caller: Caller | None, trunk: str) -> None:
        """Sign a call that is about to go to a trunk (STIR)."""

    def prepare(self, context: ResponseContext, attempt: Attempt, request: Request) -> None:
        """Record-Route and SDP of the attempt's request, just before its Via. Raises `Rejected`."""

    def arrived(self, context: ResponseContext, attempt: Attempt, response: Response, now: float) -> None:
        """A response is about to go back: SDP and the call follow it. Raises `Rejected`."""

    def lost(self, context: ResponseContext, branch: Branch, attempt: Attempt | None) -> None:
        """The branch has failed, with its last attempt: its media goes."""

    def redirected(self, context: ResponseContext, branch: Branch, response: Response) -> list[list[Destination]]:
        """Where a 3xx leads instead, nothing where it is to be passed back."""

    def unwanted(self, context: ResponseContext, attempt: Attempt, response: Response, sentence: str) -> None:
        """The 2xx to an INVITE cannot go back: its dialog is for us to acknowledge and end."""

    def finished(self, context: ResponseContext, response: Response, now: float) -> None:
        """The final response has gone back."""


class ResponseContext:
    """The request, its branches, the best response so far.

    `breadth` bounds the branches that are open at once (RFC 5393). `spread`: the request is an initial one, so each
    branch is given its share of Max-Breadth. `record`: it may make a dialog, so we put ourselves into its route.
    """

    __slots__ = (
        "_advancing",
        "_waiting",
        "best",
        "branches",
        "breadth",
        "call",
        "caller",
        "caller_anchor",
        "cancelled",
        "core",
        "done",
        "ending",
        "extras",
        "from_leg",
        "groups",
        "invites",
        "mark",
        "outgoing",
        "record",
        "request",
        "sides",
        "spread",
        "succeeded",
        "to_leg",
        "transaction",
        "upstream_by_contact",
    )

    def __init__(
        self,
        core: Forwarder,
        transaction: ServerTransaction,
        mark: str,
        breadth: int,
        call: Call | None,
    ) -> None:
        self.core = core
        self.transaction = transaction
        self.request: Request = transaction.request
        self.outgoing: Request = transaction.request
        """The request as it goes on, rewritten by the rules of where it came from."""
        self.caller: Caller | None = None
        """Who made an initial request."""
        self.sides = ("", "")
        """The trunks that a request inside a dialog comes from and goes to, where rules look at it."""
        self.invites = transaction.method == "INVITE"
        self.mark = mark
        self.breadth = breadth
        self.call = call
        self.record = False
        self.spread = False
        self.upstream_by_contact = False
        self.caller_anchor = _AUTO
        self.from_leg = "a"
        self.to_leg = ""
        self.extras = ""
        """What we change in the dialog that the request belongs to, in short (`dialog_changes`)."""
        self.groups: tuple[list[Destination], ...] = ()
        self.branches: tuple[Branch, ...] = ()
        self.best = NOTHING  # most requests succeed at once
        self.cancelled = False
        self.ending = ""
        """Why it was cancelled, in words."""
        self.done = False
        self.succeeded = False
        self._waiting: tuple[Destination, ...] = ()
        self._advancing = False

    def start(self, groups: list[list[Destination]], now: float) -> None:
        """Try the groups one after the other. Raises `Rejected` 440 where not even one branch is allowed."""
        if self.breadth < 1:
            raise Rejected(440, "Max-Breadth Exceeded", "Max-Breadth is used up")
        if len(groups) == 1 and len(groups[0]) == 1:  # as it nearly always is
            self._advancing = True
            branch = Branch(self, groups[0][0], self.breadth)
            self.branches = (branch,)
            branch.open(now)
            self._advancing = False
            if branch.alive:
                return
        else:
            self.groups = tuple(groups)
        self._advance(now)

    def _advance(self, now: float) -> None:
        """Open branches until as many are alive as may be, or there is nothing left to try."""
        if self._advancing:
            return  # a branch failed while it was opened: the loop below goes on
        self._advancing = True
        while not self.done:
            alive = free = 0
            for branch in self.branches:
                if branch.alive:
                    alive += 1
                    free -= branch.breadth
            free += self.breadth
            if self._waiting and free > 0:
                # RFC 5393 §5.3.3: what the breadth does not allow at once is tried one after the other.
                share = max(1, free // len(self._waiting))
                branch = Branch(self, self._waiting[0], share)
                self._waiting = self._waiting[1:]
                self.branches += (branch,)
                branch.open(now)
            elif alive:
                break
            elif self.groups:
                self._waiting = tuple(self.groups[0])
                self.groups = self.groups[1:]
            else:
                self._send_best(now)
        self._advancing = False

    def provisional(self, attempt: Attempt, response: Response, now: float) -> None:
        if self.done:
            return
        try:
            self.core.arrived(self, attempt, response, now)
        except (Rejected, BadMessage):
            return  # early media that cannot cross: the final response will say so
        self.transaction.respond(response, now)

    def failure(
        self,
        branch: Branch,
        response: Response,
        now: float,
        *,
        ours: bool = False,
        cause: str = "",
        why: Cause = Cause.NONE,
    ) -> None:
        """The branch ended with `response`; `ours`: because of a limit or rule of the box, which `cause` names."""
        if not branch.alive:
            return
        status = response.status
        if branch.trial is not None:
            branch.trial.failed(branch, response, now, ours=ours)
        if self.call is not None and self.record:
            branch.note(self.call, status, cause or response.reason, now)
        attempt = branch.settle()
        branch.release()
        self.core.lost(self, branch, attempt)
        if self.done:
            return
        destination = branch.destination
        if not self.cancelled and not branch.full:
            if status < 400 and self._follow(branch, response, now):
                return
            if destination.otherwise is not None and (branch.unreachable or status in (408, 430)):
                # RFC 5626 §7: the same instance over another of its flows, in the place of this one.
                self._waiting = (destination.otherwise, *self._waiting)
            elif status >= 600 and (destination.failover is None or status not in destination.failover):
                self._give_up(now, ())
            elif destination.failover is not None and status not in destination.failover:
                self.groups = ()
        sentence = branch.timed_out or f"{destination.label}: {cause or f'{status} {response.reason}'}"
        self._consider(response, sentence, ours=ours, cause=why or _cause_of(branch, status))
        if self.groups and self.call is not None and not self.cancelled:
            self.call.detours += f"; {sentence}, so the next"
        self._advance(now)

    def _follow(self, branch: Branch, response: Response, now: float) -> bool:
        """Go where a 3xx leads, in its place (§16.7 step 4); False where it is not ours to follow."""
        groups = self.core.redirected(self, branch, response)
        if not groups:
            return False
        if any(other.alive for other in self.branches):
            self._waiting += tuple(groups[0])
            groups = groups[1:]
        self.groups = (*groups, *self.groups)
        self._advance(now)
        return True

    def success(self, attempt: Attempt, response: Response, now: float) -> None:
        """A 2xx, perhaps repeated, late, or one of several (§16.7 steps 5 and 10)."""
        branch = attempt.branch
        if branch.trial is not None and not self.done:
            branch.trial.answered(branch, now)
        latest = branch.settle()
        if attempt.ended:
            self.core.unwanted(self, attempt, response, "")
            return
        if attempt.answer is not None and attempt.answer.to_tag == response.to_tag:
            self.transaction.respond(attempt.answer, now)
            return
        if self.done and not (self.invites and self.succeeded):
            branch.release()
            if self.invites:
                self.core.unwanted(self, attempt, response, "the answer came too late")
            return
        try:
            self.core.arrived(self, attempt, response, now)
        except (Rejected, BadMessage) as refused:
            branch.release()
            self._refuse(attempt, response, refused, now)
            return
        attempt.answer = response
        self.transaction.respond(response, now)
        if self.done:
            branch.release()
            return
        self.succeeded = True
        if latest is not None and latest is not attempt:
            latest.client.cancel(now)  # the first address answered after all, the second still rings
        if len(self.branches) > 1 or self.groups or self._waiting:
            self._give_up(now, None)
        self._end(response, now)

    def _refuse(self, attempt: Attempt, response: Response, refused: Rejected | BadMessage, now: float) -> None:
        """The answer cannot be carried over: its dialog is ended, and the branch has failed."""
        sentence = refused.cause if isinstance(refused, Rejected) else f"in the {response.status}: {refused.reason}"
        self.core.unwanted(self, attempt, response, sentence)
        if self.done:
            return
        branch = attempt.branch
        failure = response_to(self.request, refused.status, refused.reason or None, to_tag=self.core.unique())
        self.core.lost(self, branch, attempt)
        failover = branch.destination.failover
        if failover is not None and refused.status not in failover:
            self.groups = ()
        why = Cause(refused.why) if isinstance(refused, Rejected) else Cause.CODEC
        self._consider(failure, f"{branch.destination.label}: {sentence}", ours=True, cause=why)
        self._advance(now)

    def _give_up(self, now: float, headers: tuple[tuple[str, str], ...] | None) -> None:
        """Cancel what is open and forget what was to be tried; without `headers` because somebody else answered."""
        self.groups = ()
        self._waiting = ()
        for branch in self.branches:
            if headers is None:
                branch.cancel(now)
            else:
                branch.cancel(now, headers)

    def _consider(self, response: Response, sentence: str, *, ours: bool, cause: Cause) -> None:
        if self.best is NOTHING:
            self.best = BestResponse()
        self.best.consider(response, sentence, ours=ours, cause=cause)

    def _send_best(self, now: float) -> None:
        best = None if self.cancelled else self.best.to_be_sent(initial=self.spread)
        if best is None:
            best = response_to(self.request, 487 if self.cancelled else 480, to_tag=self.core.unique())
        self.transaction.respond(best, now)
        self._end(best, now)

    def cancel(self, now: float, headers: tuple[tuple[str, str], ...], sentence: str) -> None:
        """The caller gave up (§16.10), or we did in its name; `headers` (Reason) go on into each CANCEL."""
        if self.done or self.cancelled:
            return
        self.cancelled = True
        self.ending = sentence
        self._give_up(now, headers)
        self._advance(now)

    def _end(self, response: Response, now: float) -> None:
        """The transactions hold a context for half a minute more: let go of all but what a further 2xx needs."""
        self.done = True
        self.branches = ()  # else they and we would hold each other
        self.core.finished(self, response, now)
        self.best = NOTHING


def _cause_of(branch: Branch, status: int) -> Cause:
    """Why a branch failed that no rule of ours refused."""
    if branch.timed_out:
        return Cause.UNANSWERED
    if branch.unreachable:
        return Cause.TIMEOUT if status == 408 else Cause.UNREACHABLE
    return cause_of_answer(status)
