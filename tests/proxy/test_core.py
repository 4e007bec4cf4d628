"""The proxy core on pretend wires: what goes where, and what comes back."""

from __future__ import annotations

import attrs
import pytest

from appliance.sip.message import Request, Response
from appliance.transport.options import Target

from .pretend_net import Box, Peer, with_carrier_at


@pytest.fixture
def box() -> Box:
    return Box()


def test_register_is_challenged_then_accepted(box: Box) -> None:
    phone = box.peer("192.0.2.1")
    phone.register("1001")
    assert len(box.core.location) == 1


def test_wrong_password_is_challenged_again(box: Box) -> None:
    phone = box.peer("192.0.2.1")
    request = phone.request("REGISTER", "sip:example.com", to="<sip:1001@example.com>")
    phone.send(request)
    again = phone.authorized(phone.take_response(401), request)
    again.set("authorization", again.require("authorization").replace('response="', 'response="0'))
    phone.send(again)
    assert phone.take_kinds() == ["401"]
    assert len(box.core.location) == 0


def test_a_user_may_not_register_another(box: Box) -> None:
    phone = box.peer("192.0.2.1")
    request = phone.request("REGISTER", "sip:example.com", to="<sip:1002@example.com>")
    phone.send(request)
    phone.send(phone.authorized(phone.take_response(401), request))
    assert phone.take_kinds() == ["403"]


def call_phone(box: Box) -> tuple[object, object, Request]:
    caller, callee = box.peer("192.0.2.1"), box.peer("192.0.2.2")
    callee.register("1002")
    caller.invite("sip:1002@example.com")
    return caller, callee, callee.take_request("INVITE")


def test_call_between_phones_from_invite_to_bye(box: Box) -> None:
    caller, callee = box.peer("192.0.2.1"), box.peer("192.0.2.2")
    callee.register("1002")
    caller.invite("sip:1002@example.com")
    invite = callee.take_request("INVITE")
    assert invite.uri == "sip:1002@192.0.2.2:5060"
    assert invite.get("max-forwards") == "69"
    assert "proxy-authorization" not in invite
    assert len(invite.values("via")) == 2
    assert len(invite.values("record-route")) == 2
    callee.answer(invite, 180)
    assert caller.take_kinds() == ["180"]
    callee.answer(invite, 200)
    ok = caller.take_response(200)
    assert len(ok.values("via")) == 1
    [call] = box.core.calls
    assert call.state.value == "answered"
    ack = caller.in_dialog("ACK", ok, cseq=2)
    caller.send(ack)
    seen = callee.take_request("ACK")
    assert "route" not in seen
    caller.send(caller.in_dialog("BYE", ok))
    bye = callee.take_request("BYE")
    callee.answer(bye, 200)
    assert caller.take_kinds() == ["200"]
    assert list(box.core.calls) == []
    assert box.core.calls.ended[0].ending == "the caller hung up"
    box.run(100)
    assert len(box.timers) == 0


def test_bye_from_the_callee_reaches_the_caller(box: Box) -> None:
    caller, callee = box.peer("192.0.2.1"), box.peer("192.0.2.2")
    callee.register("1002")
    caller.invite("sip:1002@example.com")
    invite = callee.take_request("INVITE")
    callee.answer(invite, 200)
    caller.take()
    bye = callee.request("BYE", "sip:me@192.0.2.1:5060", call_id=invite.call_id, cseq=9, to=invite.require("from"))
    bye.set("from", "<sip:1002@example.com>;tag=calleetag")
    for value in invite.values("record-route"):
        bye.append("route", value)
    callee.send(bye)
    seen = caller.take_request("BYE")
    assert "route" not in seen
    caller.answer(seen, 200)
    assert callee.take_kinds() == ["200"]
    assert box.core.calls.ended[0].ending == "the callee hung up"


def test_bye_finds_its_way_after_a_restart() -> None:
    before = Box()
    caller, callee = before.peer("192.0.2.1"), before.peer("192.0.2.2")
    callee.register("1002")
    caller.invite("sip:1002@example.com")
    callee.answer(callee.take_request("INVITE"), 200)
    ok = caller.take_response(200)
    after = Box(net=before.net)
    caller, callee = after.peer("192.0.2.1"), after.peer("192.0.2.2")
    caller.send(caller.in_dialog("BYE", ok))
    callee.answer(callee.take_request("BYE"), 200)
    assert caller.take_kinds() == ["200"]


