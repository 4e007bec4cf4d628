"""Trunks that ask for a password: answered by us, with CSeq right at both ends, and by nobody else's wish."""

from __future__ import annotations

import os

import attrs
import pytest

from appliance.config.account import LoginAlgorithm
from appliance.config.dialplan import RouteSettings
from appliance.config.patch import gateway, match, target
from appliance.config.secret import Secret
from appliance.config.settings import Settings
from appliance.proxy.overview import trunks
from appliance.sip.build import response_to
from appliance.sip.digest import Credential, DigestVerifier, parse_auth_untrusted
from appliance.sip.message import Request, Response
from appliance.transport.options import Target
from tests.rtc.sdp_samples import PHONE, crlf

from .pretend_net import Box, Peer, PretendNet, _settings, anchored

SDP = crlf(PHONE)
GATEWAY = "192.0.2.50"


def with_login(settings: Settings, name: str = "carrier", **more: object) -> Settings:
    """The same, and the trunk has a password."""
    values = {"username": "we", "password": Secret("pass"), "realm": ("carrier.example",), **more}
    trunk = attrs.evolve(settings.trunks[name], **values)
    return attrs.evolve(settings, trunks={**settings.trunks, name: trunk})


@pytest.fixture
def box() -> Box:
    return Box(with_login(_settings()))


class Challenger:
    """A trunk's gateway that wants a password."""

    def __init__(self, box: Box, host: str = GATEWAY, realm: str = "carrier.example", **options: object) -> None:
        self.peer = box.peer(host)
        self.box = box
        self.verifier = DigestVerifier(realm, b"g" * 32, os.urandom, **options)  # type: ignore[arg-type]
        self.cseqs: list[int] = []
        """Of all requests that came, in their order."""
        self.challenges = 0

    def refuse(self, request: Request, *, proxy: bool = True, stale: bool = False) -> None:
        self.challenges += 1
        header = "proxy-authenticate" if proxy else "www-authenticate"
        headers = [(header, value) for value in self.verifier.challenge(self.box.now, stale)]
        self.peer.send(response_to(request, 407 if proxy else 401, to_tag="challengetag", headers=headers))

    def knows(self, request: Request, *, proxy: bool = True) -> bool:
        """Whether it is signed with our password."""
        key = "proxy-authorization" if proxy else "authorization"
        values = request.get_all(key)
        lookup = {"we": Credential("pass")}.get
        verdict = self.verifier.verify_any_untrusted(
            values, request.method, request.uri, lookup, self.box.now, request.body
        )
        return verdict.user == "we"

    def request(self, method: str) -> Request:
        """The only new request of that method, whoever it is from."""
        [found] = [m for m in self.peer.take() if isinstance(m, Request) and m.method == method]
        self.cseqs.append(found.cseq.number)
        return found

    def take(self, method: str, *, proxy: bool = True) -> Request:
        """The next request of that method, challenged until it is signed."""
        request = self.request(method)
        if not self.knows(request, proxy=proxy):
            self.refuse(request, proxy=proxy)
            request = self.request(method)
            assert self.knows(request, proxy=proxy)
        return request


def standing(box: Box, trunk: Challenger, body: bytes = b"") -> tuple[Peer, Request, Response]:
    """Caller, INVITE as the trunk took it, 200 as the caller got it."""
    caller = box.peer("192.0.2.1")
    caller.invite("sip:0123@example.com", body=body)
    invite = trunk.take("INVITE")
    trunk.peer.answer(invite, 200, body=body)
    ok = caller.take_response(200)
    caller.send(caller.in_dialog("ACK", ok, cseq=2))
    assert trunk.peer.take_request("ACK").cseq.number == invite.cseq.number
    return caller, invite, ok


