"""The response context of one forwarded request (RFC 3261 §16.6 to §16.10): its branches, and which response goes back.

Destinations come in groups: those of one group are tried at once, the groups one after the other. A synchronous state
machine, fed by the transaction layer; only a name that is not in the resolver's cache makes a branch wait.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from appliance.config.sections import Anchor
from appliance.proxy.deadlines import Deadlines
from appliance.proxy.destination import Destination
from appliance.proxy.forwarding import push_via
from appliance.proxy.media_path import Exchange
from appliance.sip.build import response_to
from appliance.sip.errors import BadMessage, Rejected
from appliance.sip.flow import Flow
from appliance.sip.message import Request, Response
from appliance.transport.options import Target

if TYPE_CHECKING:
    from appliance.proxy.call import Call
    from appliance.sip.client_transaction import Cause, ClientTransaction, ClientUser
    from appliance.sip.server_transaction import ServerTransaction

_LATE = "Reason", 'SIP;cause=200;text="Call completed elsewhere"'

#: Within the 4xx class these tell the caller more than others do (RFC 3261 §16.7, step 6).
_TELLING = frozenset({401, 407, 415, 420, 484})


class OpenClient(Protocol):
    def __call__(
        self, request: Request, flow: Flow, listener: ClientUser, now: float, *, branch: str | None = None
    ) -> ClientTransaction: ...


class Forwarder(Protocol):
    """What a response context asks of the core."""

    timer_c_s: float
    udp_threshold_bytes: int
    deadlines: Deadlines

    def resolve(self, branch: Branch, destination: Destination, now: float) -> None:
        """Answer by `branch.resolved(targets, now)`, at once where no waiting is needed."""

    def connect(self, target: Target) -> Flow: ...

    def unique(self) -> str:
        """A part of a Via branch that nobody can guess and nothing repeats."""

    @property
    def open_client(self) -> OpenClient: ...

    def prepare(self, context: ResponseContext, branch: Branch, request: Request, flow: Flow) -> None:
        """Record-Route and SDP of the branch's request, just before its Via. Raises `Rejected`."""

    def arrived(self, context: ResponseContext, branch: Branch, response: Response, now: float) -> None:
        """A response is about to go back: SDP and the call follow it. Raises `Rejected`."""

    def redirected(self, context: ResponseContext, branch: Branch, response: Response) -> list[list[Destination]]:
        """Where a 3xx leads instead, nothing where it is to be passed back."""

    def finished(self, context: ResponseContext, response: Response | None, now: float) -> None:
        """The final response has gone back (None: there is none to send)."""


