import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.rtc.errors import BadMedia
from appliance.rtc.rtp import (
    PacketKind,
    build_extension,
    build_rtp,
    classify_untrusted,
    iter_elements_untrusted,
    parse_rtp_untrusted,
    rewrite_extension_untrusted,
)

ELEMENTS = st.lists(st.tuples(st.integers(1, 255), st.binary(max_size=40)), max_size=6)


def test_a_packet_is_read_as_it_was_built():
    data = build_rtp(8, 65535, 2**32 - 1, 0xDEADBEEF, b"payload", marker=True, elements=[(3, b"mid")])
    packet = parse_rtp_untrusted(data)
    assert (packet.payload_type, packet.sequence, packet.timestamp) == (8, 65535, 2**32 - 1)
    assert (packet.ssrc, packet.marker, packet.payload) == (0xDEADBEEF, True, b"payload")
    assert list(iter_elements_untrusted(packet.extension_profile, packet.extension)) == [(3, b"mid")]


def test_csrcs_and_padding_are_taken_off():
    data = b"\xa2\x00\x00\x01" + b"\0" * 8 + b"\0\0\0\x07\0\0\0\x08" + b"xy" + b"\0\0\x03"
    packet = parse_rtp_untrusted(data)
    assert packet.csrcs == (7, 8)
    assert packet.payload == b"xy"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80" * 11,
        b"\x40" + b"\0" * 11,
        b"\x81" + b"\0" * 11,
        b"\x90" + b"\0" * 11,
        b"\x90" + b"\0" * 11 + b"\xbe\xde\0\x01",
        b"\xa0" + b"\0" * 11 + b"\0",
        b"\xa0" + b"\0" * 11 + b"\x02",
        b"\xa0" + b"\0" * 11,
    ],
)
def test_malformed_packets_are_bad_media(data):
    with pytest.raises(BadMedia):
        parse_rtp_untrusted(data)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\x00\x01", PacketKind.STUN),
        (b"\x16\xfe", PacketKind.DTLS),
        (b"\x80\x00", PacketKind.RTP),
        (b"\x80\xff", PacketKind.RTP),
        (b"\x80\xc8", PacketKind.RTCP),
        (b"\x80\xdf", PacketKind.RTCP),
        (b"\x80\xe0", PacketKind.RTP),
        (b"\xff\x00", PacketKind.OTHER),
        (b"\x80", PacketKind.OTHER),
    ],
)
def test_the_first_bytes_tell_the_protocol(data, kind):
    assert classify_untrusted(data) is kind


@given(st.binary(max_size=120))
def test_random_bytes_only_raise_bad_media(data):
    classify_untrusted(data)
    try:
        packet = parse_rtp_untrusted(data)
        list(iter_elements_untrusted(packet.extension_profile, packet.extension))
        rewrite_extension_untrusted(data, {1: 2})
    except BadMedia:
        pass


@given(ELEMENTS)
def test_elements_are_read_back(elements):
    block = build_extension(elements)
    if not elements:
        assert block == b""
        return
    profile = int.from_bytes(block[:2], "big")
    assert len(block) % 4 == 0
    assert list(iter_elements_untrusted(profile, block[4:])) == elements


@given(ELEMENTS, st.binary(max_size=50))
def test_rewriting_renumbers_removes_and_leaves_the_payload(elements, payload):
    data = build_rtp(96, 1, 2, 3, payload, elements=elements)
    rewritten = parse_rtp_untrusted(rewrite_extension_untrusted(data, {1: 5, 5: 1}, {5: b"new"}))
    assert rewritten.payload == payload
    kept = [({1: 5, 5: 1}[number], value) for number, value in elements if number in (1, 5)]
    expected = [(number, b"new" if number == 5 else value) for number, value in kept]
    assert list(iter_elements_untrusted(rewritten.extension_profile, rewritten.extension)) == expected
    assert (rewritten.extension_profile is None) == (not expected)
