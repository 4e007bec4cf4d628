"""Messages of living calls with pieces changed, lost or doubled: whatever comes, the core raises nothing."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.sip.errors import BadMessage
from appliance.sip.message import Request, Response
from tests.rtc.sdp_samples import PHONE, crlf

from .pretend_net import Box, Peer, _settings, anchored

SDP = crlf(PHONE)
PIECES = (
    b"",
    b"\r\n",
    b",",
    b";",
    b"<",
    b'"',
    b":",
    b"%0d%0a",
    b"\xff",
    b"\x00",
    b"multipart/mixed",
    b";tag=calleetag",
    b"<sip:jf-AAAA@192.0.2.9;lr>",
    b"Route: <sip:192.0.2.9>\r\n",
    b"Contact: <<<\r\n",
    b"Content-Type: multipart/mixed\r\n",
    b"Record-Route: ,,\r\n",
    b"sip:x@y.invalid",
    b"99999999999999999999",
    b"v=0\r\n",
    b"m=audio 1 RTP/AVP 0\r\n",
)
_edits = st.lists(
    st.tuples(st.integers(0, 1 << 16), st.integers(0, 40), st.sampled_from(PIECES)), min_size=1, max_size=3
)


def edited(data: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    for where, length, piece in edits:
        at = where % (len(data) + 1)
        data = data[:at] + piece + data[at + length :]
    return data


def readable(message: Request | Response) -> bool:
    """Whether a peer can go on from what the changed message made of it."""
    try:
        message.values("record-route")
        return bool(message.addresses("contact"))
    except BadMessage:
        return False


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(anchor=st.booleans(), which=st.integers(0, 8), edits=_edits)
def test_no_message_raises(anchor: bool, which: int, edits: list[tuple[int, int, bytes]]) -> None:
    box = Box(anchored(_settings()) if anchor else _settings())
    trunk, phone = box.peer("192.0.2.50"), box.peer("192.0.2.2")
    phone.register("1002")
    steps = 0

    def say(data: bytes, peer: Peer) -> None:
        """The message, changed if it is its turn, and then as it should have been."""
        nonlocal steps
        if steps == which:
            box.core.receive(edited(data, edits), peer.flow)
            while box.core.work():
                pass
        steps += 1
        box.core.receive(data, peer.flow)
        while box.core.work():
            pass

    invite = trunk.request("INVITE", "sip:1002@example.com", user="0301234", body=SDP)
    say(invite.to_bytes(), trunk)
    seen = [m for m in phone.take() if isinstance(m, Request) and m.method == "INVITE" and readable(m)]
    if seen:
        answer = phone.answer(seen[-1], 183, body=SDP)
        say(answer.to_bytes(), phone)
        answer.status = 200
        say(answer.to_bytes(), phone)
    answers = [m for m in trunk.take() if isinstance(m, Response) and m.status < 300 and readable(m)]
    if seen and answers:
        ok = answers[-1]
        for number, method in enumerate(("ACK", "INVITE", "UPDATE"), 3):
            body = SDP if method != "ACK" else b""
            say(trunk.in_dialog(method, ok, cseq=number, user="0301234", body=body).to_bytes(), trunk)
        say(phone.back("INFO", seen[-1], body=SDP).to_bytes(), phone)
        say(phone.request("REGISTER", "sip:example.com", user="1002").to_bytes(), phone)
        say(trunk.in_dialog("BYE", ok, cseq=9, user="0301234").to_bytes(), trunk)
    for call in box.core.calls:
        call.hang_up("over")
    box.run(300)
    assert box.backend.open() == []
    assert box.core.calls.active == {}
