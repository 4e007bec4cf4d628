"""Limits on the whole core: reached exactly, released exactly, the next target tried before refusing."""

from __future__ import annotations

import attrs
import pytest

from appliance.config.admission import LimitSettings
from appliance.config.setting import declarations
from appliance.sip.message import Request

from .pretend_net import Box, Peer, _settings

CARRIER, CARRIER_PEER = "192.0.2.50", ("192.0.2.50", 5060)


def limit(name: str, **written: str) -> LimitSettings:
    """A [limit NAME] with the values as in a file."""
    kinds = {one.attribute: one.kind for one in declarations(LimitSettings)}
    return LimitSettings(name=name, **{key: kinds[key].read(value) for key, value in written.items()})


def box_with(*limits: LimitSettings, **more: object) -> Box:
    settings = attrs.evolve(_settings(), limits={one.name: one for one in limits}, **more)
    return Box(settings)


def used(box: Box, name: str = "") -> int:
    return sum(one.calls for one in box.core.admission.states() if not name or one.name == name)


def carrier_calls(box: Box, number: int, **more: object) -> tuple[Peer, Request]:
    carrier = box.peer(*CARRIER_PEER)
    invite = carrier.request("INVITE", "sip:1002@example.com", call_id=f"c{number}", **more)  # type: ignore[arg-type]
    carrier.send(invite)
    return carrier, invite


def phone(box: Box) -> Peer:
    callee = box.peer("192.0.2.2")
    callee.register("1002")
    return callee


def test_calls_at_a_time_are_refused_exactly_and_come_free_exactly() -> None:
    box = box_with(limit("lines", scope="trunk:carrier", calls="2"))
    callee = phone(box)
    carrier, _ = carrier_calls(box, 1)
    carrier_calls(box, 2)
    carrier_calls(box, 3)
    refused = carrier.take_response(503)
    assert refused.get("reason") == 'Q.850;cause=34;text="No circuit/channel available"'
    assert 2 <= int(refused.require("retry-after")) <= 10
    assert box.core.refusals.latest[0].cause == "limit lines (trunk:carrier): 2 of 2 calls"
    assert used(box) == 2
    first, _ = [one for one in callee.take() if isinstance(one, Request)]
    callee.answer(first, 200)
    ok = carrier.take_response(200)
    carrier.send(carrier.in_dialog("BYE", ok))
    callee.answer(callee.take_request("BYE"), 200)
    assert used(box) == 1
    carrier_calls(box, 4)
    assert carrier.take_kinds() == ["200"]
    assert used(box) == 2


def test_a_full_trunk_is_passed_over_for_the_next_target_and_refuses_when_there_is_none() -> None:
    box = box_with(limit("lines", scope="trunk:two", direction="out", calls="1"))
    caller = box.peer("192.0.2.1")
    caller.invite("sip:9123@example.com")
    assert used(box) == 1
    caller.invite("sip:9123@example.com", call_id="second")
    refused = caller.take_response(503)
    assert "cause=34" in refused.require("reason")
    assert "limit lines (trunk:two): 1 of 1 calls" in box.core.calls.ended[0].ending
    assert used(box) == 1


def test_nothing_is_charged_where_one_of_several_limits_is_full() -> None:
    box = box_with(
        limit("a", scope="box", calls="10", rate="5/s", burst="5"),
        limit("b", scope="trunk:carrier", calls="0"),
    )
    phone(box)
    carrier, _ = carrier_calls(box, 1)
    assert carrier.take_kinds() == ["503"]
    [whole] = [one for one in box.core.admission._limits.values() if one.settings.name == "a"]
    assert whole.used == 0
    assert whole.rate is not None
    assert whole.rate.level(box.now) == 5


def test_a_users_calls_are_counted_for_each_and_refused_busy() -> None:
    box = box_with(limit("one-each", scope="user:each", calls="1"))
    callee = phone(box)
    carrier, _ = carrier_calls(box, 1)
    carrier_calls(box, 2)
    refused = carrier.take_response(486)
    assert refused.get("reason") == 'Q.850;cause=17;text="User busy"'
    assert "retry-after" not in refused
    callee.answer(callee.take_request("INVITE"), 486)
    assert used(box) == 0


def test_calls_a_second_follow_the_token_bucket() -> None:
    box = box_with(limit("cps", scope="box", rate="2/s", burst="3"))
    phone(box)
    carrier = box.peer(*CARRIER_PEER)
    for number in range(5):
        carrier_calls(box, number)
    assert [kind for kind in carrier.take_kinds() if kind != "100"] == ["503", "503"]
    box.run(0.5)
    carrier.take()
    carrier_calls(box, 5)
    carrier_calls(box, 6)
    assert [kind for kind in carrier.take_kinds() if kind != "100"] == ["503"]


