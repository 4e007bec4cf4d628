"""What peers send to break the box, its callers or its callees."""

from __future__ import annotations

import gc
import time

import pytest

from appliance.sip.message import Response

from .pretend_net import Box, Peer


@pytest.fixture
def box() -> Box:
    return Box()


def test_an_escaped_line_break_in_a_number_makes_no_header(box: Box) -> None:
    gateway, caller = box.peer("192.0.2.50"), box.peer("192.0.2.1")
    caller.invite("sip:0123%0d%0aX-Evil:%20yes@example.com")
    assert caller.take_kinds() == ["400"]
    assert gateway.take() == []


def test_escapes_in_a_number_stay_escaped_on_the_way_out(box: Box) -> None:
    gateway, caller = box.peer("192.0.2.50"), box.peer("192.0.2.1")
    caller.invite("sip:01%2023%40x@example.com")
    assert gateway.take_request("INVITE").uri == "sip:01%2023%40x@192.0.2.50:5060"


def test_a_tel_number_loses_its_visual_separators(box: Box) -> None:
    gateway = box.peer("192.0.2.50")
    gateway.send(gateway.request("INVITE", "tel:0-30-(12.3)"))
    assert gateway.take_request("INVITE").uri == "sip:030123@192.0.2.50:5060"


@pytest.mark.parametrize("status", [183, 200])
def test_a_broken_multipart_answer_raises_nothing(box: Box, status: int) -> None:
    caller, callee = box.peer("192.0.2.1"), box.peer("192.0.2.2")
    callee.register("1002")
    caller.invite("sip:1002@example.com")
    response = callee.answer(callee.take_request("INVITE"), 180)
    response.status = status
    response.append("content-type", "multipart/mixed")
    response.set_body(b"no boundary")
    callee.send(response)


def test_a_trunk_with_an_unreadable_contact_raises_nothing_and_leaves_no_call(box: Box) -> None:
    trunk, callee = box.peer("192.0.2.50"), box.peer("192.0.2.2")
    callee.register("1002")
    invite = trunk.request("INVITE", "sip:1002@example.com", user="0301234")
    invite.set("contact", "<<<not a contact")
    trunk.send(invite)
    box.run(60)
    assert list(box.core.calls) == []


def test_a_call_with_an_unreadable_contact_can_be_hung_up(box: Box) -> None:
    trunk, callee = box.peer("192.0.2.50"), box.peer("192.0.2.2")
    callee.register("1002")
    trunk.send(trunk.request("INVITE", "sip:1002@example.com", user="0301234"))
    invite = callee.take_request("INVITE")
    response = callee.answer(invite, 180)
    response.status = 200
    response.append("contact", "<<<not a contact")
    response.append("record-route", "<<< nor this a route")
    callee.send(response)
    [call] = box.core.calls
    call.hang_up("line\r\nbreak\x00")
    bye = trunk.take_request("BYE")
    assert 'text="line break?"' in bye.require("reason")


def _credentials(peer: Peer) -> tuple[str, str]:
    challenge = _challenge(peer)
    request = peer.request("BYE", "sip:x@example.com")
    return ("proxy-authorization", peer.authorized(challenge, request).require("proxy-authorization"))


def _challenge(peer: Peer) -> Response:
    peer.send(peer.request("INVITE", "sip:1002@example.com", call_id="asking"))
    return peer.take_response(407)


def test_credentials_for_us_go_no_further_inside_a_dialog(box: Box) -> None:
    caller, callee = box.peer("192.0.2.1"), box.peer("192.0.2.2")
    callee.register("1002")
    caller.invite("sip:1002@example.com")
    callee.answer(callee.take_request("INVITE"), 200)
    ok = caller.take_response(200)
    name, value = _credentials(caller)
    foreign = 'Digest realm="elsewhere", nonce="x", username="u", uri="sip:x", response="0"'
    for method in ("ACK", "INFO", "BYE"):
        request = caller.in_dialog(method, ok)
        request.append(name, value)
        request.append("authorization", value)
        request.append("proxy-authorization", foreign)
        caller.send(request)
        seen = callee.take_request(method)
        assert seen.get_all("proxy-authorization") == [foreign]
        assert "authorization" not in seen


def test_only_a_trunk_may_assert_an_identity(box: Box) -> None:
    caller, callee, trunk = box.peer("192.0.2.1"), box.peer("192.0.2.2"), box.peer("192.0.2.50")
    callee.register("1002")
    asserted = (("p-asserted-identity", "<sip:boss@example.com>"),)
    caller.invite("sip:1002@example.com", headers=asserted)
    assert "p-asserted-identity" not in callee.take_request("INVITE")
    trunk.send(trunk.request("INVITE", "sip:1002@example.com", call_id="t", headers=asserted))
    assert "p-asserted-identity" in callee.take_request("INVITE")


def test_a_refusal_without_transaction_has_the_same_tag_each_time(box: Box) -> None:
    peer = box.peer("192.0.2.1")
    request = peer.request("INVITE", "sip:1002@example.com")
    request.set("cseq", "one INVITE")
    tags = []
    for _ in range(2):
        box.core.receive(request.to_bytes(), peer.flow)
        tags.append(peer.take_response(400).to_tag)
    assert tags[0]
    assert tags[0] == tags[1]