def test_a_foreign_signature_in_the_route_is_refused(box: Box) -> None:
    caller, callee = box.peer("192.0.2.1"), box.peer("192.0.2.2")
    callee.register("1002")
    caller.invite("sip:1002@example.com")
    callee.answer(callee.take_request("INVITE"), 200)
    ok = caller.take_response(200)
    bye = caller.in_dialog("BYE", ok)
    bye.set("call-id", "another@example.net")
    caller.send(bye)
    assert caller.take_kinds() == ["403"]
    assert callee.take() == []


def test_client_that_ignores_record_route_can_still_hang_up(box: Box) -> None:
    caller, callee = box.peer("192.0.2.1"), box.peer("192.0.2.2")
    callee.register("1002")
    caller.invite("sip:1002@example.com")
    callee.answer(callee.take_request("INVITE"), 200)
    ok = caller.take_response(200)
    for method, cseq in (("ACK", 2), ("BYE", 3)):
        request = caller.in_dialog(method, ok, cseq=cseq)
        request.uri = "sip:1002@example.com"
        request.remove("route")
        stranger = box.peer("198.51.100.3")
        stranger.send(request)
        assert callee.take() == []
        request.replace_top_via(caller.request(method, "sip:x@example.com").via)
        caller.send(request)
        assert callee.take_request(method).uri == "sip:me@192.0.2.2:5060"


def test_in_dialog_request_without_our_route_is_not_relayed(box: Box) -> None:
    caller = box.peer("192.0.2.1")
    caller.send(caller.request("BYE", "sip:victim@198.51.100.7", to="<sip:victim@198.51.100.7>;tag=x"))
    assert caller.take_kinds() == ["404"]
    assert list(box.net.sent) == []


def test_initial_request_for_a_foreign_domain_is_not_relayed(box: Box) -> None:
    caller = box.peer("192.0.2.50")
    caller.send(caller.request("INVITE", "sip:victim@198.51.100.7"))
    assert "403" in caller.take_kinds()
    assert list(box.net.sent) == []


def test_parallel_fork_cancels_the_loser(box: Box) -> None:
    caller, one, two = box.peer("192.0.2.1"), box.peer("192.0.2.2"), box.peer("192.0.2.3")
    one.register("1002")
    two.register("1002")
    caller.invite("sip:1002@example.com")
    first, second = one.take_request("INVITE"), two.take_request("INVITE")
    one.answer(first, 180, tag="one")
    two.answer(second, 180, tag="two")
    two.answer(second, 200, tag="two")
    assert caller.take_kinds() == ["180", "180", "200"]
    cancel = one.take_request("CANCEL")
    assert "completed elsewhere" in cancel.require("reason")
    one.answer(cancel, 200)
    one.answer(first, 487, tag="one")
    assert one.take_kinds() == ["ACK"]
    assert caller.take() == []
    assert two.take() == []


def test_cancel_reaches_every_branch_and_the_caller_gets_487(box: Box) -> None:
    caller, one, two = box.peer("192.0.2.1"), box.peer("192.0.2.2"), box.peer("192.0.2.3")
    one.register("1002")
    two.register("1002")
    invite = caller.invite("sip:1002@example.com")
    first, second = one.take_request("INVITE"), two.take_request("INVITE")
    one.answer(first, 180)
    two.answer(second, 180)
    caller.take()
    cancel = invite.copy()
    cancel.method = "CANCEL"
    cancel.set("cseq", f"{invite.cseq.number} CANCEL")
    cancel.remove("proxy-authorization")
    caller.send(cancel)
    assert caller.take_kinds() == ["200"]
    for peer, request in ((one, first), (two, second)):
        peer.answer(peer.take_request("CANCEL"), 200)
        peer.answer(request, 487)
    assert caller.take_kinds() == ["487"]
    assert box.core.calls.ended[0].ending == "the caller gave up"


def test_best_response_of_a_fork_is_sent_once(box: Box) -> None:
    caller, one, two = box.peer("192.0.2.1"), box.peer("192.0.2.2"), box.peer("192.0.2.3")
    one.register("1002")
    two.register("1002")
    caller.invite("sip:1002@example.com")
    one.answer(one.take_request("INVITE"), 500)
    assert caller.take_kinds() == []
    two.answer(two.take_request("INVITE"), 486)
    assert caller.take_kinds() == ["486"]


def test_decline_ends_the_other_branches(box: Box) -> None:
    caller, one, two = box.peer("192.0.2.1"), box.peer("192.0.2.2"), box.peer("192.0.2.3")
    one.register("1002")
    two.register("1002")
    caller.invite("sip:1002@example.com")
    first, second = one.take_request("INVITE"), two.take_request("INVITE")
    one.answer(first, 180)
    two.answer(second, 603)
    one.take_request("CANCEL")
    one.answer(first, 487)
    assert caller.take_kinds()[-1] == "603"