def test_a_challenged_call_is_signed_and_the_caller_never_hears_of_it(box: Box) -> None:
    trunk = Challenger(box)
    caller = box.peer("192.0.2.1")
    caller.invite("sip:0123@example.com")
    caller.take()
    first = trunk.request("INVITE")
    trunk.refuse(first)
    ack, second = trunk.peer.take()
    assert isinstance(ack, Request)
    assert (ack.method, ack.via.branch, ack.cseq.number) == ("ACK", first.via.branch, first.cseq.number)
    assert isinstance(second, Request)
    assert second.cseq.number == first.cseq.number + 1
    assert second.via.branch != first.via.branch
    assert trunk.knows(second)
    assert caller.take_kinds() == []
    trunk.peer.answer(second, 200)
    ok = caller.take_response(200)
    assert ok.cseq.number == first.cseq.number


def test_every_request_of_the_caller_is_numbered_on_and_answers_come_back_under_his_number(box: Box) -> None:
    trunk = Challenger(box)
    caller, _, ok = standing(box, trunk)
    for number, method in enumerate(("OPTIONS", "INFO", "UPDATE", "MESSAGE", "REFER", "INVITE", "BYE"), 3):
        caller.send(caller.in_dialog(method, ok, cseq=number))
        request = trunk.take(method)
        trunk.peer.answer(request, 200)
        assert caller.take_response(200).cseq.number == number
        if method == "INVITE":
            caller.send(caller.in_dialog("ACK", ok, cseq=number))
            assert trunk.peer.take_request("ACK").cseq.number == request.cseq.number
    assert trunk.cseqs == sorted(set(trunk.cseqs))
    assert len(box.core.calls.active) == 0


def test_requests_of_the_trunk_keep_their_numbers(box: Box) -> None:
    trunk = Challenger(box)
    caller, invite, _ = standing(box, trunk)
    trunk.peer.send(trunk.peer.back("BYE", invite, cseq=77))
    bye = caller.take_request("BYE")
    assert bye.cseq.number == 77
    caller.answer(bye, 200)
    assert trunk.peer.take_response(200).cseq.number == 77


@pytest.mark.parametrize("method", ["INVITE", "BYE", "UPDATE", "PRACK", "INFO"])
def test_a_challenge_inside_the_call_is_answered_too(method: str) -> None:
    box = Box(with_login(anchored(_settings())))
    trunk = Challenger(box)
    caller, _, ok = standing(box, trunk, SDP)
    caller.send(caller.in_dialog(method, ok, cseq=3, body=SDP if method in ("INVITE", "UPDATE") else b""))
    first = trunk.request(method)
    trunk.refuse(first, stale=True)
    again = trunk.request(method)
    assert trunk.knows(again)
    assert again.body == first.body
    assert again.cseq.number == first.cseq.number + 1
    trunk.peer.answer(again, 200, body=SDP if first.body else b"")
    assert caller.take_response(200).cseq.number == 3
    if method == "INVITE":
        caller.send(caller.in_dialog("ACK", ok, cseq=3))
        assert trunk.peer.take_request("ACK").cseq.number == again.cseq.number
    if method != "BYE":
        caller.send(caller.in_dialog("BYE", ok, cseq=4))
        assert trunk.take("BYE").cseq.number > again.cseq.number
    assert trunk.cseqs == sorted(set(trunk.cseqs))


def test_prack_names_the_invite_by_the_number_that_the_trunk_knows(box: Box) -> None:
    trunk = Challenger(box)
    caller = box.peer("192.0.2.1")
    caller.invite("sip:0123@example.com")
    invite = trunk.take("INVITE")
    headers = [("contact", trunk.peer.contact), ("require", "100rel"), ("rseq", "5")]
    copied = [("record-route", value) for value in invite.values("record-route")]
    trunk.peer.send(response_to(invite, 183, to_tag="calleetag", headers=[*headers, *copied]))
    progress = caller.take_response(183)
    prack = caller.in_dialog("PRACK", progress, cseq=3)
    prack.append("rack", f"5 {progress.cseq.number} INVITE")
    caller.send(prack)
    assert trunk.take("PRACK").get("rack") == f"5 {invite.cseq.number} INVITE"


