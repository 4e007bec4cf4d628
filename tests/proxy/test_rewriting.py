"""Rewriting in whole calls: what each side sees of From and To through a dialog, failover, refusal and restart."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode
from pathlib import Path

import attrs
import pytest

from appliance.config.loader import load_settings
from appliance.config.patch import target
from appliance.config.settings import Settings
from appliance.sip.message import Request, Response
from tests.proxy.pretend_net import Box, Peer, _settings, anchored

CARRIER = ("192.0.2.50", 5060)


def with_drop_in(tmp_path: Path, text: str) -> Settings:
    """The pretend box's settings, with rule sets, plans and what trunks and users say of them taken from a drop-in."""
    (tmp_path / "10.conf").write_text("[listener udp]\ntransport = udp\nport = 5060\n" + text)
    read = load_settings(tmp_path)
    settings = _settings()
    words = ("rules_in", "rules_out", "numbers_in", "numbers_out", "codecs", "trusted_identity")

    def taken(old: object, new: object, names: tuple[str, ...]) -> object:
        return attrs.evolve(old, **{name: getattr(new, name) for name in names})  # type: ignore[type-var, misc]

    trunks = {n: taken(t, read.trunks[n], words) if n in read.trunks else t for n, t in settings.trunks.items()}
    own = ("numbers_in", "numbers_out", "number", "numbers", "codecs", "display_name")
    users = {n: taken(u, read.users[n], own) if n in read.users else u for n, u in settings.users.items()}
    return attrs.evolve(
        settings, rules=read.rules, numberplans=read.numberplans, trunks=trunks, users=users, listeners=read.listeners
    )


OUT = """
[rules out]
10 = set from.user 442079460000
20 = set from.host carrier.example.net
30 = set to.host carrier.example.net
40 = set uri.host carrier.example.net
45 = remove uri.port
50 = add X-Line reception
[trunk carrier]
rules-out = out
"""


def ends(message: Request | Response) -> tuple[str, str]:
    return message.require("from").partition(";tag")[0], message.require("to").partition(";tag")[0]


OURS = ("<sip:1001@example.com>", "<sip:0123@192.0.2.9>")
THEIRS = ("<sip:442079460000@carrier.example.net>", "<sip:0123@carrier.example.net>")


def called(box: Box) -> tuple[Peer, Peer, Request, Request]:
    """A phone calls the carrier: caller, carrier, the INVITE as sent, and as it arrived."""
    caller, carrier = box.peer("192.0.2.1"), box.peer(*CARRIER)
    sent = caller.invite("sip:0123@192.0.2.9")
    return caller, carrier, sent, carrier.take_request("INVITE")


def test_each_side_sees_its_own_from_and_to_through_the_whole_dialog(tmp_path: Path) -> None:
    box = Box(with_drop_in(tmp_path, OUT))
    caller, carrier, _, invite = called(box)
    assert ends(invite) == THEIRS
    assert invite.from_tag == "1001tag"
    assert invite.uri == "sip:0123@carrier.example.net"
    assert invite.get("x-line") == "reception"
    carrier.answer(invite, 180)
    assert ends(caller.take_response(180)) == OURS
    carrier.answer(invite, 200)
    ok = caller.take_response(200)
    assert ends(ok) == OURS
    assert ok.to_tag == "calleetag"
    caller.send(caller.in_dialog("ACK", ok, cseq=2))
    assert ends(carrier.take_request("ACK")) == THEIRS
    caller.send(caller.in_dialog("INVITE", ok, cseq=3))
    again = carrier.take_request("INVITE")
    assert (ends(again), again.from_tag, again.to_tag) == (THEIRS, "1001tag", "calleetag")
    carrier.answer(again, 200)
    assert ends(caller.take_response(200)) == OURS
    carrier.send(carrier.back("INVITE", invite))
    theirs = caller.take_request("INVITE")
    assert ends(theirs) == OURS[::-1]
    assert (theirs.from_tag, theirs.to_tag) == ("calleetag", "1001tag")
    caller.answer(theirs, 200)
    assert ends(carrier.take_response(200)) == THEIRS[::-1]
    carrier.send(carrier.back("BYE", invite, cseq=10))
    bye = caller.take_request("BYE")
    assert ends(bye) == OURS[::-1]
    caller.answer(bye, 200)
    assert ends(carrier.take_response(200)) == THEIRS[::-1]


