"""Client transactions: our request until its answer (RFC 3261 §17.1, RFC 6026 §7.2), and CANCEL (§9.1).

The tables are in `machines`; these classes are the same written out by hand. Nothing here forks or chooses: a client
transaction sends one request over one flow and tells its user how it went.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol

from appliance.sip.build import ack_of, cancel_of
from appliance.sip.flow import Flow, FlowClosed
from appliance.sip.machines import State
from appliance.sip.message import Request, Response
from appliance.sip.own_code import with_own_code
from appliance.sip.timers import NEVER
from appliance.sip.transaction import SPENT, Transaction

if TYPE_CHECKING:
    from appliance.sip.layer import TransactionLayer

Cause = Literal["timeout", "transport"]
ClientKey = tuple[str, str]

CALLING = State.CALLING
TRYING = State.TRYING
PROCEEDING = State.PROCEEDING
ACCEPTED = State.ACCEPTED
COMPLETED = State.COMPLETED
TERMINATED = State.TERMINATED


class ClientUser(Protocol):
    """Whoever sent the request.

    `on_response` comes for every provisional response, for the final one, and for each further 2xx to an INVITE
    (RFC 6026); `on_failure` at most once, instead of a final response and never after one. Neither is called from
    within `open_client`.
    """

    def on_response(self, client: ClientTransaction, response: Response, now: float) -> None: ...

    def on_failure(self, client: ClientTransaction, cause: Cause, now: float) -> None: ...


class _Nobody:
    """The user of a CANCEL, and of whatever has terminated."""

    __slots__ = ()

    def on_response(self, client: ClientTransaction, response: Response, now: float) -> None:
        """What a CANCEL is answered changes nothing (§9.1)."""

    def on_failure(self, client: ClientTransaction, cause: Cause, now: float) -> None:
        """The INVITE's own end tells the story."""


NOBODY = _Nobody()


class ClientTransaction(Transaction):
    """A request that we sent, from `TransactionLayer.open_client`.

    `cancelled` is set once `cancel` was asked for: a timeout then means that the other side never said 487.
    """

    __slots__ = ("_data", "_give_up_at", "_interval", "_layer", "cancelled", "listener", "tally")

    first_state: ClassVar[State]

    def __init__(
        self, key: ClientKey, request: Request, flow: Flow, listener: ClientUser, layer: TransactionLayer
    ) -> None:
        self.key = key
        self.request = request
        self.method = request.method
        self.flow = flow
        self.state = self.first_state
        self.context = None
        self.listener = listener
        self.cancelled = False
        self._clock = layer.clock
        self._layer = layer
        self.tally = layer.tallies[request.method]
        self.due = NEVER
        self._data = b""
        self._interval = 0.0
        self._give_up_at = 0.0

    def start(self, now: float, timeout_s: float | None) -> None:
        """Send, for the first time. `timeout_s` stands in for 64*T1 of timers B and F."""
        clock = self._clock
        flow = self.flow
        self._data = data = self.request.to_bytes()
        try:
            flow.send(data)
        except FlowClosed:
            # Told a moment later: the user does not hold this transaction yet.
            clock.heap.schedule(now, self.transport_failed)
            return
        self.tally.requests_out += 1
        self._give_up_at = now + (clock.long.delay if timeout_s is None else timeout_s)
        if not flow.reliable:
            line = clock.t1
            self._interval = line.delay
            if timeout_s is None or timeout_s >= line.delay:
                line.add(now, self)
                return
        elif timeout_s is None:
            clock.long.add(now, self)
            return
        self._arm_at(self._give_up_at)

    @property
    def unanswered(self) -> bool:
        """Nothing at all has come back."""
        return self.state is CALLING or self.state is TRYING

    def receive_response(self, response: Response, now: float) -> None:
        raise NotImplementedError

    def cancel(self, now: float, headers: Iterable[tuple[str, str]] = ()) -> None:
        """Ask for the INVITE to be given up (§9.1), with `headers` such as Reason in the CANCEL.

        The CANCEL waits for a provisional response; after a final one, and for other methods, there is none.
        64*T1 after the CANCEL `on_failure` ("timeout") comes if the other side still has not answered.
        """

    def transport_failed(self, now: float) -> None:
        """The flow is gone: `on_failure` ("transport"), unless a final response has come."""
        if self.state is CALLING or self.state is TRYING or self.state is PROCEEDING:
            self._layer.counts.transport_errors += 1
            self._fail("transport", now)

    def _resend(self, now: float) -> bool:
        """The request once more; False when that ended the transaction."""
        self._layer.counts.requests_resent += 1
        self.tally.requests_resent += 1
        try:
            self.flow.send(self._data)
        except FlowClosed:
            self.transport_failed(now)
            return False
        return True

    def _fail(self, cause: Cause, now: float) -> None:
        self.state = TERMINATED
        listener = self.listener
        listener.on_failure(self, cause, now)
        self._terminate()

    def _release(self) -> None:
        """Nothing more will be told or sent: let go of the user, and of what it holds."""
        self.listener = NOBODY
        self.context = None
        self._data = b""

    def _terminate(self) -> None:
        self.state = TERMINATED
        self.due = NEVER
        self._layer.forget_client(self)
        self._release()
        self.request = SPENT  # its place in a delay line may outlive it by half a minute


