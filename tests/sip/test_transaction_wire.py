"""Two transaction layers joined by a wire that loses, doubles and reorders: whatever it does, everything ends."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from itertools import count

from hypothesis import example, given, settings
from hypothesis import strategies as st

from appliance.sip.build import response_to
from appliance.sip.flow import Flow, FlowClosed
from appliance.sip.layer import (
    ClientTransaction,
    ServerTransaction,
    TransactionLayer,
    TransactionOptions,
)
from appliance.sip.machines import State
from appliance.sip.message import Request, Response
from appliance.sip.parser import check_untrusted, parse_message_untrusted
from appliance.sip.timers import TimerHeap
from appliance.sip.transaction import Transaction
from tests.sip.pretend_wire import request

#: What becomes of one packet: a delay in seconds for each copy that arrives. All stay below T1, or the last
#: retransmission could come after the other side's memory of 64*T1 has ended.
FATES = st.sampled_from([(0.01,), (), (), (0.01, 0.02), (0.3,), (0.05, 0.4), (0.35, 0.01, 0.2)])
STATUSES = st.sampled_from([200, 202, 302, 404, 408, 487, 503, 603])


class Wire:
    """Carries bytes between two flows with the fates it was given, then faithfully."""

    def __init__(self, transport: str, fates: list[tuple[float, ...]]) -> None:
        self.timers = TimerHeap()
        self.now = 1000.0
        self.fates = iter(fates if transport == "UDP" else [])
        self.cut = False
        self.left = WireFlow(self, transport, ("192.0.2.1", 5060), ("192.0.2.9", 5060))
        self.right = WireFlow(self, transport, ("192.0.2.9", 5060), ("192.0.2.1", 5060))
        self.left.peer, self.right.peer = self.right, self.left

    def run(self, seconds: float) -> None:
        until = self.now + seconds
        for _ in range(100_000):
            due = self.timers.next_at
            if due is None or due > until:
                self.now = until
                return
            self.now = max(self.now, due)
            self.timers.run_due(self.now)
        raise AssertionError("timers without end")


class WireFlow(Flow):
    __slots__ = ("layer", "peer", "wire")

    layer: TransactionLayer
    peer: WireFlow

    def __init__(self, wire: Wire, transport: str, local: tuple[str, int], remote: tuple[str, int]) -> None:
        super().__init__(transport=transport, listener="wire", local=local, remote=remote, id="wire", sent_by=local[0])
        self.wire = wire

    def send(self, data: bytes) -> None:
        wire = self.wire
        if wire.cut:
            raise FlowClosed
        for delay in next(wire.fates, (0.01,)):
            wire.timers.schedule(wire.now + delay, self._deliver(data))

    def _deliver(self, data: bytes) -> Callable[[float], None]:
        def deliver(now: float) -> None:
            message = parse_message_untrusted(data)
            check_untrusted(message)
            if isinstance(message, Request):
                self.peer.layer.receive_request(message, self.peer, now)
            else:
                self.peer.layer.receive_response(message, self.peer, now)

        return deliver


class Caller:
    """Sends one request, acknowledges its 2xx end to end, and notes what it is told."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.heard: list[int] = []
        self.failures: list[str] = []
        self.acks = count()

    def on_response(self, client: ClientTransaction, response: Response, now: float) -> None:
        assert client.state is not State.TERMINATED
        assert not self.failures
        self.heard.append(response.status)
        if client.method == "INVITE" and 200 <= response.status < 300 and not self.wire.cut:
            ack = request("ACK", branch=f"z9hG4bKack{next(self.acks)}", to_tag=response.to_tag)
            self.wire.left.send(ack.to_bytes())

    def on_failure(self, client: ClientTransaction, cause: str, now: float) -> None:
        self.failures.append(cause)

    def on_stray_response(self, response: Response, flow: Flow, now: float) -> None:
        """A late copy."""

    def on_request(self, transaction: ServerTransaction, now: float) -> None:
        raise AssertionError

    def on_cancel(self, transaction: ServerTransaction, cancel: Request, now: float) -> None:
        raise AssertionError

    def on_ack(self, request: Request, flow: Flow, now: float) -> None:
        raise AssertionError


