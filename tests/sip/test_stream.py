"""Messages come out of a stream whole, whatever way it was cut, and a stream without boundaries is given up."""

from __future__ import annotations

from time import thread_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.sip.errors import BadMessage
from appliance.sip.stream import PING, StreamFramer, StreamLimits

OPTIONS = b"OPTIONS sip:a@example.com SIP/2.0\r\nCall-ID: 1\r\nContent-Length: 0\r\n\r\n"
MESSAGE = b"MESSAGE sip:a@example.com SIP/2.0\r\nCall-ID: 2\r\nl : 5\r\n\r\nhello"
FOLDED = b"MESSAGE sip:a@example.com SIP/2.0\r\nCONTENT-LENGTH:\r\n  7\r\nCall-ID: 3\r\n\r\n\r\n\r\nabc"


def feed(framer: StreamFramer, data: bytes, now: float = 0.0) -> list[bytes]:
    return list(framer.feed_untrusted(data, now))


@given(st.lists(st.sampled_from([OPTIONS, MESSAGE, FOLDED]), max_size=6), st.data())
def test_any_cut_gives_the_same_messages(messages: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(messages)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    framer, got = StreamFramer(), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        got += feed(framer, stream[start:end])
    assert got == messages
    assert framer.partial_since is None


def test_double_crlf_is_a_ping_and_a_single_one_is_skipped() -> None:
    framer = StreamFramer()
    assert feed(framer, b"\r\n\r\n") == [PING]
    assert feed(framer, b"\r\n" + OPTIONS + b"\r\n\r\n\r\n\r\n") == [OPTIONS, PING, PING]
    assert feed(framer, b"\r\n\r") == []
    assert feed(framer, b"\n") == [PING]


def test_two_pongs_far_apart_are_no_ping() -> None:
    framer = StreamFramer()
    assert feed(framer, b"\r\n", 10.0) == []
    assert feed(framer, b"\r\n", 40.0) == []


def test_pending_message_knows_since_when() -> None:
    framer = StreamFramer()
    assert feed(framer, MESSAGE + OPTIONS[:10], 1.0) == [MESSAGE]
    assert framer.partial_since == 1.0
    assert feed(framer, OPTIONS[10:30], 5.0) == []
    assert framer.partial_since == 1.0
    assert feed(framer, OPTIONS[30:] + MESSAGE[:-1], 6.0) == [OPTIONS]
    assert framer.partial_since == 6.0
    assert feed(framer, MESSAGE[-1:], 7.0) == [MESSAGE]
    assert framer.partial_since is None


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (b"", "Missing Content-Length"),
        (b"Content-Length: -1\r\n", "Bad Content-Length"),
        (b"Content-Length: 1 2\r\n", "Bad Content-Length"),
        (b"Content-Length: 99999999999999999999\r\n", "Bad Content-Length"),
        (b"Content-Length: 3\r\nl: 4\r\n", "More than one Content-Length"),
        (b"X-Content-Length: 3\r\n", "Missing Content-Length"),
        (b"Content-Length:\r\n", "Bad Content-Length"),
    ],
)
def test_stream_without_sure_boundary_ends_after_the_last_good_message(header: bytes, reason: str) -> None:
    got: list[bytes] = []
    messages = StreamFramer().feed_untrusted(OPTIONS + b"BYE sip:a SIP/2.0\r\n" + header + b"\r\nxyz", 0.0)
    with pytest.raises(BadMessage, match=reason):
        got.extend(messages)
    assert got == [OPTIONS]


def test_limits_close_the_stream() -> None:
    limits = StreamLimits(head_bytes=100, body_bytes=10)
    framer = StreamFramer(limits)
    assert feed(framer, b"A" * 100) == []
    with pytest.raises(BadMessage) as caught:
        feed(framer, b"A")
    assert caught.value.status == 513
    with pytest.raises(BadMessage, match="Message Too Large"):
        feed(StreamFramer(limits), b"A b SIP/2.0\r\nl: 11\r\n\r\n")


def test_trickled_bytes_cost_linear_time() -> None:
    def seconds(size: int) -> float:
        message = b"M a SIP/2.0\r\nX: " + b"x" * size + b"\r\nl: 3\r\n\r\nabc"
        framer = StreamFramer(StreamLimits(head_bytes=1 << 20))
        start = thread_time()
        got = [m for i in range(len(message)) for m in feed(framer, message[i : i + 1])]
        assert got == [message]
        return thread_time() - start

    small = min(seconds(4_000) for _ in range(3))
    assert min(seconds(32_000) for _ in range(2)) < small * 24