def test_cancel_gives_up_the_invite_that_was_signed(box: Box) -> None:
    trunk = Challenger(box)
    caller = box.peer("192.0.2.1")
    invite = caller.invite("sip:0123@example.com")
    signed = trunk.take("INVITE")
    trunk.peer.answer(signed, 180)
    caller.cancel(invite)
    cancel = trunk.peer.take_request("CANCEL")
    assert (cancel.via.branch, cancel.cseq.number) == (signed.via.branch, signed.cseq.number)
    trunk.peer.answer(signed, 487)
    assert "487" in caller.take_kinds()


def test_a_challenge_that_comes_after_the_cancel_is_not_answered(box: Box) -> None:
    trunk = Challenger(box)
    caller = box.peer("192.0.2.1")
    invite = caller.invite("sip:0123@example.com")
    first = trunk.request("INVITE")
    trunk.peer.answer(first, 180)
    caller.cancel(invite)
    trunk.refuse(first)
    assert trunk.peer.take_kinds() == ["CANCEL", "ACK"]
    assert "487" in caller.take_kinds()


@pytest.mark.parametrize("restart", [False, True])
def test_the_call_goes_on_after_a_restart_of_the_box(box: Box, restart: bool) -> None:
    trunk = Challenger(box)
    caller, invite, ok = standing(box, trunk)
    if restart:
        box = Box(box.settings, PretendNet())
        trunk.box = caller.box = trunk.peer.box = box
        caller.flow, trunk.peer.flow = (box.net.flow_to("UDP", peer.address) for peer in (caller, trunk.peer))
    caller.send(caller.in_dialog("INVITE", ok, cseq=3))
    again = trunk.take("INVITE")
    trunk.peer.answer(again, 200)
    assert caller.take_response(200).cseq.number == 3
    caller.send(caller.in_dialog("ACK", ok, cseq=3))
    assert trunk.peer.take_request("ACK").cseq.number == again.cseq.number
    trunk.peer.send(trunk.peer.back("INFO", invite, cseq=5))
    caller.answer(caller.take_request("INFO"), 200)
    assert trunk.peer.take_kinds() == ["200"]
    caller.send(caller.in_dialog("BYE", ok, cseq=4))
    bye = trunk.request("BYE")
    assert trunk.knows(bye), "the nonce of the re-INVITE serves again"
    assert trunk.cseqs == sorted(set(trunk.cseqs))


def test_the_next_call_is_signed_before_it_is_asked(box: Box) -> None:
    trunk = Challenger(box)
    standing(box, trunk)
    assert trunk.challenges == 1
    caller = box.peer("192.0.2.2")
    caller.invite("sip:0124@example.com", user="1002", call_id="second")
    invite = trunk.request("INVITE")
    assert trunk.knows(invite)
    assert trunk.challenges == 1
    assert "nc=00000002" in invite.require("proxy-authorization")


def test_a_trunk_with_nonces_for_one_use_is_soon_left_to_ask_first(box: Box) -> None:
    trunk = Challenger(box)
    caller = box.peer("192.0.2.1")
    unasked = []
    for number in range(6):
        caller.invite("sip:0123@example.com", call_id=f"call{number}")
        first = trunk.request("INVITE")
        unasked.append("proxy-authorization" in first)
        trunk.refuse(first)
        signed = trunk.request("INVITE")
        trunk.peer.answer(signed, 486)
        assert "486" in caller.take_kinds()
        trunk.peer.take()
    assert unasked == [False, True, True, True, False, False]


def test_a_wrong_password_is_tried_once_and_explained(box: Box) -> None:
    trunk = Challenger(box)
    caller = box.peer("192.0.2.1")
    caller.invite("sip:0123@example.com")
    trunk.refuse(trunk.request("INVITE"))
    trunk.refuse(trunk.request("INVITE"))
    assert trunk.peer.take_kinds() == ["ACK"]
    assert "502" in caller.take_kinds()
    [call] = box.core.calls.ended
    assert "carrier does not take our password for realm carrier.example" in call.ending


def test_a_trunk_that_calls_every_nonce_stale_is_not_answered_for_ever(box: Box) -> None:
    trunk = Challenger(box)
    caller = box.peer("192.0.2.1")
    caller.invite("sip:0123@example.com")
    for _ in range(4):
        trunk.refuse(trunk.request("INVITE"), stale=True)
    assert trunk.peer.take_kinds() == ["ACK"]
    assert "502" in caller.take_kinds()