def test_a_spike_is_cut_by_the_sliding_window() -> None:
    box = box_with(limit("spike", scope="source:each", spike="2 in 4 x 100 ms"))
    phone(box)
    carrier = box.peer(*CARRIER_PEER)
    for number in range(3):
        carrier_calls(box, number)
    assert carrier.take_kinds() == ["503"]
    box.run(0.3)
    carrier.take()
    carrier_calls(box, 4)
    assert "503" in carrier.take_kinds()
    box.run(0.2)
    carrier.take()
    carrier_calls(box, 5)
    assert "503" not in carrier.take_kinds()


def test_an_emergency_call_passes_a_full_limit_and_counts() -> None:
    box = box_with(limit("none", scope="box", calls="0"))
    caller = box.peer("192.0.2.1")
    caller.invite("sip:0112@example.com")
    assert caller.take_kinds() == ["503"]
    route = attrs.evolve(box.settings.routes["20-carrier"], name="05-sos", match=(_match("exact:112"),))
    box = box_with(limit("none", scope="box", calls="0"), routes={**box.settings.routes, "05-sos": route})
    caller = box.peer("192.0.2.1")
    caller.invite("sip:112@example.com")
    assert caller.take_kinds() == []
    assert used(box) == 1
    box.run(400)
    assert used(box) == 0


def _match(text: str):  # type: ignore[no-untyped-def]
    from appliance.config.patch import match

    return match().read(text)


@pytest.mark.parametrize("believed", [True, False])
def test_resource_priority_is_believed_from_trusted_trunks_only(believed: bool) -> None:
    from appliance.config.admission import PrioritySettings

    priority = PrioritySettings(namespaces=("ets",), trusted=("trunks",) if believed else ())
    box = box_with(limit("few", scope="box", calls="0", priority="exempt"), priority=priority)
    phone(box)
    carrier, _ = carrier_calls(box, 1, headers=(("resource-priority", "wps.3, ETS.0"),))
    assert ("503" in carrier.take_kinds()) is not believed


def test_calls_that_stand_count_in_a_limit_that_a_reload_brings() -> None:
    box = box_with(limit("whole", scope="box", calls="10"))
    phone(box)
    carrier_calls(box, 1)
    settings = attrs.evolve(box.settings, limits={"lines": limit("lines", scope="trunk:carrier", calls="1")})
    box.core.admission.configure(settings, box.now)
    assert [(one.name, one.calls) for one in box.core.admission.states()] == [("lines", 1)]
    carrier, _ = carrier_calls(box, 2)
    assert "503" in carrier.take_kinds()


def test_messages_are_limited_apart_from_calls() -> None:
    box = box_with(limit("m", scope="user:each", message_rate="1/s"))
    phone(box)
    caller = box.peer("192.0.2.1")
    answers: list[str] = []
    for number in range(3):
        request = caller.request("MESSAGE", "sip:1002@example.com", call_id=f"m{number}")
        caller.send(request)
        caller.send(caller.authorized(caller.take_response(407), request))
        answers += caller.take_kinds()
    assert answers == ["503"]


def test_a_lease_without_its_call_is_found_and_told() -> None:
    box = box_with(limit("whole", scope="box", calls="10"))
    phone(box)
    carrier_calls(box, 1)
    [call] = box.core.calls
    call.lease = None  # as a fault of ours would
    box.core.calls.end(call, "gone", box.core.wall())
    assert used(box) == 1
    box.core.sweep()
    assert used(box) == 0
    assert box.core.counters.lost_leases == 1


def test_registrations_are_counted_by_what_is_registered() -> None:
    box = box_with(limit("r", scope="box", registrations="1"))
    one, two = box.peer("192.0.2.1"), box.peer("192.0.2.2")
    one.register("1001")
    request = two.request("REGISTER", "sip:example.com", user="1002", to="<sip:1002@example.com>")
    two.send(request)
    two.send(two.authorized(two.take_response(401), request, "1002"))
    assert "cause=47" in two.take_response(503).require("reason")
    box.run(8000)
    box.core.sweep()
    two.register("1002")
    [state] = box.core.admission.states()
    assert (state.registrations, state.registrations_size) == (1, 1)


def test_calls_from_before_the_first_limit_count_in_it() -> None:
    box = Box()
    phone(box)
    carrier_calls(box, 1)
    settings = attrs.evolve(box.settings, limits={"lines": limit("lines", scope="trunk:carrier", calls="1")})
    core = box.core
    core.configure(settings, ("192.0.2.9", "example.com"), (5060,), core.initial._authenticator)
    assert used(box) == 1
    carrier, _ = carrier_calls(box, 2)
    assert "503" in carrier.take_kinds()
    for call in core.calls:
        core.calls.end(call, "over", core.wall())
    assert used(box) == 0


