"""What the box answers by itself: messages without a header that they must have, extensions that it does not have."""

from __future__ import annotations

import pytest

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