def test_proxy_and_gateway_may_both_ask(box: Box) -> None:
    inner = Challenger(box, realm="inner.example")
    box = Box(with_login(_settings(), realm=("carrier.example", "inner.example")))
    trunk = Challenger(box)
    inner.box, inner.peer = box, trunk.peer
    caller = box.peer("192.0.2.1")
    caller.invite("sip:0123@example.com")
    first = trunk.request("INVITE")
    trunk.refuse(first)
    second = trunk.request("INVITE")
    inner.refuse(second, proxy=False)
    third = trunk.request("INVITE")
    assert trunk.knows(third)
    assert inner.knows(third, proxy=False)
    trunk.peer.answer(third, 200)
    ok = caller.take_response(200)
    caller.send(caller.in_dialog("ACK", ok, cseq=2))
    assert trunk.peer.take_request("ACK").cseq.number == third.cseq.number


@pytest.mark.parametrize(
    ("offered", "allowed", "chosen"),
    [
        (("MD5", "SHA-256"), ("SHA-512-256", "SHA-256", "MD5"), "SHA-256"),
        (("MD5",), ("SHA-512-256", "SHA-256", "MD5"), "MD5"),
        (("SHA-512-256", "MD5"), ("MD5",), "MD5"),
        (("MD5",), ("SHA-256",), None),
    ],
)
def test_the_best_algorithm_that_both_allow_is_used(
    offered: tuple[str, ...], allowed: tuple[str, ...], chosen: str | None
) -> None:
    box = Box(with_login(_settings(), login_algorithms=tuple(LoginAlgorithm(name) for name in allowed)))
    trunk = Challenger(box, algorithms=offered)
    caller = box.peer("192.0.2.1")
    caller.invite("sip:0123@example.com")
    trunk.refuse(trunk.request("INVITE"))
    if chosen is None:
        assert trunk.peer.take_kinds() == ["ACK"]
        assert "407" in caller.take_kinds()
    else:
        signed = trunk.request("INVITE")
        assert trunk.knows(signed)
        assert parse_auth_untrusted(signed.require("proxy-authorization"))[1]["algorithm"] == chosen


@pytest.mark.parametrize("qop", ['qop="auth-int"', 'qop="auth-int,auth"', "", 'algorithm=MD5-sess, qop="auth"'])
def test_forms_of_the_challenge(box: Box, qop: str) -> None:
    from appliance.sip.digest import ha1_of, response_of

    trunk = Challenger(box)
    caller = box.peer("192.0.2.1")
    caller.invite("sip:0123@example.com", body=SDP)
    challenge = f'Digest realm="carrier.example", nonce="abc", {qop}'.rstrip(", ")
    trunk.peer.send(response_to(trunk.request("INVITE"), 401, headers=[("www-authenticate", challenge)]))
    signed = trunk.request("INVITE")
    params = parse_auth_untrusted(signed.require("authorization"))[1]
    assert params["uri"] == signed.uri
    expected = response_of(
        params["algorithm"],
        ha1_of("MD5", "we", "carrier.example", "pass"),
        method="INVITE",
        uri=signed.uri,
        nonce="abc",
        nc=params.get("nc", ""),
        cnonce=params.get("cnonce", ""),
        qop=params.get("qop", ""),
        body=signed.body,
    )
    assert params["response"] == expected


# Who must never get an answer


def test_a_challenge_of_another_realm_goes_back_to_the_caller(box: Box) -> None:
    callee = Challenger(box, realm="attacker.example")
    caller = box.peer("192.0.2.1")
    caller.invite("sip:0123@example.com")
    callee.refuse(callee.request("INVITE"))
    assert callee.peer.take_kinds() == ["ACK"]
    challenge = caller.take_response(407)
    assert "attacker.example" in challenge.require("proxy-authenticate")


def test_a_bye_challenged_by_the_callee_behind_the_trunk_gives_nothing_away(box: Box) -> None:
    trunk, callee = Challenger(box), Challenger(box, realm="callee.example")
    caller, _, ok = standing(box, trunk)
    caller.send(caller.in_dialog("BYE", ok, cseq=3))
    callee.refuse(callee.request("BYE"))
    assert callee.peer.take() == []
    assert caller.take_kinds() == ["407"]