def test_a_dialog_keeps_its_two_faces_over_a_restart(tmp_path: Path) -> None:
    settings = with_drop_in(tmp_path, OUT)
    box = Box(settings)
    caller, carrier, _, invite = called(box)
    carrier.answer(invite, 200)
    ok = caller.take_response(200)
    reborn = Box(settings, box.net)
    caller.box = carrier.box = reborn
    caller.send(caller.in_dialog("BYE", ok))
    bye = carrier.take_request("BYE")
    assert ends(bye) == THEIRS
    carrier.answer(bye, 200)
    assert ends(caller.take_response(200)) == OURS


@pytest.mark.parametrize("status", [404, 486, 603])
def test_a_refusal_comes_back_with_the_callers_own_from_and_to(tmp_path: Path, status: int) -> None:
    box = Box(with_drop_in(tmp_path, OUT))
    caller, carrier, _, invite = called(box)
    carrier.answer(invite, status)
    assert ends(carrier.take_request("ACK")) == THEIRS
    assert ends(caller.take_response(status)) == OURS


def test_cancel_has_the_addresses_of_its_invite(tmp_path: Path) -> None:
    box = Box(with_drop_in(tmp_path, OUT))
    caller, carrier, sent, invite = called(box)
    carrier.answer(invite, 180)
    caller.take()
    caller.cancel(sent)
    cancel = carrier.take_request("CANCEL")
    assert (ends(cancel), cancel.uri) == (THEIRS, invite.uri)
    carrier.answer(invite, 487)
    assert ends(carrier.take_request("ACK")) == THEIRS
    assert all(ends(response) == OURS for response in caller.take())


def test_failover_starts_from_the_original_not_from_what_the_first_gateway_was_sent(tmp_path: Path) -> None:
    box = Box(with_drop_in(tmp_path, "[rules out]\n10 = replace uri.user ^9 77\n[trunk two]\nrules-out = out\n"))
    caller = box.peer("192.0.2.1")
    caller.invite("sip:9555@192.0.2.9")
    first, second = box.peer("192.0.2.51"), box.peer("192.0.2.52")
    invite = first.take_request("INVITE")
    assert invite.uri.startswith("sip:77555@")
    first.answer(invite, 503)
    assert second.take_request("INVITE").uri.startswith("sip:77555@")


def test_what_comes_in_is_rewritten_before_it_is_routed(tmp_path: Path) -> None:
    text = """
[rules in]
10 = replace uri.user ^\\+4420(\\d+)$ \\1
20 = set from.display "From outside"
[trunk carrier]
rules-in = in
"""
    box = Box(with_drop_in(tmp_path, text))
    phone, carrier = box.peer("192.0.2.2"), box.peer(*CARRIER)
    phone.register("1002")
    request = carrier.request("INVITE", "sip:+44201002@192.0.2.9", user="0555")
    carrier.send(request)
    invite = phone.take_request("INVITE")
    assert invite.require("from").startswith('"From outside" <sip:0555@example.com>;tag=')
    phone.answer(invite, 180)
    phone.answer(invite, 200)
    answers = carrier.take()
    assert all(answer.line("from") == request.line("from") for answer in answers)
    assert {ends(answer)[1] for answer in answers} == {"<sip:+44201002@192.0.2.9>"}


