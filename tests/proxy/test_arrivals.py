"""The order of messages that came together: a permutation, in rows of a kind, that no call notices."""

from __future__ import annotations

from collections import defaultdict
from itertools import groupby

from hypothesis import given
from hypothesis import strategies as st

from appliance.proxy.arrivals import Arrival, in_rows
from appliance.router.guard import Source
from tests.proxy.pretend_net import PretendFlow, PretendNet

KINDS = (
    "INVITE sip:1@h SIP/2.0",
    "ACK sip:1@h SIP/2.0",
    "BYE sip:1@h SIP/2.0",
    "SIP/2.0 180 Ringing",
    "SIP/2.0 200 OK",
)
FLOW, SOURCE = PretendFlow(PretendNet(), "UDP", ("192.0.2.1", 5060)), Source("192.0.2.1", left=0.0, since=0.0)

messages = st.tuples(st.sampled_from(KINDS), st.sampled_from(("Call-ID", "i")), st.integers(0, 5))


def arrival(kind: str, name: str, call: int, place: int = 0) -> Arrival:
    return f"{kind}\r\nVia: x\r\n{name}: {call}\r\nCSeq: {place}\r\n\r\n".encode(), FLOW, SOURCE


@given(st.lists(messages, max_size=40))
def test_nothing_is_lost_and_each_call_keeps_its_order(came: list[tuple[str, str, int]]) -> None:
    arrivals = [arrival(*message, place) for place, message in enumerate(came)]
    dealt_with = in_rows(arrivals)
    assert sorted(data for data, _, _ in dealt_with) == sorted(data for data, _, _ in arrivals)
    before, after = defaultdict(list), defaultdict(list)
    for calls, those in ((before, arrivals), (after, dealt_with)):
        for data, _, _ in those:
            # Who writes `i` for Call-ID keeps his place among all that do.
            calls[data.split(b"\r\n")[2] if b"Call-ID" in data else b"i"].append(data)
    assert before == after


def test_messages_of_a_kind_come_in_a_row() -> None:
    calls = [[arrival(kind, "Call-ID", call) for kind in KINDS[:3]] for call in range(4)]
    came = [message for call in calls for message in call]
    kinds = [kind for kind, _ in groupby(data.split(b" ")[0] for data, _, _ in in_rows(came))]
    assert kinds == [b"INVITE", b"ACK", b"BYE"]
