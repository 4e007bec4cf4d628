"""What all transactions share: the clockwork with its constants, one armed timer each, an end without cycles.

RFC 3261 §17. The machines are `client_transaction` and `server_transaction`, their tables `machines`; who gets which
message is `layer`'s to find out.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import attrs

from appliance.sip.machines import State
from appliance.sip.message import Request
from appliance.sip.timers import NEVER, DelayLine, TimerHeap

if TYPE_CHECKING:
    from appliance.sip.flow import Flow

#: Stands in for a request that is answered and will not be needed again: a flood costs 32 s of memory.
SPENT = Request("SPENT", "", [], [])


@attrs.frozen
class TransactionOptions:
    """Times in seconds (RFC 3261 §17.1.1.1 and table 4).

    `trying_after_s`: when the layer says 100 to an INVITE by itself; 0 says it at once.
    `limit`: unanswered server transactions beyond which new requests get 503; 0 for none.
    `linger_s`: timers D, J, L and M run no longer than this; for boxes that would rather save the memory of 32 s of
    calls than know a very late copy again. None is the RFC's 64*T1.
    """

    t1: float = 0.5
    t2: float = 4.0
    t4: float = 5.0
    trying_after_s: float = 0.2
    limit: int = 0
    linger_s: float | None = None

    @property
    def long_s(self) -> float:
        """64*T1: timers B, F, H."""
        return 64 * self.t1

    @property
    def after_s(self) -> float:
        """How long an answered transaction is remembered: timers D, J, L, M."""
        return self.long_s if self.linger_s is None else min(self.long_s, self.linger_s)

    @property
    def late_s(self) -> float:
        """How long a client takes until its Timer E stands at T2 (RFC 4320 §4.1): 3.5 s by default."""
        elapsed, interval = 0.0, self.t1
        while interval < self.t2:
            elapsed += interval
            interval *= 2
        return elapsed


@attrs.define
class TransactionCounts:
    """What happened since the start; the current numbers are the layer's `clients` and `servers`."""

    clients_opened: int = 0
    servers_opened: int = 0
    requests_repeated: int = 0
    """Received again and absorbed."""
    requests_resent: int = 0
    responses_resent: int = 0
    responses_withheld: int = 0
    """Not sent because the allowance of the client was spent."""
    responses_absorbed: int = 0
    stray_responses: int = 0
    timeouts: int = 0
    transport_errors: int = 0
    refused: int = 0
    """Requests answered 503 because of `limit`."""


class Clockwork:
    """The timers of one layer: a delay line for each length that the RFC knows."""

    __slots__ = ("after", "heap", "late", "lines", "long", "t1", "t4", "trying")

    def __init__(self, heap: TimerHeap, options: TransactionOptions) -> None:
        self.heap = heap
        self.lines: dict[float, DelayLine] = {}
        interval = options.t1
        while interval < options.long_s:
            self.line(interval)
            interval *= 2
        self.line(options.t2)
        self.t1 = self.line(options.t1)
        self.long = self.line(options.long_s)
        self.t4 = self.line(options.t4)
        self.after = self.line(options.after_s)
        self.late = self.line(options.late_s or options.t1)
        self.trying = self.line(options.trying_after_s or options.t1)

    def line(self, delay: float) -> DelayLine:
        """The line of `delay`, made if need be: for settings only, never for delays that vary."""
        found = self.lines.get(delay)
        if found is None:
            found = self.lines[delay] = DelayLine(self.heap, delay)
        return found


class Transaction:
    """One request on one hop. Only one timer is armed at a time; what it means depends on the state.

    `context` belongs to the user and is dropped when the transaction terminates. `request` of any method but INVITE is
    dropped (`SPENT`) with its final response, that of an INVITE client with a 2xx: keep your own reference if you need
    it longer.
    The two subclasses fill all slots in one constructor: four transactions a call make its price felt.
    """

    __slots__ = ("_clock", "context", "due", "flow", "key", "method", "request", "state")

    key: Any
    request: Request
    method: str
    flow: Flow
    state: State
    context: Any
    _clock: Clockwork
    due: float
    """When the armed timer runs out, `NEVER` for none; arming one disarms the other."""

    def fall_due(self, now: float) -> None:
        """The armed timer has run out."""
        raise NotImplementedError

    def _arm_at(self, when: float) -> None:
        """For a time that no line knows."""
        self.due = when
        self._clock.heap.schedule(when, partial(self._ring, when))

    def _ring(self, when: float, now: float) -> None:
        if self.due == when:
            self.due = NEVER
            self.fall_due(now)

    def _arm_within(self, interval: float, until: float, now: float) -> None:
        """After `interval`, or at `until` if that comes before."""
        line = self._clock.lines.get(interval)
        if line is not None and now + interval <= until:
            line.add(now, self)
        else:
            self._arm_at(min(now + interval, until))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.method} {self.state.value}>"