def test_a_user_is_asserted_to_a_trusted_trunk_and_hidden_from_another(tmp_path: Path) -> None:
    text = "[user 1001]\nnumber = +442079460001\ndisplay-name = Ann\n[trunk two]\ntrusted-identity = no\n"
    box = Box(with_drop_in(tmp_path, text))
    caller = box.peer("192.0.2.1")
    forged = ("p-asserted-identity", "<sip:+1@evil.example.org>")
    caller.invite("sip:0123@192.0.2.9", headers=(("privacy", "id"), forged))
    trusted = box.peer(*CARRIER).take_request("INVITE")
    assert trusted.get_all("p-asserted-identity") == ['"Ann" <sip:+442079460001@example.com>']
    assert trusted.get("privacy") == "id"
    caller.invite("sip:9123@192.0.2.9", call_id="second", headers=(("privacy", "user;id"), forged))
    invite = box.peer("192.0.2.51").take_request("INVITE")
    assert "p-asserted-identity" not in invite
    assert ends(invite)[0] == '"Anonymous" <sip:anonymous@anonymous.invalid>'
    box.peer("192.0.2.51").answer(invite, 200)
    ok = caller.take_response(200)
    assert ends(ok)[0] == "<sip:1001@example.com>"
    caller.send(caller.in_dialog("BYE", ok))
    bye = box.peer("192.0.2.51").take_request("BYE")
    assert ends(bye)[0] == '"Anonymous" <sip:anonymous@anonymous.invalid>'


@pytest.mark.parametrize(
    "spelt",
    [
        "P-Asserted-Identity: ",
        "p-asserted-identity : ",
        "P-ASSERTED-IDENTITY:\r\n ",
        "P-Asserted-Identity\t:\r\n\t",
    ],
)
def test_an_identity_that_a_stranger_asserts_is_taken_away_however_it_is_spelt(box: Box, spelt: str) -> None:
    phone = box.peer("192.0.2.2")
    phone.register("1002")
    caller = box.peer("192.0.2.1")
    request = caller.request("INVITE", "sip:1002@192.0.2.9")
    caller.send(request)
    again = caller.authorized(caller.take_response(407), request)
    data = again.to_bytes().replace(b"Contact:", spelt.encode() + b"<sip:ceo@example.com>\r\nContact:")
    box.core.receive(data, caller.flow)
    assert b"ceo@" not in phone.take_request("INVITE").to_bytes()


@pytest.fixture
def box() -> Box:
    return Box()


def sdp(formats: str, *more: str) -> bytes:
    lines = ["v=0", "o=- 1 1 IN IP4 192.0.2.1", "s=-", "c=IN IP4 192.0.2.1", "t=0 0", f"m=audio 4000 RTP/AVP {formats}"]
    return "\r\n".join([*lines, *more, ""]).encode()


def m_line(message: Request | Response) -> str:
    return next(line for line in message.body.decode().split("\r\n") if line.startswith("m=")).split(" ", 3)[3]


CODECS = "[trunk carrier]\ncodecs = PCMA, PCMU\n[user 1001]\ncodecs = !PCMU, *\n"


@pytest.mark.parametrize("through_us", [False, True])
def test_codecs_are_filtered_in_offers_and_answers_of_both_sides(tmp_path: Path, through_us: bool) -> None:
    settings = with_drop_in(tmp_path, CODECS)
    box = Box(anchored(settings) if through_us else settings)
    caller, carrier = box.peer("192.0.2.1"), box.peer(*CARRIER)
    caller.invite("sip:0123@192.0.2.9", body=sdp("0 18 8 9 101", "a=rtpmap:101 telephone-event/8000"))
    invite = carrier.take_request("INVITE")
    assert m_line(invite) == "8 101"
    carrier.answer(invite, 200, body=sdp("8 18 101", "a=rtpmap:101 telephone-event/8000"))
    ok = caller.take_response(200)
    assert m_line(ok) == "8 101"
    caller.send(caller.in_dialog("ACK", ok, cseq=2))
    carrier.take_request("ACK")
    carrier.send(carrier.back("INVITE", invite, body=sdp("0 8 9")))
    offered = caller.take_request("INVITE")
    assert m_line(offered) == "8"
    caller.answer(offered, 200, body=sdp("8"))
    assert m_line(carrier.take_response(200)) == "8"


