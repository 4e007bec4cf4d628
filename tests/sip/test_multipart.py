"""The session description is found among other parts, replaced, and nothing else moves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.sip.errors import BadMessage
from appliance.sip.multipart import find_part_untrusted, replace_part

TYPE = 'multipart/mixed; boundary="b 1"'
BODY = (
    b"preamble --b 1\r\n"
    b"--b 1\r\n"
    b"Content-Type: application/isup;version=itu\r\n\r\n"
    b"\x01\x02--b 1\x00\r\n--b 12\r\n\r\n"
    b"--b 1 \t\r\n"
    b"Content-Disposition: session\r\nContent-Length: 7\r\nc: Application/SDP;\r\n charset=utf-8\r\n\r\n"
    b"v=0\r\ns="
    b"\r\n--b 1--\r\nepilogue"
)


def test_sdp_is_replaced_byte_for_byte_otherwise() -> None:
    part = find_part_untrusted(TYPE, BODY)
    assert part is not None
    assert BODY[part.start : part.end] == b"v=0\r\ns="
    changed = replace_part(BODY, part, b"v=0\r\no=longer\r\n")
    assert changed == BODY.replace(b"v=0\r\ns=", b"v=0\r\no=longer\r\n").replace(b"Length: 7", b"Length: 15")
    again = find_part_untrusted(TYPE, changed)
    assert again is not None
    assert changed[again.start : again.end] == b"v=0\r\no=longer\r\n"


def test_plain_body_is_its_own_part() -> None:
    part = find_part_untrusted("Application/SDP", b"v=0\r\n")
    assert part is not None
    assert replace_part(b"v=0\r\n", part, b"x") == b"x"
    assert find_part_untrusted("text/plain", b"hello") is None
    assert find_part_untrusted(None, b"hello") is None
    assert find_part_untrusted("application/sdp", b"") is None


def test_multipart_inside_multipart_is_searched() -> None:
    inner = b"--in\r\n\r\nplain\r\n--in\r\nContent-Type:application/sdp\r\n\r\nv=0\r\n--in--\r\n"
    body = b"--o\r\nContent-Type: multipart/alternative;boundary=in\r\n\r\n" + inner + b"\r\n--o--"
    part = find_part_untrusted("multipart/related;boundary=o", body)
    assert part is not None
    assert body[part.start : part.end] == b"v=0"


def test_encoded_part_is_left_alone() -> None:
    body = b"--o\r\nContent-Type: application/sdp\r\nContent-Transfer-Encoding: base64\r\n\r\ndj0w\r\n--o--"
    assert find_part_untrusted("multipart/mixed;boundary=o", body) is None


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/mixed", b"--x\r\n"),
        ("multipart/mixed;boundary=" + "x" * 71, b"--x\r\n"),
        ("multipart/mixed;boundary=x", b"nothing"),
        ("multipart/mixed;boundary=x", b"--x\r\n\r\nnever closed"),
        ("multipart/mixed;boundary=x", b"--x\r\n\r\n" * 40),
        ("multipart", b"--x\r\n"),
        ("/", b"--x\r\n"),
    ],
)
def test_body_without_its_boundaries_is_bad(content_type: str, body: bytes) -> None:
    with pytest.raises(BadMessage):
        find_part_untrusted(content_type, body)


PIECES = st.sampled_from(
    [b"--x", b"--", b"\r\n", b"\r\n\r\n", b"c: application/sdp", b"l: 1", b"v=0", b" ", b"\r", b"x"]
)


@given(st.lists(PIECES, max_size=40).map(b"".join))
def test_any_body_is_searched_or_bad(body: bytes) -> None:
    try:
        part = find_part_untrusted("multipart/mixed;boundary=x", body)
    except BadMessage:
        return
    if part is not None:
        assert 0 <= part.start <= part.end <= len(body)
        assert replace_part(body, part, body[part.start : part.end]).startswith(body[: part.start][:4])
