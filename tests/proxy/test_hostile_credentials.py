"""Attacks on passwords, registrations and other people's dialogs, as public advisories of the field describe them."""

from __future__ import annotations

import attrs
import pytest

from appliance.config.security import SecuritySettings
from appliance.sip.message import Request, Response

from .pretend_net import Box, Peer, _settings

STRANGER = "198.51.100.3"
FORGED = 'Digest realm="{}", nonce="attacker", algorithm=MD5, qop="auth"'


@pytest.fixture
def box() -> Box:
    return Box()


def challenge(peer: Peer, request: Request, status: int, realm: str) -> None:
    """Answer a request as somebody who gathers digests."""
    from appliance.sip.build import response_to

    key = "proxy-authenticate" if status == 407 else "www-authenticate"
    peer.send(response_to(request, status, to_tag="calleetag", headers=[(key, FORGED.format(realm))]))


def _call(box: Box) -> tuple[Peer, Peer, Response, Request]:
    caller, callee = box.peer("192.0.2.1"), box.peer("192.0.2.2")
    callee.register("1002")
    caller.invite("sip:1002@example.com")
    seen = callee.take_request("INVITE")
    callee.answer(seen, 200)
    ok = caller.take_response(200)
    caller.send(caller.in_dialog("ACK", ok, cseq=2))
    callee.take_request("ACK")
    return caller, callee, ok, seen


@pytest.mark.parametrize("realm", ["example.com", "elsewhere.example.net"])
@pytest.mark.parametrize("status", [401, 407])
def test_a_callee_gathers_no_digests_by_challenging_the_call(box: Box, status: int, realm: str) -> None:
    caller, callee = box.peer("192.0.2.1"), box.peer("192.0.2.2")
    callee.register("1002")
    caller.invite("sip:1002@example.com")
    challenge(callee, callee.take_request("INVITE"), status, realm)
    refused = caller.take_response(403)
    assert "www-authenticate" not in refused
    assert "proxy-authenticate" not in refused


@pytest.mark.parametrize("status", [401, 407])
@pytest.mark.parametrize("method", ["BYE", "INVITE", "INFO", "UPDATE"])
def test_nor_by_challenging_a_request_inside_the_call(box: Box, method: str, status: int) -> None:
    caller, callee, ok, _ = _call(box)
    caller.send(caller.in_dialog(method, ok, cseq=5))
    challenge(callee, callee.take_request(method), status, "example.com")
    assert "403" in caller.take_kinds()


@pytest.mark.parametrize("status", [401, 407])
def test_a_caller_gathers_none_either(box: Box, status: int) -> None:
    caller, callee, _, seen = _call(box)
    callee.send(callee.back("BYE", seen))
    challenge(caller, caller.take_request("BYE"), status, "example.com")
    assert callee.take_kinds() == ["403"]


def test_a_trunks_challenge_reaches_the_phone(box: Box) -> None:
    caller, carrier = box.peer("192.0.2.1"), box.peer("192.0.2.50")
    caller.invite("sip:0301234@example.com")
    challenge(carrier, carrier.take_request("INVITE"), 407, "carrier.example.net")
    assert caller.take_response(407).get("proxy-authenticate") == FORGED.format("carrier.example.net")


def test_challenges_pass_where_the_operator_wants_them_to() -> None:
    box = Box(attrs.evolve(_settings(), security=SecuritySettings(foreign_challenges=True)))
    caller, callee = box.peer("192.0.2.1"), box.peer("192.0.2.2")
    callee.register("1002")
    caller.invite("sip:1002@example.com")
    challenge(callee, callee.take_request("INVITE"), 401, "pbx.example.net")
    caller.take_response(401)