def test_an_offer_without_a_codec_for_the_trunk_is_refused_before_it_goes_out(tmp_path: Path) -> None:
    box = Box(with_drop_in(tmp_path, CODECS))
    caller = box.peer("192.0.2.1")
    caller.invite("sip:0123@192.0.2.9", body=sdp("18 9"))
    refusal = caller.take_response(488)
    assert "G729" in refusal.reason
    assert box.peer(*CARRIER).take() == []


def test_an_offer_in_the_200_is_filtered_and_so_is_its_answer_in_the_ack(tmp_path: Path) -> None:
    box = Box(with_drop_in(tmp_path, CODECS))
    caller, carrier = box.peer("192.0.2.1"), box.peer(*CARRIER)
    caller.invite("sip:0123@192.0.2.9")
    carrier.answer(carrier.take_request("INVITE"), 200, body=sdp("18 0 8"))
    ok = caller.take_response(200)
    assert m_line(ok) == "8"
    caller.send(caller.in_dialog("ACK", ok, cseq=2, body=sdp("8 0")))
    assert m_line(carrier.take_request("ACK")) == "8"


def test_the_session_among_other_parts_of_a_body_is_filtered(tmp_path: Path) -> None:
    box = Box(with_drop_in(tmp_path, CODECS))
    caller, carrier = box.peer("192.0.2.1"), box.peer(*CARRIER)
    parts = b"--x\r\nContent-Type: application/sdp\r\n\r\n" + sdp("0 8") + b"\r\n--x\r\n\r\nkept as it is\r\n--x--\r\n"
    caller.invite("sip:0123@192.0.2.9", body=parts, headers=(("content-type", "multipart/mixed;boundary=x"),))
    invite = carrier.take_request("INVITE")
    assert invite.body == parts.replace(b"RTP/AVP 0 8", b"RTP/AVP 8")


WITHIN = """
[rules both]
10 = add X-Call {call-id} when requests
20 = add X-Answer {cseq} when status = 2xx and method = INVITE, BYE
30 = remove X-Secret when any
40 = add X-First 1
[trunk carrier]
rules-out = both
rules-in = both
trusted-identity = no
"""


@pytest.mark.parametrize("restarted", [False, True])
def test_rules_may_look_at_the_rest_of_the_dialog_and_at_answers_too(tmp_path: Path, restarted: bool) -> None:
    settings = with_drop_in(tmp_path, WITHIN)
    box = Box(settings)
    caller, carrier = box.peer("192.0.2.1"), box.peer(*CARRIER)
    caller.invite("sip:0123@192.0.2.9", headers=(("x-secret", "1"),))
    invite = carrier.take_request("INVITE")
    assert (invite.get("x-call"), invite.get("x-first"), "x-secret" in invite) == ("call@example.net", "1", False)
    carrier.answer(invite, 180)
    assert "x-answer" not in caller.take_response(180)
    carrier.answer(invite, 200)
    ok = caller.take_response(200)
    assert ok.get("x-answer") == f"{ok.cseq}"
    if restarted:
        box = caller.box = carrier.box = Box(settings, box.net)
    ack = caller.in_dialog("ACK", ok, cseq=2)
    ack.append("x-secret", "1")
    caller.send(ack)
    ack = carrier.take_request("ACK")
    assert (ack.get("x-call"), "x-first" in ack, "x-secret" in ack) == ("call@example.net", False, False)
    info = carrier.back("INFO", invite)
    info.append("x-secret", "1")
    info.append("p-asserted-identity", "<sip:carrier@example.net>")
    carrier.send(info)
    seen = caller.take_request("INFO")
    assert (seen.get("x-call"), "x-secret" in seen, "p-asserted-identity" in seen) == ("call@example.net", False, False)
    caller.answer(seen, 200)
    assert "x-answer" not in carrier.take_response(200)
    carrier.send(carrier.back("BYE", invite, cseq=10))
    caller.answer(caller.take_request("BYE"), 200)
    assert carrier.take_response(200).get("x-answer") == "10 BYE"


