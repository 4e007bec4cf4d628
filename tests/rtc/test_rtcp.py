import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.rtc import rtcp
from appliance.rtc.errors import BadMedia
from appliance.rtc.rtcp import (
    ReportBlock,
    SenderInfo,
    build_bye,
    build_cname,
    build_nack,
    build_packet,
    build_pli,
    build_receiver_report,
    build_sender_report,
    chunks_untrusted,
    map_ssrcs_untrusted,
    ntp_time,
    parse_rtcp_untrusted,
    round_trip_s,
)

BLOCK = ReportBlock(ssrc=9, fraction=25, lost=-3, highest=70000, jitter=12, lsr=0x11111111, dlsr=65536)
INFO = SenderInfo(ntp=0x83AA7E8000000000, timestamp=160, packets=7, octets=1120)
REMB = build_packet(206, 15, b"\0\0\0\x01\0\0\0\0REMB\x02\x01\x02\x03" + b"\0\0\0\x09\0\0\0\x0a")
FIR = build_packet(206, 4, b"\0\0\0\x01\0\0\0\0" + b"\0\0\0\x09\x01\0\0\0" + b"\0\0\0\x0a\x02\0\0\0")
TWCC = build_packet(205, 15, b"\0\0\0\x01\0\0\0\x09" + b"\0" * 12)
COMPOUND = (
    build_sender_report(1, INFO, [BLOCK])
    + build_cname(1, b"alice@example.com")
    + build_nack(1, 9, [3, 4])
    + build_pli(1, 9)
    + REMB
    + FIR
    + TWCC
    + build_bye([1, 2])
)


def test_a_compound_is_taken_apart():
    packets = parse_rtcp_untrusted(COMPOUND)
    assert [packet.kind for packet in packets] == [200, 202, 205, 206, 206, 206, 205, 203]
    assert b"".join(packet.raw for packet in packets) == COMPOUND
    sr = packets[0]
    assert sr.sender == 1
    assert sr.sender_info == INFO
    assert INFO.middle == 0x7E800000
    assert sr.blocks == (BLOCK,)
    assert [packet.feedback_name() for packet in packets] == [
        None,
        None,
        "nack",
        "nack pli",
        "goog-remb",
        "ccm fir",
        "transport-cc",
        None,
    ]
    assert packets[2].targets() == (9,)
    assert packets[4].targets() == (9, 10)
    assert packets[5].targets() == (9, 10)
    assert chunks_untrusted(packets[1])[0][0] == 1


def test_feedback_padded_by_less_than_a_word_is_read():
    # As Chromium sends transport-wide feedback: 3 bytes of padding behind 9 of content.
    data = bytes.fromhex("afcd00050000000100000009000100020000030001000003")
    (packet,) = parse_rtcp_untrusted(data)
    assert packet.feedback_name() == "transport-cc"
    assert len(packet.body) == 17
    assert map_ssrcs_untrusted(packet, lambda ssrc: ssrc) == data


def test_padding_of_the_last_packet_is_taken_off():
    data = bytearray(build_packet(201, 0, b"\0\0\0\x01" + b"\0\0\0\x04"))
    data[0] |= 0x20
    (packet,) = parse_rtcp_untrusted(bytes(data))
    assert packet.body == b"\0\0\0\x01"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80\xc8",
        b"\x80\xc8\0\x01\0\0\0\x01",
        b"\x81\xc9\0\x01\0\0\0\x01",
        b"\x80\x00\0\x00",
        b"\x40\xc9\0\x01\0\0\0\x01",
        b"\x80\xc9\0\x05\0\0\0\x01",
        b"\xa0\xc9\0\x01\0\0\0\x05",
        b"\x85\xcb\0\x01\0\0\0\x05",
        build_receiver_report(1) * 65,
    ],
)
def test_malformed_compounds_are_bad_media(data):
    with pytest.raises(BadMedia):
        parse_rtcp_untrusted(data)


def touch(data: bytes) -> None:
    for packet in parse_rtcp_untrusted(data):
        assert packet.sender >= 0
        assert packet.sender_info is None or packet.sender_info.middle >= 0
        packet.targets()
        packet.feedback_name()
        for block in packet.blocks:
            assert block.pack()
        mapped = map_ssrcs_untrusted(packet, lambda ssrc: ssrc ^ 0xFF)
        (again,) = parse_rtcp_untrusted(mapped)
        assert map_ssrcs_untrusted(again, lambda ssrc: ssrc ^ 0xFF) == packet.raw


@given(st.binary(max_size=200))
def test_random_bytes_only_raise_bad_media(data):
    try:
        touch(data)
    except BadMedia:
        pass


@given(st.data())
def test_damaged_compounds_only_raise_bad_media(data):
    at = data.draw(st.integers(0, len(COMPOUND) - 1))
    noise = data.draw(st.binary(min_size=1, max_size=8))
    cut = data.draw(st.integers(at, len(COMPOUND)))
    try:
        touch((COMPOUND[:at] + noise + COMPOUND[at + len(noise) :])[: cut or 1])
    except BadMedia:
        pass


def test_every_ssrc_is_mapped():
    mapped = b"".join(
        map_ssrcs_untrusted(packet, lambda ssrc: ssrc + 0x100) for packet in parse_rtcp_untrusted(COMPOUND)
    )
    packets = parse_rtcp_untrusted(mapped)
    assert [packet.sender for packet in packets] == [0x101] * 8
    assert packets[0].blocks[0].ssrc == 0x109
    assert packets[2].media == packets[3].media == packets[6].media == 0x109
    assert packets[4].targets() == packets[5].targets() == (0x109, 0x10A)
    assert packets[4].media == packets[5].media == 0
    assert packets[7].body == bytes.fromhex("0000010100000102")


def test_round_trip_is_what_neither_side_waited():
    sent = ntp_time(1000.0)
    block = ReportBlock(1, 0, 0, 0, 0, sent >> 16 & 0xFFFFFFFF, int(0.2 * 65536))
    heard = ntp_time(1000.25) >> 16 & 0xFFFFFFFF
    assert round_trip_s(block, heard) == pytest.approx(0.05, abs=0.001)
    assert round_trip_s(ReportBlock(1, 0, 0, 0, 0, 0, 0), heard) is None
    assert rtcp.NACK == 1
