"""Transfers that the box carries out for a trunk that cannot (RFC 3515, RFC 3891)."""

from __future__ import annotations

import attrs
import pytest

from appliance.config.dialplan import Refer
from appliance.proxy.call import CallState
from appliance.sip.message import Request, Response
from tests.proxy.pretend_net import Box

OFFER = b"v=0\r\no=target 1 1 IN IP4 192.0.2.12\r\ns=-\r\nc=IN IP4 192.0.2.12\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n"
ANSWER = OFFER.replace(b"target", b"carrier").replace(b"192.0.2.12", b"192.0.2.50")


class Office:
    """An agent with a call to the carrier, and a colleague."""

    def __init__(self) -> None:
        box = Box()
        carrier = attrs.evolve(box.settings.trunks["carrier"], refer=Refer.CARRY_OUT)
        self.box = Box(attrs.evolve(box.settings, trunks={**box.settings.trunks, "carrier": carrier}))
        self.agent = self.box.peer("192.0.2.11")
        self.agent.register("1001")
        self.colleague = self.box.peer("192.0.2.12")
        self.colleague.register("1002")
        self.carrier = self.box.peer("192.0.2.50")

    def call_out(self, call_id: str = "out@example.net") -> Response:
        """The agent calls the carrier; the 2xx that the agent saw."""
        self.invite = self.agent.invite("sip:0123@example.com", call_id=call_id)
        self.at_carrier = self.carrier.take_request("INVITE")
        self.carrier.answer(self.at_carrier, 200)
        ok = self.agent.take_response(200)
        self.agent.send(self.agent.in_dialog("ACK", ok, cseq=self.invite.cseq.number))
        assert self.carrier.take_kinds() == ["ACK"]
        return ok

    def refer(self, ok: Response, to: str, *, cseq: int = 5) -> None:
        refer = self.agent.in_dialog("REFER", ok, cseq=cseq)
        refer.append("refer-to", f"<{to}>")
        self.agent.send(refer)
        self.box.run(0.01)

    def settle(self) -> None:
        self.box.run(0.05)

    def notified(self) -> str:
        """The sipfrag of the one NOTIFY that the agent has got, answered."""
        notify = self.agent.take_request("NOTIFY")
        self.agent.answer(notify, 200)
        return notify.body.decode().strip()

    def target_answers(self) -> Request:
        """The colleague answers with an offer, the carrier takes it; the INVITE that the colleague got."""
        invite = self.colleague.take_request("INVITE")
        assert invite.body == b""
        self.colleague.answer(invite, 200, body=OFFER)
        self.settle()
        moved = self.carrier.take_request("INVITE")
        assert moved.body == OFFER
        assert (moved.call_id, moved.to_tag) == (self.at_carrier.call_id, "calleetag")
        self.carrier.answer(moved, 200, body=ANSWER)
        self.settle()
        assert self.carrier.take_kinds() == ["ACK"]
        ack = self.colleague.take_request("ACK")
        assert ack.body == ANSWER
        return invite


@pytest.fixture
def office() -> Office:
    return Office()


def test_a_blind_transfer_joins_the_trunk_with_the_target(office: Office) -> None:
    ok = office.call_out()
    office.refer(ok, "sip:1002@example.com")
    story = office.agent.take()
    assert [m.status if isinstance(m, Response) else m.method for m in story] == [202, "NOTIFY"]
    notify = story[1]
    assert isinstance(notify, Request)
    assert notify.body == b"SIP/2.0 100 Trying\r\n"
    assert notify.get("event") == "refer;id=5"
    office.agent.answer(notify, 200)
    office.target_answers()
    assert office.notified() == "SIP/2.0 200 OK"
    assert office.carrier.take_kinds() == []

    office.agent.send(office.agent.in_dialog("BYE", ok, cseq=6))
    assert office.agent.take_kinds() == ["200"]
    office.settle()
    assert office.carrier.take_kinds() == []  # the carrier's call goes on
    assert len(office.box.core.calls.active) == 2

    office.carrier.send(office.carrier.back("BYE", office.at_carrier, cseq=1))
    office.settle()
    assert office.carrier.take_kinds() == ["200"]
    bye = office.colleague.take_request("BYE")
    office.colleague.answer(bye, 200)
    office.box.run(60)
    assert not office.box.core.calls.active
    assert not office.box.core.inner_flows