def test_a_call_tells_on_its_page_what_was_rewritten(tmp_path: Path) -> None:
    box = Box(with_drop_in(tmp_path, OUT))
    called(box)
    [call] = box.core.calls
    assert "trunk carrier is trusted: p-asserted-identity is <sip:1001@" in call.route
    assert "; rules out 10: from.user 1001 became 442079460000; " in call.route
    assert call.rewriting_steps[-1] == "rules out 50: x-line reception is added"


def test_a_subscription_keeps_its_two_faces_too(tmp_path: Path) -> None:
    box = Box(with_drop_in(tmp_path, OUT))
    caller, carrier = box.peer("192.0.2.1"), box.peer(*CARRIER)
    request = caller.request("SUBSCRIBE", "sip:0123@192.0.2.9", headers=(("event", "presence"),))
    caller.send(request)
    caller.send(caller.authorized(caller.take_response(407), request))
    asked = carrier.take_request("SUBSCRIBE")
    assert ends(asked) == THEIRS
    carrier.answer(asked, 200)
    ok = caller.take_response(200)
    assert ends(ok) == OURS
    carrier.send(carrier.back("NOTIFY", asked))
    notify = caller.take_request("NOTIFY")
    assert ends(notify) == OURS[::-1]
    caller.answer(notify, 200)
    assert ends(carrier.take_response(200)) == THEIRS[::-1]
    caller.send(caller.in_dialog("SUBSCRIBE", ok))
    assert ends(carrier.take_request("SUBSCRIBE")) == THEIRS


def test_our_own_bye_speaks_to_each_side_under_the_names_it_knows(tmp_path: Path) -> None:
    box = Box(with_drop_in(tmp_path, OUT))
    caller, carrier, _, invite = called(box)
    carrier.answer(invite, 200)
    caller.send(caller.in_dialog("ACK", caller.take_response(200), cseq=2))
    carrier.take()
    [call] = box.core.calls
    call.hang_up("enough")
    bye = carrier.take_request("BYE")
    assert (ends(bye), bye.from_tag, bye.to_tag) == (THEIRS, "1001tag", "calleetag")
    bye = caller.take_request("BYE")
    assert (ends(bye), bye.from_tag, bye.to_tag) == (OURS[::-1], "calleetag", "1001tag")


def test_rewriting_and_topology_hiding_go_together(tmp_path: Path) -> None:
    settings = with_drop_in(tmp_path, OUT)
    carrier_settings = attrs.evolve(settings.trunks["carrier"], hide_topology=True)
    settings = attrs.evolve(settings, trunks={**settings.trunks, "carrier": carrier_settings})
    box = Box(settings)
    caller, carrier, _, invite = called(box)
    assert ends(invite) == THEIRS
    assert b"192.0.2.1" not in invite.to_bytes().replace(b"192.0.2.1;", b"").replace(b"192.0.2.9", b"")
    carrier.answer(invite, 200)
    ok = caller.take_response(200)
    assert ends(ok) == OURS
    caller.box = carrier.box = Box(settings, box.net)
    caller.send(caller.in_dialog("INFO", ok))
    info = carrier.take_request("INFO")
    assert (ends(info), info.call_id) == (THEIRS, invite.call_id)
    carrier.answer(info, 200)
    assert ends(caller.take_response(200)) == OURS
    carrier.send(carrier.back("BYE", invite))
    assert ends(caller.take_request("BYE")) == OURS[::-1]


