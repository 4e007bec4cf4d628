import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.media.backend import MID_URI, StreamSpec
from appliance.media.rewrite import MID_PACKETS, plan_rewrite, strip
from appliance.rtc.errors import BadMedia
from appliance.rtc.rtp import build_rtp, iter_elements_untrusted, parse_rtp_untrusted
from appliance.rtc.srtp import PacketBuffer

LEVEL, TIME = (
    "urn:ietf:params:rtp-hdrext:ssrc-audio-level",
    "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
)


def spec(extensions: dict[int, str], mid: str | None = None) -> StreamSpec:
    return StreamSpec(0, "audio", {0: 8000}, extensions=extensions, mid=mid)


def change(come: StreamSpec, go: StreamSpec, packet: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    rewrite, buffer = plan_rewrite(come, go), PacketBuffer()
    assert rewrite is not None
    size = rewrite(buffer, buffer.put(packet))
    changed = parse_rtp_untrusted(bytes(buffer.view[:size]))
    return list(iter_elements_untrusted(changed.extension_profile, changed.extension)), changed.payload


@pytest.mark.parametrize(
    ("come", "go"),
    [
        (spec({}), spec({})),
        (spec({1: LEVEL, 2: TIME}), spec({1: LEVEL, 2: TIME})),
        (spec({1: LEVEL}), spec({1: LEVEL, 2: TIME})),
        (spec({3: MID_URI}, "0"), spec({3: MID_URI}, "0")),
    ],
)
def test_streams_that_agree_need_no_change(come, go):
    assert plan_rewrite(come, go) is None


def test_extensions_are_renumbered_and_unknown_ones_removed():
    packet = build_rtp(0, 1, 2, 3, b"payload", elements=[(1, b"L"), (2, b"TTT")])
    assert change(spec({1: LEVEL, 2: TIME}), spec({5: TIME}), packet) == ([(5, b"TTT")], b"payload")


def test_a_phone_gets_none():
    packet = build_rtp(0, 1, 2, 3, b"payload", elements=[(1, b"L"), (3, b"0")])
    assert plan_rewrite(spec({1: LEVEL, 3: MID_URI}, "0"), spec({})) is strip
    assert change(spec({1: LEVEL, 3: MID_URI}, "0"), spec({}), packet) == ([], b"payload")


def test_the_mid_is_put_in_for_a_while_and_changed_where_it_differs():
    come, go = spec({}), spec({3: MID_URI}, "7")
    rewrite, buffer = plan_rewrite(come, go), PacketBuffer()
    assert rewrite is not None
    packet = build_rtp(0, 1, 2, 3, b"payload")
    for n in range(MID_PACKETS + 1):
        size = rewrite(buffer, buffer.put(packet))
        changed = parse_rtp_untrusted(bytes(buffer.view[:size]))
        elements = list(iter_elements_untrusted(changed.extension_profile, changed.extension))
        assert elements == ([(3, b"7")] if n < MID_PACKETS else [])
        assert changed.payload == b"payload"
    packet = build_rtp(0, 1, 2, 3, b"payload", elements=[(4, b"0")])
    assert change(spec({4: MID_URI}, "0"), go, packet) == ([(3, b"7")], b"payload")


@given(st.binary(min_size=12, max_size=100))
def test_stripping_damaged_packets_only_raises_bad_media(data):
    buffer = PacketBuffer()
    try:
        before = parse_rtp_untrusted(data)
    except BadMedia:
        before = None
    try:
        size = strip(buffer, buffer.put(data))
    except BadMedia:
        assert before is None
        return
    if before is not None:
        after = parse_rtp_untrusted(bytes(buffer.view[:size]))
        assert (after.payload, after.csrcs, after.extension_profile) == (before.payload, before.csrcs, None)
