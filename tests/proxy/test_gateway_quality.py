"""Routing by quality in a whole core: who is put back, how the call tells it, what outlives a restart."""

from __future__ import annotations

from pathlib import Path

import attrs
import trio

from appliance.config.groups import Algorithm
from appliance.config.quality import Marks, QualitySettings
from appliance.config.settings import Settings
from appliance.proxy.gateway_figures import GateFigures
from appliance.router.outcome import AttemptOutcome, CallOutcome, End
from appliance.sip.message import Request

from .pretend_net import Box
from .test_groups import A1, A2, B1, Calling, group, settings_with, trunk

QUALITY = QualitySettings(name="q", least_samples=10, least_asr=Marks(40, 50), probe_share=10)


def measured(*gateways: str, **more: object) -> Settings:
    settings = settings_with(None, trunk("a", *gateways, quality="q", **more))
    return attrs.evolve(settings, qualities={"q": QUALITY})


def fail_at(box: Box, calling: Calling, host: str, count: int) -> None:
    """Calls that `host` refuses for reasons of its own, until it has had `count` of them."""
    while count:
        call_id = calling.call("8001")
        for other in (A1, A2, B1):
            peer = box.peer(other)
            for message in peer.take():
                if isinstance(message, Request) and message.method == "INVITE" and message.call_id == call_id:
                    count -= other == host
                    peer.answer(message, 500 if other == host else 200)
                    peer.take()
        for other in (A1, A2, B1):
            peer = box.peer(other)
            for message in peer.take():
                if isinstance(message, Request) and message.method == "INVITE" and message.call_id == call_id:
                    peer.answer(message, 200)
                    peer.take()
        calling.caller.take()


def test_a_gateway_that_completes_too_few_calls_comes_after_the_others_but_is_still_probed() -> None:
    box = Box(measured(A1, A2))
    calling = Calling(box)
    fail_at(box, calling, A1, 10)
    seen = calling.firsts("8001", 40, A1, A2)
    assert seen == {A1: 4, A2: 36}
    told = [call.route for call in box.core.calls.ended if "put back" in call.route]
    assert f"trunk a by priority: a {A2}, then a {A1}; a {A1} last, put back for its quality, ASR 0 % of" in told[0]


def test_with_all_of_them_put_back_all_are_tried_by_the_algorithm() -> None:
    box = Box(measured(A1, A2, algorithm=Algorithm.ROUND_ROBIN))
    for host in (A1, A2):
        quality = box.core.hunts.gateways.of("a", host).quality
        assert quality is not None
        for _ in range(20):
            living = box.core.hunts.gateways.of("a", host)
            quality.attempt(AttemptOutcome(living, "", "8001", End.SILENT, 408, box.now), box.core.wall())
    seen = Calling(box).firsts("8001", 20, A1, A2)
    assert sum(seen.values()) == 20
    assert min(seen.values()) >= 8


def test_in_a_group_a_trunk_that_is_put_back_comes_after_the_others() -> None:
    settings = settings_with(group("a", "b"), trunk("a", A1, quality="q"), trunk("b", B1))
    box = Box(attrs.evolve(settings, qualities={"q": QUALITY}))
    living = box.core.hunts.gateways.of("a", A1)
    assert living.quality is not None
    for _ in range(20):
        living.quality.attempt(AttemptOutcome(living, "", "7001", End.SILENT, 408, box.now), box.core.wall())
    assert Calling(box).firsts("7001", 20, A1, B1) == {A1: 2, B1: 18}


def test_each_attempt_and_each_call_is_told_once() -> None:
    box = Box(measured(A1, A2))
    attempts: list[AttemptOutcome] = []
    calls: list[CallOutcome] = []
    box.core.outcomes.of_attempts.append(attempts.append)
    box.core.outcomes.of_calls.append(calls.append)
    calling = Calling(box)
    calling.call("8001")
    first, second = box.peer(A1), box.peer(A2)
    invite = first.take_request("INVITE")
    box.run(0.3)
    first.answer(invite, 503)
    invite = second.take_request("INVITE")
    box.run(0.2)
    second.answer(invite, 180)
    box.run(2)
    second.answer(invite, 200)
    second.answer(invite, 200)
    box.run(60)
    [call] = box.core.calls
    call.hang_up("enough")
    box.run(400)
    assert [(one.gateway.name, one.end, one.status, one.number) for one in attempts] == [
        (A1, End.REFUSED, 503, "8001"),
        (A2, End.ANSWERED, 200, "8001"),
    ]
    assert attempts[1].pdd_s is not None
    assert abs(attempts[1].pdd_s - 0.2) < 0.01
    assert attempts[1].ring_s is not None
    assert abs(attempts[1].ring_s - 2) < 0.01
    [ended] = calls
    assert 59 < ended.talked_s < 62
    assert box.core.hunts.gateways.of("a", A2).calls == 0


async def test_figures_are_written_at_the_end_and_read_at_the_start(tmp_path: Path) -> None:
    box = Box(measured(A1, A2))
    fail_at(box, Calling(box), A1, 10)
    async with trio.open_nursery() as nursery:
        await nursery.start(GateFigures(box.core.hunts.gateways, tmp_path, box.core.wall).run)
        nursery.cancel_scope.cancel()
    again = Box(measured(A1, A2))
    GateFigures(again.core.hunts.gateways, tmp_path, again.core.wall).load()
    assert Calling(again).firsts("8001", 5, A1, A2) == {A2: 5}


def test_damaged_figures_are_begun_anew(tmp_path: Path) -> None:
    for text in (b"", b"[]", b'{"gateways": [{"trunk": "a", "gateway": "192.0.2.61", "scores": {"": {}}}]}', b"\xff"):
        (tmp_path / "quality.json").write_bytes(text)
        box = Box(measured(A1, A2))
        GateFigures(box.core.hunts.gateways, tmp_path, box.core.wall).load()
        assert Calling(box).firsts("8001", 2, A1, A2) == {A1: 2}
