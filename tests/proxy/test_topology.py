"""Topology hiding: what a carrier sees of a call, and that the call works all the same."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode
from pathlib import Path

import attrs
import pytest

from appliance.config.dialplan import TrunkSettings
from appliance.config.groups import GroupSettings, member
from appliance.config.kinds import network
from appliance.config.patch import target
from appliance.config.settings import Settings
from appliance.proxy.credentials import Authenticator
from appliance.proxy.masks import MARK
from appliance.sip.build import response_to
from appliance.sip.message import Request, Response
from tests.rtc.sdp_samples import PHONE, crlf

from .pretend_net import BOX, KEY, Box, Peer, _settings
from .test_rewriting import with_drop_in
from .test_trunk_login import Challenger, standing, with_login

SDP = crlf(PHONE)
CALLER, PROXY, CARRIER, CALL_ID = "192.0.2.1", "192.0.2.44", "192.0.2.50", "call@inside.example.net"


def hiding(settings: Settings) -> Settings:
    """The same with nothing to be seen from the carrier, and an exchange behind a proxy of its own."""
    carrier = attrs.evolve(settings.trunks["carrier"], hide_topology=True)
    exchange = TrunkSettings(name="exchange", trusted=(network().read(PROXY),))
    out = attrs.evolve(settings.routes["20-carrier"], callers=("users", "trunks"))
    return attrs.evolve(
        settings,
        trunks={**settings.trunks, "carrier": carrier, "exchange": exchange},
        routes={**settings.routes, out.name: out},
    )


@pytest.fixture
def box() -> Box:
    return Box(hiding(_settings()))


def again(box: Box) -> Box:
    """The box after kill -9 and a new start: the same key, the same wires, no memory."""
    return Box(box.settings, box.net)


def shown(message: Request | Response) -> bytes:
    """Whether nothing of the inside stands in what the carrier got; the message as bytes."""
    data = message.to_bytes()
    texts = [data]
    for token in re.findall(rb"(?<![A-Za-z0-9_-])jf-([A-Za-z0-9_-]+)", data):  # masks may have the letters by chance
        payload = urlsafe_b64decode(token + b"=" * (-len(token) % 4))[9:]
        texts.append(payload)
        texts += [urlsafe_b64decode(note[1:] + b"===") for note in payload.split(b"~")[1:] if note[:1] in b"FTft"]
    for secret in (CALLER, PROXY, "192.0.2.2", CALL_ID, "inside.example"):
        assert not any(re.search(rb"(?<!\d)%s(?!\d)" % re.escape(secret.encode()), text) for text in texts), texts
    return data


def through(proxy: str, request: Request) -> Request:
    """The request as the proxy of that address hands it on."""
    if request.values("route")[0].startswith(f"<sip:{proxy}"):
        request.pop_first("route")
    return request


def called(box: Box, *, proxied: bool = False) -> tuple[Peer, Peer, Request, Response]:
    """A call that the carrier answered, of a phone or from behind a proxy: its ends, the INVITE there, the 200 here."""
    carrier = box.peer(CARRIER)
    if proxied:
        caller = box.peer(PROXY, 5070)
        caller.contact = f"<sip:me@{CALLER}:5060>"
        request = caller.request("INVITE", "sip:0123@example.com", call_id=CALL_ID, body=SDP)
        request.put_below(0, [f"Via: SIP/2.0/UDP {CALLER}:5060;branch=z9hG4bKphone;received={CALLER}"])
        request.append("record-route", f"<sip:{PROXY}:5070;lr;r2=on>")
        caller.send(request)
    else:
        caller = box.peer(CALLER)
        caller.invite("sip:0123@example.com", call_id=CALL_ID, body=SDP)
    invite = carrier.take_request("INVITE")
    shown(invite)
    carrier.answer(invite, 200, body=SDP)
    return caller, carrier, invite, caller.take_response(200)


def test_a_call_out_shows_the_carrier_the_box_alone(box: Box) -> None:
    caller, carrier, invite, ok = called(box, proxied=True)
    assert len(invite.values("via")) == 1
    assert invite.call_id.startswith("jfh-")
    assert all(f"@{BOX}" in value for value in (*invite.values("record-route"), *invite.values("contact")))
    assert ok.call_id == CALL_ID
    assert [via.partition(";")[0] for via in ok.values("via")] == [
        f"SIP/2.0/UDP {PROXY}:5070",
        f"SIP/2.0/UDP {CALLER}:5060",
    ]
    assert ok.values("record-route")[-1] == f"<sip:{PROXY}:5070;lr;r2=on>"
    caller.send(through(PROXY, caller.in_dialog("ACK", ok, cseq=2)))
    ack = carrier.take_request("ACK")
    shown(ack)
    assert ack.call_id == invite.call_id


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("proxied", [False, True])
def test_both_ends_reinvite_and_hang_up(box: Box, restarted: bool, proxied: bool) -> None:
    caller, carrier, invite, ok = called(box, proxied=proxied)
    caller.send(through(PROXY, caller.in_dialog("ACK", ok, cseq=2)))
    carrier.take()
    if restarted:
        box = again(box)
        carrier = box.peer(CARRIER)
        contact, caller = caller.contact, box.peer(*caller.address)
        caller.contact = contact

    caller.send(through(PROXY, caller.in_dialog("INVITE", ok, cseq=3, body=SDP)))
    reinvite = carrier.take_request("INVITE")
    shown(reinvite)
    assert reinvite.uri == "sip:me@192.0.2.50:5060"
    assert reinvite.call_id == invite.call_id
    assert reinvite.addresses("contact")[0].uri.user == invite.addresses("contact")[0].uri.user
    carrier.answer(reinvite, 200, body=SDP)
    assert caller.take_response(200).call_id == CALL_ID

    carrier.send(carrier.back("UPDATE", invite, cseq=10, body=SDP))
    update = caller.take_request("UPDATE")
    assert update.uri == f"sip:me@{CALLER}:5060"
    assert update.call_id == CALL_ID
    assert update.values("route") == ([f"<sip:{PROXY}:5070;lr;r2=on>"] if proxied else [])
    caller.answer(update, 200, body=SDP)
    answered = carrier.take_response(200)
    shown(answered)
    assert answered.call_id == invite.call_id

    carrier.send(carrier.back("BYE", invite, cseq=11))
    bye = caller.take_request("BYE")
    assert (bye.uri, bye.call_id) == (f"sip:me@{CALLER}:5060", CALL_ID)
    caller.answer(bye, 200)
    shown(carrier.take_response(200))
    assert box.core.calls.active == {}


def test_a_call_in_keeps_the_carriers_call_id(box: Box) -> None:
    carrier, callee = box.peer(CARRIER), box.peer("192.0.2.2")
    callee.register("1002")
    rr = ("record-route", "<sip:203.0.113.9;lr>")
    carrier.send(carrier.request("INVITE", "sip:1002@example.com", user="0301234", headers=(rr,), body=SDP))
    invite = callee.take_request("INVITE")
    assert invite.call_id == "call@example.net"
    assert invite.values("contact") == ["<sip:me@192.0.2.50:5060>"]
    invite.prepend("record-route", f"<sip:{PROXY};lr>")
    callee.answer(invite, 180)
    shown(carrier.take_response(180))
    callee.answer(invite, 200, body=SDP)
    ok = carrier.take_response(200)
    shown(ok)
    assert ok.call_id == "call@example.net"
    assert ok.values("record-route")[-1] == "<sip:203.0.113.9;lr>"
    box = again(box)
    carrier, callee = box.peer(CARRIER), box.peer("192.0.2.2")
    carrier.send(through("203.0.113.9", carrier.in_dialog("BYE", ok, user="0301234")))
    bye = callee.take_request("BYE")
    assert (bye.uri, bye.values("route")) == ("sip:me@192.0.2.2:5060", [f"<sip:{PROXY};lr>"])
    callee.answer(bye, 200)
    shown(carrier.take_response(200))
    callee.send(through(PROXY, callee.back("INFO", invite)))
    info = box.peer("203.0.113.9").take_request("INFO")
    shown(info)
    assert info.uri == "sip:me@192.0.2.50:5060"


def test_cancel_and_refusal_go_by_the_masked_call_id(box: Box) -> None:
    caller, carrier = box.peer(CALLER), box.peer(CARRIER)
    invite = caller.invite("sip:0123@example.com", call_id=CALL_ID)
    seen = carrier.take_request("INVITE")
    carrier.answer(seen, 180)
    caller.take()
    caller.cancel(invite)
    cancel = carrier.take_request("CANCEL")
    shown(cancel)
    assert cancel.call_id == seen.call_id
    carrier.answer(cancel, 200)
    carrier.answer(seen, 487)
    ack = carrier.take_request("ACK")
    shown(ack)
    assert ack.call_id == seen.call_id
    assert "487" in caller.take_kinds()


def test_failing_over_to_a_trunk_that_sees_all_shows_it_the_true_call() -> None:
    settings = hiding(_settings())
    group = GroupSettings(name="out", members=(member().read("carrier"), member().read("two")))
    leads = attrs.evolve(settings.routes["20-carrier"], target=target().read("group:out"))
    box = Box(attrs.evolve(settings, groups={"out": group}, routes={**settings.routes, leads.name: leads}))
    caller, carrier, two = box.peer(CALLER), box.peer(CARRIER), box.peer("192.0.2.51")
    caller.invite("sip:0123@example.com", call_id=CALL_ID, body=SDP)
    hidden = carrier.take_request("INVITE")
    shown(hidden)
    carrier.answer(hidden, 503)
    shown(carrier.take_request("ACK"))
    seen = two.take_request("INVITE")
    assert seen.call_id == CALL_ID
    assert len(seen.values("via")) == 2
    assert seen.values("contact") == [f"<sip:me@{CALLER}:5060>"]
    two.answer(seen, 200, body=SDP)
    ok = caller.take_response(200)
    two.send(two.back("BYE", seen))
    caller.answer(caller.take_request("BYE"), 200)
    assert two.take_response(200).call_id == CALL_ID == ok.call_id


def test_a_transfer_names_the_other_call_as_each_end_knows_it(box: Box) -> None:
    caller, carrier, invite, ok = called(box)
    caller.send(caller.in_dialog("ACK", ok, cseq=2))
    carrier.take()
    refer = caller.in_dialog("REFER", ok, cseq=5)
    refer.append("refer-to", f"<sip:0456@example.com?Replaces={CALL_ID}%3Bto-tag%3Da%3Bfrom-tag%3Db&x=1>")
    refer.append("target-dialog", f"{CALL_ID};local-tag=a;remote-tag=b")
    refer.append("in-reply-to", f"{CALL_ID}, {CALL_ID}")
    caller.send(refer)
    seen = carrier.take_request("REFER")
    shown(seen)
    outer = invite.call_id
    assert seen.get("refer-to") == f"<sip:0456@example.com?Replaces={outer}%3Bto-tag%3Da%3Bfrom-tag%3Db&x=1>"
    assert seen.get("target-dialog") == f"{outer};local-tag=a;remote-tag=b"
    assert seen.values("in-reply-to") == [outer, outer]
    carrier.answer(seen, 202)
    caller.take()

    back = carrier.back("REFER", invite, cseq=30)
    back.append("refer-to", f"<{invite.addresses('contact')[0].uri}?Replaces={outer}%3Bto-tag%3Da%3Bfrom-tag%3Db>")
    back.append("replaces", f"{outer};to-tag=a;from-tag=b")
    carrier.send(back)
    seen = caller.take_request("REFER")
    assert seen.get("refer-to") == f"<sip:me@{CALLER}:5060?Replaces={CALL_ID}%3Bto-tag%3Da%3Bfrom-tag%3Db>"
    assert seen.get("replaces") == f"{CALL_ID};to-tag=a;from-tag=b"


def test_a_transfer_names_a_call_that_came_in_by_its_own_call_id(box: Box) -> None:
    carrier, callee = box.peer(CARRIER), box.peer("192.0.2.2")
    callee.register("1002")
    carrier.send(carrier.request("INVITE", "sip:1002@example.com", user="0301234", call_id="theirs@carrier", body=SDP))
    invite = callee.take_request("INVITE")
    callee.answer(invite, 200, body=SDP)
    carrier.take()
    refer = callee.back("REFER", invite)
    refer.append("refer-to", "<sip:0456@example.com?Replaces=theirs%40carrier%3Bto-tag%3Da%3Bfrom-tag%3Db>")
    callee.send(refer)
    assert "Replaces=theirs@carrier%3Bto-tag" in (carrier.take_request("REFER").get("refer-to") or "")


def test_the_box_hangs_up_by_the_call_id_that_each_end_knows(box: Box) -> None:
    caller, carrier, invite, ok = called(box)
    caller.send(caller.in_dialog("ACK", ok, cseq=2))
    carrier.take()
    [call] = box.core.calls
    call.hang_up("the operator said so")
    bye = carrier.take_request("BYE")
    shown(bye)
    assert (bye.call_id, bye.uri) == (invite.call_id, "sip:me@192.0.2.50:5060")
    assert caller.take_request("BYE").call_id == CALL_ID


def test_a_carrier_that_ignores_record_route_still_reaches_the_phone(box: Box) -> None:
    caller, carrier, invite, ok = called(box)
    caller.send(caller.in_dialog("ACK", ok, cseq=2))
    carrier.take()
    bye = carrier.back("BYE", invite)
    bye.remove("route")
    carrier.send(bye)
    caller.answer(caller.take_request("BYE"), 200)
    assert carrier.take_kinds() == ["200"]
    assert box.core.calls.active == {}


def test_masks_of_others_and_broken_ones_open_nothing(box: Box) -> None:
    caller, carrier, invite, ok = called(box)
    caller.send(caller.in_dialog("ACK", ok, cseq=2))
    carrier.take()
    info = carrier.back("INFO", invite)
    info.uri = f"sip:{MARK}AAAA@{BOX}"
    info.set("call-id", invite.call_id[:-2] + "zz")
    carrier.send(info)
    assert caller.take() == []
    assert carrier.take_kinds() == ["403"]
    strange = carrier.request("INVITE", str(invite.addresses("contact")[0].uri), user="0301234")
    carrier.send(strange)  # a mask leads inside its dialog only: it is no way past the dial plan
    assert caller.take() == []
    assert carrier.take_kinds() == ["403"]


def test_a_repeated_invite_and_a_repeated_answer_look_the_same_each_time(box: Box) -> None:
    caller, carrier = box.peer(CALLER), box.peer(CARRIER)
    invite = caller.invite("sip:0123@example.com", call_id=CALL_ID)
    first = carrier.take_request("INVITE")
    box.run(0.6)
    assert [m.to_bytes() for m in carrier.take()] == [first.to_bytes()]
    carrier.answer(first, 200)
    ok = caller.take_response(200)
    carrier.answer(first, 200)
    assert caller.take_response(200).to_bytes() == ok.to_bytes()
    caller.send(invite)
    assert carrier.take() == []


def test_a_test_line_answers_a_veiled_carrier() -> None:
    settings = hiding(_settings())
    echo = attrs.evolve(settings.routes["40-echo"], callers=("trunks",))
    box = Box(attrs.evolve(settings, routes={**settings.routes, "40-echo": echo}))
    carrier = box.peer(CARRIER)
    carrier.send(carrier.request("INVITE", "sip:5000@example.com", user="0301234", body=SDP))
    ok = carrier.take_response(200)
    assert ok.addresses("contact")[0].uri.user == "echo"
    carrier.send(carrier.in_dialog("ACK", ok, user="0301234", cseq=1))
    [call] = box.core.calls
    call.hang_up("time is over")
    assert carrier.take_request("BYE").call_id == ok.call_id


def test_a_warning_names_the_box(box: Box) -> None:
    carrier, callee = box.peer(CARRIER), box.peer("192.0.2.2")
    callee.register("1002")
    carrier.send(carrier.request("INVITE", "sip:1002@example.com", user="0301234", body=SDP))
    headers = [("warning", '305 192.0.2.2:5060 "Incompatible media format"'), ("contact", "<sip:x@192.0.2.2>, <tel:1>")]
    callee.send(response_to(callee.take_request("INVITE"), 488, to_tag="t", headers=headers))
    refused = carrier.take_response(488)
    shown(refused)
    assert refused.get("warning") == f'305 {BOX} "Incompatible media format"'


RULES = """
[rules out]
10 = set from.user 442079460000
20 = set from.host carrier.example.net
[trunk carrier]
rules-out = out
"""


@pytest.mark.parametrize("restarted", [False, True])
def test_rewritten_addresses_are_noted_where_the_carrier_cannot_read_them(tmp_path: Path, restarted: bool) -> None:
    box = Box(hiding(with_drop_in(tmp_path, RULES)))
    caller, carrier = box.peer(CALLER), box.peer(CARRIER)
    request = caller.request("INVITE", "sip:0123@example.com", call_id=CALL_ID)
    request.set("from", '"Reception" <sip:1001@example.com>;tag=1001tag')
    caller.send(request)
    caller.send(caller.authorized(caller.take_response(407), request))
    invite = carrier.take_request("INVITE")
    shown(invite)
    assert invite.from_.uri.username == "442079460000"
    assert all(value.startswith("<sip:jfh-") for value in invite.values("record-route"))
    carrier.answer(invite, 200)
    ok = caller.take_response(200)
    assert ok.get("from") == '"Reception" <sip:1001@example.com>;tag=1001tag'
    caller.send(caller.in_dialog("ACK", ok, cseq=2))
    shown(carrier.take_request("ACK"))
    if restarted:
        box = again(box)
        caller, carrier = box.peer(CALLER), box.peer(CARRIER)
    carrier.send(carrier.back("INFO", invite))
    info = caller.take_request("INFO")
    assert info.to.uri.username == "1001"
    caller.answer(info, 200)
    shown(carrier.take_response(200))
    caller.send(caller.in_dialog("BYE", ok))
    bye = carrier.take_request("BYE")
    shown(bye)
    assert bye.from_.uri.username == "442079460000"
    carrier.answer(bye, 200)
    assert caller.take_kinds() == ["200"]


@pytest.mark.parametrize("restarted", [False, True])
def test_a_carrier_that_asks_for_a_password_sees_no_more(restarted: bool) -> None:
    box = Box(with_login(hiding(_settings())))
    trunk = Challenger(box)
    caller, invite, ok = standing(box, trunk, SDP)
    shown(invite)
    if restarted:
        box = again(box)
        trunk.box, trunk.peer, caller = box, box.peer(CARRIER), box.peer(CALLER)
    for number, method in enumerate(("INFO", "UPDATE"), 3):
        caller.send(caller.in_dialog(method, ok, cseq=number))
        request = trunk.take(method)
        shown(request)
        assert request.call_id == invite.call_id
        trunk.peer.answer(request, 200)
        assert caller.take_response(200).cseq.number == number
    trunk.peer.send(trunk.peer.back("BYE", invite))
    bye = caller.take_request("BYE")
    assert bye.call_id == ok.call_id
    caller.answer(bye, 200)
    shown(trunk.peer.take_response(200))


def test_a_reload_leaves_veiled_dialogs_veiled_and_open_ones_open(box: Box) -> None:
    caller, carrier, invite, ok = called(box)
    plain = attrs.evolve(box.settings.trunks["carrier"], hide_topology=False)
    before, after = box.settings, attrs.evolve(box.settings, trunks={**box.settings.trunks, "carrier": plain})
    reload(box, after)
    caller.send(caller.in_dialog("ACK", ok, cseq=2))
    shown(carrier.take_request("ACK"))
    caller.invite("sip:0456@example.com", call_id="second")
    second = carrier.take_request("INVITE")
    assert second.call_id == "second"
    carrier.answer(second, 200)
    opened = caller.take_response(200)
    reload(box, before)
    caller.send(caller.in_dialog("BYE", opened))
    assert carrier.take_request("BYE").call_id == "second"
    carrier.send(carrier.back("BYE", invite))
    assert caller.take_request("BYE").call_id == CALL_ID


def reload(box: Box, settings: Settings) -> None:
    authenticator = Authenticator("example.com", KEY, settings.users)
    box.core.configure(settings, (BOX, "example.com"), (5060,), authenticator)
