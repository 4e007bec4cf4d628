"""Requests inside dialogs: which way they go, what they carry, and who may send them."""

from __future__ import annotations

import pytest

from appliance.rtc.sdp import parse_untrusted
from appliance.sip.message import Request, Response
from tests.rtc.sdp_samples import PHONE, crlf

from .pretend_net import BOX, Box, Peer, _settings, anchored

SDP = crlf(PHONE)


@pytest.fixture
def box() -> Box:
    return Box(anchored(_settings()))


@pytest.fixture
def passing() -> Box:
    return Box()


def ringing(box: Box, body: bytes = SDP) -> tuple[Peer, Peer, Request]:
    caller, callee = box.peer("192.0.2.1"), box.peer("192.0.2.2")
    callee.register("1002")
    caller.invite("sip:1002@example.com", body=body)
    return caller, callee, callee.take_request("INVITE")


def standing(box: Box) -> tuple[Peer, Peer, Request, Response]:
    caller, callee, invite = ringing(box)
    callee.answer(invite, 200, body=SDP)
    ok = caller.take_response(200)
    caller.send(caller.in_dialog("ACK", ok, cseq=2))
    assert callee.take_kinds() == ["ACK"]
    return caller, callee, invite, ok


def ours(message: Request | Response) -> bool:
    """Whether the SDP names ports of the box."""
    session = parse_untrusted(message.body)
    return f" {BOX}" in message.body.decode() and all(media.port >= 30000 for media in session.media)


def on_hold(sdp: bytes) -> bytes:
    return sdp.replace(b"a=sendrecv\r\n", b"") + b"a=sendonly\r\n"


def test_reinvite_of_either_side_is_converted(box: Box) -> None:
    caller, callee, invite, ok = standing(box)
    endpoints = len(box.backend.open())
    caller.send(caller.in_dialog("INVITE", ok, cseq=3, body=on_hold(SDP)))
    held = callee.take_request("INVITE")
    assert ours(held)
    assert b"a=sendonly" in held.body
    callee.answer(held, 200, body=SDP.replace(b"a=sendrecv", b"a=recvonly"))
    assert ours(caller.take_response(200))
    caller.send(caller.in_dialog("ACK", ok, cseq=3))
    assert callee.take_kinds() == ["ACK"]
    callee.send(callee.back("INVITE", invite, body=SDP))
    again = caller.take_request("INVITE")
    assert ours(again)
    caller.answer(again, 200, body=SDP)
    assert ours(callee.take_response(200))
    callee.send(callee.back("ACK", invite))
    assert caller.take_kinds() == ["ACK"]
    assert len(box.backend.open()) == endpoints


def test_a_refused_reinvite_leaves_the_session_as_it_was(box: Box) -> None:
    caller, callee, _, ok = standing(box)
    joined = dict(box.backend.joins)
    caller.send(caller.in_dialog("INVITE", ok, cseq=3, body=SDP))
    callee.answer(callee.take_request("INVITE"), 488)
    assert caller.take_kinds() == ["488"]
    assert box.backend.joins == joined
    assert len(box.core.calls.active) == 1


def test_offers_that_cross_are_both_put_off(box: Box) -> None:
    caller, callee, invite, ok = standing(box)
    caller.send(caller.in_dialog("INVITE", ok, cseq=3, body=SDP))
    offered = callee.take_request("INVITE")
    callee.send(callee.back("INVITE", invite, body=SDP))
    assert callee.take_kinds() == ["491"]
    assert caller.take() == []
    callee.answer(offered, 491)
    assert caller.take_kinds() == ["491"]
    caller.send(caller.in_dialog("INVITE", ok, cseq=4, body=SDP))
    callee.answer(callee.take_request("INVITE"), 200, body=SDP)
    assert ours(caller.take_response(200))
    assert len(box.core.calls.active) == 1


