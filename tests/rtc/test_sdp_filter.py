"""Codec filters laid over session descriptions: what stays, in which order, and what is refused."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.rtc.errors import BadMedia
from appliance.rtc.sdp import Session, parse_untrusted
from appliance.rtc.sdp_codecs import codecs_of
from appliance.rtc.sdp_filter import CodecFilter, filtered

HEAD = ["v=0", "o=- 1 1 IN IP4 192.0.2.1", "s=-", "c=IN IP4 192.0.2.1", "t=0 0"]
AUDIO = [
    "m=audio 4000 RTP/AVP 111 8 0 18 9 101 126 13",
    "a=rtpmap:111 opus/48000/2",
    "a=fmtp:111 useinbandfec=1",
    "a=rtcp-fb:111 transport-cc",
    "a=rtpmap:18 G729/8000",
    "a=fmtp:18 annexb=no",
    "a=rtpmap:101 telephone-event/48000",
    "a=rtpmap:126 telephone-event/8000",
    "a=fmtp:126 0-16",
    "a=ptime:20",
]
VIDEO = [
    "m=video 4002 RTP/AVP 96 97 98 99",
    "a=rtpmap:96 VP8/90000",
    "a=rtpmap:97 rtx/90000",
    "a=fmtp:97 apt=96",
    "a=rtpmap:98 H264/90000",
    "a=rtpmap:99 rtx/90000",
    "a=fmtp:99 apt=98",
]


def session(*lines: str) -> Session:
    return parse_untrusted("\r\n".join([*HEAD, *lines, ""]).encode())


def formats(of: Session) -> list[str]:
    return [" ".join(media.formats) for media in of.media]


@pytest.mark.parametrize(
    ("wanted", "unwanted", "others", "left"),
    [
        (("pcma", "pcmu"), (), False, "8 0 126 13"),
        (("pcmu", "pcma"), (), False, "0 8 126 13"),
        (("pcmu",), (), True, "0 111 8 18 9 101 126 13"),
        ((), ("g729",), False, "111 8 0 9 101 126 13"),
        (("opus",), (), False, "111 101"),
        (("g722", "pcma"), ("cn", "telephone-event"), False, "9 8"),
        (("pcma", "ilbc"), (), False, "8 126 13"),
    ],
)
def test_what_stays_and_in_which_order(
    wanted: tuple[str, ...], unwanted: tuple[str, ...], others: bool, left: str
) -> None:
    one = CodecFilter(wanted, frozenset(unwanted), others)
    assert formats(filtered(session(*AUDIO), [one], one)) == [left]


def test_attributes_of_what_is_gone_go_and_all_others_stay() -> None:
    after = filtered(session(*AUDIO), [CodecFilter(("pcma",))])
    assert [str(item) for item in after.media[0].fields] == [
        "a=rtpmap:126 telephone-event/8000",
        "a=fmtp:126 0-16",
        "a=ptime:20",
    ]


def test_repair_goes_with_its_codec_and_audio_names_leave_video_alone() -> None:
    both = session(*AUDIO, *VIDEO)
    assert formats(filtered(both, [CodecFilter((), frozenset({"vp8"}))]))[1] == "98 99"
    assert formats(filtered(both, [CodecFilter(("pcma",))]))[1] == "96 97 98 99"
    assert formats(filtered(both, [CodecFilter(("h264",))])) == ["111 8 0 18 9 101 126 13", "98 99"]


def test_two_filters_leave_what_both_let_pass() -> None:
    filters = [CodecFilter(("pcma", "opus")), CodecFilter((), frozenset({"opus"}))]
    assert formats(filtered(session(*AUDIO), filters)) == ["8 126 13"]


def test_a_line_of_which_nothing_is_left_is_refused_and_leaves_its_group() -> None:
    both = session("a=group:BUNDLE a v", *AUDIO, "a=mid:a", *VIDEO, "a=mid:v")
    after = filtered(both, [CodecFilter((), frozenset({"vp8", "h264"}))])
    assert [(media.kind, media.port) for media in after.media] == [("audio", 4000), ("video", 0)]
    assert after.media[1].formats
    assert after.groups("BUNDLE") == [("a",)]


def test_nothing_left_at_all_is_refused_in_words() -> None:
    with pytest.raises(BadMedia, match="PCMA") as caught:
        filtered(session("m=audio 4000 RTP/AVP 8 0"), [CodecFilter(("opus",))])
    assert caught.value.status == 488


def test_what_needs_no_change_comes_back_itself_and_other_media_are_left_alone() -> None:
    held = session("m=audio 0 RTP/AVP 0", "m=image 4010 udptl t38", "m=audio 4000 RTP/AVP 8")
    assert filtered(held, [CodecFilter(("pcma",))]) is held


def test_a_group_of_nothing_is_left_alone() -> None:
    both = session("a=group:", "a=group:BUNDLE v", *AUDIO, *VIDEO, "a=mid:v")
    after = filtered(both, [CodecFilter((), frozenset({"vp8", "h264"}))])
    assert [str(item) for item in after.fields if item.type == "a"] == ["a=group:"]


ODD = """\
a=group:
a=group:BUNDLE
a=mid:
a=rtpmap:
a=rtpmap:8 /
a=fmtp:8
a=fmtp:
a=rtcp-fb:*
m=audio 1 RTP/AVP 8 8 127
m=video 0 RTP/SAVPF 96
m=audio 9 UDP/TLS/RTP/SAVPF 0
a=bundle-only
m=x 1 RTP/AVP 1
a=rtpmap:127 red/8000
a=fmtp:127 8/x/9
a=rtpmap:8 rtx/8000
a=fmtp:8 apt=8""".splitlines()
LINES = st.lists(st.sampled_from(ODD), max_size=12)


@given(LINES, st.lists(st.builds(CodecFilter, st.just(("pcma", "vp8")), st.just(frozenset({"cn"}))), max_size=2))
def test_odd_descriptions_are_filtered_or_refused_in_words(lines: list[str], filters: list[CodecFilter]) -> None:
    with contextlib.suppress(BadMedia):
        parse_untrusted(filtered(session(*lines), filters).to_bytes())


NAMES = ("opus", "pcma", "pcmu", "g729", "g722", "vp8", "h264", "telephone-event", "cn", "ilbc")
FILTERS = st.builds(
    CodecFilter,
    st.lists(st.sampled_from(NAMES), unique=True, max_size=5).map(tuple),
    st.frozensets(st.sampled_from(NAMES), max_size=3),
    st.booleans(),
)


@given(st.lists(FILTERS, min_size=1, max_size=2), FILTERS)
def test_a_filtered_description_reads_again_and_filters_to_itself(
    filters: list[CodecFilter], preferred: CodecFilter
) -> None:
    before = session(*AUDIO, *VIDEO)
    try:
        after = filtered(before, filters, preferred)
    except BadMedia:
        return
    again = parse_untrusted(after.to_bytes())
    assert filtered(again, filters, preferred).to_bytes() == after.to_bytes()
    for old, new in zip(before.media, again.media, strict=True):
        assert new.formats
        assert set(new.formats) <= set(old.formats)
        if new.port:
            names = {codec.name.lower() for codec in codecs_of(new)}
            assert any(codec.carries_media for codec in codecs_of(new))
            assert not any(name in one.unwanted for one in filters for name in names)