def test_another_host_in_the_dialog_gets_no_credentials(box: Box) -> None:
    """The callee's Contact, and so the rest of the dialog, is at a host that is not the trunk's."""
    trunk = Challenger(box)
    caller = box.peer("192.0.2.1")
    caller.invite("sip:0123@example.com")
    invite = trunk.take("INVITE")
    trunk.peer.contact = "<sip:callee@198.51.100.7:5060>"
    trunk.peer.answer(invite, 200)
    ok = caller.take_response(200)
    stranger = Challenger(box, host="198.51.100.7")
    caller.send(caller.in_dialog("ACK", ok, cseq=2))
    assert "proxy-authorization" not in stranger.peer.take_request("ACK")
    caller.send(caller.in_dialog("BYE", ok, cseq=3))
    bye = stranger.request("BYE")
    assert "proxy-authorization" not in bye
    assert bye.cseq.number > invite.cseq.number
    stranger.refuse(bye)
    assert stranger.peer.take() == []
    assert caller.take_response(407).cseq.number == 3


def test_the_trunk_that_the_call_fails_over_to_gets_no_credentials(box: Box) -> None:
    settings = with_login(_settings())
    gateways = tuple(gateway().read(text) for text in ("192.0.2.50:5060", "192.0.2.53:5060"))
    settings = attrs.evolve(
        settings, trunks={**settings.trunks, "carrier": attrs.evolve(settings.trunks["carrier"], gateways=gateways)}
    )
    box = Box(settings)
    first, second = Challenger(box), Challenger(box, host="192.0.2.53", realm="elsewhere.example")
    caller = box.peer("192.0.2.1")
    caller.invite("sip:0123@example.com")
    first.peer.answer(first.take("INVITE"), 503)
    other = second.request("INVITE")
    assert "proxy-authorization" not in other
    second.peer.answer(other, 200)
    ok = caller.take_response(200)
    caller.send(caller.in_dialog("ACK", ok, cseq=2))
    assert second.peer.take_request("ACK").cseq.number == other.cseq.number


def test_users_phones_and_trunks_without_a_password_are_never_answered() -> None:
    box = Box(with_login(_settings()))
    two = Challenger(box, host="192.0.2.51", realm="carrier.example")
    settings = box.settings
    route = RouteSettings(name="30-two", match=(match().read("prefix:9"),), target=target().read("trunk:two"))
    box.core.configure(
        attrs.evolve(settings, routes={**settings.routes, "30-two": route}),
        ("192.0.2.9", "example.com"),
        (5060,),
        box.core.initial._authenticator,
    )
    caller, callee = box.peer("192.0.2.1"), Challenger(box, host="192.0.2.2")
    callee.peer.register("1002")
    caller.invite("sip:1002@example.com")
    callee.refuse(callee.request("INVITE"))
    assert callee.peer.take_kinds() == ["ACK"]
    assert "403" in caller.take_kinds()
    caller.invite("sip:91@example.com", call_id="two")
    two.refuse(two.request("INVITE"))
    assert "407" in caller.take_kinds()


# Ends


def test_our_own_bye_is_numbered_and_signed(box: Box) -> None:
    trunk = Challenger(box)
    caller, _, ok = standing(box, trunk)
    caller.send(caller.in_dialog("INFO", ok, cseq=3))
    trunk.peer.answer(trunk.take("INFO"), 200)
    [call] = box.core.calls
    caller.take()
    call.hang_up("the operator ended it")
    bye = trunk.request("BYE")
    assert trunk.knows(bye)
    trunk.refuse(bye, stale=True)
    again = trunk.request("BYE")
    assert trunk.knows(again)
    assert trunk.cseqs == sorted(set(trunk.cseqs))
    assert caller.take_kinds() == ["BYE"]
    trunk.peer.answer(again, 200)
    assert trunk.peer.take() == []