def test_each_branch_of_a_fork_and_each_trunk_tried_has_its_own_rules(tmp_path: Path) -> None:
    text = """
[rules a]
10 = set from.user aaa
[rules b]
10 = add X-From {from.user}
[trunk two]
rules-out = a
[trunk carrier]
rules-out = b
"""
    settings = with_drop_in(tmp_path, text)
    routes = {
        **settings.routes,
        "30-two": attrs.evolve(settings.routes["30-two"], then=(target().read("trunk:carrier"),)),
    }
    box = Box(attrs.evolve(settings, routes=routes))
    caller, first, second, third = (box.peer(host) for host in ("192.0.2.1", "192.0.2.51", "192.0.2.52", CARRIER[0]))
    caller.invite("sip:9555@192.0.2.9")
    for gateway in (first, second):
        invite = gateway.take_request("INVITE")
        assert ends(invite)[0] == "<sip:aaa@example.com>"
        gateway.answer(invite, 503)
    last = third.take_request("INVITE")
    assert (ends(last)[0], last.get("x-from")) == ("<sip:1001@example.com>", "1001")
    third.answer(last, 200)
    ok = caller.take_response(200)
    caller.send(caller.in_dialog("BYE", ok))
    assert ends(third.take_request("BYE"))[0] == "<sip:1001@example.com>"


def test_what_a_phone_prefers_is_not_told_to_other_phones(tmp_path: Path) -> None:
    box = Box()
    phone, caller = box.peer("192.0.2.2"), box.peer("192.0.2.1")
    phone.register("1002")
    caller.invite("sip:1002@192.0.2.9", headers=(("p-preferred-identity", "<sip:1001@example.com>"),))
    assert "p-preferred-identity" not in phone.take_request("INVITE")


def test_who_is_anonymous_to_a_trunk_is_so_in_our_route_entries_too(tmp_path: Path) -> None:
    box = Box(with_drop_in(tmp_path, "[trunk two]\ntrusted-identity = no\n"))
    caller, foreign = box.peer("192.0.2.1"), box.peer("192.0.2.51")
    request = caller.request("INVITE", "sip:9123@192.0.2.9", headers=(("privacy", "user;id"),))
    request.set("contact", "<sip:x@192.0.2.1:5060>")
    caller.send(request)
    caller.send(caller.authorized(caller.take_response(407), request))
    invite = foreign.take_request("INVITE")
    texts = [invite.to_bytes()]
    for token in re.findall(rb"(?<![A-Za-z0-9_-])jf-([A-Za-z0-9_-]+)", texts[0]):
        texts.append(urlsafe_b64decode(token + b"=" * (-len(token) % 4)))
        for inner in re.findall(rb"~E([A-Za-z0-9_-]+)", texts[-1]):
            texts.append(urlsafe_b64decode(inner + b"=" * (-len(inner) % 4)))
    assert len(texts) == 5
    assert not any(b"1001@" in text for text in texts)
    box = caller.box = foreign.box = Box(box.settings, box.net)
    foreign.answer(invite, 200)
    foreign.send(foreign.back("BYE", invite))
    assert ends(caller.take_request("BYE"))[1] == "<sip:1001@example.com>"


def test_a_call_keeps_its_faces_when_its_rules_are_taken_away(tmp_path: Path) -> None:
    box = Box(with_drop_in(tmp_path, OUT))
    caller, carrier, _, invite = called(box)
    carrier.answer(invite, 200)
    ok = caller.take_response(200)
    box.core.configure(_settings(), ("192.0.2.9", "example.com"), (5060,), box.core.initial._authenticator)
    caller.send(caller.in_dialog("INFO", ok))
    info = carrier.take_request("INFO")
    assert ends(info) == THEIRS
    carrier.answer(info, 200)
    assert ends(caller.take_response(200)) == OURS
