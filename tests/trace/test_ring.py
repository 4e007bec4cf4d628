"""The ring holds what is newest, never more than it may, and knows what was dropped."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from appliance.config.trace import TraceSettings
from appliance.sip.flow import Flow
from appliance.trace.message import Direction
from appliance.trace.ring import COST, Ring, traced
from appliance.trace.trace import Trace


def flow(transport: str = "UDP") -> Flow:
    return Flow(
        transport=transport,
        listener="main",
        local=("192.0.2.9", 5060),
        remote=("192.0.2.1", 5062),
        id="x",
        sent_by="192.0.2.9",
    )


def held(ring: Ring) -> list[bytes]:
    return [entry[2] for _, entry in ring.entries()]


@given(st.lists(st.tuples(st.integers(0, 9000), st.floats(0, 5), st.booleans()), max_size=120))
def test_it_never_holds_more_or_older_than_it_may_and_always_the_newest(steps: list[tuple[int, float, bool]]) -> None:
    now = 1000.0
    ring = Ring(64_000, 30.0, lambda: now)
    said = []
    for size, pause, closes in steps:
        now += pause
        data = len(said).to_bytes(4, "big") + bytes(size)
        ring.heard(data, flow()) if size % 2 else ring.said(data, flow())
        said.append((now, data))
        if closes:
            ring.close_chunk()
        found = list(ring.entries())
        assert sum(len(entry[2]) + COST for _, entry in found) <= 64_000
        assert ring.held_bytes <= 64_000
        kept = [entry[2] for _, entry in found]
        assert kept == [one for _, one in said[len(said) - len(kept) :]]
        assert [serial for serial, _ in found] == list(range(len(said) - len(kept), len(said)))
    now += 31.0
    ring.close_chunk()
    assert held(ring) == []
    assert ring.let_go == len(said)


def test_what_is_dropped_is_marked_where_it_stands() -> None:
    ring = Ring(1 << 20, 60.0)
    bad, good = b"x" * 40, b"y" * 40
    ring.heard(bad, flow())
    ring.heard(good, flow())
    ring.dropped(bad, flow(), "malformed")
    ring.dropped(b"never whole", flow(), "too-large")
    shown = [traced(entry, serial) for serial, entry in ring.entries()]
    assert [(one.data[:1], one.dropped) for one in shown] == [(b"x", "malformed"), (b"y", ""), (b"n", "too-large")]


def test_a_connection_that_is_over_is_not_kept() -> None:
    ring = Ring(1 << 20, 60.0)
    connection = flow("TCP")
    ring.heard(b"x" * 40, connection)
    [(_, entry)] = ring.entries()
    assert entry[3] is not connection
    assert (entry[3].remote, entry[3].transport) == (connection.remote, "TCP")


def test_the_messages_of_a_call_are_found_by_all_its_names_and_shown_without_secrets() -> None:
    trace = Trace(TraceSettings(), Path("nowhere"))
    trace.aliases = lambda call_id: (call_id, "jfh-" + call_id)
    tap = trace.tap
    assert tap is not None
    tap.heard(b"INVITE sip:a@b SIP/2.0\r\nCall-ID: one@x\r\nAuthorization: Digest nonce=s3cret\r\n\r\n", flow())
    tap.said(b"INVITE sip:a@b SIP/2.0\r\ni: jfh-one@x\r\n\r\n", flow())
    tap.heard(b"INVITE sip:a@b SIP/2.0\r\nCall-ID: another@x\r\nReplaces: one@x\r\n\r\n", flow())
    tap.heard(b"SIP/2.0 180 Ringing\r\nCSeq: 1 INVITE\r\nCall-ID: jfh-one@x\r\n\r\n", flow())
    found = trace.messages_of("one@x")
    assert [(one.direction, one.label) for one in found] == [
        (Direction.IN, "INVITE"),
        (Direction.OUT, "INVITE"),
        (Direction.IN, "180 Ringing (INVITE)"),
    ]
    assert b"s3cret" not in found[0].data


def test_it_can_be_turned_off_and_on() -> None:
    taps: list[Ring | None] = []
    trace = Trace(TraceSettings(), Path("nowhere"))
    trace.on_tap.append(taps.append)
    trace.ring.heard(b"x" * 40, flow())
    trace.configure(TraceSettings(enabled=False))
    assert trace.tap is None
    assert held(trace.ring) == []
    trace.configure(TraceSettings())
    assert taps == [None, trace.ring]