def test_the_target_hangs_up_and_the_trunk_hears_it(office: Office) -> None:
    ok = office.call_out()
    office.refer(ok, "sip:1002@example.com")
    invite = office.target_answers()
    office.colleague.send(office.colleague.back("BYE", invite, cseq=1))
    office.settle()
    assert office.colleague.take_kinds() == ["200"]
    bye = office.carrier.take_request("BYE")
    assert bye.cseq.number > office.at_carrier.cseq.number
    office.carrier.answer(bye, 200)
    office.box.run(60)
    assert not office.box.core.calls.active


def test_a_referrer_that_leaves_at_once_does_not_end_the_transfer(office: Office) -> None:
    ok = office.call_out()
    office.refer(ok, "sip:1002@example.com")
    office.agent.send(office.agent.in_dialog("BYE", ok, cseq=6))
    office.settle()
    assert office.carrier.take_kinds() == []
    office.target_answers()


def test_a_referrer_that_stays_is_shown_out(office: Office) -> None:
    ok = office.call_out()
    office.refer(ok, "sip:1002@example.com")
    office.agent.take()
    office.target_answers()
    first = office.agent.take_request("NOTIFY")
    office.agent.answer(first, 200)
    office.box.run(8)
    bye = office.agent.take_request("BYE")
    assert bye.cseq.number > first.cseq.number
    office.agent.answer(bye, 200)
    assert len(office.box.core.calls.active) == 2


def test_a_transfer_that_fails_leaves_the_call_as_it_was(office: Office) -> None:
    ok = office.call_out()
    office.refer(ok, "sip:1002@example.com")
    office.agent.take()
    office.colleague.answer(office.colleague.take_request("INVITE"), 486)
    office.settle()
    assert office.notified() == "SIP/2.0 486 Busy Here"
    assert office.colleague.take_kinds() == ["ACK"]
    # Requests of the carrier reach the agent again, with numbers above those of our NOTIFYs.
    office.carrier.send(office.carrier.back("INFO", office.at_carrier, cseq=1))
    info = office.agent.take_request("INFO")
    assert info.cseq.number > 2
    office.agent.answer(info, 200)
    answered = office.carrier.take_response(200)
    assert answered.cseq.number == 1
    office.agent.send(office.agent.in_dialog("BYE", ok, cseq=7))
    assert office.carrier.take_kinds() == ["BYE"]


def test_a_transfer_that_fails_after_the_referrer_left_ends_the_call(office: Office) -> None:
    ok = office.call_out()
    office.refer(ok, "sip:1002@example.com")
    office.agent.send(office.agent.in_dialog("BYE", ok, cseq=6))
    office.colleague.answer(office.colleague.take_request("INVITE"), 603)
    office.settle()
    assert office.carrier.take_kinds() == ["BYE"]
    office.box.run(60)
    assert not office.box.core.calls.active


def test_a_party_that_gives_up_stops_the_ringing(office: Office) -> None:
    ok = office.call_out()
    office.refer(ok, "sip:1002@example.com")
    invite = office.colleague.take_request("INVITE")
    office.colleague.answer(invite, 180)
    office.carrier.send(office.carrier.back("BYE", office.at_carrier, cseq=1))
    office.agent.answer(office.agent.take_request("BYE"), 200)
    office.settle()
    assert office.colleague.take_kinds() == ["CANCEL"]


def test_a_trunk_that_refuses_the_new_session_costs_the_target_a_bye(office: Office) -> None:
    ok = office.call_out()
    office.refer(ok, "sip:1002@example.com")
    office.agent.take()
    office.colleague.answer(office.colleague.take_request("INVITE"), 200, body=OFFER)
    office.settle()
    office.carrier.answer(office.carrier.take_request("INVITE"), 488)
    office.settle()
    assert office.notified() == "SIP/2.0 488 Not Acceptable Here"
    assert office.colleague.take_kinds() == ["ACK", "BYE"]
    assert office.carrier.take_kinds() == ["ACK"]


def test_glare_is_tried_once_more(office: Office) -> None:
    ok = office.call_out()
    office.refer(ok, "sip:1002@example.com")
    office.colleague.answer(office.colleague.take_request("INVITE"), 200, body=OFFER)
    office.settle()
    office.carrier.answer(office.carrier.take_request("INVITE"), 491)
    office.box.run(5)
    story = office.carrier.take()
    again = next(m for m in story if isinstance(m, Request) and m.method == "INVITE")
    office.carrier.answer(again, 200, body=ANSWER)
    office.settle()
    assert office.carrier.take_kinds() == ["ACK"]


