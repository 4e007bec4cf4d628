"""What passes the checks at a glance is what passes them at a close look, and the same is read of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.sip import parser
from appliance.sip.errors import BadMessage
from appliance.sip.message import Message
from appliance.sip.parser import check_untrusted, parse_message_untrusted

CAPTURES = Path(__file__).parent.parent / "captures"
LINES = {
    "Via": [
        "Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1;rport",
        "Via: SIP/2.0/UDP 192.0.2.1;rport;branch=z9hG4bK1 ;x=1",
        "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1, SIP/2.0/TCP [2001:db8::1]:5060;branch=z9hG4bK2",
        "Via: SIP/2.0/UDP 192.0.2.1",
        "Via: SIP/2.0/UDP 192.0.2.1;branch=",
        "Via: SIP/2.0/UDP 192.0.2.1;Branch=z9hG4bK1",
        'Via: SIP/2.0/UDP 192.0.2.1;x=";branch=z9hG4bK1";branch=z9hG4bK2',
        "Via: SIP/2.0/UDP 192.0.2.1:0x1;branch=z9hG4bK1",
        "Via: SIP / 2.0 / UDP 192.0.2.1;branch=z9hG4bK1",
        f"Via: SIP/2.0/UDP {'a' * 300}.example.com;branch=z9hG4bK1",
        "v: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1",
    ],
    "From": ["From: <sip:a@example.com>;tag=1", "From: sip:a@example.com", "From: <sip:a@example.com", "From:"],
    "To": ["To: <sip:b@example.com>", "To: B <sip:b@example.com>;tag=2", f"To: <sip:{'b' * 300}@example.com>", "To: ,"],
    "Call-ID": ["Call-ID: 1@example.com", "Call-ID: ", "Call-ID: 1:"],
    "CSeq": ["CSeq: 1 INVITE", "CSeq: 1 BYE", "CSeq: x INVITE", f"CSeq: {'0' * 70}1 INVITE", "CSeq: 2147483648 INVITE"],
    "Max-Forwards": ["Max-Forwards: 70", "Max-Forwards: 256", "Max-Forwards: -1", "Subject: none"],
    "Content-Length": ["Content-Length: 0", "Content-Length: 9", "Content-Length: x", "Subject: nothing"],
}
STARTS = [
    "INVITE sip:b@example.com SIP/2.0",
    "INVITE sip:b@example.com?x=y SIP/2.0",
    "INVITE sip: SIP/2.0",
    "SIP/2.0 200 OK",
]


def judged(data: bytes, check: object) -> tuple[object, ...]:
    """What came of the checks: the fault, or what was read."""
    assert callable(check)
    try:
        message = parse_message_untrusted(data)
        check(message)
    except BadMessage as bad:
        return bad.status, bad.reason
    assert isinstance(message, Message)
    return str(message.via), message.branch, message.from_tag, message.to_tag, message.cseq


def held_together(data: bytes) -> None:
    for _ in range(2):  # the second time its order of headers is known
        assert judged(data, check_untrusted) == judged(data, parser._check_closely)


@given(st.tuples(st.sampled_from(STARTS), *(st.sampled_from(lines) for lines in LINES.values())))
def test_a_glance_finds_what_a_close_look_finds(lines: tuple[str, ...]) -> None:
    held_together("\r\n".join([*lines, "", ""]).encode())


@pytest.mark.parametrize("path", sorted(CAPTURES.glob("rfc4475/*")), ids=lambda path: path.name)
def test_a_glance_at_torture_messages(path: Path) -> None:
    held_together(path.read_bytes())
