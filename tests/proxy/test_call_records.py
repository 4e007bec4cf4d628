"""What each kind of call leaves as its record."""

from __future__ import annotations

import json

import attrs

from appliance.proxy.call import Call
from appliance.proxy.call_detail import detail_of
from appliance.proxy.call_record import record_of_refusal, texts_of_call
from appliance.proxy.refusals import Refusal
from appliance.proxy.stored_call import detail_of_record
from appliance.proxy.verdict import verdict
from appliance.storage.call_record import CallRecord
from appliance.storage.record_line import CALLS, values_of

from .pretend_net import Box
from .test_groups import CALLER, settings_with, trunk
from .test_verdict import leg, media


class Recorded:
    """A box and the records of its calls."""

    def __init__(self, box: Box) -> None:
        self.box = box
        self.caller = box.peer(CALLER)
        self.records: list[CallRecord] = []
        box.core.calls.record = self._call
        box.core.refusals.record = self._refusal

    def _call(self, call: Call) -> None:
        texts = texts_of_call(call, self.box.settings, self.box.core.hiding.call_ids)
        read = {"VARCHAR": str, "DOUBLE": float}
        values = [
            read.get(kind, int)(text) if text or kind == "VARCHAR" else None
            for text, (_, kind) in zip(texts, list(CALLS.types.items())[1:], strict=True)
        ]
        assert values_of(CALLS.line(texts))[1:] == list(texts)
        self._keep(CALLS.record_of((0, *values)))

    def _refusal(self, refused: Refusal) -> None:
        self._keep(record_of_refusal(refused, self.box.settings))

    def _keep(self, record: CallRecord) -> None:
        assert CALLS.line_of(record)
        self.records.append(record)

    def call(self, number: str, **more: object) -> str:
        """An INVITE of the PBX; gives its Call-ID."""
        call_id = f"call-to-{number}@example.net"
        self.caller.send(self.caller.request("INVITE", f"sip:{number}@example.com", call_id=call_id, **more))  # type: ignore[arg-type]
        return call_id


A1, A2 = "192.0.2.61", "192.0.2.62"


def box_with(**more: object) -> Recorded:
    return Recorded(Box(settings_with(None, trunk("a", A1, A2, tenant="north", **more))))


def test_an_answered_call_tells_both_ends_its_times_and_who_hung_up() -> None:
    recorded = box_with()
    box = recorded.box
    call_id = recorded.call("8001")
    callee = box.peer(A1)
    invite = callee.take_request("INVITE")
    box.run(0.4)
    callee.answer(invite, 180)
    box.run(1.6)
    callee.answer(invite, 200)
    seen = recorded.caller.take_response(200)
    recorded.caller.send(recorded.caller.in_dialog("ACK", seen, cseq=1))
    box.run(10)
    bye = callee.back("BYE", invite)
    bye.append("reason", 'Q.850;cause=16;text="Normal call clearing"')
    callee.send(bye)
    recorded.caller.answer(recorded.caller.take_request("BYE"), 200)
    [record] = recorded.records
    assert (record.call_id, record.source_kind, record.source) == (call_id, "trunk", "pbx")
    assert record.source_address == f"{CALLER}:5060"
    assert (record.trunk, record.gateway, record.tenant) == ("a", A1, "north")
    assert (record.called, record.status, record.route) == ("8001", 200, "80-first")
    assert (record.pdd_ms, record.talk_ms) == (400, 10_000)
    assert record.answered_ms is not None
    assert record.answered_ms - record.started_ms == 2000
    assert (record.ended_by, record.ending, record.cause) == ("callee", "the callee hung up", 16)
    assert "route 80-first" in record.explanation


