"""Branches and their attempts: which response goes back, and what becomes of the answers that do not."""

from __future__ import annotations

import attrs
import pytest

from appliance.config.security import SecuritySettings
from appliance.sip.message import Request, Response
from appliance.transport.options import Target
from tests.rtc.sdp_samples import PHONE, crlf

from .pretend_net import Box, Peer, _settings, anchored, with_carrier_at

SDP = crlf(PHONE)


@pytest.fixture
def box() -> Box:
    return Box()


@pytest.fixture
def relaying() -> Box:
    return Box(anchored(_settings()))


def two_phones(box: Box) -> tuple[Peer, Peer, Peer]:
    caller, one, two = box.peer("192.0.2.1"), box.peer("192.0.2.2"), box.peer("192.0.2.3")
    one.register("1002")
    two.register("1002")
    return caller, one, two


def nothing_left(box: Box) -> None:
    box.run(400)
    assert box.core.calls.active == {}
    assert box.core.calls.anchored == set()
    assert box.backend.open() == []
    assert box.core.layer.clients == {}
    assert box.core.layer.servers == {}
    assert len(box.timers) == 0


def test_an_answer_that_cannot_cross_is_acknowledged_and_ended_by_us(relaying: Box) -> None:
    box = relaying
    caller, callee = box.peer("192.0.2.1"), box.peer("192.0.2.2")
    callee.register("1002")
    caller.invite("sip:1002@example.com", body=SDP)
    invite = callee.take_request("INVITE")
    ok = callee.answer(invite, 200, body=b"this is no sdp")
    ack, bye = callee.take()
    assert isinstance(ack, Request)
    assert isinstance(bye, Request)
    assert (ack.method, ack.cseq.number) == ("ACK", invite.cseq.number)
    assert (bye.method, bye.cseq.number) == ("BYE", invite.cseq.number + 1)
    assert bye.to_tag == ok.to_tag
    assert bye.uri == "sip:me@192.0.2.2:5060"
    callee.answer(bye, 200)
    assert caller.take_kinds() == ["400"]
    callee.send(ok)
    assert callee.take_kinds() == ["ACK"]
    assert "1002 at 192.0.2.2" in box.core.calls.ended[0].ending
    nothing_left(box)


def test_the_other_branches_go_on_when_one_answers_nonsense(relaying: Box) -> None:
    box = relaying
    caller, one, two = two_phones(box)
    caller.invite("sip:1002@example.com", body=SDP)
    first, second = one.take_request("INVITE"), two.take_request("INVITE")
    two.answer(second, 180, tag="two")
    one.answer(first, 200, tag="one", body=b"v=0\r\nnonsense")
    assert [m.method for m in one.take() if isinstance(m, Request)] == ["ACK", "BYE"]
    assert caller.take_kinds() == ["180"]
    two.answer(second, 200, tag="two", body=SDP)
    assert caller.take_kinds() == ["200"]
    assert len(box.backend.open()) == 2


def test_a_refused_reinvite_answer_ends_the_call(relaying: Box) -> None:
    box = relaying
    caller, callee, ok = standing_call(box)
    caller.send(caller.in_dialog("INVITE", ok, body=SDP))
    callee.answer(callee.take_request("INVITE"), 200, body=b"v=0\r\nnonsense")
    kinds = caller.take_kinds()
    assert kinds[0] == "BYE"
    assert kinds[1] in ("400", "488")
    assert callee.take_kinds() == ["ACK", "BYE"]
    assert box.core.calls.active == {}


def standing_call(box: Box) -> tuple[Peer, Peer, Response]:
    caller, callee = box.peer("192.0.2.1"), box.peer("192.0.2.2")
    callee.register("1002")
    caller.invite("sip:1002@example.com", body=SDP)
    callee.answer(callee.take_request("INVITE"), 200, body=SDP)
    ok = caller.take_response(200)
    caller.send(caller.in_dialog("ACK", ok, cseq=2))
    assert callee.take_kinds() == ["ACK"]
    return caller, callee, ok