class Branch:
    """One try to reach one destination; a failed address of it is followed by the next (RFC 3263 §4.3)."""

    __slots__ = (
        "alive",
        "answered",
        "client",
        "context",
        "destination",
        "due",
        "exchange",
        "fallback",
        "flow",
        "leg",
        "provisional",
        "targets",
    )

    def __init__(self, context: ResponseContext, destination: Destination) -> None:
        self.context = context
        self.destination = destination
        self.client: ClientTransaction | None = None
        self.flow: Flow | None = None
        self.targets: list[Target] = []
        self.fallback: Target | None = None
        """The address to try over UDP at any size, for TCP did not reach it."""
        self.leg = ""
        self.exchange: Exchange | None = None
        self.alive = True
        self.answered = False
        self.provisional = False
        self.due = 0.0

    def open(self, now: float) -> None:
        flow = self.destination.flow
        if flow is not None and not flow.closed:
            self._send(flow, now)
        elif self.destination.hop is not None:
            self.context.core.resolve(self, self.destination, now)
        else:
            self._fail(430, "Flow Failed", now)

    def resolved(self, targets: list[Target], now: float) -> None:
        """The addresses of the destination, best first; none where the name leads nowhere."""
        if not self.alive:
            return
        self.targets = targets.copy()
        self._next_target(now)

    def _next_target(self, now: float) -> None:
        if not self.targets:
            self._fail(503 if self.client is not None else 502, "Destination Unreachable", now)
            return
        target = self.targets.pop(0)
        self._send(self.context.core.connect(target), now, at_any_size=target is self.fallback)

    def _send(self, flow: Flow, now: float, *, at_any_size: bool = False) -> None:
        context = self.context
        core = context.core
        destination = self.destination
        request = context.request.copy()
        request.uri = destination.uri
        for path in reversed(destination.routes):
            request.prepend("route", path)
        self.flow = flow
        self.provisional = False
        try:
            core.prepare(context, self, request, flow)
        except Rejected as rejected:
            self._fail(rejected.status, rejected.reason, now)
            return
        except BadMessage as bad:
            self._fail(bad.status, bad.reason, now)
            return
        if flow.transport == "UDP" and not at_any_size and self._too_large(request):
            larger = self._over_tcp(flow)
            if larger is not None:
                flow = self.flow = larger
        via_branch = push_via(request, flow, core.unique(), context.mark)
        if request.method == "INVITE":
            self.due = now + (destination.attempt_timeout_s or core.timer_c_s)
            core.deadlines.watch(self, now)
        elif destination.attempt_timeout_s is not None and self.targets:
            self.due = now + destination.attempt_timeout_s
            core.deadlines.watch(self, now)
        self.client = core.open_client(request, flow, self, now, branch=via_branch)

    def _too_large(self, request: Request) -> bool:
        if self.destination.hop is None or self.destination.hop.transport is not None:
            return False  # a flow of its own, or a transport that was asked for
        return sum(map(len, request.lines)) + 2 * len(request.lines) + len(request.body) + 200 > (
            self.context.core.udp_threshold_bytes
        )

    def _over_tcp(self, flow: Flow) -> Flow | None:
        # §18.1.1: a request this large goes over TCP; where nobody listens there, it is tried again over UDP.
        host, port = flow.remote
        self.fallback = Target(transport="UDP", host=host, port=port, listener=flow.listener)
        self.targets.insert(0, self.fallback)
        return self.context.core.connect(Target(transport="TCP", host=host, port=port))

    def overdue(self, now: float) -> None:
        """Timer C, or the attempt's own limit."""
        if not self.alive:
            return
        if self.provisional and self.client is not None:
            self.client.cancel(now)  # §16.8: the 487 that follows ends the branch
        else:
            self._abandon(now)
            if self.targets:
                self._next_target(now)
            else:
                self._fail(408, "Request Timeout", now)

    def _abandon(self, now: float) -> None:
        if self.client is not None:
            self.client.cancel(now)
            self.client.context = None

    def on_response(self, client: ClientTransaction, response: Response, now: float) -> None:
        if client is not self.client and response.status >= 300:
            return  # an attempt that was left for another address
        status = response.status
        response.drop_top_via()
        if status < 200:
            if not self.provisional:
                self.provisional = True
                limit = self.destination.answer_timeout_s
                if limit is not None:
                    self.due = now + min(limit, self.context.core.timer_c_s)
            if status > 100:
                if self.destination.answer_timeout_s is None:
                    self.due = now + self.context.core.timer_c_s
                self.context.provisional(self, response, now)
            return
        if status == 503 and self.targets and self.alive:
            self._next_target(now)  # RFC 3263 §4.3
            return
        self.context.final(self, response, now)

    def on_failure(self, client: ClientTransaction, cause: Cause, now: float) -> None:
        if not self.alive or (self.client is not None and client is not self.client):
            return
        if self.targets:
            self.client = client
            self._next_target(now)
        elif cause == "timeout":
            self._fail(408, "Request Timeout", now)
        else:
            self._fail(503, "Destination Unreachable", now)

    def _fail(self, status: int, reason: str, now: float) -> None:
        context = self.context
        context.final(self, response_to(context.request, status, reason, to_tag=context.core.unique()), now)

    def cancel(self, now: float, *, answered_elsewhere: bool = False) -> None:
        if not self.alive:
            return
        if self.client is None:
            self.alive = False  # nothing was sent yet
        else:
            self.client.cancel(now, (_LATE,) if answered_elsewhere else self.context.cancel_headers)

    def settle(self) -> None:
        """No more timers: the branch has its final response."""
        self.alive = False
        self.context.core.deadlines.forget(self)


