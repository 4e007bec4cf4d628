"""What the box changes in a dialog: numbers that leave room for tries of ours, notes that outlive a restart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.proxy.dialog_changes import UNCHANGED, DialogChanges, change, read_extras, restore
from appliance.proxy.dialog_shift import STRIDE, CseqShift
from appliance.proxy.record_route import RecordRoutes
from appliance.sip.message import Request, Response

from .pretend_net import KEY, PretendFlow, PretendNet

NUMBERS = st.integers(0, 2**31 - 1)


def request(method: str, cseq: int, **headers: str) -> Request:
    pairs = [("from", "<sip:a@example.com>;tag=1"), ("to", "<sip:b@example.com>;tag=2"), ("cseq", f"{cseq} {method}")]
    return Request.make(method, "sip:b@example.com", [*pairs, *headers.items()])


@given(base=NUMBERS, steps=st.lists(st.integers(1, 1000), max_size=20), tries=st.integers(0, STRIDE - 1))
def test_numbers_rise_as_the_senders_do_and_come_back_as_his(base: int, steps: list[int], tries: int) -> None:
    shift = CseqShift(base)
    number, before = base, -1
    for step in [0, *steps]:
        number += step
        if not shift.has_room(number):
            break
        ahead = shift.ahead(number, tries)
        assert shift.ahead(number) > before
        assert shift.back(ahead) == number
        assert ahead <= 2**31 - 1
        before = ahead


def test_the_first_request_keeps_its_number() -> None:
    assert CseqShift(4711).ahead(4711) == 4711
    assert CseqShift(2**31 - 1).ahead(2**31 - 1) == 2**31 - 1


@given(
    up=NUMBERS, tries=st.integers(0, STRIDE - 1), down=st.none() | NUMBERS, trunk=st.text(st.characters(codec="utf-8"))
)
def test_extras_say_the_changes_again(up: int, tries: int, down: int | None, trunk: str) -> None:
    changes = DialogChanges(CseqShift(up, tries, trunk), None if down is None else CseqShift(down))
    assert read_extras(changes.extras) == changes
    assert "," not in changes.extras
    assert UNCHANGED.extras == ""


def test_an_entry_carries_extras_past_a_restart() -> None:
    flow = PretendFlow(PretendNet(), "UDP", ("192.0.2.50", 5060))
    token = RecordRoutes(KEY).entry(flow, "c@example.net", "s1", "b1", False, "u7.1.~d0..").split(":")[1].split("@")[0]
    assert RecordRoutes(KEY).open(token, "c@example.net") == ("s1", "b1", flow.id, "u7.1.~d0..")
    assert RecordRoutes(KEY).open(token, "d@example.net") is None


@pytest.mark.parametrize(
    ("method", "cseq", "extras", "leg", "towards"),
    [
        ("INVITE", 8, "u7.1.carrier", "b1", "11 INVITE"),
        ("ACK", 7, "u7.1.carrier", "b1", "8 ACK"),
        ("ACK", 8, "u7.1.carrier", "b1", "11 ACK"),
        ("BYE", 9, "u7.1.carrier", "b1", "15 BYE"),
        ("BYE", 9, "u7.1.carrier", "a", "9 BYE"),
        ("BYE", 9, "d0..carrier", "a", "36 BYE"),
        ("BYE", 2**31 - 1, "d0..carrier", "a", f"{2**31 - 1} BYE"),
    ],
)
def test_requests_are_renumbered_in_their_direction(
    method: str, cseq: int, extras: str, leg: str, towards: str
) -> None:
    passing = request(method, cseq)
    change(passing, extras, leg)
    assert passing.get("cseq") == towards


def test_a_prack_names_the_invite_by_the_number_that_it_had() -> None:
    prack = request("PRACK", 8, rack="776 7 INVITE")
    change(prack, "u7.1.carrier", "b1")
    assert prack.get("rack") == "776 8 INVITE"


def test_a_notify_names_the_refer_by_the_number_that_its_sender_gave_it() -> None:
    notify = request("NOTIFY", 3, event="refer;id=15")
    change(notify, "u7.1.carrier", "a")
    assert notify.get("event") == "refer;id=9"
    assert notify.get("cseq") == "3 NOTIFY"


def test_a_response_goes_back_under_the_names_and_number_of_the_request() -> None:
    came = Request.make(
        "INVITE",
        "sip:b@example.com",
        [("from", "<sip:a@example.com>;tag=1"), ("to", "<sip:b@example.com>"), ("cseq", "7 INVITE")],
    )
    headers = ["from", "to", "cseq"]
    lines = ["From: <sip:49@carrier.example>;tag=1", "t: <sip:+30@carrier.example>;tag=xyz", "CSeq: 8 INVITE"]
    response = Response(200, "OK", headers, lines)
    restore(response, came)
    assert response.lines == ["From: <sip:a@example.com>;tag=1", "To: <sip:b@example.com>;tag=xyz", "CSeq: 7 INVITE"]