def test_a_late_answer_of_the_first_gateway_wins_while_the_second_rings(box: Box) -> None:
    caller, one, two = box.peer("192.0.2.1"), box.peer("192.0.2.51"), box.peer("192.0.2.52")
    caller.invite("sip:9123@example.com")
    first = one.take_request("INVITE")
    box.run(4.2)
    second = two.take_request("INVITE")
    two.answer(second, 180)
    one.take()
    one.answer(first, 200, tag="late")
    assert caller.take_kinds()[-2:] == ["180", "200"]
    assert two.take_kinds()[-1] == "CANCEL"
    two.answer(second, 487)
    [call] = box.core.calls
    assert "192.0.2.51" in call.callee
    call.hang_up("enough")
    nothing_left(box)


def test_a_late_answer_over_the_first_address_wins_while_the_second_rings(box: Box) -> None:
    box = Box(with_carrier_at(box.settings, "gw.example.net"))
    box.net.names["gw.example.net"] = [Target("UDP", "192.0.2.61", 5060), Target("UDP", "192.0.2.62", 5060)]
    caller, one, two = box.peer("192.0.2.1"), box.peer("192.0.2.61"), box.peer("192.0.2.62")
    caller.invite("sip:0123@example.com")
    first = one.take_request("INVITE")
    box.run(4.2)
    second = two.take_request("INVITE")
    two.answer(second, 180)
    one.take()
    one.answer(first, 200, tag="late")
    assert caller.take_kinds()[-1] == "200"
    assert two.take_kinds()[-1] == "CANCEL"
    [call] = box.core.calls
    assert call.callee_side is not None
    assert call.callee_side.flow is one.flow


def test_a_late_answer_is_forwarded_when_somebody_else_answered(box: Box) -> None:
    caller, one, two = box.peer("192.0.2.1"), box.peer("192.0.2.51"), box.peer("192.0.2.52")
    caller.invite("sip:9123@example.com")
    first = one.take_request("INVITE")
    box.run(4.2)
    one.take()
    two.answer(two.take_request("INVITE"), 200, tag="two")
    one.answer(first, 200, tag="one")
    answers = [m for m in caller.take() if isinstance(m, Response) and m.status == 200]
    assert [answer.to_tag for answer in answers] == ["two", "one"]
    [call] = box.core.calls
    assert "192.0.2.52" in call.callee


def test_a_second_answer_with_media_here_is_ended_by_us(relaying: Box) -> None:
    box = relaying
    caller, one, two = two_phones(box)
    caller.invite("sip:1002@example.com", body=SDP)
    first, second = one.take_request("INVITE"), two.take_request("INVITE")
    two.answer(second, 200, tag="two", body=SDP)
    joined = dict(box.backend.joins)
    one.answer(first, 200, tag="one", body=SDP)
    assert caller.take_kinds() == ["200"]
    assert one.take_kinds() == ["ACK", "BYE"]
    assert box.backend.joins == joined
    [call] = box.core.calls
    call.hang_up("enough")
    nothing_left(box)


def test_a_loser_gives_its_ports_back_when_it_is_cancelled(relaying: Box) -> None:
    box = relaying
    caller, one, two = two_phones(box)
    caller.invite("sip:1002@example.com", body=SDP)
    first, second = one.take_request("INVITE"), two.take_request("INVITE")
    one.answer(first, 180)
    two.answer(second, 200, body=SDP)
    one.answer(first, 487)
    assert len(box.backend.open()) == 2


def test_an_answer_after_our_408_is_acknowledged_and_ended(box: Box) -> None:
    caller, gateway = box.peer("192.0.2.1"), box.peer("192.0.2.50")
    caller.invite("sip:0123@example.com")
    invite = gateway.take_request("INVITE")
    box.run(4.2)
    assert caller.take_kinds()[-1] == "408"
    gateway.take()
    gateway.answer(invite, 200)
    assert gateway.take_kinds() == ["ACK", "BYE"]
    assert "200" not in caller.take_kinds()
    nothing_left(box)


def test_an_answer_that_crosses_the_cancel_goes_back(box: Box) -> None:
    caller, callee = box.peer("192.0.2.1"), box.peer("192.0.2.2")
    callee.register("1002")
    invite = caller.invite("sip:1002@example.com")
    seen = callee.take_request("INVITE")
    callee.answer(seen, 180)
    caller.cancel(invite)
    callee.answer(seen, 200)
    assert caller.take_kinds() == ["180", "200", "200"]
    [call] = box.core.calls
    assert call.state.value == "answered"