def test_what_answers_our_challenge_goes_no_further_in_any_spelling(box: Box) -> None:
    caller, carrier = box.peer("192.0.2.1"), box.peer("192.0.2.50")
    request = caller.request("INVITE", "sip:0301234@example.com")
    caller.send(request)
    again = caller.authorized(caller.take_response(407), request)
    value = again.require("proxy-authorization")
    again.remove("proxy-authorization")
    data = again.to_bytes().replace(b"\r\n", f"\r\npROXY-aUTHORIZATION \t:\r\n {value}\r\n".encode(), 1)
    box.core.receive(data, caller.flow)
    seen = carrier.take_request("INVITE")
    assert not any("nonce" in line for line in seen.lines)


def test_credentials_cannot_be_used_for_another_method_or_number(box: Box) -> None:
    caller, callee = box.peer("192.0.2.1"), box.peer("192.0.2.2")
    callee.register("1002")
    request = caller.request("MESSAGE", "sip:1002@example.com")
    caller.send(request)
    again = caller.authorized(caller.take_response(407), request)
    stolen = again.require("proxy-authorization")
    for method, uri in (("INVITE", "sip:1002@example.com"), ("MESSAGE", "sip:0301234@example.com")):
        thief = box.peer(STRANGER)
        forged = thief.request(method, uri, headers=(("proxy-authorization", stolen),))
        thief.send(forged)
        assert thief.take_kinds() == ["407"], method
    assert callee.take() == []


def test_credentials_can_be_used_once(box: Box) -> None:
    caller, thief = box.peer("192.0.2.1"), box.peer(STRANGER)
    callee = box.peer("192.0.2.2")
    callee.register("1002")
    request = caller.request("MESSAGE", "sip:1002@example.com")
    caller.send(request)
    again = caller.authorized(caller.take_response(407), request)
    caller.send(again)
    assert len(callee.take()) == 1
    replayed = again.copy()
    replayed.set("via", f"SIP/2.0/UDP {STRANGER}:5060;branch=z9hG4bKreplay;rport")
    replayed.set("call-id", "another@example.net")
    thief.send(replayed)
    assert thief.take_kinds() == ["407"]
    assert callee.take() == []


def test_nobody_registers_for_somebody_else(box: Box) -> None:
    thief = box.peer(STRANGER)
    request = thief.request("REGISTER", "sip:example.com", user="1001", to="<sip:1002@example.com>")
    thief.send(request)
    thief.send(thief.authorized(thief.take_response(401), request, "1001"))
    assert thief.take_kinds() == ["403"]
    assert len(box.core.location) == 0


def test_nobody_signs_off_somebody_elses_phone(box: Box) -> None:
    callee, thief = box.peer("192.0.2.2"), box.peer(STRANGER)
    callee.register("1002")
    request = thief.request("REGISTER", "sip:example.com", user="1001", to="<sip:1002@example.com>")
    request.set("contact", "*")
    request.append("expires", "0")
    thief.send(request)
    thief.send(thief.authorized(thief.take_response(401), request, "1001"))
    assert thief.take_kinds() == ["403"]
    assert len(box.core.location) == 1


@pytest.mark.parametrize(
    "identity", ["sip:1002@example.com", "sip:boss@example.com", "sips:1002@192.0.2.9", "sip:example.com"]
)
def test_a_user_cannot_call_in_anothers_name(box: Box, identity: str) -> None:
    caller, callee = box.peer("192.0.2.1"), box.peer("192.0.2.2")
    callee.register("1002")
    request = caller.request("INVITE", "sip:1002@example.com")
    request.set("from", f"<{identity}>;tag=1")
    caller.send(request)
    caller.send(caller.authorized(caller.take_response(407), request, "1001"))
    assert caller.take_kinds() == ["403"]
    assert callee.take() == []


def test_a_user_may_call_in_the_name_of_a_number_of_theirs() -> None:
    settings = _settings()
    users = {name: attrs.evolve(user, number="+49301001") for name, user in settings.users.items()}
    box = Box(attrs.evolve(settings, users=users))
    caller, callee = box.peer("192.0.2.1"), box.peer("192.0.2.2")
    callee.register("1002")
    request = caller.request("INVITE", "sip:1002@example.com", user="+49301001")
    caller.send(request)
    caller.send(caller.authorized(caller.take_response(407), request, "1001"))
    callee.take_request("INVITE")


