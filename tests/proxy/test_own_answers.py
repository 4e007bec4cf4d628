"""What the box answers by itself: headers that are missing, extensions that it does not have, calls to its lines."""

from __future__ import annotations

import pytest

from tests.rtc.sdp_samples import PHONE, crlf

from .pretend_net import Box, with_carrier_at


@pytest.fixture
def box() -> Box:
    return Box()


@pytest.mark.parametrize(("header", "answers"), [("Call-ID", 1), ("From", 1), ("To", 1), ("CSeq", 1), ("Via", 0)])
def test_a_request_without_a_header_that_it_must_have_is_told_which(box: Box, header: str, answers: int) -> None:
    peer = box.peer("192.0.2.1")
    lines = peer.request("OPTIONS", "sip:example.com").to_bytes().split(b"\r\n")
    without = [line for line in lines if not line.startswith(header.encode() + b":")]
    assert len(without) == len(lines) - 1
    box.core.receive(b"\r\n".join(without), peer.flow)
    assert box.core.counters.malformed == 1
    sent = [message.to_bytes().split(b"\r\n")[0] for message in peer.take()]
    assert sent == [b"SIP/2.0 400 Missing " + header.encode()] * answers


@pytest.mark.parametrize("called", ["sip:example.com", "sip:5000@example.com"])
def test_an_extension_that_the_box_does_not_have_is_refused_by_name(box: Box, called: str) -> None:
    box = Box(with_carrier_at(box.settings, "192.0.2.50"))
    peer = box.peer("192.0.2.50")
    request = peer.request("OPTIONS", called, user="0301234")
    request.set("require", "Path, levitate, 100rel")
    peer.send(request)
    assert "levitate" in peer.take_response(420).require("unsupported")


def test_a_line_knows_its_call_by_the_tags_whatever_the_phone_calls_the_box(box: Box) -> None:
    """As behind a port that somebody forwards, or where the system chose the port."""
    box = Box(with_carrier_at(box.settings, "192.0.2.50"))
    peer = box.peer("192.0.2.50")
    peer.send(peer.request("INVITE", "sip:5000@example.com", user="0301234", body=crlf(PHONE)))
    ok = peer.take_response(200)
    peer.send(peer.in_dialog("ACK", ok, cseq=1))
    bye = peer.in_dialog("BYE", ok)
    bye.uri = "sip:echo@198.51.100.7:18080"
    peer.send(bye)
    assert peer.take_kinds() == ["200"]
    assert not box.core.calls.active


@pytest.mark.parametrize(
    ("headers", "status", "accepted"),
    [
        ({"content-type": "text/plain"}, 415, ("accept", "application/sdp")),
        ({"content-type": "application/sdp", "content-encoding": "gzip"}, 415, ("accept-encoding", "identity")),
        ({"content-type": "text/plain", "content-disposition": "render; handling=optional"}, 200, None),
        ({"content-type": "application/sdp", "content-encoding": "identity"}, 200, None),
    ],
)
def test_a_line_refuses_a_body_that_it_cannot_read_unless_it_may_be_passed_over(
    box: Box, headers: dict[str, str], status: int, accepted: tuple[str, str] | None
) -> None:
    box = Box(with_carrier_at(box.settings, "192.0.2.50"))
    peer = box.peer("192.0.2.50")
    request = peer.request("INVITE", "sip:5000@example.com", user="0301234", body=crlf(PHONE))
    for key, value in headers.items():
        request.set(key, value)
    peer.send(request)
    answer = peer.take_response(status)
    if accepted is not None:
        assert answer.require(accepted[0]) == accepted[1]
        assert not box.core.calls.active