def test_cancel_before_any_provisional_waits_for_one(box: Box) -> None:
    caller, callee = box.peer("192.0.2.1"), box.peer("192.0.2.2")
    callee.register("1002")
    invite = caller.invite("sip:1002@example.com")
    seen = callee.take_request("INVITE")
    caller.cancel(invite)
    assert callee.take() == []
    callee.answer(seen, 100)
    callee.answer(callee.take_request("CANCEL"), 200)
    callee.answer(seen, 487)
    assert caller.take_kinds() == ["200", "487"]
    nothing_left(box)


def test_cancel_stops_the_search_for_further_addresses(box: Box) -> None:
    box = Box(with_carrier_at(box.settings, "gw.example.net"))
    box.net.names["gw.example.net"] = [Target("UDP", "192.0.2.61", 5060), Target("UDP", "192.0.2.62", 5060)]
    caller, one, two = box.peer("192.0.2.1"), box.peer("192.0.2.61"), box.peer("192.0.2.62")
    invite = caller.invite("sip:0123@example.com")
    seen = one.take_request("INVITE")
    one.answer(seen, 100)
    caller.cancel(invite)
    one.answer(seen, 503)
    assert two.take() == []
    assert caller.take_kinds() == ["200", "487"]
    assert box.core.calls.ended[0].ending == "the caller gave up"


def test_a_gateway_that_only_rings_is_left_for_the_next(box: Box) -> None:
    caller, one, two = box.peer("192.0.2.1"), box.peer("192.0.2.51"), box.peer("192.0.2.52")
    caller.invite("sip:9123@example.com")
    seen = one.take_request("INVITE")
    one.answer(seen, 180)
    box.run(100)
    one.answer(seen, 180)
    box.run(21)
    assert one.take()[0].cseq.method == "CANCEL"
    one.answer(seen, 487)
    two.answer(two.take_request("INVITE"), 200)
    assert [kind for kind in caller.take_kinds() if kind != "407"] == ["180", "180", "200"]


def test_ringing_forever_is_408_and_says_who(box: Box) -> None:
    caller, callee = box.peer("192.0.2.1"), box.peer("192.0.2.2")
    callee.register("1002")
    caller.invite("sip:1002@example.com")
    seen = callee.take_request("INVITE")
    callee.answer(seen, 180)
    box.run(186)
    callee.answer(seen, 487)
    assert caller.take_kinds()[-1] == "408"
    assert box.core.calls.ended[0].ending.startswith("1002 at 192.0.2.2:5060 over UDP did not answer")
    nothing_left(box)


def test_a_100_keeps_an_attempt_alive_beyond_its_first_limit(box: Box) -> None:
    caller, one, two = box.peer("192.0.2.1"), box.peer("192.0.2.51"), box.peer("192.0.2.52")
    caller.invite("sip:9123@example.com")
    seen = one.take_request("INVITE")
    one.answer(seen, 100)
    box.run(30)
    assert two.take() == []
    one.answer(seen, 200)
    assert caller.take_kinds()[-1] == "200"


def test_one_gateways_overload_is_not_ours(box: Box) -> None:
    caller, one = box.peer("192.0.2.1"), box.peer("192.0.2.50")
    caller.invite("sip:0123@example.com")
    one.answer(one.take_request("INVITE"), 503)
    assert caller.take_kinds() == ["500"]
    assert "503" in box.core.calls.ended[0].ending


def test_all_challenges_of_a_fork_go_back_together() -> None:
    box = Box(attrs.evolve(_settings(), security=SecuritySettings(foreign_challenges=True)))
    caller, one, two = two_phones(box)
    caller.invite("sip:1002@example.com")
    for peer, status, key in ((one, 401, "www-authenticate"), (two, 407, "proxy-authenticate")):
        request = peer.take_request("INVITE")
        response = peer.answer(request, 180)
        caller.take()
        response.status = status
        response.append(key, f'Digest realm="{peer.address[0]}", nonce="x"')
        peer.send(response)
    final = caller.take_response(401)
    assert len(final.get_all("www-authenticate")) == 1
    assert len(final.get_all("proxy-authenticate")) == 1


