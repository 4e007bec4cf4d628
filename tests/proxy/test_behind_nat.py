"""Phones behind NAT whose Contact shows the public address, as `received` and `rport` taught them: the Via tells."""

from __future__ import annotations

import pytest

from appliance.proxy.location import Binding
from appliance.rtc.sdp import parse_untrusted
from appliance.sip.message import Request, Response
from tests.rtc.sdp_samples import PHONE, crlf

from .desk import Desk, Wire
from .pretend_net import BOX, Box, Peer

PUBLIC = "203.0.113.20"
SDP = crlf(PHONE)


class NattedPhone(Peer):
    """Its packets and its Contact show the public address, its Via shows its own."""

    def __init__(self, box: Box) -> None:
        super().__init__(box, (PUBLIC, 1393), "UDP")

    def send(self, message: Request | Response) -> None:
        if isinstance(message, Request):
            message.set("via", message.require("via").replace(f"{PUBLIC}:1393", "192.168.7.10:5070"))
        super().send(message)


def connection(body: bytes) -> str | None:
    session = parse_untrusted(body)
    return session.connection_of(session.media[0])


@pytest.fixture
def box() -> Box:
    return Box()


def test_media_of_a_call_to_it_goes_through_the_box(box: Box) -> None:
    phone, caller = NattedPhone(box), box.peer("192.0.2.1")
    phone.register("1002")
    caller.invite("sip:1002@example.com", body=SDP)
    assert connection(phone.take_request("INVITE").body) == f"IN IP4 {BOX}"


def test_media_of_its_own_call_goes_through_the_box(box: Box) -> None:
    phone, callee = NattedPhone(box), box.peer("192.0.2.2")
    callee.register("1002")
    phone.invite("sip:1002@example.com", body=SDP)
    assert connection(callee.take_request("INVITE").body) == f"IN IP4 {BOX}"


def test_it_is_gone_with_its_connection() -> None:
    desk, flow = Desk(), Wire("TCP", (PUBLIC, 1393))
    assert desk.register(f"Contact: <sip:{PUBLIC}:1393;transport=tcp>", flow=flow).status == 200
    (binding,) = desk.location
    assert Binding.from_row(binding.row()).by_flow_only
    desk.registrar.flow_closed(flow)
    assert desk.contacts() == []