class Callee:
    """Answers with a script of (delay, status); repeats its 2xx as a UAS does (§13.3.1.4); 487 when cancelled."""

    def __init__(self, wire: Wire, script: list[tuple[float, int]]) -> None:
        self.wire = wire
        self.script = script
        self.requests = 0
        self.cancels = 0
        self.acks = 0

    def on_request(self, transaction: ServerTransaction, now: float) -> None:
        self.requests += 1
        at = now
        for delay, status in self.script:
            at += delay
            self.wire.timers.schedule(at, self._say(transaction, status, 0.5))

    def _say(self, server: ServerTransaction, status: int, interval: float) -> Callable[[float], None]:
        def say(now: float) -> None:
            if server.final_sent and server.state is not State.ACCEPTED:
                return
            server.respond(response_to(server.request, status, to_tag="b"), now)
            if server.method == "INVITE" and 200 <= status < 300 and not self.acks and interval < 32:
                self.wire.timers.schedule(now + min(interval, 4), self._say(server, status, interval * 2))

        return say

    def on_cancel(self, transaction: ServerTransaction, cancel: Request, now: float) -> None:
        self.cancels += 1
        transaction.respond(response_to(transaction.request, 487, to_tag="b"), now)

    def on_ack(self, request: Request, flow: Flow, now: float) -> None:
        self.acks += 1

    def on_response(self, client: ClientTransaction, response: Response, now: float) -> None:
        raise AssertionError

    def on_failure(self, client: ClientTransaction, cause: str, now: float) -> None:
        raise AssertionError

    def on_stray_response(self, response: Response, flow: Flow, now: float) -> None:
        raise AssertionError


class Outcome:
    """One request from a caller to a callee, run until nothing moves any more."""

    def __init__(
        self,
        method: str,
        transport: str,
        fates: list[tuple[float, ...]],
        script: list[tuple[float, int]],
        *,
        cancel_at: float | None = None,
        cut_at: float | None = None,
        at_once: bool = False,
    ) -> None:
        self.wire = wire = Wire(transport, fates)
        self.caller, self.callee = Caller(wire), Callee(wire, script)
        options = TransactionOptions(trying_after_s=0 if at_once else 0.2)
        self.left = wire.left.layer = TransactionLayer(wire.timers, self.caller, options)
        self.right = wire.right.layer = TransactionLayer(wire.timers, self.callee, options)
        sent = request(method, transport=transport)
        self.client = client = self.left.open_client(sent, wire.left, self.caller, wire.now)
        if cancel_at is not None:
            wire.timers.schedule(wire.now + cancel_at, client.cancel)
        if cut_at is not None:
            wire.timers.schedule(wire.now + cut_at, self._cut)
        wire.run(200)
        client.cancel(wire.now)  # as a proxy's Timer C does
        wire.run(3600)

    def _cut(self, now: float) -> None:
        self.wire.cut = True
        self.left.flow_closed(self.wire.left, now)
        self.right.flow_closed(self.wire.right, now)

    @property
    def finals(self) -> list[int]:
        return [status for status in self.caller.heard if status >= 200]

    def check(self) -> None:
        """What holds whatever the wire did."""
        for layer in (self.left, self.right):
            assert not layer.clients
            assert not layer.servers
            assert layer.unanswered == 0
        assert len(self.wire.timers) == 0
        assert self.client.state is State.TERMINATED
        assert self.callee.requests <= 1
        assert self.callee.cancels <= 1
        assert len(self.caller.failures) <= 1
        assert bool(self.finals) != bool(self.caller.failures), "one outcome, and only one"
        heard = self.caller.heard
        if self.finals:
            assert all(status >= 200 for status in heard[heard.index(self.finals[0]) :])
        if self.client.method != "INVITE" or (self.finals and self.finals[0] >= 300):
            assert len(self.finals) <= 1
        assert len(set(self.finals)) <= 1


def script_of(provisional: list[tuple[float, int]], delay: float, status: int) -> list[tuple[float, int]]:
    return [*provisional, (delay, status)]


DELAYS = st.sampled_from([0.0, 0.1, 0.6, 3.0, 9.0, 40.0])
PROVISIONAL = st.lists(st.tuples(DELAYS, st.sampled_from([100, 180, 183])), max_size=3)
SCRIPTS = st.builds(script_of, PROVISIONAL, DELAYS, STATUSES)


