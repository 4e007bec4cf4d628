"""Which SDP of a dialog is offer and which answer, on messages as they pass."""

import pytest

from appliance.media.bridge import Bridge
from appliance.media.profile import Profile, ProfileKind
from appliance.proxy.media_path import MediaPath
from appliance.rtc.sdp import parse_untrusted
from appliance.sip.errors import Rejected
from appliance.sip.message import Request, Response
from appliance.sip.parser import parse_message_untrusted
from tests.media.fake_backend import FakeBackend
from tests.rtc.sdp_samples import LOAD_GENERATOR, PHONE, PHONE_VIDEO, crlf

HEADERS = (
    "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\nFrom: <sip:a@example.com>;tag=1\nTo: <sip:b@example.com>;tag=2\n"
    "Call-ID: c1\nMax-Forwards: 70\n"
)


def message(start: str, method: str, sdp: str = "") -> Request | Response:
    body = crlf(sdp)
    head = f"{start}\n{HEADERS}CSeq: 1 {method}\n"
    if sdp:
        head += "Content-Type: application/sdp\n"
    return parse_message_untrusted(crlf(f"{head}Content-Length: {len(body)}\n\n") + body)


def request(method: str, sdp: str = "") -> Request:
    found = message(f"{method} sip:b@example.com SIP/2.0", method, sdp)
    assert isinstance(found, Request)
    return found


def response(status: int, sdp: str = "", method: str = "INVITE") -> Response:
    found = message(f"SIP/2.0 {status} Text", method, sdp)
    assert isinstance(found, Response)
    return found


def path(ports: int = 100) -> tuple[FakeBackend, MediaPath]:
    backend = FakeBackend(ports=ports)
    media = MediaPath(Bridge(backend).open_call("c1"))
    for leg in ("a", "b1"):
        media.add_leg(leg, Profile(ProfileKind.RTP, "203.0.113.5"))
    return backend, media


def test_offer_in_the_invite_and_a_better_answer_in_the_200() -> None:
    backend, media = path()
    exchange = media.request(request("INVITE", PHONE_VIDEO), "a", "b1")
    assert exchange is not None
    early, answered = response(183, PHONE), response(200, PHONE_VIDEO)
    media.response(early, exchange, "INVITE")
    media.response(answered, exchange, "INVITE")
    assert [m.port == 0 for m in parse_untrusted(early.body).media] == [False, True]
    assert [m.port == 0 for m in parse_untrusted(answered.body).media] == [False, False]
    assert len(backend.joins) == 4


def test_offer_in_the_200_and_answer_in_the_ack() -> None:
    backend, media = path()
    exchange = media.request(request("INVITE"), "a", "b1")
    assert exchange is not None
    media.response(response(200, PHONE), exchange, "INVITE")
    media.request(request("ACK", LOAD_GENERATOR), "a", "b1")
    assert len(backend.joins) == 2


def test_no_port_for_an_offer_in_the_200_is_a_refusal_and_no_fault() -> None:
    backend, media = path(ports=1)
    exchange = media.request(request("INVITE"), "a", "b1")
    assert exchange is not None
    with pytest.raises(Rejected, match="503"):
        media.response(response(200, PHONE), exchange, "INVITE")
    assert backend.open() == []