def test_offer_in_the_200_and_answer_in_the_ack_and_in_its_repetition(box: Box) -> None:
    caller, callee, invite = ringing(box, body=b"")
    callee.answer(invite, 200, body=SDP)
    ok = caller.take_response(200)
    assert ours(ok)
    for _ in range(2):
        caller.send(caller.in_dialog("ACK", ok, cseq=2, body=SDP))
        assert ours(callee.take_request("ACK"))
    assert box.backend.joins


def test_an_ack_whose_answer_cannot_cross_passes_and_ends_the_call(box: Box) -> None:
    caller, callee, invite = ringing(box, body=b"")
    callee.answer(invite, 200, body=SDP)
    ok = caller.take_response(200)
    caller.send(caller.in_dialog("ACK", ok, cseq=2, body=b"v=0\r\nnonsense"))
    assert callee.take_kinds() == ["ACK", "BYE"]
    assert caller.take_kinds() == ["BYE"]
    assert box.core.calls.active == {}


def test_a_reliable_offer_is_answered_in_the_prack(box: Box) -> None:
    caller, callee, invite = ringing(box, body=b"")
    callee.answer(invite, 183, body=SDP)
    progress = caller.take_response(183)
    assert ours(progress)
    progress.append("contact", "<sip:me@192.0.2.2:5060>")
    caller.send(caller.in_dialog("PRACK", progress, cseq=3, body=SDP))
    prack = callee.take_request("PRACK")
    assert ours(prack)
    callee.answer(prack, 200)
    assert caller.take_kinds() == ["200"]
    assert box.backend.joins


def test_the_callee_may_update_before_it_answers(box: Box) -> None:
    caller, callee, invite = ringing(box)
    callee.answer(invite, 183, body=SDP)
    caller.take()
    callee.send(callee.back("UPDATE", invite, body=SDP))
    update = caller.take_request("UPDATE")
    assert ours(update)
    caller.answer(update, 200, body=SDP)
    assert ours(callee.take_response(200))


def test_a_strict_router_before_us_is_understood(passing: Box) -> None:
    caller, callee, _, ok = standing(passing)
    bye = caller.in_dialog("BYE", ok)
    first, *others = bye.values("route")
    bye.remove("route")
    for value in (*others, f"<{bye.uri}>"):
        bye.append("route", value)
    bye.uri = first.strip("<>")
    caller.send(bye)
    seen = callee.take_request("BYE")
    assert seen.uri == "sip:me@192.0.2.2:5060"
    assert "route" not in seen


@pytest.mark.parametrize("strict", [True, False])
def test_further_routes_lead_on(passing: Box, strict: bool) -> None:
    box = passing
    caller, gateway, further = box.peer("192.0.2.1"), box.peer("192.0.2.50"), box.peer("192.0.2.77")
    caller.invite("sip:0123@example.com")
    invite = gateway.take_request("INVITE")
    route = "<sip:192.0.2.77>" if strict else "<sip:192.0.2.77;lr>"
    invite.prepend("record-route", route)
    gateway.answer(invite, 200)
    ok = caller.take_response(200)
    for method in ("ACK", "BYE"):
        caller.send(caller.in_dialog(method, ok))
        seen = further.take_request(method)
        if strict:
            assert seen.uri == "sip:192.0.2.77"
            assert seen.values("route") == ["<sip:me@192.0.2.50:5060>"]
        else:
            assert seen.uri == "sip:me@192.0.2.50:5060"
            assert seen.values("route") == [route]


def test_all_routes_on_one_line_are_read_as_well(passing: Box) -> None:
    caller, callee, _, ok = standing(passing)
    bye = caller.in_dialog("BYE", ok)
    bye.set("route", ", ".join(bye.values("route")))
    caller.send(bye)
    assert "route" not in callee.take_request("BYE")


def test_an_outbound_proxy_setting_that_names_us_is_taken_off(passing: Box) -> None:
    caller, callee = passing.peer("192.0.2.1"), passing.peer("192.0.2.2")
    callee.register("1002")
    caller.invite("sip:1002@example.com", headers=(("route", f"<sip:{BOX};lr>, <sip:example.com:5060;lr>"),))
    assert "route" not in callee.take_request("INVITE")