class ResponseContext:
    """The request, its branches, the best response so far."""

    __slots__ = (
        "best",
        "branches",
        "breadth",
        "call",
        "caller_anchor",
        "cancel_headers",
        "cancelled",
        "challenges",
        "core",
        "done",
        "from_leg",
        "groups",
        "mark",
        "record",
        "request",
        "to_leg",
        "transaction",
        "upstream_by_contact",
        "waiting",
    )

    def __init__(
        self,
        core: Forwarder,
        transaction: ServerTransaction,
        mark: str,
        *,
        breadth: int,
        call: Call | None = None,
        record: bool = False,
    ) -> None:
        self.core = core
        self.transaction = transaction
        self.request: Request = transaction.request
        self.mark = mark
        self.breadth = breadth
        self.call = call
        self.record = record
        self.upstream_by_contact = False
        self.caller_anchor = Anchor.AUTO
        self.from_leg = "a"
        self.to_leg = ""
        self.groups: list[list[Destination]] = []
        self.waiting: list[Destination] = []
        self.branches: list[Branch] = []
        self.best: Response | None = None
        self.challenges: list[tuple[str, str]] = []
        self.cancelled = False
        self.cancel_headers: tuple[tuple[str, str], ...] = ()
        self.done = False

    def start(self, groups: list[list[Destination]], now: float) -> None:
        """Try the groups one after the other. Raises `Rejected` 440 where not even one branch is allowed."""
        if self.breadth < 1:
            raise Rejected(440, "Max-Breadth Exceeded", "Max-Breadth is used up")
        self.groups = groups.copy()
        self._advance(now)

    def _advance(self, now: float) -> None:
        """Open branches until one is alive, or there is nothing left to try."""
        while not self.done:
            alive = 0
            for branch in self.branches:
                alive += branch.alive
            if self.waiting and alive < self.breadth:
                # RFC 5393 §5.3.3: what the breadth does not allow at once is tried one after the other.
                branch = Branch(self, self.waiting.pop(0))
                self.branches.append(branch)
                branch.open(now)
            elif alive:
                return
            elif self.groups:
                self.waiting = self.groups.pop(0).copy()
            else:
                self._send_best(now)

    def provisional(self, branch: Branch, response: Response, now: float) -> None:
        if self.done:
            return
        try:
            self.core.arrived(self, branch, response, now)
        except (Rejected, BadMessage):
            return  # early media that cannot cross: the final response will say so
        self.transaction.respond(response, now)

    def final(self, branch: Branch, response: Response, now: float) -> None:
        status = response.status
        if status < 300:
            self._success(branch, response, now)
            return
        if not branch.alive:
            return
        branch.settle()
        if self.done:
            return
        try:
            self.core.arrived(self, branch, response, now)
        except (Rejected, BadMessage):
            pass
        if status >= 600:
            self.groups.clear()
            self.waiting.clear()
            for other in self.branches:
                other.cancel(now)
        elif status < 400 and not self.cancelled:
            self.groups[:0] = self.core.redirected(self, branch, response)
        failover = branch.destination.failover
        if failover is not None and status not in failover and status >= 400:
            self.groups.clear()
        self._consider(response)
        self._advance(now)

    def _success(self, branch: Branch, response: Response, now: float) -> None:
        branch.settle()
        try:
            self.core.arrived(self, branch, response, now)
        except (Rejected, BadMessage) as refused:
            # The answer cannot be carried over; the dialog that it made is for its owner to end.
            response = response_to(self.request, refused.status, refused.reason, to_tag=self.core.unique())
            self.groups.clear()
        if not branch.answered or self.request.method == "INVITE":
            branch.answered = True
            self.transaction.respond(response, now)
        if self.done:
            return
        self.groups.clear()
        self.waiting.clear()
        for other in self.branches:
            if other is not branch:
                other.cancel(now, answered_elsewhere=True)
        self._end(response, now)

    def _consider(self, response: Response) -> None:
        status = response.status
        if status in (401, 407):
            for key in ("www-authenticate", "proxy-authenticate"):
                self.challenges += [(key, value) for value in response.get_all(key)]
        if self.best is None or _rank(status) < _rank(self.best.status):
            self.best = response

    def _send_best(self, now: float) -> None:
        if self.cancelled:
            best = response_to(self.request, 487, to_tag=self.core.unique())
        else:
            best = self.best or response_to(self.request, 480, to_tag=self.core.unique())
        if best.status in (401, 407) and len(self.challenges) > 1:
            # §16.7 step 7: every challenge of every branch goes back.
            best.remove("www-authenticate")
            best.remove("proxy-authenticate")
            for key, value in self.challenges:
                best.append(key, value)
        self.transaction.respond(best, now)
        self._end(best, now)

    def cancel(self, now: float, headers: tuple[tuple[str, str], ...] = ()) -> None:
        """The caller gave up (§16.10), or we did in its name; `headers` (Reason) go on into each CANCEL."""
        if self.done or self.cancelled:
            return
        self.cancelled = True
        self.cancel_headers = headers
        self.groups.clear()
        self.waiting.clear()
        for branch in self.branches:
            branch.cancel(now)
        self._advance(now)

    def _end(self, response: Response | None, now: float) -> None:
        """The transactions hold a context for half a minute more: let go of all but what a further 2xx needs."""
        self.done = True
        self.branches = []  # else they and we would hold each other
        self.best = None
        self.challenges = []
        self.core.finished(self, response, now)


def _rank(status: int) -> tuple[int, int]:
    """Lower is better: 6xx, then the lowest class, within 4xx what tells more, our own 408 last."""
    if status >= 600:
        return 0, status
    if status == 503 or status == 408:
        return 8, status
    return status // 100, 0 if status in _TELLING else 1
