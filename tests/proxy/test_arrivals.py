"""The order of messages that came together: a permutation, in rows of a kind, that no call notices."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.proxy.arrivals import Arrival, in_rows
from appliance.router.guard import Source
from appliance.sip.message import Request, Response
from appliance.sip.parser import parse_message_untrusted
from appliance.trace.ring import Ring
from tests.proxy import call_cost
from tests.proxy.call_cost import ANSWERER, CALLER, SDP
from tests.proxy.pretend_net import Box, PretendFlow, PretendNet

KINDS = (
    ("INVITE sip:1@h SIP/2.0", "INVITE"),
    ("ACK sip:1@h SIP/2.0", "ACK"),
    ("BYE sip:1@h SIP/2.0", "BYE"),
    ("SIP/2.0 180 Ringing", "INVITE"),
    ("SIP/2.0 200 OK", "INVITE"),
    ("SIP/2.0 200 OK", "BYE"),
)
FLOW, SOURCE = PretendFlow(PretendNet(), "UDP", ("192.0.2.1", 5060)), Source("192.0.2.1", left=0.0, since=0.0)
Came = tuple[bytes, tuple[str, int]]
"""A datagram and its sender."""

messages = st.tuples(st.sampled_from(KINDS), st.sampled_from(("Call-ID", "i")), st.integers(0, 5))


def arrival(kind: tuple[str, str], name: str, call: int, place: int = 0) -> Arrival:
    start, method = kind
    head = f"{start}\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK{place}\r\n{name}: {call}\r\n"
    data = f"{head}From: <sip:a@h>;tag=a\r\nTo: <sip:b@h>\r\nCSeq: 1 {method}\r\n\r\n".encode()
    return parse_message_untrusted(data), data, FLOW, SOURCE


def dealt_with(arrivals: Sequence[Arrival]) -> list[Arrival]:
    return [one for row in in_rows(arrivals) for one in row]


def kind(message: Request | Response) -> tuple[str, str]:
    first = message.method if isinstance(message, Request) else str(message.status)
    return first, message.cseq.method


@given(st.lists(messages, max_size=40))
def test_nothing_is_lost_and_each_call_keeps_its_order(came: list[tuple[tuple[str, str], str, int]]) -> None:
    arrivals = [arrival(*message, place) for place, message in enumerate(came)]
    after = dealt_with(arrivals)
    assert Counter(map(id, after)) == Counter(map(id, arrivals))
    orders = []
    for those in (arrivals, after):
        calls = defaultdict(list)
        for message, data, _, _ in those:
            calls[message.call_id].append(data)
        orders.append(calls)
    assert orders[0] == orders[1]


def test_messages_of_a_kind_come_in_a_row() -> None:
    came = [arrival(kind, "Call-ID", call) for call in range(4) for kind in KINDS]
    assert [kind for kind, _ in groupby(kind(message) for message, _, _, _ in dealt_with(came))] == [
        ("INVITE", "INVITE"),
        ("ACK", "ACK"),
        ("BYE", "BYE"),
        ("180", "INVITE"),
        ("200", "INVITE"),
        ("200", "BYE"),
    ]


class Peers:
    """Both ends of calls through a box, which hear and say at their own pace."""

    def __init__(self, box: Box) -> None:
        self.box = box
        self.started = 0
        self.seen: dict[str, list[str]] = defaultdict(list)
        """Call-ID and end → what came to it."""

    def call(self) -> Came:
        self.started += 1
        return call_cost._invite(self.started), CALLER

    def hear(self) -> list[Came]:
        """What they say to what has come to them since."""
        said: list[Came] = []
        for end in (CALLER, ANSWERER):
            for message in self.box.net.sent.pop(end, []):
                data = message.to_bytes()
                first, method = kind(message)
                self.seen[f"{message.call_id} {end is CALLER}"].append(f"{first} {method}")
                if first == "INVITE":
                    said += [
                        (call_cost._response(data, "180 Ringing"), end),
                        (call_cost._response(data, "200 OK", SDP), end),
                    ]
                elif first == "BYE":
                    said.append((call_cost._response(data, "200 OK"), end))
                elif (first, method) == ("200", "INVITE"):
                    number = int(message.call_id.partition("@")[0], 16)
                    said += [
                        (call_cost._in_dialog(number, how, cseq, data), end) for how, cseq in (("ACK", 1), ("BYE", 2))
                    ]
        return said


@pytest.mark.parametrize("seed", range(12))
def test_calls_in_batches_are_the_calls_that_they_are_one_by_one(seed: int) -> None:
    drawn = random.Random(seed)
    box, _ = call_cost.new_box()
    box.net.flows.clear()
    peers = Peers(box)
    waiting: list[Came] = []
    calls = drawn.randint(4, 40)
    while True:
        waiting += peers.hear()
        if peers.started < calls:
            waiting += [peers.call() for _ in range(drawn.randint(1, 8))]
        if not waiting:
            break
        size = drawn.randint(1, 64)
        batch, waiting = waiting[:size], waiting[size:]
        box.core.arrivals.receive_together([(one, box.net.flow_to("UDP", sender)) for one, sender in batch])
    assert box.core.calls.answered == peers.started
    assert not box.core.calls.active
    for who, heard in peers.seen.items():
        if who.endswith("True"):
            assert heard == ["180 INVITE", "200 INVITE", "200 BYE"]
        else:
            assert heard == ["INVITE INVITE", "ACK ACK", "BYE BYE"]


def test_the_trace_marks_the_one_of_a_batch_that_belongs_to_nothing() -> None:
    box, _ = call_cost.new_box()
    box.core.arrivals.tap = ring = Ring(1 << 20, 60.0)
    ways = [arrival(KINDS[place], "Call-ID", place) for place in (4, 0, 5, 0)]
    flow = box.net.flow_to("UDP", CALLER)
    box.core.arrivals.receive_together(
        [(data.replace(b"h;branch", b"192.0.2.50;branch"), flow) for _, data, _, _ in ways]
    )
    shown = {entry[2][:11]: entry[4] for _, entry in ring.entries() if entry[1].value == "in"}
    assert shown[b"SIP/2.0 200"] == "belongs to nothing"
    assert shown[b"INVITE sip:"] == ""
