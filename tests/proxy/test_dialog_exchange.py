"""A request inside a dialog without branches: whatever becomes of it, nobody sees a difference."""

from __future__ import annotations

import pytest

from appliance.sip.message import Response
from appliance.transport.options import Target

from .pretend_net import Box, Peer, _settings, anchored
from .test_dialogs import SDP, standing


def after(box: Box, method: str, status: int, body: bytes) -> tuple[list[str], list[bytes], bool]:
    """What the caller hears of its request, and whether the call goes on."""
    caller, callee, _, ok = standing(box)
    caller.send(caller.in_dialog(method, ok))
    asked = callee.take_request(method)
    if status:
        callee.answer(asked, status, body=body)
    box.run(40)
    heard = [message for message in caller.take() if isinstance(message, Response)]
    assert not box.core.layer.clients
    assert all("z9hG4bKjf" not in value for message in heard for value in message.get_all("via"))
    return [str(m.status) for m in heard], [m.body for m in heard], bool(box.core.calls.active)


@pytest.mark.parametrize("status", [0, 180, 200, 202, 302, 401, 404, 408, 481, 486, 503, 603])
@pytest.mark.parametrize("method", ["BYE", "INFO", "NOTIFY", "OPTIONS", "MESSAGE"])
def test_every_answer_is_the_same_with_branches_and_without(method: str, status: int) -> None:
    assert after(Box(), method, status, b"") == after(Box(anchored(_settings())), method, status, b"")


def test_an_answer_with_a_body_comes_whole() -> None:
    assert after(Box(), "OPTIONS", 200, SDP) == (["200"], [SDP], True)


def by_name(box: Box, *targets: Target) -> tuple[Peer, Response]:
    """A caller whose call went to a trunk, which is reached at these addresses from now on; and the 2xx."""
    caller, gateway = box.peer("192.0.2.1"), box.peer("192.0.2.50")
    caller.invite("sip:0123@example.com")
    gateway.contact = "<sip:me@phone.example.net>"
    gateway.answer(gateway.take_request("INVITE"), 200)
    box.net.names["phone.example.net"] = list(targets)
    return caller, caller.take_response(200)


def test_a_connection_that_is_refused_is_503() -> None:
    box = Box()
    caller, ok = by_name(box, Target("TCP", "192.0.2.77", 5060))
    box.net.refusing.add(("TCP", "192.0.2.77"))
    caller.send(caller.in_dialog("INFO", ok))
    box.run(1)
    assert caller.take_kinds() == ["503"]


def test_a_name_that_leads_nowhere_is_502() -> None:
    caller, ok = by_name(Box())
    caller.send(caller.in_dialog("INFO", ok))
    assert caller.take_kinds() == ["502"]


def test_the_second_address_is_tried_after_the_first() -> None:
    box = Box()
    caller, ok = by_name(box, *(Target("UDP", f"192.0.2.{n}", 5060) for n in (77, 78)))
    caller.send(caller.in_dialog("BYE", ok))
    first, second = box.peer("192.0.2.77"), box.peer("192.0.2.78")
    first.answer(first.take_request("BYE"), 503)
    second.answer(second.take_request("BYE"), 200)
    assert caller.take_kinds() == ["200"]
    assert not box.core.calls.active


@pytest.mark.parametrize(("size", "transport"), [(100, "UDP"), (1400, "TCP")])
def test_a_large_request_leaves_udp_for_tcp(size: int, transport: str) -> None:
    box = Box()
    caller, ok = by_name(box, Target("UDP", "192.0.2.77", 5060))
    caller.send(caller.in_dialog("MESSAGE", ok, body=b"x" * size))
    [sent] = box.peer("192.0.2.77").take()
    assert sent.via.transport == transport