def test_max_breadth_is_shared_out(box: Box) -> None:
    carrier, one, two = box.peer("192.0.2.50"), box.peer("192.0.2.2"), box.peer("192.0.2.3")
    one.register("1002")
    two.register("1002")
    carrier.send(carrier.request("INVITE", "sip:1002@example.com", headers=(("max-breadth", "5"),)))
    shares = [int(peer.take_request("INVITE").require("max-breadth")) for peer in (one, two)]
    assert sum(shares) == 5
    assert min(shares) >= 1
    carrier.send(carrier.request("MESSAGE", "sip:1002@example.com", call_id="m"))
    assert sum(int(peer.take_request("MESSAGE").require("max-breadth")) for peer in (one, two)) == 60


def large(caller: Peer, uri: str) -> None:
    caller.invite(uri, headers=(("x-filler", "x" * 1300),))


def test_a_large_request_leaves_over_tcp(box: Box) -> None:
    caller, gateway = box.peer("192.0.2.1"), box.peer("192.0.2.50")
    large(caller, "sip:0123@example.com")
    seen = gateway.take_request("INVITE")
    assert seen.via.transport == "TCP"
    assert "transport=tcp" in seen.values("record-route")[0]
    gateway.answer(seen, 200)
    assert caller.take_kinds() == ["200"]


def test_a_large_request_falls_back_to_udp_once(box: Box) -> None:
    caller, gateway = box.peer("192.0.2.1"), box.peer("192.0.2.50")
    box.net.refusing.add(("TCP", "192.0.2.50"))
    large(caller, "sip:0123@example.com")
    box.run(0.1)
    seen = gateway.take_request("INVITE")
    assert seen.via.transport == "UDP"
    assert "transport" not in seen.values("record-route")[0]
    gateway.answer(seen, 200)
    assert caller.take_kinds()[-1] == "200"


def test_a_large_request_that_nobody_takes_ends(box: Box) -> None:
    caller = box.peer("192.0.2.1")
    box.net.refusing |= {("TCP", "192.0.2.50"), ("UDP", "192.0.2.50")}
    large(caller, "sip:0123@example.com")
    box.run(1)
    assert caller.take_kinds()[-1] == "500"
    nothing_left(box)


def test_a_transport_that_was_asked_for_is_kept_however_large(box: Box) -> None:
    box = Box(with_carrier_at(box.settings, "192.0.2.50;transport=udp"))
    caller, gateway = box.peer("192.0.2.1"), box.peer("192.0.2.50")
    large(caller, "sip:0123@example.com")
    assert gateway.take_request("INVITE").via.transport == "UDP"


def test_a_response_without_a_via_for_the_caller_is_dropped(box: Box) -> None:
    caller, callee = box.peer("192.0.2.1"), box.peer("192.0.2.2")
    callee.register("1002")
    caller.invite("sip:1002@example.com")
    seen = callee.take_request("INVITE")
    top = seen.values("via")[0]
    seen.remove("via")
    seen.prepend("via", top)
    callee.answer(seen, 180)
    assert caller.take() == []


def test_many_dead_destinations_are_walked_without_recursion(box: Box) -> None:
    settings = attrs.evolve(box.settings, registrar=attrs.evolve(box.settings.registrar, max_contacts=1000))
    box = Box(settings)
    box.core.registrar.options = attrs.evolve(box.core.registrar.options, max_contacts=1000)
    phone, carrier = box.peer("192.0.2.2"), box.peer("192.0.2.50")
    for batch in range(4):
        request = phone.request(
            "REGISTER", "sip:example.com", user="1002", to="<sip:1002@example.com>", call_id=f"r{batch}"
        )
        request.remove("contact")
        for n in range(50):
            request.append("contact", f"<sip:1002@192.0.2.2:{6000 + batch * 50 + n}>")
        phone.send(request)
        phone.send(phone.authorized(phone.take_response(401), request, "1002"))
        assert phone.take_kinds() == ["200"]
    box.net.names["192.0.2.2"] = []
    carrier.send(carrier.request("INVITE", "sip:1002@example.com"))
    assert carrier.take_kinds()[-1] in ("502", "500", "480")
