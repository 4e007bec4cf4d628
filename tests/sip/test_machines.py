"""The transaction classes do what the tables of `machines` say: every row, every event without a row, every timer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from appliance.sip.build import response_to
from appliance.sip.layer import ClientTransaction, ServerTransaction, TransactionOptions
from appliance.sip.machines import TABLE, WAITS, Effect, Event, Machine, Row, State, Wait, diagram
from tests.sip.pretend_wire import Bench, ListFlow, request

OPTIONS = TransactionOptions()
SECONDS = {
    "T1": 0.5,
    "T2": 4.0,
    "T4": 5.0,
    "64*T1": 32.0,
    "200ms": 0.2,
    "late": 3.5,
    "after": 32.0,
}
CLIENTS = (Machine.INVITE_CLIENT, Machine.OTHER_CLIENT)
HEARD = {Event.HEAR_1XX: 183, Event.HEAR_2XX: 200, Event.HEAR_FAILURE: 486}
SAID = {Event.SAY_1XX: 183, Event.SAY_2XX: 200, Event.SAY_FAILURE: 486}
TIMERS = frozenset(event for event in Event if event.name.startswith("TIMER"))

PATHS: dict[Machine, dict[State, tuple[Event, ...]]] = {
    Machine.INVITE_CLIENT: {
        State.CALLING: (),
        State.PROCEEDING: (Event.HEAR_1XX,),
        State.ACCEPTED: (Event.HEAR_2XX,),
        State.COMPLETED: (Event.HEAR_FAILURE,),
    },
    Machine.OTHER_CLIENT: {
        State.TRYING: (),
        State.PROCEEDING: (Event.HEAR_1XX,),
        State.COMPLETED: (Event.HEAR_2XX,),
    },
    Machine.INVITE_SERVER: {
        State.PROCEEDING: (Event.SAY_1XX,),
        State.ACCEPTED: (Event.SAY_2XX,),
        State.COMPLETED: (Event.SAY_FAILURE,),
        State.CONFIRMED: (Event.SAY_FAILURE, Event.ACK),
    },
    Machine.OTHER_SERVER: {
        State.TRYING: (),
        State.PROCEEDING: (Event.TIMER_100,),
        State.COMPLETED: (Event.SAY_2XX,),
    },
}


class Subject:
    """One transaction of a machine, driven by events of the table and watched for its effects."""

    def __init__(self, machine: Machine, transport: str) -> None:
        self.bench = Bench(transport)
        self.machine = machine
        self.start = self.bench.now
        self.said = 0
        self.last: bytes | None = None
        self.failures = 0
        method = "INVITE" if machine in (Machine.INVITE_CLIENT, Machine.INVITE_SERVER) else "OPTIONS"
        self.request = request(method, transport=transport)
        self.transaction: ClientTransaction | ServerTransaction
        if machine in CLIENTS:
            self.transaction = self.bench.open(self.request)
        else:
            self.transaction = server = self.bench.receive_new(self.request)
            server.on_transport_error = self._on_transport_error
        self.effects()

    def _on_transport_error(self, server: ServerTransaction, now: float) -> None:
        self.failures += 1

    def fire(self, event: Event) -> None:
        bench, transaction = self.bench, self.transaction
        if event in HEARD:
            bench.receive(response_to(self.request, HEARD[event], to_tag="b"))
        elif event in SAID:
            assert isinstance(transaction, ServerTransaction)
            self.said += 1
            transaction.respond(response_to(self.request, SAID[event], to_tag=f"b{self.said}"), bench.now)
        elif event is Event.REQUEST:
            bench.receive(self.request)
        elif event is Event.ACK:
            bench.receive(request("ACK", transport=self.bench.flow.transport, to_tag="b"))
        elif event is Event.CANCEL:
            assert isinstance(transaction, ClientTransaction)
            transaction.cancel(bench.now)
        elif event is Event.SEND_FAILED:
            self._break()
        else:
            self.pass_time(event)

    def _break(self) -> None:
        transaction, bench = self.transaction, self.bench
        if isinstance(transaction, ServerTransaction):
            broken = ListFlow(bench.flow.transport)
            broken.broken = True
            transaction.move_to(broken, bench.now)
        elif transaction.state is State.COMPLETED and self.machine is Machine.INVITE_CLIENT:
            bench.flow.broken = True
            bench.receive(response_to(self.request, 486, to_tag="b"))
            bench.run(0)
        else:
            transaction.transport_failed(bench.now)

    def pass_time(self, event: Event) -> None:
        """Until just after the timer, forgetting what happened before."""
        [wait] = [w for w in WAITS[self.machine] if w.event is event and w.state is self.transaction.state]
        due = self.start + SECONDS[wait.after]
        self.bench.run_until(due - 0.01)
        assert self.transaction.state is wait.state, "before its time"
        self.effects()
        self.bench.run_until(due + 0.01)

    def effects(self) -> list[Effect]:
        """What has happened since the last time."""
        found = []
        raw = list(self.bench.flow.sent)
        for data, kind in zip(raw, self.bench.flow.take_kinds(), strict=True):
            if kind == "100":
                found.append(Effect.SEND_100)
            elif kind.isdigit():
                found.append(Effect.SEND_LAST if data == self.last else Effect.SEND)
                self.last = data
            elif kind in ("ACK", "CANCEL"):
                found.append(Effect[f"SEND_{kind}"])
            else:
                found.append(Effect.SEND_REQUEST)
        for name, what in self.bench.user.take():
            if name == "response":
                found.append(Effect.PASS_RESPONSE)
            elif name == "ack":
                found.append(Effect.PASS_ACK)
            elif name == "failure":
                found.append(Effect.REPORT_TIMEOUT if what == "timeout" else Effect.REPORT_TRANSPORT)
            else:
                assert (name, what) == ("request", self.request.method)
        found += [Effect.REPORT_SEND_FAILED] * self.failures
        self.failures = 0
        return found

    def finish(self) -> None:
        """Nothing may be left behind."""
        bench = self.bench
        if isinstance(self.transaction, ServerTransaction):
            self.transaction.respond(response_to(self.request, 500), bench.now)
        elif self.machine is Machine.INVITE_CLIENT:
            self.transaction.cancel(bench.now)
        bench.drain()
        assert self.transaction.state is State.TERMINATED
        assert len(bench.timers) == 0
        assert not bench.layer.clients
        assert not bench.layer.servers
        assert bench.layer.unanswered == 0


def skipped(machine: Machine, transport: str) -> set[State]:
    """The states that last no time over this transport."""
    return {w.state for w in WAITS[machine] if w.reliable == "0" and transport != "UDP"}


def in_state(machine: Machine, state: State, event: Event, transport: str) -> Subject:
    subject = Subject(machine, transport)
    path = PATHS[machine][state]
    if event is Event.TIMER_100:
        path = ()
    elif event is Event.TIMER_CANCEL:
        path = (*path, Event.CANCEL)
    for step in path:
        subject.fire(step)
    assert subject.transaction.state is state
    subject.effects()
    if state is State.PROCEEDING and machine is Machine.OTHER_SERVER:
        # The 100 is what was said last.
        subject.last = response_to(subject.request, 100).to_bytes()
    return subject


def rows() -> Iterator[tuple[Machine, Row, str]]:
    for machine, table in TABLE.items():
        for row in table:
            for transport in ("UDP", "TCP"):
                wait = [w for w in WAITS[machine] if w.state is row.state and w.event is row.event]
                if row.state in skipped(machine, transport) or (
                    wait and wait[0].reliable != "same" and transport != "UDP"
                ):
                    continue
                yield machine, row, transport


@pytest.mark.parametrize(
    ("machine", "row", "transport"),
    [pytest.param(*r, id=f"{r[0].value}-{r[1].state.value}-{r[1].event.value}-{r[2]}") for r in rows()],
)
def test_row(machine: Machine, row: Row, transport: str) -> None:
    subject = in_state(machine, row.state, row.event, transport)
    subject.fire(row.event)
    effects = subject.effects()
    expected = list(row.effects)
    if Effect.SEND_LAST in expected and machine is Machine.OTHER_SERVER and row.state is State.PROCEEDING:
        expected = [Effect.SEND_100]
    if subject.bench.flow.broken and Effect.SEND_ACK in effects:
        effects.remove(Effect.SEND_ACK)
    assert effects == expected
    target = State.TERMINATED if row.target in skipped(machine, transport) else row.target
    assert subject.transaction.state is target
    subject.finish()


def blanks() -> Iterator[tuple[Machine, State, Event, str]]:
    for machine, states in PATHS.items():
        events = [*HEARD, Event.CANCEL] if machine in CLIENTS else [*SAID, Event.REQUEST, Event.ACK]
        if machine is Machine.OTHER_SERVER:
            events.remove(Event.ACK)
        written = {(row.state, row.event) for row in TABLE[machine]}
        written.add((State.CONFIRMED, Event.SEND_FAILED))  # nothing is sent there that could fail
        for state in states:
            for event in [*events, Event.SEND_FAILED]:
                for transport in ("UDP", "TCP"):
                    if (state, event) not in written and state not in skipped(machine, transport):
                        yield machine, state, event, transport


@pytest.mark.parametrize(
    ("machine", "state", "event", "transport"),
    [pytest.param(*b, id="-".join((b[0].value, b[1].value, b[2].value, b[3]))) for b in blanks()],
)
def test_event_without_row_changes_nothing(machine: Machine, state: State, event: Event, transport: str) -> None:
    subject = in_state(machine, state, event, transport)
    subject.fire(event)
    assert subject.effects() == []
    assert subject.transaction.state is state
    subject.finish()


def never() -> Iterator[tuple[Machine, Wait]]:
    for machine, waits in WAITS.items():
        for wait in waits:
            if wait.reliable == "never":
                yield machine, wait


@pytest.mark.parametrize(("machine", "wait"), list(never()))
def test_nothing_is_repeated_over_reliable_transports(machine: Machine, wait: Wait) -> None:
    subject = in_state(machine, wait.state, wait.event, "TCP")
    subject.bench.run(31)
    assert subject.effects() == []


def test_every_timer_has_a_row_and_every_row_of_a_timer_a_wait() -> None:
    for machine, table in TABLE.items():
        timed = {(row.state, row.event) for row in table if row.event in TIMERS}
        assert timed == {(wait.state, wait.event) for wait in WAITS[machine]}


def test_no_state_and_event_have_two_rows() -> None:
    for table in TABLE.values():
        assert len({(row.state, row.event) for row in table}) == len(table)


def test_every_state_is_reached_and_left() -> None:
    for machine, table in TABLE.items():
        states = {row.state for row in table}
        assert states == set(PATHS[machine])
        assert states - {row.target for row in table} <= {table[0].state}


def test_diagram_shows_every_row() -> None:
    for machine, table in TABLE.items():
        text = diagram(machine)
        assert text.startswith("stateDiagram-v2\n")
        assert text.count("-->") == len(table) + 1


def resend_times(bench: Bench, seconds: float) -> list[float]:
    """When something was sent, in seconds from the start."""
    start, times = bench.now, []
    for _ in range(1000):
        due = bench.timers.next_at
        if due is None or due > start + seconds:
            break
        bench.run_until(due)
        times += [round(bench.now - start, 3)] * len(bench.flow.take())
    return times


def test_invite_is_repeated_ever_slower() -> None:
    bench = Bench()
    bench.open(request())
    bench.flow.take()
    assert resend_times(bench, 60) == [0.5, 1.5, 3.5, 7.5, 15.5, 31.5]


def test_other_requests_are_repeated_up_to_t2() -> None:
    bench = Bench()
    bench.open(request("OPTIONS"))
    bench.flow.take()
    assert resend_times(bench, 60) == [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]


def test_failure_is_repeated_up_to_t2_until_its_ack() -> None:
    bench = Bench()
    server = bench.receive_new(request())
    server.respond(response_to(server.request, 486, to_tag="b"), bench.now)
    bench.flow.take()
    assert resend_times(bench, 10) == [0.5, 1.5, 3.5, 7.5]
    bench.receive(request("ACK", to_tag="b"))
    assert resend_times(bench, 60) == []


def test_other_timer_constants() -> None:
    assert TransactionOptions(t1=1, t2=8).late_s == 7
    assert TransactionOptions(t1=4, t2=4).late_s == 0
    bench = Bench(options=TransactionOptions(t1=0.1, t2=0.7, t4=1))
    bench.open(request("OPTIONS"))
    bench.flow.take()
    assert resend_times(bench, 3) == [0.1, 0.3, 0.7, 1.4, 2.1, 2.8]


def test_memory_of_answered_transactions_may_be_cut_short() -> None:
    bench = Bench(options=TransactionOptions(linger_s=5))
    bench.open(request(branch="z9hG4bKout"))
    bench.receive(response_to(request(branch="z9hG4bKout"), 200, to_tag="b"))
    for i, method in enumerate(("INVITE", "OPTIONS")):
        server = bench.receive_new(request(method, branch=f"z9hG4bK{i}"))
        server.respond(response_to(server.request, 200, to_tag="b"), bench.now)
    bench.run(4.9)
    assert len(bench.layer.clients) + len(bench.layer.servers) == 3
    bench.run(0.2)
    assert len(bench.layer.clients) + len(bench.layer.servers) == 0