def test_our_own_final_answers_carry_a_tag(box: Box) -> None:
    caller, callee = box.peer("192.0.2.1"), box.peer("192.0.2.2")
    callee.register("1002")
    caller.invite("sip:1002@example.com")
    box.run(40)
    final = caller.take()[-1]
    assert isinstance(final, Response)
    assert final.status == 408
    assert final.to_tag


@pytest.mark.parametrize(
    "via",
    [
        "SIP/2.0/UDP 198.51.100.7:5060;branch=z9hG4bKa",
        "SIP/2.0/UDP 198.51.100.7:5060;branch=z9hG4bKa;received=198.51.100.7;rport=7",
        "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKa;received=198.51.100.7",
        "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKa;maddr=198.51.100.7;ttl=5",
        "SIP/2.0/UDP 198.51.100.7;branch=z9hG4bKa;rport",
    ],
)
@pytest.mark.parametrize("number", ["4000", "x%0dy"])
def test_answers_go_to_where_a_request_came_from_whatever_its_via_says(box: Box, via: str, number: str) -> None:
    peer = box.peer("192.0.2.1")
    request = peer.request("OPTIONS", f"sip:{number}@example.com", user="x")
    request.set("from", "<sip:x@elsewhere.example.net>;tag=1")
    request.set("via", via)
    box.core.receive(request.to_bytes(), peer.flow)
    box.core.work()
    request.set("cseq", "nonsense")
    box.core.receive(request.to_bytes(), peer.flow)
    assert {host for host, _ in box.net.sent} == {"192.0.2.1"}


def test_a_response_that_nobody_waits_for_goes_nowhere(box: Box) -> None:
    caller, callee = box.peer("192.0.2.1"), box.peer("192.0.2.2")
    callee.register("1002")
    caller.invite("sip:1002@example.com")
    response = callee.answer(callee.take_request("INVITE"), 180)
    caller.take()
    forged = response.copy()
    top, *below = forged.values("via")
    forged.remove("via")
    for value in (top.replace("branch=z9hG4bKjf", "branch=z9hG4bKjf0"), *below):
        forged.append("via", value)
    callee.send(forged)
    assert caller.take() == []
    assert box.core.counters.stray_responses == 1


@pytest.mark.parametrize("maddr", ["maddr=198.51.100.7", "transport=tcp;maddr=198.51.100.7", "lr", "method=BYE"])
def test_parameters_of_the_request_uri_lead_nowhere(box: Box, maddr: str) -> None:
    trunk, callee = box.peer("192.0.2.50"), box.peer("192.0.2.2")
    callee.register("1002")
    trunk.send(trunk.request("INVITE", f"sip:1002@example.com;{maddr}"))
    assert callee.take_request("INVITE").uri == "sip:1002@192.0.2.2:5060"
    assert {host for host, _ in box.net.sent} <= {"192.0.2.50"}


def test_a_stranger_may_not_speak_for_our_users(box: Box) -> None:
    callee, stranger = box.peer("192.0.2.2"), box.peer("198.51.100.3")
    callee.register("1002")
    for sender in (
        "<sip:1001@example.com>;tag=1",
        "<sip:1001@192.0.2.9>;tag=1",
        '"x" <sips:1001@EXAMPLE.com:5060>;tag=1',
    ):
        request = stranger.request("MESSAGE", "sip:1002@example.com")
        request.set("from", sender)
        stranger.send(request)
        assert stranger.take_kinds() == ["407"]
    foreign = stranger.request("REGISTER", "sip:example.com", to="<sip:1001@elsewhere.example.net>")
    stranger.send(foreign)
    assert stranger.take_kinds() == ["404"]
    elsewhere = stranger.request("REGISTER", "sip:elsewhere.example.net", to="<sip:1001@example.com>")
    stranger.send(elsewhere)
    assert stranger.take_kinds()[0] in ("403", "407")
    assert callee.take() == []
    assert len(box.core.location) == 1


def _many(template: str, count: int) -> str:
    return ", ".join(template.format(n) for n in range(count))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("route", _many("<sip:192.0.2.9;lr;n={}>", 1000)),
        ("route", _many("<sip:jf-{}@192.0.2.9;lr>", 250)),
        ("via", _many("SIP/2.0/UDP h{}.example.net;branch=z9hG4bKjf{}.0".replace("{}.0", "0"), 1000)),
        ("record-route", _many("<sip:h{}.example.net;lr>", 1000)),
        ("x-filler", 'a,;<"\\' * 10000),
        ("contact", '"' + "\\a" * 30000),
        ("proxy-require", _many("o{}", 250)),
        ("supported", _many("o{}", 1000)),
    ],
    ids=lambda text: text[:12],
)
def test_large_valid_messages_cost_little(box: Box, key: str, value: str) -> None:
    trunk, callee = box.peer("192.0.2.50"), box.peer("192.0.2.2")
    callee.register("1002")
    request = trunk.request("INVITE", "sip:1002@example.com")
    if key == "contact":
        request.remove("contact")
    request.append(key, value)
    data = request.to_bytes()
    gc.disable()  # what the tests before this one left behind is not its work
    began = time.thread_time()
    box.core.receive(data, trunk.flow)
    box.core.work()
    spent = time.thread_time() - began
    gc.enable()
    assert spent < 0.05