def test_a_side_that_was_never_heard_is_told_and_judged_later_as_on_the_day() -> None:
    recorded = box_with()
    box = recorded.box
    recorded.call("8001")
    callee = box.peer(A1)
    callee.answer(callee.take_request("INVITE"), 200)
    seen = recorded.caller.take_response(200)
    recorded.caller.send(recorded.caller.in_dialog("ACK", seen, cseq=1))
    box.run(20)
    recorded.caller.send(recorded.caller.in_dialog("BYE", seen, cseq=2))
    callee.answer(callee.take_request("BYE"), 200)
    [call] = box.core.calls.ended
    call.last_media, call.leg = media(leg("a"), leg("b1", 0)), "b1"
    recorded._call(call)
    heard, silent = recorded.records
    assert (heard.sound, heard.remedy) == ("", "")
    assert silent.sound.startswith(f"One-way audio: the callee (trunk a, gateway {A1}) was never heard in all 20 s")
    then = verdict(detail_of(call, call.ended_at or 0.0))
    later = verdict(detail_of_record(silent))
    assert (later.sentence, later.remedy, later.tone) == (then.sentence, then.remedy, then.tone)
    told = [(one.way, one.packets, one.mos) for one in detail_of_record(silent).measured]
    ways = ("from the caller", "to the caller", "from the called", "to the called")
    assert told == list(zip(ways, (1000, 1, 0, 1), (4.4,) * 4, strict=True))


def test_each_gateway_that_was_tried_stands_in_the_record() -> None:
    recorded = box_with()
    recorded.call("8001")
    for host, status in ((A1, 503), (A2, 486)):
        peer = recorded.box.peer(host)
        recorded.box.run(0.25)
        peer.answer(peer.take_request("INVITE"), status)
    [record] = recorded.records
    first, second = json.loads(record.attempts)
    assert (first["gateway"], first["status"], first["pdd_ms"], first["length_ms"]) == (A1, 503, 250, 250)
    assert (second["gateway"], second["status"]) == (A2, 486)
    assert (record.status, record.gateway, record.ended_by, record.talk_ms) == (486, A2, "callee", None)


def test_a_call_that_the_caller_gives_up_is_his() -> None:
    recorded = box_with()
    invite = recorded.caller.request("INVITE", "sip:8001@example.com")
    recorded.caller.send(invite)
    callee = recorded.box.peer(A1)
    taken = callee.take_request("INVITE")
    callee.answer(taken, 180)
    recorded.caller.cancel(invite)
    callee.answer(taken, 487)
    [record] = recorded.records
    assert (record.status, record.ended_by, record.ending) == (487, "caller", "the caller gave up")


def test_a_refused_invite_leaves_a_record_too_and_a_challenge_none() -> None:
    recorded = box_with()
    recorded.call("999")
    stranger = recorded.box.peer("198.51.100.7")
    stranger.send(stranger.request("INVITE", "sip:999@example.com"))
    [record] = recorded.records
    assert (record.serial, record.status, record.ended_by) == (recorded.box.core.refusals.latest[-1].serial, 404, "box")
    assert record.why == "no-route"
    assert "no route matches" in record.ending


def test_a_call_that_finds_the_box_full_names_the_limit() -> None:
    recorded = box_with()
    recorded.box.core.calls.limit = 0
    recorded.call("8001")
    [record] = recorded.records
    assert (record.status, record.refusal, record.cause) == (503, "box-full", 42)


def test_a_line_that_refuses_leaves_one_record() -> None:
    recorded = Recorded(Box())
    phone = recorded.box.peer("192.0.2.20")
    phone.invite("sip:5000@example.com", body=b"v=0 this is no session description")
    assert len(recorded.records) == 1
    assert recorded.records[0].source == "1001"


def test_an_ipv6_address_is_told_from_its_port() -> None:
    recorded = box_with()
    recorded.call("999")
    refused = attrs.evolve(recorded.box.core.refusals.latest[-1], source=("2001:db8::7", 5060))
    assert record_of_refusal(refused, recorded.box.settings).source_address == "[2001:db8::7]:5060"