def test_a_route_of_a_new_request_leads_nowhere_else(passing: Box) -> None:
    caller, victim = passing.peer("192.0.2.50"), passing.peer("198.51.100.7")
    for number, route in enumerate(("<sip:198.51.100.7;lr>", f"<sip:{BOX};lr>, <sip:198.51.100.7;lr>")):
        caller.send(caller.request("INVITE", "sip:0123@example.com", call_id=f"{number}", headers=(("route", route),)))
        assert "403" in caller.take_kinds()
        assert victim.take() == []


def test_a_websocket_phone_may_name_us_by_the_port_before_us(passing: Box) -> None:
    phone, callee = passing.peer("192.0.2.7", 40000, "WSS"), passing.peer("192.0.2.2")
    callee.register("1002")
    phone.invite("sip:1002@example.com", headers=(("route", "<sip:example.com:443;transport=ws;lr>"),))
    assert "route" not in callee.take_request("INVITE")


def test_a_new_request_with_an_old_route_goes_through_the_dial_plan(passing: Box) -> None:
    caller, _, _, ok = standing(passing)
    sneaky = caller.in_dialog("INVITE", ok)
    sneaky.uri = "sip:victim@198.51.100.7"
    sneaky.set("to", "<sip:victim@198.51.100.7>")
    caller.send(sneaky)
    assert caller.take_kinds() == ["407"]
    assert passing.peer("198.51.100.7").take() == []


def test_an_invented_dialog_on_a_route_of_ours_is_refused(passing: Box) -> None:
    box = passing
    caller, gateway = box.peer("192.0.2.1"), box.peer("192.0.2.50")
    caller.invite("sip:0123@example.com")
    gateway.answer(gateway.take_request("INVITE"), 200)
    ok = caller.take_response(200)
    sneaky = caller.in_dialog("INVITE", ok)
    sneaky.uri = "sip:00900@192.0.2.50"
    sneaky.set("to", "<sip:00900@192.0.2.50>;tag=invented")
    caller.send(sneaky)
    assert caller.take_kinds() == ["481"]
    caller.send(caller.in_dialog("BYE", ok))
    gateway.answer(gateway.take_request("BYE"), 200)
    caller.take()
    caller.send(caller.in_dialog("INVITE", ok, cseq=7))
    assert caller.take_kinds() == ["481"]
    assert gateway.take() == []


def test_the_route_of_a_subscription_starts_no_call(passing: Box) -> None:
    box = passing
    caller, gateway = box.peer("192.0.2.1"), box.peer("192.0.2.50")
    caller.invite("sip:0123@example.com")
    request = caller.request("SUBSCRIBE", "sip:0123@example.com", call_id="s")
    caller.take()
    caller.send(request)
    caller.send(caller.authorized(caller.take_response(407), request))
    subscribe = gateway.take_request("SUBSCRIBE")
    gateway.answer(subscribe, 200)
    ok = caller.take_response(200)
    caller.send(caller.in_dialog("INVITE", ok))
    assert caller.take_kinds() == ["481"]


def test_subscription_and_its_notifications(passing: Box) -> None:
    box = passing
    caller, callee = box.peer("192.0.2.1"), box.peer("192.0.2.2")
    callee.register("1002")
    request = caller.request("SUBSCRIBE", "sip:1002@example.com", call_id="s")
    caller.send(request)
    caller.send(caller.authorized(caller.take_response(407), request))
    subscribe = callee.take_request("SUBSCRIBE")
    callee.send(callee.back("NOTIFY", subscribe))  # §4.2.1 of RFC 6665: it may overtake the 200
    notify = caller.take_request("NOTIFY")
    caller.answer(notify, 200)
    assert callee.take_kinds() == ["200"]
    callee.answer(subscribe, 200)
    ok = caller.take_response(200)
    caller.send(caller.in_dialog("SUBSCRIBE", ok, cseq=5))
    callee.answer(callee.take_request("SUBSCRIBE"), 200)
    assert caller.take_kinds() == ["200"]


