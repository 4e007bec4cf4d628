"""What passes the checks at a glance is what passes them at a close look, and the same is read of it."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.sip import parser
from appliance.sip.errors import BadMessage
from appliance.sip.message import Message, Request
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


def closely(message: Message) -> None:
    """A look at a message as if nothing had been found at a glance."""
    for key in ("via", "from"):
        message._changed(key)
    parser._check_closely(message)


def held_together(data: bytes) -> None:
    forget()
    with patch.object(parser, "_MET_BEFORE", 2):
        for _ in range(2):  # the second time its order of headers is known
            assert judged(data, check_untrusted) == judged(data, closely)


@given(st.tuples(st.sampled_from(STARTS), *(st.sampled_from(lines) for lines in LINES.values())))
def test_a_glance_finds_what_a_close_look_finds(lines: tuple[str, ...]) -> None:
    held_together("\r\n".join([*lines, "", ""]).encode())


@pytest.mark.parametrize("path", sorted(CAPTURES.glob("rfc4475/*")), ids=lambda path: path.name)
def test_a_glance_at_torture_messages(path: Path) -> None:
    held_together(path.read_bytes())


NAMES = ["Via", "v", "From", "To", "Call-ID", "CSeq", "Content-Length", "l", "X-y", "Subject "]
VALUES = st.one_of(
    st.sampled_from(
        [" 1", " 0", " 3 ", "", " 1\r\n\t2", " 1\r\nVia: 2", " SIP/2.0/UDP h;branch=z9hG4bK1", " 1 INVITE"]
    ),
    st.text("a:;,<é\udc80\r\n \t", max_size=8).map(lambda text: f" {text}"),
)


def cut(data: bytes) -> tuple[object, ...]:
    """What becomes of a head: the fault, or all its parts."""
    try:
        message = parse_message_untrusted(data)
    except BadMessage as bad:
        return bad.status, bad.reason, bad.request and (bad.request.keys, bad.request.lines)
    return repr(message), message.keys, message.lines, message.body, message._length, message.sound


def forget() -> None:
    parser._shapes.clear()
    parser._usual_shapes.clear()


@given(
    st.sampled_from(STARTS), st.lists(st.tuples(st.sampled_from(NAMES), VALUES), max_size=6), st.sampled_from(STARTS)
)
def test_a_known_order_is_cut_as_an_unknown_one(start: str, headers: list[tuple[str, str]], other: str) -> None:
    def head(start: str, lines: list[str]) -> bytes:
        return "\r\n".join([start, *lines, "", "abc"]).encode("utf-8", "surrogateescape")

    met = head(other, [f"{name}: 1" for name, _ in headers])
    came = head(start, [f"{name}:{value}" for name, value in headers])
    forget()
    with patch.object(parser, "_MET_BEFORE", 1):
        cut(met)
        known = cut(came)
    forget()
    assert known == cut(came)


@given(
    st.sampled_from(["Via: ", "v: ", "VIA:"]),
    st.sampled_from(["192.0.2.1", "192.0.2.1:5070", "[2001:db8::1]:5060", "phone.invalid"]),
    st.lists(
        st.sampled_from(["rport", "rport=9", "branch=z9hG4bK1", "received=192.0.2.7", 'x=";rport"', "alias", ""]),
        max_size=4,
        unique_by=lambda param: param.partition("=")[0],
    ),
    st.sampled_from(["", ", SIP/2.0/TCP 192.0.2.8;branch=z9hG4bK2;rport"]),
)
def test_the_source_is_marked_in_any_via(name: str, sent_by: str, params: list[str], more: str) -> None:
    line = f"{name}SIP/2.0/UDP {';'.join([sent_by, *params])}{more}"
    message = Request("INVITE", "sip:b@example.com", ["via"], [line])
    before = message.via
    asked, branch, sender = before.param("rport") == "", before.branch, (before.host, before.port)
    message.mark_source("192.0.2.1", 5060)
    again = Request("INVITE", "sip:b@example.com", ["via"], message.lines)
    assert again.via.branch == branch == message.branch
    assert again.sent_by == message.sent_by == sender
    assert str(again.via) == str(message.via)
    if asked:
        assert again.via.param("rport") == "5060"
    if asked or sender[0] != "192.0.2.1":
        assert again.via.param("received") == "192.0.2.1"
    assert len(again.values("via")) == (2 if more else 1)
