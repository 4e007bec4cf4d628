"""Gateways that are watched: pings, stand-down and probation in a whole core, drain and block."""

from __future__ import annotations

import attrs

from appliance.config.groups import Algorithm, WhenDown
from appliance.config.health import HealthSettings
from appliance.config.settings import Settings
from appliance.router.gateway import Hold, Standing
from appliance.sip.message import Request
from appliance.transport.options import Target

from .pretend_net import Box
from .test_groups import A1, A2, B1, Calling, group, offered, settings_with, trunk

PINGED = HealthSettings(name="h", ping_interval_s=10.0, ping_from="watch", ping_to="probe")
BY_CALLS = HealthSettings(name="h", ping_interval_s=None, fail_after=1)


def watched(health: HealthSettings, *gateways: str, **more: object) -> Settings:
    settings = settings_with(None, trunk("a", *gateways, health="h", **more))
    return attrs.evolve(settings, health={"h": health})


def pings(box: Box, host: str) -> list[Request]:
    return [one for one in box.peer(host).take() if isinstance(one, Request) and one.method == "OPTIONS"]


def run_answering(box: Box, seconds: float, answers: dict[str, int | None]) -> dict[str, int]:
    """Time passes; each ping is answered with the status of its host, or not at all. How many pings came."""
    seen = dict.fromkeys(answers, 0)
    branches = set()
    for _ in range(int(seconds * 4)):
        box.run(0.25)
        for host, status in answers.items():
            for ping in pings(box, host):
                seen[host] += ping.via.branch not in branches
                branches.add(ping.via.branch)
                if status is not None:
                    box.peer(host).answer(ping, status)
    return seen


def test_each_gateway_is_pinged_in_its_own_time() -> None:
    box = Box(watched(PINGED, A1, A2))
    seen = run_answering(box, 100, {A1: 200, A2: 404})
    assert all(9 <= count <= 12 for count in seen.values())
    living = box.core.hunts.gateways.of("a", A1)
    assert living.pings == {True: seen[A1], False: 0}
    assert living.latency_s(box.now) is not None


def test_a_ping_says_what_the_settings_say() -> None:
    box = Box(watched(PINGED, f"{A1}:5080"))
    box.run(3)
    [ping] = [one for one in box.peer(A1, 5080).take() if isinstance(one, Request)][:1]
    assert str(ping.from_.uri) == "sip:watch@example.com"
    assert ping.uri == f"sip:probe@{A1}:5080"
    assert ping.to_tag is None


def test_who_does_not_answer_pings_gets_no_calls_until_he_does() -> None:
    box = Box(watched(PINGED, A1, A2, when_down=WhenDown.SKIP))
    run_answering(box, 45, {A1: None, A2: 200})
    living = box.core.hunts.gateways.of("a", A1)
    assert living.standing(box.now) is Standing.OUT
    calling = Calling(box)
    assert calling.firsts("8001", 4, A1, A2) == {A2: 4}
    assert "a 192.0.2.61 not at all, down, 3 pings failed" in box.core.calls.ended[0].route
    run_answering(box, 25, {A1: 200, A2: 200})
    assert calling.firsts("8001", 4, A1, A2)[A1] == 2  # on probation: two calls in five seconds


def test_with_nobody_in_service_the_call_is_refused_with_the_reason_or_all_are_tried() -> None:
    box = Box(watched(PINGED, A1, when_down=WhenDown.SKIP))
    run_answering(box, 45, {A1: 503})
    calling = Calling(box)
    calling.call("8001")
    assert "503" in calling.caller.take_kinds()
    assert (
        "a 192.0.2.61 not at all, down, 3 pings failed, the last was answered 503" in box.core.refusals.latest[0].cause
    )
    box = Box(watched(PINGED, A1))
    run_answering(box, 45, {A1: 503})
    Calling(box).call("8001")
    assert offered(box, A1) == [A1]


def test_one_silent_gateway_costs_one_call_its_time_and_the_next_calls_nothing() -> None:
    box = Box(watched(BY_CALLS, A1, A2))
    calling = Calling(box)
    calling.call("8001")
    assert offered(box, A1, A2) == [A1]
    box.run(4.6)
    assert offered(box, A2) == [A2]
    assert calling.firsts("8001", 3, A1, A2) == {A2: 3}


