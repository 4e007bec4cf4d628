"""Server transactions: somebody's request until our answer is through (RFC 3261 §17.2, RFC 6026 §7.1, RFC 4320).

The tables are in `machines`; these classes are the same written out by hand. Answers are kept as bytes, so that a
repeated request costs one send.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from appliance.sip.build import response_to
from appliance.sip.flow import Flow, FlowClosed
from appliance.sip.machines import State
from appliance.sip.message import Request, Response
from appliance.sip.own_code import with_own_code
from appliance.sip.timers import NEVER
from appliance.sip.transaction import SPENT, Transaction

if TYPE_CHECKING:
    from appliance.sip.layer import TransactionLayer

TRYING = State.TRYING
PROCEEDING = State.PROCEEDING
ACCEPTED = State.ACCEPTED
COMPLETED = State.COMPLETED
CONFIRMED = State.CONFIRMED
TERMINATED = State.TERMINATED


class Allowance(Protocol):
    """How much may be sent to a client that may not be where it says."""

    def spend(self, size: int, *, final: bool) -> bool:
        """Whether `size` bytes may go out; they are then spent."""


class ServerTransaction(Transaction):
    """A request to be answered, from `TransactionUser.on_request`.

    `flow` is the way it came; `reply_flow` where answers go (§18.2.2, RFC 3581 §4): the same, or for a UDP client
    that did not ask for rport the port of its Via. `on_transport_error`, if set, is called from within whatever failed
    to send a response; it may call `move_to`. `allowance`, if set, is asked before each response, repeated ones too.
    """

    __slots__ = ("_last", "_layer", "allowance", "on_transport_error", "reply_flow", "tally")

    first_state: ClassVar[State]

    def __init__(self, key: Any, request: Request, flow: Flow, layer: TransactionLayer) -> None:
        self.key = key
        self.request = request
        self.method = request.method
        self.flow = flow
        self.reply_flow = flow
        self.allowance: Allowance | None = None
        self.state = self.first_state
        self.context = None
        self.on_transport_error: Callable[[ServerTransaction, float], None] | None = None
        self._clock = layer.clock
        self._layer = layer
        self.tally = layer.tallies[request.method]
        self.due = NEVER
        self._last: bytes | None = None

    @property
    def final_sent(self) -> bool:
        """Whether a final response has been given, or may no longer be."""
        return self.state is not PROCEEDING and self.state is not TRYING

    def start(self, now: float) -> None:
        """Arm what sees to the 100."""
        raise NotImplementedError

    def respond(self, response: Response, now: float) -> None:
        """Send `response`, or drop it where the machine has no place for it: after a final one (but any number of
        2xx may follow a 2xx to INVITE), a 408 or a provisional response to anything but INVITE (RFC 4320).

        Never raises `FlowClosed`; see `on_transport_error`.
        """
        raise NotImplementedError

    def move_to(self, flow: Flow, now: float) -> None:
        """Answer over another flow from now on, and repeat the last response there, if there is one."""
        self.reply_flow = flow
        if self._last is not None:
            self._send(self._last, now)

    def abandon(self) -> None:
        """End without an answer, as if the request had never come."""
        self._terminate()

    def receive_again(self, request: Request, flow: Flow, now: float) -> None:
        """The same request once more, or its ACK."""
        raise NotImplementedError

    def _send(self, data: bytes, now: float) -> None:
        if self.allowance is not None and not self.allowance.spend(len(data), final=self.final_sent):
            self._layer.counts.responses_withheld += 1
            return
        try:
            self.reply_flow.send(data)
        except FlowClosed:
            self._layer.counts.transport_errors += 1
            if self.on_transport_error is not None:
                self.on_transport_error(self, now)

    def _send_again(self, flow: Flow, now: float) -> None:
        self._layer.counts.requests_repeated += 1
        if self.reply_flow.closed and flow.reliable:
            self.reply_flow = flow  # the client has come back over another connection
        if self._last is not None:
            self._layer.counts.responses_resent += 1
            if self.final_sent:
                self.tally.finals_resent += 1
            else:
                self.tally.provisionals_resent += 1
            self._send(self._last, now)

    def _terminate(self) -> None:
        state = self.state
        if state is TERMINATED:
            return
        layer = self._layer
        if state is TRYING or state is PROCEEDING:
            layer.unanswered -= 1
        self.state = TERMINATED
        self.due = NEVER
        layer.servers.pop(self.key, None)
        self.on_transport_error = None
        self.context = None
        self.request = SPENT  # its place in a delay line may outlive it by half a minute
        self._last = None


@with_own_code
class InviteServer(ServerTransaction):
    """§17.2.1 with RFC 6026: PROCEEDING → ACCEPTED, or COMPLETED → CONFIRMED → TERMINATED."""

    __slots__ = ("_give_up_at", "_interval")

    first_state = PROCEEDING
    _give_up_at: float
    _interval: float

    def start(self, now: float) -> None:
        """Say 100 at once, or see to it that it is said in time."""
        if self._layer.options.trying_after_s > 0:
            self._clock.trying.add(now, self)
        else:
            self._say_trying(now)

    def respond(self, response: Response, now: float) -> None:
        status = response.status
        if self.state is PROCEEDING:
            self.tally.responses_out[status] += 1
            response.veil = self.request.veil
            self._last = data = response.to_bytes()
            clock = self._clock
            if status < 200:
                self.due = NEVER
            else:
                self._layer.unanswered -= 1
                if status < 300:
                    self.state = ACCEPTED
                    clock.after.add(now, self)  # timer L
                else:
                    self.state = COMPLETED
                    self._give_up_at = now + clock.long.delay
                    if self.reply_flow.reliable:
                        clock.long.add(now, self)  # timer H
                    else:
                        self._interval = clock.t1.delay
                        clock.t1.add(now, self)  # timer G
            self._send(data, now)
        elif self.state is ACCEPTED and 200 <= status < 300:
            self.tally.responses_out[status] += 1
            response.veil = self.request.veil
            self._last = data = response.to_bytes()
            self._send(data, now)

    def receive_again(self, request: Request, flow: Flow, now: float) -> None:
        state = self.state
        if request.method == "ACK":
            if state is ACCEPTED:
                self._layer.tallies["ACK"].requests_in += 1
                self._layer.user.on_ack(request, flow, now)
            elif state is COMPLETED:
                self._layer.tallies["ACK"].requests_in += 1
                self.state = CONFIRMED
                if self.reply_flow.reliable:
                    self._terminate()
                else:
                    self._clock.t4.add(now, self)  # timer I
        elif state is PROCEEDING or state is COMPLETED:
            self._send_again(flow, now)
        else:
            # RFC 6026 §7.1: absorbed; who answered 2xx repeats it until the ACK.
            self._layer.counts.requests_repeated += 1

    def fall_due(self, now: float) -> None:
        state = self.state
        if state is PROCEEDING:
            self._say_trying(now)
        elif state is COMPLETED and now < self._give_up_at:
            self._interval = min(self._interval * 2, self._layer.options.t2)
            self._arm_within(self._interval, self._give_up_at, now)
            if self._last is not None:  # timer G
                self._layer.counts.responses_resent += 1
                self.tally.finals_resent += 1
                self._send(self._last, now)
        elif state is COMPLETED:
            self._layer.counts.timeouts += 1  # timer H: no ACK came
            self._terminate()
        else:
            self._terminate()

    def _say_trying(self, now: float) -> None:
        self.tally.responses_out[100] += 1
        self._last = response_to(self.request, 100).to_bytes()
        self._send(self._last, now)


@with_own_code
class OtherServer(ServerTransaction):
    """§17.2.2 with RFC 4320: TRYING → PROCEEDING → COMPLETED → TERMINATED."""

    __slots__ = ("_silent_at",)

    first_state = TRYING
    _silent_at: float

    def start(self, now: float) -> None:
        self._silent_at = now + self._clock.long.delay
        self._clock.late.add(now, self)

    def respond(self, response: Response, now: float) -> None:
        status = response.status
        if status < 200 or status == 408 or (self.state is not TRYING and self.state is not PROCEEDING):
            # RFC 4320: §4.1 100 is said by `fall_due` alone; §4.2 a 408 could only come too late, so there is none.
            return
        self._layer.unanswered -= 1
        self.tally.responses_out[status] += 1
        self.state = COMPLETED
        response.veil = self.request.veil
        self._last = data = response.to_bytes()
        if self.reply_flow.reliable:
            self._send(data, now)
            self._terminate()
        else:
            self._clock.after.add(now, self)  # timer J
            self._send(data, now)
            self.request = SPENT
            self.context = None

    def receive_again(self, request: Request, flow: Flow, now: float) -> None:
        self._send_again(flow, now)

    def fall_due(self, now: float) -> None:
        if self.state is TRYING:
            self.state = PROCEEDING
            self._arm_at(self._silent_at)
            self.tally.responses_out[100] += 1
            self._last = response_to(self.request, 100).to_bytes()
            self._send(self._last, now)
        else:
            self._terminate()