@settings(max_examples=150, deadline=None)
@given(
    fates=st.lists(FATES, max_size=60),
    script=SCRIPTS,
    transport=st.sampled_from(["UDP", "TCP"]),
    cancel_at=st.none() | DELAYS,
    cut_at=st.none() | DELAYS,
    at_once=st.booleans(),
)
@example(fates=[()] * 60, script=[(0.0, 200)], transport="UDP", cancel_at=None, cut_at=None, at_once=False)
def test_every_invite_ends(
    fates: list[tuple[float, ...]],
    script: list[tuple[float, int]],
    transport: str,
    cancel_at: float | None,
    cut_at: float | None,
    at_once: bool,
) -> None:
    outcome = Outcome("INVITE", transport, fates, script, cancel_at=cancel_at, cut_at=cut_at, at_once=at_once)
    outcome.check()
    if not fates and cut_at is None:
        assert outcome.finals
        assert outcome.finals[0] in (script[-1][1], 487)
        if cancel_at is None:
            assert outcome.finals[0] == script[-1][1]
        if outcome.finals[0] < 300:
            assert outcome.callee.acks


@settings(max_examples=100, deadline=None)
@given(
    fates=st.lists(FATES, max_size=60),
    script=SCRIPTS,
    transport=st.sampled_from(["UDP", "TCP"]),
    cut_at=st.none() | DELAYS,
)
def test_every_other_request_ends(
    fates: list[tuple[float, ...]], script: list[tuple[float, int]], transport: str, cut_at: float | None
) -> None:
    outcome = Outcome("MESSAGE", transport, fates, script, cut_at=cut_at)
    outcome.check()
    assert 408 not in outcome.caller.heard
    assert set(outcome.caller.heard) - set(outcome.finals) <= {100}
    if not fates and cut_at is None and sum(delay for delay, _ in script) < 31 and script[-1][1] != 408:
        assert outcome.finals == [script[-1][1]]


def lost(*which: int) -> list[tuple[float, ...]]:
    """Fates that lose the packets with these numbers."""
    return [() if i in which else (0.01,) for i in range(max(which) + 1)]


def test_lost_invite_is_sent_again() -> None:
    outcome = Outcome("INVITE", "UDP", lost(0, 1), [(0.0, 486)])
    outcome.check()
    assert outcome.finals == [486]


def test_lost_ack_to_a_failure_is_sent_again() -> None:
    outcome = Outcome("INVITE", "UDP", lost(2, 4), [(0.0, 486)])
    outcome.check()
    assert outcome.left.counts.responses_absorbed == 2
    assert outcome.right.counts.timeouts == 0


def test_lost_2xx_is_repeated_by_the_user_and_passes() -> None:
    outcome = Outcome("INVITE", "UDP", lost(1, 3), [(0.0, 200)])
    outcome.check()
    assert outcome.finals[0] == 200
    assert outcome.callee.acks


def test_dead_peer_is_told_after_64_t1() -> None:
    outcome = Outcome("INVITE", "UDP", [()] * 100, [])
    assert outcome.caller.failures == ["timeout"]
    assert outcome.callee.requests == 0


def living() -> Iterator[Transaction]:
    return (thing for thing in gc.get_objects() if isinstance(thing, Transaction))


def made_since(before: list[Transaction]) -> list[Transaction]:
    """Of those that live: a test that ran earlier may have left one in the hands of what holds it."""
    known = {id(thing) for thing in before}
    return [thing for thing in living() if id(thing) not in known]


def test_terminated_transactions_leave_no_cycles() -> None:
    gc.collect()
    before = list(living())
    gc.disable()
    try:
        for transport in ("UDP", "TCP"):
            for method in ("INVITE", "MESSAGE"):
                for status in (200, 486, 408):
                    for cancel_at in (None, 0.1):
                        outcome = Outcome(
                            method, transport, lost(1, 2), [(0.3, 180), (0.3, status)], cancel_at=cancel_at
                        )
                        del outcome.client
                        assert made_since(before) == []
    finally:
        gc.enable()