def test_second_gateway_takes_over_after_503(box: Box) -> None:
    caller, one, two = box.peer("192.0.2.1"), box.peer("192.0.2.51"), box.peer("192.0.2.52")
    caller.invite("sip:9123@example.com")
    first = one.take_request("INVITE")
    assert first.uri == "sip:9123@192.0.2.51:5060"
    one.answer(first, 503)
    second = two.take_request("INVITE")
    assert second.via.branch != first.via.branch
    two.answer(second, 200)
    assert caller.take_kinds() == ["200"]


def test_second_gateway_takes_over_when_the_first_is_silent(box: Box) -> None:
    caller, one, two = box.peer("192.0.2.1"), box.peer("192.0.2.51"), box.peer("192.0.2.52")
    caller.invite("sip:9123@example.com")
    box.run(4.2)
    assert "INVITE" in one.take_kinds()
    two.answer(two.take_request("INVITE"), 200)
    assert "200" in caller.take_kinds()


def test_busy_at_the_first_gateway_is_the_answer(box: Box) -> None:
    caller, one, two = box.peer("192.0.2.1"), box.peer("192.0.2.51"), box.peer("192.0.2.52")
    caller.invite("sip:9123@example.com")
    one.answer(one.take_request("INVITE"), 486)
    assert caller.take_kinds() == ["486"]
    assert two.take() == []


def test_caller_hears_when_no_name_server_answers(box: Box) -> None:
    box = Box(with_carrier_at(box.settings, "gw.example.net"))
    box.net.silent_names.add("gw.example.net")
    caller = box.peer("192.0.2.1")
    caller.invite("sip:0123@example.com")
    box.run(4.2)
    assert caller.take_response(504).reason == "Name Server Timeout"


def test_every_address_of_a_gateway_is_tried(box: Box) -> None:
    box = Box(with_carrier_at(box.settings, "gw.example.net"))
    box.net.names["gw.example.net"] = [Target("UDP", "192.0.2.61", 5060), Target("UDP", "192.0.2.62", 5060)]
    caller = box.peer("192.0.2.1")
    one, two = box.peer("192.0.2.61"), box.peer("192.0.2.62")
    caller.invite("sip:0123@example.com")
    one.answer(one.take_request("INVITE"), 503)
    two.answer(two.take_request("INVITE"), 200)
    assert caller.take_kinds() == ["200"]


def test_trunk_calls_in_without_password(box: Box) -> None:
    carrier, phone = box.peer("192.0.2.50"), box.peer("192.0.2.2")
    phone.register("1002")
    carrier.send(carrier.request("INVITE", "sip:1002@example.com", user="0301234"))
    assert phone.take_request("INVITE").uri == "sip:1002@192.0.2.2:5060"


def test_from_must_name_the_user_that_gave_the_password(box: Box) -> None:
    caller = box.peer("192.0.2.1")
    request = caller.request("INVITE", "sip:1002@example.com", user="1002")
    caller.send(request)
    caller.send(caller.authorized(caller.take_response(407), request, "1001"))
    assert caller.take_kinds() == ["403"]


@pytest.mark.parametrize(
    ("uri", "status"),
    [
        ("sip:4000@example.com", "603"),
        ("sip:7777@example.com", "404"),
        ("sip:1002@example.com", "480"),
    ],
)
def test_refusals_by_number(box: Box, uri: str, status: str) -> None:
    caller = box.peer("192.0.2.1")
    caller.invite(uri)
    assert caller.take_kinds() == [status]


def test_unknown_scheme_is_416(box: Box) -> None:
    caller = box.peer("192.0.2.50")
    caller.send(caller.request("INVITE", "mailto:me@example.com"))
    assert caller.take_kinds() == ["416"]


def test_no_hops_left_is_483(box: Box) -> None:
    carrier = box.peer("192.0.2.50")
    request = carrier.request("INVITE", "sip:1002@example.com")
    request.set("max-forwards", "0")
    carrier.send(request)
    assert carrier.take_kinds() == ["483"]


def test_options_to_the_box_is_answered_by_it(box: Box) -> None:
    peer = box.peer("192.0.2.1")
    peer.send(peer.request("OPTIONS", "sip:example.com"))
    ok = peer.take_response(200)
    assert "INVITE" in ok.require("allow")


