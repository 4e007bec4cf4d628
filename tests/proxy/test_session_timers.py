"""Session timers (RFC 4028) on the whole core: refused, set, shortened, refreshed, run out."""

from __future__ import annotations

import attrs
import pytest

from appliance.config.session_timers import SessionTimerSettings
from appliance.sip.message import Request

from .pretend_net import Box, Peer, _settings
from .test_admission import limit

TIMER = (("supported", "timer"),)


def box_with(interval_s: float | None = None, least_s: float = 90) -> Box:
    timers = SessionTimerSettings(interval_s=interval_s, least_s=least_s)
    return Box(attrs.evolve(_settings(), session_timers=timers, limits={"all": limit("all", scope="box", calls="9")}))


def call(box: Box, *headers: tuple[str, str]) -> tuple[Peer, Peer, Request]:
    carrier, callee = box.peer("192.0.2.50"), box.peer("192.0.2.2")
    callee.register("1002")
    carrier.send(carrier.request("INVITE", "sip:1002@example.com", headers=headers))
    return carrier, callee, callee.take_request("INVITE")


def answered(peer: Peer, request: Request, *headers: tuple[str, str]) -> None:
    from appliance.sip.build import response_to

    every = [("contact", peer.contact), *headers]
    peer.send(response_to(request, 200, to_tag="calleetag", headers=every))


def test_an_interval_that_is_too_short_is_refused_with_the_least() -> None:
    box = box_with(least_s=300)
    carrier = box.peer("192.0.2.50")
    box.peer("192.0.2.2").register("1002")
    carrier.send(carrier.request("INVITE", "sip:1002@example.com", headers=(*TIMER, ("session-expires", "120"))))
    assert carrier.take_response(422).get("min-se") == "300"
    assert list(box.core.calls) == []


def test_where_the_caller_knows_no_timers_it_is_made_longer_instead() -> None:
    box = box_with(least_s=300)
    _, _, invite = call(box, ("session-expires", "120;refresher=uas"))
    assert invite.get("session-expires") == "300;refresher=uas"
    assert invite.get("min-se") == "300"


@pytest.mark.parametrize(
    ("headers", "seen"),
    [
        ((), "600"),
        ((("x", "1800"),), "600"),
        ((("session-expires", "1800"), ("min-se", "900")), "900"),
        ((("session-expires", "400"),), "400"),
    ],
)
def test_an_interval_of_ours_is_set_and_shortens_others(headers: tuple[tuple[str, str], ...], seen: str) -> None:
    _, _, invite = call(box_with(600), *headers)
    assert invite.get("session-expires") == seen


def test_without_one_of_ours_nothing_is_added() -> None:
    _, _, invite = call(box_with())
    assert "session-expires" not in invite


def test_a_caller_with_timers_refreshes_alone_where_the_callee_has_none() -> None:
    box = box_with(600)
    carrier, callee, invite = call(box, *TIMER)
    answered(callee, invite)
    ok = carrier.take_response(200)
    assert ok.get("session-expires") == "600;refresher=uac"
    assert ok.get("require") == "timer"


def test_a_session_that_nobody_refreshes_ends_the_call_and_its_lease() -> None:
    box = box_with()
    carrier, callee, invite = call(box, *TIMER, ("session-expires", "600"))
    answered(callee, invite, ("session-expires", "600;refresher=uac"), ("require", "timer"))
    ok = carrier.take_response(200)
    carrier.send(carrier.in_dialog("ACK", ok, cseq=1))
    box.run(500)
    box.core.sweep()
    update = carrier.in_dialog("UPDATE", ok, cseq=3)
    update.append("supported", "timer")
    update.append("session-expires", "600;refresher=uac")
    carrier.send(update)
    answered(callee, callee.take_request("UPDATE"), ("session-expires", "600;refresher=uac"))
    box.run(590)
    box.core.sweep()
    assert len(box.core.calls.active) == 1
    callee.take()
    carrier.take()
    box.run(20)
    box.core.sweep()
    assert list(box.core.calls) == []
    assert "refreshed" in box.core.calls.ended[0].ending
    assert box.core.admission.leases == set()
    assert callee.take_kinds() == ["BYE"]
    assert "BYE" in carrier.take_kinds()


def test_without_a_watch_the_session_may_run_out() -> None:
    settings = attrs.evolve(_settings(), session_timers=SessionTimerSettings(watch=False))
    box = Box(settings)
    _, callee, invite = call(box, *TIMER, ("session-expires", "600"))
    answered(callee, invite, ("session-expires", "600;refresher=uac"))
    box.run(700)
    box.core.sweep()
    assert len(box.core.calls.active) == 1


@pytest.mark.parametrize("value", ["", "soon", "-5", "9" * 40, ";refresher=uac"])
def test_an_interval_that_cannot_be_read_is_passed_on(value: str) -> None:
    _, _, invite = call(box_with(), ("session-expires", value or "0x"))
    assert invite.get("session-expires") == (value or "0x")