def test_probation_in_a_whole_core() -> None:
    box = Box(watched(BY_CALLS, A1, A2, algorithm=Algorithm.ROUND_ROBIN))
    calling = Calling(box)
    calling.call("8001")
    assert offered(box, A1) == [A1]
    box.run(4.6)
    box.peer(A1).take()
    [invite, *_] = box.peer(A2).take()
    assert isinstance(invite, Request)
    box.peer(A2).answer(invite, 486)
    assert calling.firsts("8001", 6, A1, A2) == {A2: 6}
    box.run(31)
    for host in (A1, A2):
        box.peer(host).take()
    assert calling.firsts("8001", 20, A1, A2)[A1] == 2
    for _ in range(2):
        box.run(6)
        calling.firsts("8001", 20, A1, A2)
    assert calling.firsts("8001", 20, A1, A2) == {A1: 10, A2: 10}


def test_a_gateway_given_by_name_is_in_service_while_one_of_its_addresses_answers() -> None:
    box = Box(watched(PINGED, "gw.example.net"))
    box.net.names["gw.example.net"] = [Target("UDP", A1, 5060), Target("UDP", A2, 5060)]
    run_answering(box, 60, {A1: None, A2: 200})
    assert box.core.hunts.gateways.of("a", "gw.example.net").standing(box.now) is Standing.IN
    run_answering(box, 60, {A1: None, A2: 503})
    assert box.core.hunts.gateways.of("a", "gw.example.net").standing(box.now) is Standing.OUT


def test_a_name_that_nobody_resolves_is_down_and_holds_up_nobody() -> None:
    box = Box(watched(PINGED, "gw.example.net", A2))
    box.net.silent_names.add("gw.example.net")
    run_answering(box, 45, {A2: 200})
    assert box.core.hunts.gateways.of("a", "gw.example.net").standing(box.now) is Standing.OUT
    assert box.core.hunts.gateways.of("a", A2).standing(box.now) is Standing.IN


def test_a_drained_gateway_keeps_its_calls_and_gets_no_new_ones() -> None:
    settings = settings_with(group("a", "b"), trunk("a", A1), trunk("b", B1))
    box = Box(settings)
    calling = Calling(box)
    calling.call("7001")
    peer = box.peer(A1)
    peer.answer(peer.take_request("INVITE"), 200)
    box.core.hunts.hold("a", A1, Hold.DRAINED)
    assert calling.firsts("7001", 3, A1, B1) == {B1: 3}
    assert [call.state.value for call in box.core.calls] == ["answered"]
    assert box.core.hunts.gateways.of("a", A1).calls == 1
    calling.call("8001")
    assert "503" in calling.caller.take_kinds()
    assert "drained, by hand" in box.core.refusals.latest[0].cause
    box.core.hunts.hold("a", A1, Hold.NONE)
    assert calling.firsts("7001", 3, A1, B1) == {A1: 3}


def test_a_blocked_gateway_is_not_even_pinged() -> None:
    box = Box(watched(PINGED, A1, A2))
    box.core.hunts.hold("a", A1, Hold.BLOCKED)
    assert run_answering(box, 30, {A1: 200, A2: 200})[A1] == 0


def test_health_and_hold_live_through_a_reload_that_keeps_the_gateway() -> None:
    settings = watched(PINGED, A1, A2)
    box = Box(settings)
    run_answering(box, 45, {A1: None, A2: 200})
    box.core.hunts.hold("a", A2, Hold.DRAINED)
    box.core.hunts.configure(settings, box.now, box.core.wall())
    box.core.pinger.configure(settings)
    assert box.core.hunts.gateways.of("a", A1).standing(box.now) is Standing.OUT
    assert box.core.hunts.gateways.of("a", A2).standing(box.now) is Standing.HELD
    assert 2 <= run_answering(box, 30, {A1: 200, A2: 200})[A1] <= 4


def test_pings_end_with_the_setting() -> None:
    settings = watched(PINGED, A1)
    box = Box(settings)
    box.core.pinger.configure(attrs.evolve(settings, health={"h": BY_CALLS}))
    box.run(100)
    assert pings(box, A1) == []
    assert len(box.timers) == 0
