"""What SDP asks of the network, figure by figure."""

import pytest

from appliance.rtc.bandwidth import Bitrate, bitrate_untrusted


def sdp(*media: str, address: str = "IP4 192.0.2.1") -> bytes:
    lines = ["v=0", f"o=- 1 1 IN {address}", "s=-", f"c=IN {address}", "t=0 0", *media]
    return "\r\n".join([*lines, ""]).encode()


@pytest.mark.parametrize(
    ("media", "audio"),
    [
        (("m=audio 4000 RTP/AVP 0",), 80_000),
        (("m=audio 4000 RTP/AVP 0", "a=ptime:10"), 96_000),
        (("m=audio 4000 RTP/AVP 0", "a=ptime:40"), 72_000),
        (("m=audio 4000 RTP/AVP 18",), 24_000),
        (("m=audio 4000 RTP/AVP 18 0 8 101", "a=rtpmap:101 telephone-event/8000"), 80_000),
        (("m=audio 4000 RTP/SAVP 0",), 84_000),
        (("m=audio 4000 RTP/AVP 111", "a=rtpmap:111 opus/48000/2"), 56_000),
        (("m=audio 4000 RTP/AVP 111", "a=rtpmap:111 opus/48000/2", "a=fmtp:111 maxaveragebitrate=20000"), 36_000),
        (("m=audio 4000 RTP/AVP 0", "b=AS:50"), 50_000),
        (("m=audio 0 RTP/AVP 0",), 0),
        (("m=audio 4000 RTP/AVP 99",), 80_000),
    ],
)
def test_audio_with_its_headers(media: tuple[str, ...], audio: int) -> None:
    assert bitrate_untrusted(sdp(*media)) == Bitrate(audio, 0)


def test_ipv6_has_longer_headers() -> None:
    assert bitrate_untrusted(sdp("m=audio 4000 RTP/AVP 0", address="IP6 2001:db8::1")).audio == 88_000


def test_video_is_apart_and_as_wide_as_it_says() -> None:
    video = ("m=video 4002 RTP/AVP 96", "a=rtpmap:96 H264/90000")
    assert bitrate_untrusted(sdp("m=audio 4000 RTP/AVP 0", *video, "b=AS:512")) == Bitrate(80_000, 512_000)
    assert bitrate_untrusted(sdp(*video)) == Bitrate(0, 1_500_000)
    assert bitrate_untrusted(sdp(*video, "b=TIAS:440000")).video == 456_000