def test_a_call_from_the_trunk_whose_bye_is_challenged(box: Box) -> None:
    trunk, callee = Challenger(box), box.peer("192.0.2.2")
    callee.register("1002")
    trunk.peer.send(trunk.peer.request("INVITE", "sip:1002@example.com", user="030123"))
    invite = callee.take_request("INVITE")
    callee.answer(invite, 200)
    ok = trunk.peer.take_response(200)
    trunk.peer.send(trunk.peer.in_dialog("ACK", ok, cseq=1, user="030123"))
    assert callee.take_request("ACK").cseq.number == 1
    for number, method in ((20, "INFO"), (21, "BYE")):
        callee.send(callee.back(method, invite, cseq=number))
        request = trunk.take(method)
        trunk.peer.answer(request, 200)
        assert callee.take_response(200).cseq.number == number
    assert trunk.cseqs == sorted(set(trunk.cseqs))


def test_a_message_outside_any_dialog_is_signed(box: Box) -> None:
    trunk = Challenger(box)
    caller = box.peer("192.0.2.1")
    message = caller.request("MESSAGE", "sip:0123@example.com")
    caller.send(message)
    caller.send(caller.authorized(caller.take_response(407), message))
    signed = trunk.take("MESSAGE")
    trunk.peer.answer(signed, 200)
    assert caller.take_response(200).cseq.number == message.cseq.number + 1


def test_a_reload_keeps_nonces_of_an_account_that_did_not_change(box: Box) -> None:
    trunk = Challenger(box)
    standing(box, trunk)
    for password, known in (("pass", True), ("other", False)):
        settings = with_login(_settings(), password=Secret(password))
        box.core.configure(settings, ("192.0.2.9", "example.com"), (5060,), box.core.initial._authenticator)
        caller = box.peer("192.0.2.2")
        caller.invite("sip:0123@example.com", user="1002", call_id=password)
        assert trunk.knows(trunk.request("INVITE")) is known


def test_a_test_line_that_hangs_up_on_the_trunk_signs_its_bye() -> None:
    settings = with_login(_settings())
    echo = attrs.evolve(settings.routes["40-echo"], callers=("trunks",))
    box = Box(attrs.evolve(settings, routes={**settings.routes, "40-echo": echo}))
    trunk = Challenger(box)
    trunk.peer.send(trunk.peer.request("INVITE", "sip:5000@example.com", user="030123", body=SDP))
    ok = trunk.peer.take_response(200)
    trunk.peer.send(trunk.peer.in_dialog("ACK", ok, cseq=1, user="030123"))
    [call] = box.core.calls
    call.hang_up("the operator ended it")
    trunk.peer.answer(trunk.take("BYE"), 200)
    assert trunk.cseqs == sorted(set(trunk.cseqs))
    assert trunk.challenges == 1


def test_the_page_says_that_a_password_is_not_taken(box: Box) -> None:
    trunk = Challenger(box)
    caller = box.peer("192.0.2.1")
    caller.invite("sip:0123@example.com")
    trunk.refuse(trunk.request("INVITE"))
    trunk.refuse(trunk.request("INVITE"))
    [shown] = [one for one in trunks(box.core) if one.name == "carrier"]
    assert "does not take our password" in shown.reason


def test_a_gateway_with_a_name_is_known_by_its_address_after_a_restart() -> None:
    names = {"gw.carrier.example": [Target("UDP", GATEWAY, 5060)]}
    gateways = (gateway().read("gw.carrier.example"),)
    settings = with_login(_settings(), gateways=gateways, trusted=())
    box = Box(settings, PretendNet(names=names))
    trunk = Challenger(box)
    caller, _, ok = standing(box, trunk)
    box = Box(settings, PretendNet(names=names))
    box.core.trunk_registrations.start()
    trunk.box = caller.box = trunk.peer.box = box
    caller.flow, trunk.peer.flow = (box.net.flow_to("UDP", peer.address) for peer in (caller, trunk.peer))
    caller.send(caller.in_dialog("BYE", ok, cseq=3))
    trunk.peer.answer(trunk.take("BYE"), 200)
    assert caller.take_kinds() == ["200"]