def test_a_request_that_comes_back_unchanged_is_a_loop(box: Box) -> None:
    box = Box(with_carrier_at(box.settings, "192.0.2.50"))
    gateway = box.peer("192.0.2.50")
    gateway.send(gateway.request("INVITE", "sip:0123@example.com", user="0301234"))
    out = gateway.take_request("INVITE")
    returned = out.copy()
    returned.uri = "sip:0123@example.com"
    returned.prepend("via", "SIP/2.0/UDP 192.0.2.50:5060;branch=z9hG4bKreturned;rport")
    returned.remove("record-route")
    gateway.send(returned)
    assert "482" in gateway.take_kinds()


def test_breadth_turns_a_parallel_fork_into_a_serial_one(box: Box) -> None:
    carrier, one, two = box.peer("192.0.2.50"), box.peer("192.0.2.2"), box.peer("192.0.2.3")
    one.register("1002")
    two.register("1002")
    carrier.send(carrier.request("INVITE", "sip:1002@example.com", headers=(("max-breadth", "1"),)))
    [first] = [peer for peer in (one, two) if peer.address in box.net.sent]
    [second] = [peer for peer in (one, two) if peer is not first]
    first.answer(first.take_request("INVITE"), 486)
    second.answer(second.take_request("INVITE"), 200)
    assert carrier.take_kinds()[-1] == "200"


def test_timer_c_cancels_a_branch_that_only_rings(box: Box) -> None:
    caller, callee = box.peer("192.0.2.1"), box.peer("192.0.2.2")
    callee.register("1002")
    caller.invite("sip:1002@example.com")
    invite = callee.take_request("INVITE")
    callee.answer(invite, 180)
    box.run(200)
    callee.answer(invite, 487)
    assert caller.take_kinds()[-1] in ("487", "408")


def test_nobody_answers_at_all_is_408(box: Box) -> None:
    caller, callee = box.peer("192.0.2.1"), box.peer("192.0.2.2")
    callee.register("1002")
    caller.invite("sip:1002@example.com")
    box.run(40)
    assert caller.take_kinds()[-1] == "408"
    assert list(box.core.calls) == []


def test_full_inbox_is_503_with_retry_after(box: Box) -> None:
    carrier = box.peer("192.0.2.50")
    box.core.settings = attrs.evolve(box.settings, sip=attrs.evolve(box.settings.sip, inbox=1))
    trunk = box.peer("192.0.2.50")
    for number in range(65):  # 64 are decided at once, one waits
        options = trunk.request("OPTIONS", "sip:0777@example.com", call_id=f"flood{number}")
        box.core.receive(options.to_bytes(), trunk.flow)
    assert box.core.waiting == 1
    carrier.send(carrier.request("INVITE", "sip:1002@example.com"))
    assert 2 <= int(carrier.take_response(503).require("retry-after")) <= 10


def test_draining_box_refuses_new_calls_and_ends_old_ones(box: Box) -> None:
    caller, callee = box.peer("192.0.2.1"), box.peer("192.0.2.2")
    callee.register("1002")
    caller.invite("sip:1002@example.com")
    callee.answer(callee.take_request("INVITE"), 200)
    ok = caller.take_response(200)
    box.core.initial.draining = True
    carrier = box.peer("192.0.2.50")
    carrier.send(carrier.request("INVITE", "sip:1002@example.com", call_id="new"))
    assert "retry-after" in carrier.take_response(503)
    caller.send(caller.in_dialog("BYE", ok))
    callee.answer(callee.take_request("BYE"), 200)
    assert caller.take_kinds() == ["200"]


def test_malformed_request_gets_400_that_names_the_header(box: Box) -> None:
    peer = box.peer("192.0.2.1")
    request = peer.request("INVITE", "sip:1002@example.com")
    request.set("cseq", "one INVITE")
    box.core.receive(request.to_bytes(), peer.flow)
    bad = peer.take_response(400)
    assert "CSeq" in bad.reason


def test_garbage_is_counted_and_the_next_message_served(box: Box) -> None:
    peer = box.peer("192.0.2.1")
    box.core.receive(b"\x00\xff nonsense", peer.flow)
    assert box.core.counters.malformed == 1
    peer.send(peer.request("OPTIONS", "sip:example.com"))
    assert peer.take_kinds() == ["200"]