def test_a_group_counts_what_comes_in_and_goes_out_by_its_trunks() -> None:
    from appliance.config.groups import GroupSettings, Member

    group = GroupSettings(name="all", members=(Member("carrier"), Member("two")))
    box = box_with(limit("g", scope="group:all", calls="1"), groups={"all": group})
    phone(box)
    carrier_calls(box, 1)
    carrier_calls(box, 2)
    assert "limit g (group:all): 1 of 1 calls" in box.core.refusals.latest[0].cause


def _sdp(payload_types: str) -> bytes:
    lines = ["v=0", "o=- 1 1 IN IP4 192.0.2.1", "s=-", "c=IN IP4 192.0.2.1", "t=0 0"]
    return "\r\n".join([*lines, f"m=audio 4000 RTP/AVP {payload_types}", ""]).encode()


def test_bandwidth_is_reserved_by_the_offer_settled_by_the_answer_and_asked_for_again() -> None:
    box = box_with(limit("kbit", scope="trunk:carrier", audio_bandwidth="110"))
    callee = phone(box)
    admission = box.core.admission

    def taken() -> int:
        return sum(one.audio for one in admission.states())

    carrier, _ = carrier_calls(box, 1, body=_sdp("18 0"))
    assert taken() == 80_000
    carrier_calls(box, 2, body=_sdp("0"))
    refused = carrier.take_response(503)
    assert "cause=49" in refused.require("reason")
    assert "80 of 110 kbit/s audio used, 80 more wanted" in box.core.refusals.latest[0].cause
    callee.answer(callee.take_request("INVITE"), 200, body=_sdp("18"))
    assert taken() == 24_000
    ok = carrier.take_response(200)
    carrier.send(carrier.in_dialog("ACK", ok, cseq=1))
    carrier_calls(box, 3, body=_sdp("0"))
    assert taken() == 104_000
    carrier.take()
    callee.take()
    carrier.send(carrier.in_dialog("INVITE", ok, cseq=4, body=_sdp("0")))
    refused = carrier.take_response(488)
    assert "cause=49" in refused.require("reason")
    assert callee.take_kinds() == []
    assert taken() == 104_000
    for call in list(box.core.calls):
        if call.call_id == "c3":
            box.core.calls.end(call, "over", box.core.wall())
    carrier.send(carrier.in_dialog("INVITE", ok, cseq=5, body=_sdp("0")))
    again = callee.take_request("INVITE")
    assert taken() == 80_000
    callee.answer(again, 488)
    assert taken() == 24_000
    carrier.take()
    carrier.send(carrier.in_dialog("UPDATE", ok, cseq=6, body=_sdp("0")))
    callee.answer(callee.take_request("UPDATE"), 200, body=_sdp("0"))
    assert taken() == 80_000
    carrier.send(carrier.in_dialog("BYE", ok, cseq=7))
    callee.answer(callee.take_request("BYE"), 200)
    assert taken() == 0


def test_video_is_limited_apart() -> None:
    box = box_with(limit("kbit", scope="box", video_bandwidth="1000"))
    phone(box)
    video = b"m=video 4002 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\nb=AS:600\r\n"
    carrier, _ = carrier_calls(box, 1, body=_sdp("0") + video)
    carrier_calls(box, 2, body=_sdp("0"))
    assert "503" not in carrier.take_kinds()
    carrier_calls(box, 3, body=_sdp("0") + video)
    assert "503" in carrier.take_kinds()


def test_what_is_used_of_each_limit_is_shown() -> None:
    from appliance.proxy.overview import capacity

    box = box_with(limit("lines", scope="trunk:each", calls="1", rate="2/s"), limit("idle", scope="box", calls="7"))
    phone(box)
    carrier_calls(box, 1)
    carrier_calls(box, 2)
    shown = {(one.limit, one.scope, one.what): (one.used, one.size, one.refused) for one in capacity(box.core)}
    assert shown["max-calls of [sip]", "box", "calls"] == (1, 50000, 0)
    assert shown["lines", "trunk carrier", "calls"] == (1, 1, 1)
    assert shown["lines", "trunk carrier", "calls at once, 2/s"] == (1, 2, 1)
    assert shown["idle", "box", "calls"] == (1, 7, 0)
    assert box.core.admission.refusals() == {("idle",): 0, ("lines",): 1}


def test_a_share_is_kept_for_priority_and_emergency_calls_pass_the_boxs_own_size() -> None:
    from appliance.config.admission import PrioritySettings

    box = box_with(
        limit("most", scope="box", calls="2", reserve="50 %", rate="9/s", burst="1"),
        priority=PrioritySettings(namespaces=("wps.0",)),
    )
    phone(box)
    carrier_calls(box, 1)
    box.run(1)
    carrier, _ = carrier_calls(box, 2)
    assert "503" in carrier.take_kinds()
    carrier_calls(box, 3, headers=(("resource-priority", "wps.0"),))
    assert "503" not in carrier.take_kinds()
    assert used(box) == 2
