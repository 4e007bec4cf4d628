"""Dialogs of our own: how they are made, what they send, what they refuse; and the 2xx that is repeated."""

from __future__ import annotations

import pytest

from appliance.sip.build import response_to
from appliance.sip.dialog import Dialog, DialogState, RepeatedOk, dialog_id_of
from appliance.sip.errors import BadMessage, Rejected
from appliance.sip.message import Request
from appliance.sip.parser import check_untrusted, parse_message_untrusted
from tests.sip.pretend_wire import Bench, request

VIA = "SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKnew"
CONTACT = ("contact", '"Alice" <sip:alice@192.0.2.1:5070;transport=tcp>;expires=60')
ROUTES = (
    ("record-route", "<sip:p2.example.com;lr>, <sip:p1.example.com;lr;x=1>"),
    ("record-route", "<sip:p0.example.com;lr>"),
)


def incoming(*headers: tuple[str, str], cseq: int = 7) -> Request:
    return request(cseq=cseq, headers=headers)


def in_dialog(dialog: Dialog, method: str, cseq: int, *headers: tuple[str, str]) -> Request:
    """As the peer of a UAS dialog would send it."""
    return request(method, to_tag=dialog.local_tag, cseq=cseq, headers=headers)


def test_uas_dialog_takes_routes_in_order() -> None:
    dialog = Dialog.as_uas_untrusted(incoming(CONTACT, *ROUTES), "b1")
    assert dialog.id == ("call@example.com", "b1", "a1")
    assert dialog.remote_target == "sip:alice@192.0.2.1:5070;transport=tcp"
    assert dialog.route_set == (
        "<sip:p2.example.com;lr>",
        "<sip:p1.example.com;lr;x=1>",
        "<sip:p0.example.com;lr>",
    )
    bye = dialog.make_request("BYE", via=VIA)
    check_untrusted(parse_message_untrusted(bye.to_bytes()))
    assert bye.uri == dialog.remote_target
    assert bye.values("route") == list(dialog.route_set)
    assert bye.get("from") == "<sip:bob@example.com>;tag=b1"
    assert bye.get("to") == "<sip:alice@example.com>;tag=a1"
    assert bye.cseq.number == 1
    assert dialog.make_request("INFO", via=VIA).cseq.number == 2


def test_uac_dialog_takes_routes_in_reverse() -> None:
    sent = request(cseq=3)
    answer = response_to(sent, 200, to_tag="b1", headers=[*ROUTES, ("contact", "<sip:bob@192.0.2.2>")])
    dialog = Dialog.as_uac_untrusted(sent, answer)
    assert dialog.id == ("call@example.com", "a1", "b1")
    assert dialog.route_set[0] == "<sip:p0.example.com;lr>"
    ack = dialog.make_ack(via=VIA)
    assert ack.cseq.number == 3
    assert ack.uri == "sip:bob@192.0.2.2"
    bye = dialog.make_request("BYE", via=VIA)
    assert bye.cseq.number == 4
    assert dialog_id_of(bye) == ("call@example.com", "b1", "a1")


def test_strict_router_moves_into_the_request_uri() -> None:
    dialog = Dialog.as_uas_untrusted(
        incoming(CONTACT, ("record-route", "<sip:old.example.com;method=INVITE>, <sip:p1.example.com;lr>")), "b"
    )
    bye = dialog.make_request("BYE", via=VIA)
    assert bye.uri == "sip:old.example.com"
    assert bye.values("route") == ["<sip:p1.example.com;lr>", f"<{dialog.remote_target}>"]


def test_two_xx_makes_the_route_set_of_an_early_dialog_anew() -> None:
    sent = request()
    ringing = response_to(sent, 180, to_tag="b", headers=[("contact", "<sip:bob@192.0.2.2>")])
    dialog = Dialog.as_uac_untrusted(sent, ringing)
    assert dialog.state is DialogState.EARLY
    dialog.confirm_untrusted(
        response_to(sent, 200, to_tag="b", headers=[ROUTES[1], ("contact", "<sip:bob@192.0.2.3>")])
    )
    assert dialog.state is DialogState.CONFIRMED
    assert dialog.route_set == ("<sip:p0.example.com;lr>",)
    assert dialog.remote_target == "sip:bob@192.0.2.3"


def test_old_cseq_is_refused_and_gaps_are_not() -> None:
    dialog = Dialog.as_uas_untrusted(incoming(CONTACT, cseq=7), "b")
    dialog.receive_request_untrusted(in_dialog(dialog, "INFO", 9))
    with pytest.raises(Rejected) as refused:
        dialog.receive_request_untrusted(in_dialog(dialog, "INFO", 8))
    assert refused.value.status == 500
    dialog.receive_request_untrusted(in_dialog(dialog, "ACK", 7))
    assert dialog.remote_cseq == 9


def test_request_after_the_end_gets_481() -> None:
    dialog = Dialog.as_uas_untrusted(incoming(CONTACT), "b")
    dialog.end()
    with pytest.raises(Rejected) as refused:
        dialog.receive_request_untrusted(in_dialog(dialog, "INFO", 9))
    assert refused.value.status == 481


def test_target_is_refreshed_by_the_methods_that_may() -> None:
    dialog = Dialog.as_uas_untrusted(incoming(CONTACT), "b")
    moved = ("contact", "<sip:alice@198.51.100.1>")
    dialog.refresh_target_untrusted(in_dialog(dialog, "INFO", 8, moved))
    assert dialog.remote_target == "sip:alice@192.0.2.1:5070;transport=tcp"
    dialog.refresh_target_untrusted(in_dialog(dialog, "UPDATE", 9, moved))
    assert dialog.remote_target == "sip:alice@198.51.100.1"


@pytest.mark.parametrize(
    "headers",
    [
        (),
        (("contact", "*"),),
        (("contact", "<tel:+15550100>"),),
        (("contact", "<sip:a@192.0.2.1>, <sip:b@192.0.2.1>"),),
        (CONTACT, ("record-route", "<tel:+15550100>")),
        (CONTACT, ("record-route", "nonsense")),
    ],
)
def test_what_makes_no_dialog_is_a_bad_message(headers: tuple[tuple[str, str], ...]) -> None:
    with pytest.raises(BadMessage):
        Dialog.as_uas_untrusted(incoming(*headers), "b")


def test_ok_is_repeated_until_its_ack() -> None:
    bench = Bench("TCP")
    server = bench.receive_new(request(transport="TCP"))
    silences: list[float] = []
    ok = RepeatedOk(server, response_to(server.request, 200, to_tag="b"), bench.timers, silences.append, bench.now)
    bench.run(2)
    assert bench.flow.take_kinds() == ["200", "200", "200"]
    ok.acknowledged()
    ok.acknowledged()
    bench.drain()
    assert bench.flow.take_kinds() == []
    assert silences == []
    assert len(bench.timers) == 0


def test_ok_without_ack_gives_up_once() -> None:
    bench = Bench()
    server = bench.receive_new(request())
    silences: list[float] = []
    RepeatedOk(server, response_to(server.request, 200, to_tag="b"), bench.timers, silences.append, bench.now)
    started = bench.now
    bench.drain()
    assert bench.flow.take_kinds() == ["200"] * 11
    assert silences == [started + 32]
    assert len(bench.timers) == 0