def test_websocket_phone_is_reached_by_its_flow_and_not_after_it_closed(box: Box) -> None:
    caller, phone = box.peer("192.0.2.1"), box.peer("192.0.2.7", 40000, "WSS")
    request = phone.request("REGISTER", "sip:example.com", user="1002", to="<sip:1002@example.com>")
    request.set("contact", "<sip:abc@df7jal23ls0d.invalid;transport=ws>")
    phone.send(request)
    phone.send(phone.authorized(phone.take_response(401), request, "1002"))
    assert phone.take_kinds() == ["200"]
    caller.send(caller.request("OPTIONS", "sip:1002@example.com"))
    caller.take()
    carrier = box.peer("192.0.2.50")
    carrier.send(carrier.request("MESSAGE", "sip:1002@example.com", call_id="m1"))
    assert phone.take_request("MESSAGE").uri == "sip:abc@df7jal23ls0d.invalid;transport=ws"
    phone.flow.closed = True
    box.core.flow_closed(phone.flow)
    carrier.take()
    carrier.send(carrier.request("MESSAGE", "sip:1002@example.com", call_id="m2"))
    assert carrier.take_kinds() == ["480"]


def test_caller_whose_connection_breaks_stops_the_ringing(box: Box) -> None:
    caller, callee = box.peer("192.0.2.7", 40000, "TCP"), box.peer("192.0.2.2")
    callee.register("1002")
    caller.invite("sip:1002@example.com")
    invite = callee.take_request("INVITE")
    callee.answer(invite, 180)
    caller.flow.closed = True
    box.core.flow_closed(caller.flow)
    callee.take_request("CANCEL")


def test_unknown_headers_pass_byte_for_byte(box: Box) -> None:
    carrier, phone = box.peer("192.0.2.50"), box.peer("192.0.2.2")
    phone.register("1002")
    request = carrier.request("MESSAGE", "sip:1002@example.com", body="Grüße".encode("latin-1"))
    line = 'x-ODD-header :   a,  b;c="d"\r\n\t folded'
    request.keys.append("x-odd-header")
    request.lines.append(line)
    carrier.send(request)
    seen = phone.take_request("MESSAGE")
    assert line in seen.lines
    assert seen.body == "Grüße".encode("latin-1")


def test_prack_update_and_info_follow_the_dialog(box: Box) -> None:
    caller, callee = box.peer("192.0.2.1"), box.peer("192.0.2.2")
    callee.register("1002")
    caller.invite("sip:1002@example.com")
    invite = callee.take_request("INVITE")
    callee.answer(invite, 183)
    progress = caller.take_response(183)
    for number, method in enumerate(("PRACK", "UPDATE"), 3):
        caller.send(caller.in_dialog(method, progress, cseq=number))
        callee.answer(callee.take_request(method), 200)
        assert caller.take_kinds() == ["200"]
    callee.answer(invite, 200)
    ok = caller.take_response(200)
    for number, method in enumerate(("INFO", "REFER", "OPTIONS"), 6):
        caller.send(caller.in_dialog(method, ok, cseq=number))
        callee.answer(callee.take_request(method), 200)
        assert isinstance(caller.take()[0], Response)


def test_large_request_whose_tcp_fails_goes_out_once_over_udp(box: Box) -> None:
    carrier, phone = box.peer("192.0.2.50"), box.peer("192.0.2.2")
    phone.register("1002")
    box.net.flow_to("TCP", phone.address).closed = True
    carrier.send(carrier.request("MESSAGE", "sip:1002@example.com", body=b"x" * 2000))
    box.run(0.1)
    assert phone.take_kinds() == ["MESSAGE"]


def test_second_answer_of_a_fork_neither_ends_nor_revives_the_call(box: Box) -> None:
    carrier, one, other = box.peer("192.0.2.50"), box.peer("192.0.2.2"), box.peer("192.0.2.3")
    one.register("1002")
    other.register("1002")
    carrier.send(carrier.request("INVITE", "sip:1002@example.com"))
    first, second = one.take_request("INVITE"), other.take_request("INVITE")
    one.answer(first, 200, tag="one")
    other.answer(second, 200, tag="other")
    won, late = (m for m in carrier.take() if isinstance(m, Response) and m.status == 200)

    def end(seen: Response, phone: Peer) -> None:
        carrier.send(carrier.in_dialog("BYE", seen))
        phone.answer(phone.take_request("BYE"), 200)

    end(late, other)
    [call] = box.core.calls
    assert call.state.value == "answered"
    end(won, one)
    assert not list(box.core.calls)
    assert call.ending == "the caller hung up"
    other.answer(second, 200, tag="other")
    assert (call.state.value, box.core.calls.answered) == ("ended", 1)