def test_an_attended_transfer_joins_the_two_calls(office: Office) -> None:
    first = office.call_out()
    office.agent.invite("sip:1002@example.com", call_id="second@example.net")
    at_colleague = office.colleague.take_request("INVITE")
    office.colleague.answer(at_colleague, 200, tag="colleaguetag")
    second = office.agent.take_response(200)
    office.agent.send(office.agent.in_dialog("ACK", second, cseq=2))
    office.colleague.take()
    replaces = "second%40example.net%3Bto-tag%3Dcolleaguetag%3Bfrom-tag%3D1001tag"
    office.refer(first, f"sip:1002@example.com?Replaces={replaces}")
    office.agent.take()
    asked = office.colleague.take_request("INVITE")
    assert (asked.call_id, asked.to_tag, asked.body) == ("second@example.net", "colleaguetag", b"")
    office.colleague.answer(asked, 200, body=OFFER)
    office.settle()
    moved = office.carrier.take_request("INVITE")
    assert moved.body == OFFER
    office.carrier.answer(moved, 200, body=ANSWER)
    office.settle()
    assert office.colleague.take_request("ACK").body == ANSWER
    assert office.notified() == "SIP/2.0 200 OK"
    office.agent.send(office.agent.in_dialog("BYE", first, cseq=8))
    office.agent.send(office.agent.in_dialog("BYE", second, cseq=8))
    assert office.agent.take_kinds() == ["200", "200"]
    office.settle()
    office.carrier.take()
    assert office.colleague.take_kinds() == []

    # The two hold and talk on: a re-INVITE crosses with its answer.
    hold = office.carrier.back("INVITE", office.at_carrier, cseq=1, body=ANSWER)
    office.carrier.send(hold)
    office.settle()
    held = office.colleague.take_request("INVITE")
    assert held.body == ANSWER
    office.colleague.answer(held, 200, tag="colleaguetag", body=OFFER)
    office.settle()
    agreed = office.carrier.take_response(200)
    assert agreed.body == OFFER
    ack = office.carrier.back("ACK", office.at_carrier, cseq=1)
    office.carrier.send(ack)
    office.settle()
    assert office.colleague.take_kinds() == ["ACK"]
    office.box.run(5)
    assert office.carrier.take_kinds() == []


def test_the_carriers_call_to_the_agent_is_transferred_too(office: Office) -> None:
    invite = office.carrier.request("INVITE", "sip:1001@example.com", user="anna", call_id="in@example.net")
    invite.set("from", "<sip:anna@192.0.2.50>;tag=annatag")
    office.carrier.send(invite)
    rung = office.agent.take_request("INVITE")
    office.agent.answer(rung, 200, tag="agenttag")
    ok = office.carrier.take_response(200)
    ack = office.carrier.in_dialog("ACK", ok, cseq=1)
    ack.set("from", "<sip:anna@192.0.2.50>;tag=annatag")
    office.carrier.send(ack)
    office.agent.take()
    refer = office.agent.back("REFER", rung, cseq=1, tag="agenttag")
    refer.append("refer-to", "<sip:1002@example.com>")
    office.agent.send(refer)
    office.settle()
    rung_too = office.colleague.take_request("INVITE")
    assert "anna" in rung_too.require("from")
    office.colleague.answer(rung_too, 200, body=OFFER)
    office.settle()
    moved = office.carrier.take_request("INVITE")
    assert (moved.call_id, moved.body) == ("in@example.net", OFFER)


def test_a_target_that_nobody_may_call_is_refused_to_the_referrer(office: Office) -> None:
    ok = office.call_out()
    office.refer(ok, "sip:1002@elsewhere.example")
    office.settle()
    story = office.agent.take()
    last = story[-1]
    assert isinstance(last, Request)
    assert last.body.startswith(b"SIP/2.0 403")
    [call] = office.box.core.calls.active.values()
    assert call.state is CallState.ANSWERED


@pytest.mark.parametrize("refer_to", ["mailto:x@example.com", "sip:1002@example.com;method=BYE"])
def test_what_is_no_call_is_declined(office: Office, refer_to: str) -> None:
    ok = office.call_out()
    office.refer(ok, refer_to)
    assert office.agent.take_kinds() == ["603"]


def test_other_trunks_get_the_refer_themselves(office: Office) -> None:
    office.agent.invite("sip:9123@example.com", call_id="nine@example.net")
    other = office.box.peer("192.0.2.51")
    other.answer(other.take_request("INVITE"), 200)
    ok = office.agent.take_response(200)
    office.refer(ok, "sip:1002@example.com")
    assert "REFER" in other.take_kinds()