def test_a_stranger_cannot_hang_up_anothers_call(box: Box) -> None:
    _, callee, ok, _ = _call(box)
    stranger = box.peer(STRANGER)
    route = [("route", value) for value in reversed(ok.values("record-route"))]
    for tag in ("", "calleetag", "guess"):
        bye = stranger.request("BYE", "sip:me@192.0.2.2:5060", call_id=ok.call_id, headers=tuple(route))
        bye.set("to", f"<sip:1002@example.com>;tag={tag}" if tag else "<sip:1002@example.com>")
        bye.set("from", "<sip:1001@example.com>;tag=guess")
        stranger.send(bye)
        without = bye.copy()
        without.remove("route")
        without.set("via", f"SIP/2.0/UDP {STRANGER};branch=z9hG4bKno{tag}")
        stranger.send(without)
    stranger.take()
    callee.take()
    assert len(box.core.calls.active) == 1


def test_a_stranger_cannot_give_up_anothers_invite(box: Box) -> None:
    caller, callee = box.peer("192.0.2.1"), box.peer("192.0.2.2")
    callee.register("1002")
    invite = caller.invite("sip:1002@example.com")
    callee.answer(callee.take_request("INVITE"), 180)
    stranger = box.peer(STRANGER)
    cancel = invite.copy()
    cancel.method = "CANCEL"
    cancel.set("cseq", f"{invite.cseq.number} CANCEL")
    cancel.set("via", invite.via.params and f"SIP/2.0/UDP {STRANGER}:5060;{invite.via.params}")
    cancel.remove("proxy-authorization")
    stranger.send(cancel)
    assert stranger.take_kinds() == ["481"]
    assert callee.take() == []


def test_a_forged_cancel_needs_the_branch_of_the_invite(box: Box) -> None:
    caller, callee = box.peer("192.0.2.1"), box.peer("192.0.2.2")
    callee.register("1002")
    invite = caller.invite("sip:1002@example.com")
    callee.answer(callee.take_request("INVITE"), 180)
    cancel = invite.copy()
    cancel.method = "CANCEL"
    cancel.set("cseq", f"{invite.cseq.number} CANCEL")
    cancel.set("via", "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKguess;rport")
    box.receive(cancel, box.peer(STRANGER).flow)
    assert callee.take() == []


def test_a_stranger_cannot_move_the_media_of_a_call(box: Box) -> None:
    _, callee, ok, _ = _call(box)
    stranger = box.peer(STRANGER)
    for method in ("INVITE", "UPDATE"):
        forged = stranger.in_dialog(method, ok, cseq=9, body=b"v=0\r\n")
        forged.set("from", "<sip:1001@example.com>;tag=guess")
        stranger.send(forged)
        assert stranger.take_kinds() == ["481"]
    assert callee.take() == []


def test_a_route_of_one_call_leads_into_no_other(box: Box) -> None:
    caller, _, ok, _ = _call(box)
    carrier = box.peer("192.0.2.50")
    smuggled = caller.in_dialog("INVITE", ok, cseq=9)
    smuggled.set("call-id", "another@example.net")
    smuggled.uri = "sip:0901234@192.0.2.50"
    caller.send(smuggled)
    assert caller.take_kinds() == ["403"]
    assert carrier.take() == []


def test_a_number_full_of_tricks_is_only_a_number(box: Box) -> None:
    caller, callee = box.peer("192.0.2.1"), box.peer("192.0.2.2")
    callee.register("1002")
    for number in ("1002'--", "%27%20or%201=1", "%25s%25n", "$(reboot)", "..%2f..%2fetc", "{0}", "1002%00"):
        caller.send(caller.request("INVITE", f"sip:{number}@example.com", call_id=number))
        box.run(1)
        assert set(caller.take_kinds()) <= {"100", "400", "404", "407"}, number
    assert callee.take() == []
