"""Echo and tone: what the appliance itself answers and offers."""

import pytest

from appliance.media.backend import Line
from appliance.media.bridge import Bridge, MediaCall
from appliance.media.profile import Profile, ProfileKind
from appliance.rtc.errors import BadMedia
from appliance.rtc.sdp import Session, parse_untrusted
from tests.media.fake_backend import FakeBackend
from tests.rtc.sdp_samples import BROWSER_AUDIO, BROWSER_VIDEO, LOAD_GENERATOR, PHONE, SECURE_PHONE, crlf

HOST = "203.0.113.5"


def opened(kind: ProfileKind = ProfileKind.AUTO) -> tuple[FakeBackend, MediaCall]:
    backend = FakeBackend()
    call = Bridge(backend).open_call("call-line")
    call.add_leg("a", Profile(kind, HOST, sdes_allowed=True))
    return backend, call


def answered(call: MediaCall, text: str, line: Line) -> Session:
    return parse_untrusted(call.answer_line(crlf(text), leg="a", line=line))


def test_echo_answers_a_browser_with_its_first_codec_and_dtmf() -> None:
    backend, call = opened()
    answer = answered(call, BROWSER_VIDEO, Line.ECHO)
    audio, video = answer.media
    assert audio.formats == ("111", "110")
    assert audio.attribute("fmtp") == "111 minptime=10;useinbandfec=1"
    assert video.formats == ("96",)
    assert answer.attribute("group") == "BUNDLE 0 1"
    assert not audio.has("ssrc")
    assert not audio.has("extmap")
    (endpoint,) = backend.open()
    assert backend.lines == {(id(endpoint), 0): Line.ECHO, (id(endpoint), 1): Line.ECHO}
    assert endpoint.streams[0].payload_types == {111: 48000, 110: 48000}


def test_tone_answers_in_g711_and_refuses_video() -> None:
    backend, call = opened()
    answer = answered(call, BROWSER_VIDEO, Line.TONE)
    assert answer.media[0].formats == ("0", "126")
    assert answer.media[1].port == 0
    assert list(backend.lines.values()) == [Line.TONE]


def test_tone_without_g711_is_refused_and_holds_no_port() -> None:
    backend, call = opened()
    with pytest.raises(BadMedia, match="tone line has none"):
        answered(call, LOAD_GENERATOR.replace("AVP 0", "AVP 9"), Line.TONE)
    assert backend.open() == []


@pytest.mark.parametrize("text", [PHONE, SECURE_PHONE, BROWSER_AUDIO])
def test_hold_and_resume_keep_the_port(text: str) -> None:
    backend, call = opened()
    first = answered(call, text, Line.ECHO)
    session = parse_untrusted(crlf(text))
    hold = text.replace("a=sendrecv\n", "") + "a=sendonly\n"
    assert answered(call, hold, Line.ECHO).media[0].direction == "recvonly"
    again = answered(call, text, Line.ECHO)
    assert again.media == first.media
    assert again.media[0].protocol == session.media[0].protocol
    assert len(backend.open()) == 1
    assert len(backend.lines) == 1


@pytest.mark.parametrize("kind", [ProfileKind.RTP, ProfileKind.WEBRTC, ProfileKind.SDES])
@pytest.mark.parametrize("line", list(Line))
def test_invite_without_sdp_gets_an_offer(kind: ProfileKind, line: Line) -> None:
    backend, call = opened(kind)
    offer = parse_untrusted(call.offer_line(leg="a", line=line))
    assert offer.media[0].formats[:2] == ("0", "8")
    peer = {ProfileKind.RTP: PHONE, ProfileKind.SDES: SECURE_PHONE}.get(kind, BROWSER_AUDIO)
    call.accept_line(crlf(peer.replace("actpass", "active")), leg="a")
    (endpoint,) = backend.open()
    assert backend.lines == {(id(endpoint), 0): line}
    call.close()
    assert backend.open() == []