@with_own_code
class InviteClient(ClientTransaction):
    """§17.1.1 with RFC 6026: CALLING → PROCEEDING → ACCEPTED or COMPLETED → TERMINATED."""

    __slots__ = ("_ack", "_cancel_headers")

    first_state = CALLING
    _ack: bytes
    _cancel_headers: tuple[tuple[str, str], ...]

    def receive_response(self, response: Response, now: float) -> None:
        state = self.state
        status = response.status
        if state is CALLING or state is PROCEEDING:
            if status < 200:
                if state is CALLING:
                    self.state = PROCEEDING
                    self.due = NEVER
                    if self.cancelled:
                        self._send_cancel(now)
            elif status < 300:
                self.state = ACCEPTED
                self._data = b""
                self.request = SPENT
                self._clock.after.add(now, self)  # timer M
            else:
                self._receive_failure(response, now)
                return
            self.listener.on_response(self, response, now)
        elif state is ACCEPTED and 200 <= status < 300:
            self.listener.on_response(self, response, now)
        elif state is COMPLETED and status >= 300:
            self._layer.counts.responses_absorbed += 1
            self._layer.tallies["ACK"].requests_resent += 1
            self._send_ack(now)
        else:
            self._layer.counts.responses_absorbed += 1

    def _receive_failure(self, response: Response, now: float) -> None:
        self.state = COMPLETED
        self._ack = ack_of(self.request, response).to_bytes()
        if self.flow.reliable:
            self.due = NEVER
        else:
            self._clock.after.add(now, self)  # timer D
        self._layer.tallies["ACK"].requests_out += 1
        self._send_ack(now)
        self.listener.on_response(self, response, now)
        if self.flow.reliable:
            self._terminate()
        else:
            self._release()

    def _send_ack(self, now: float) -> None:
        try:
            self.flow.send(self._ack)
        except FlowClosed:
            # The user has its final response already, or is about to get it: nothing to tell.
            self._layer.counts.transport_errors += 1
            if self.due != NEVER:
                self._arm_at(now)

    def fall_due(self, now: float) -> None:
        state = self.state
        if state is CALLING:
            if now >= self._give_up_at:  # timer B
                self._layer.counts.timeouts += 1
                self._fail("timeout", now)
            elif self._resend(now):  # timer A
                self._interval *= 2
                self._arm_within(self._interval, self._give_up_at, now)
        elif state is PROCEEDING:
            self._layer.counts.timeouts += 1
            self._fail("timeout", now)
        elif state is not TERMINATED:
            self._terminate()  # timers D and M

    def cancel(self, now: float, headers: Iterable[tuple[str, str]] = ()) -> None:
        if self.cancelled or (self.state is not CALLING and self.state is not PROCEEDING):
            return
        self.cancelled = True
        self._cancel_headers = tuple(headers)
        if self.state is PROCEEDING:
            self._send_cancel(now)

    def _send_cancel(self, now: float) -> None:
        cancel = cancel_of(self.request)
        for key, value in self._cancel_headers:
            cancel.append(key.lower(), value)
        self._clock.long.add(now, self)
        self._layer.open_client(cancel, self.flow, NOBODY, now)


@with_own_code
class OtherClient(ClientTransaction):
    """§17.1.2: TRYING → PROCEEDING → COMPLETED → TERMINATED."""

    __slots__ = ()

    first_state = TRYING

    def receive_response(self, response: Response, now: float) -> None:
        state = self.state
        if state is not TRYING and state is not PROCEEDING:
            self._layer.counts.responses_absorbed += 1
        elif response.status < 200:
            if state is TRYING:
                self.state = PROCEEDING
                if not self.flow.reliable:
                    # §17.1.2.2: timer E goes on at T2.
                    self._interval = self._layer.options.t2
                    self._arm_within(self._interval, self._give_up_at, now)
            self.listener.on_response(self, response, now)
        else:
            self.state = COMPLETED
            if self.flow.reliable:
                self.listener.on_response(self, response, now)
                self._terminate()
            else:
                self._clock.t4.add(now, self)  # timer K
                self.listener.on_response(self, response, now)
                self._release()
                self.request = SPENT

    def fall_due(self, now: float) -> None:
        state = self.state
        if state is TRYING or state is PROCEEDING:
            if now >= self._give_up_at:  # timer F
                self._layer.counts.timeouts += 1
                self._fail("timeout", now)
            elif self._resend(now):  # timer E
                self._interval = min(self._interval * 2, self._layer.options.t2)
                self._arm_within(self._interval, self._give_up_at, now)
        elif state is not TERMINATED:
            self._terminate()