def test_refer_inside_a_call_touches_neither_media_nor_record(box: Box) -> None:
    caller, callee, invite, ok = standing(box)
    endpoints = len(box.backend.open())
    refer = caller.in_dialog("REFER", ok)
    refer.append("refer-to", "<sip:1003@example.com>")
    caller.send(refer)
    callee.answer(callee.take_request("REFER"), 202)
    assert caller.take_kinds() == ["202"]
    callee.send(callee.back("NOTIFY", invite))
    caller.answer(caller.take_request("NOTIFY"), 481)
    assert callee.take_kinds() == ["481"]
    [call] = box.core.calls
    assert call.legs_made == 1
    assert len(box.backend.open()) == endpoints


@pytest.mark.parametrize(
    ("method", "status", "ends"),
    [
        ("INVITE", 481, True),
        ("UPDATE", 408, True),
        ("INFO", 481, True),
        ("INVITE", 491, False),
        ("INVITE", 500, False),
        ("OPTIONS", 481, False),
        ("INFO", 415, False),
        ("BYE", 481, True),
        ("BYE", 401, True),  # a phone's challenge is passed on to nobody, so no second BYE comes
    ],
)
def test_answers_that_end_the_call(box: Box, method: str, status: int, ends: bool) -> None:
    caller, callee, _, ok = standing(box)
    caller.send(caller.in_dialog(method, ok))
    callee.answer(callee.take_request(method), status)
    assert (box.core.calls.active == {}) is ends
    assert (box.backend.open() == []) is ends


def test_byes_that_cross_end_the_call_once(box: Box) -> None:
    caller, callee, invite, ok = standing(box)
    caller.send(caller.in_dialog("BYE", ok))
    callee.send(callee.back("BYE", invite))
    for peer in (caller, callee):
        peer.answer(peer.take_request("BYE"), 481)
        assert peer.take_kinds() in (["481"], [])
    assert len(box.core.calls.ended) == 1
    box.run(100)
    assert box.core.layer.servers == {}


def test_a_bye_that_nobody_answers_ends_the_call(box: Box) -> None:
    caller, _, _, ok = standing(box)
    caller.send(caller.in_dialog("BYE", ok))
    box.run(40)
    assert box.core.calls.active == {}


def test_a_websocket_phone_that_came_back_is_reached_inside_its_dialog(passing: Box) -> None:
    box = passing
    carrier = box.peer("192.0.2.50")
    first = box.peer("192.0.2.7", 40000, "WSS")
    first.contact = "<sip:abc@df7jal23ls0d.invalid;transport=ws>"

    def register(phone: Peer, call_id: str) -> None:
        request = phone.request(
            "REGISTER", "sip:example.com", user="1002", to="<sip:1002@example.com>", call_id=call_id
        )
        request.set("contact", first.contact)
        phone.send(request)
        phone.send(phone.authorized(phone.take_response(401), request, "1002"))
        assert phone.take_kinds() == ["200"]

    register(first, "r1")
    carrier.send(carrier.request("INVITE", "sip:1002@example.com", user="0301234"))
    first.answer(first.take_request("INVITE"), 200)
    ok = carrier.take_response(200)
    first.flow.closed = True
    box.core.flow_closed(first.flow)
    carrier.send(carrier.in_dialog("INFO", ok, user="0301234"))
    assert carrier.take_kinds() == ["430"]
    second = box.peer("192.0.2.7", 41000, "WSS")
    register(second, "r2")
    carrier.send(carrier.in_dialog("BYE", ok, user="0301234", cseq=4))
    second.answer(second.take_request("BYE"), 200)
    assert carrier.take_kinds() == ["200"]
    assert box.core.calls.active == {}
