"""Reading and writing session descriptions: what is kept, what is refused, and that nothing else ever rises."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.rtc.errors import BadMedia
from appliance.rtc.sdp import MAX_BYTES, MAX_MEDIA, Session, parse_untrusted
from appliance.rtc.sdp_codecs import codecs_of
from appliance.rtc.sdp_convert import extensions_of
from appliance.rtc.sdp_crypto import cryptos_of
from appliance.rtc.sdp_transport import read_transport
from tests.rtc.sdp_samples import (
    BROWSER_AUDIO,
    BROWSER_DATA,
    BROWSER_VIDEO,
    LOAD_GENERATOR,
    PHONE,
    PHONE_VIDEO,
    SECURE_PHONE,
    crlf,
)

SAMPLES = [BROWSER_AUDIO, BROWSER_DATA, BROWSER_VIDEO, LOAD_GENERATOR, PHONE, PHONE_VIDEO, SECURE_PHONE]


@pytest.mark.parametrize("text", SAMPLES)
def test_what_peers_write_comes_back_byte_for_byte(text: str) -> None:
    assert parse_untrusted(crlf(text)).to_bytes() == crlf(text)


def test_unknown_lines_and_bytes_that_are_not_utf8_are_kept() -> None:
    data = crlf(PHONE.replace("s=-", "s=caf\u00e9\nq=what is this")).replace("\u00e9".encode(), b"\xe9")
    assert parse_untrusted(data).to_bytes() == data


def test_bare_line_feeds_and_a_missing_last_line_end_are_read() -> None:
    assert parse_untrusted(PHONE.strip().encode()).to_bytes() == crlf(PHONE)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("hello", "line 1 is not of the form"),
        ("o=- 1 1 IN IP4 192.0.2.1\n", "line 1 is not v=0"),
        ("v=1\n", "line 1 is not v=0"),
        ("v=0\ns=-\n", "no o= line"),
        (PHONE.replace("22346", "seventy"), "line 7: no port"),
        (PHONE.replace("22346", "65536"), "line 7: no port"),
        (PHONE.replace("22346", "-1"), "line 7: no port"),
        (PHONE.replace("22346", "4000/0"), "line 7: no number of ports"),
        (PHONE.replace("8 0 101", ""), "line 7: m= needs"),
        (PHONE.replace("8 0 101", "8 0 128"), "'128' is not an RTP payload type"),
        (PHONE.replace("m=audio", "m=au(dio"), "is no token"),
        (PHONE.replace("c=IN IP4 198.51.100.20", "c=IN IP5 x"), "line 4: c= is not"),
        (PHONE.replace("a=tool", "tool"), "line 6 is not of the form"),
        (PHONE.replace("a=tool", "a=to\0l"), "line 6 holds a NUL"),
        (PHONE + "v=0\n", "repeats v="),
        (PHONE + "m=audio 4 RTP/AVP 0\n" * MAX_MEDIA, "m= line 17"),
        (PHONE + "m=audio 4 RTP/AVP" + " 1" * 200, "200 formats"),
        (PHONE + "a=x\n" * 2000, "lines, 2000 are the most"),
        (PHONE + "a=" + "x" * MAX_BYTES, "are the most"),
    ],
)
def test_malformed_text_is_refused_with_the_line(text: str, reason: str) -> None:
    with pytest.raises(BadMedia) as caught:
        parse_untrusted(text.encode())
    assert reason in str(caught.value)
    assert caught.value.status == 400
    assert str(caught.value).isascii()


def _read(text: str) -> object:
    session = parse_untrusted(text.encode())
    return read_transport(session, session.media[0])


@pytest.mark.parametrize(
    ("text", "reason", "status"),
    [
        (PHONE.replace("c=IN IP4 198.51.100.20\n", ""), "has no c= line", 400),
        (PHONE.replace("c=IN IP4 198.51.100.20", "c=IN IP4 phone.example.com"), "is no IP address", 488),
        (PHONE.replace("c=IN IP4 198.51.100.20", "c=IN IP4 233.252.0.1/127"), "multicast", 488),
        (PHONE + "a=rtcp:none\n", "a=rtcp of m=audio has no port", 400),
        (BROWSER_AUDIO.replace("a=fingerprint:sha-256 A1", "a=fingerprint:sha-256 ZZ"), "not hexadecimal", 400),
        (BROWSER_AUDIO.replace("a=fingerprint:sha-256 A1:", "a=fingerprint:sha-256 "), "31 bytes", 400),
        (BROWSER_AUDIO.replace("a=fingerprint:sha-256", "a=fingerprint:md5"), "no usable a=fingerprint", 488),
        (BROWSER_AUDIO.replace("setup:actpass", "setup:both"), "a=setup", 400),
        (BROWSER_AUDIO.replace("ufrag:Wy5Q", "ufrag:W"), "ice-ufrag", 400),
        (PHONE.replace("RTP/AVP", "TCP/MSRP"), "cannot be carried", 488),
    ],
)
def test_transports_that_cannot_be_used_say_why(text: str, reason: str, status: int) -> None:
    with pytest.raises(BadMedia, match=reason) as caught:
        _read(text)
    assert caught.value.status == status


@pytest.mark.parametrize(
    "value",
    [
        "1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz|2^20|1:4",
        "1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz UNENCRYPTED_SRTP",
        "1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewky",
        "1 AES_CM_128_HMAC_SHA1_80 inline:WVNf%",
        "1 AES_CM_128_HMAC_SHA1_80 outline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz",
        "1 F8_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz",
        "1 AES_CM_128_HMAC_SHA1_80",
        "x",
    ],
)
def test_crypto_lines_that_cannot_be_honoured_are_skipped(value: str) -> None:
    session = parse_untrusted(crlf(LOAD_GENERATOR.replace("RTP/AVP", "RTP/SAVP") + f"a=crypto:{value}\n"))
    assert cryptos_of(session.media[0]) == ()


def test_window_hint_does_not_spoil_a_crypto_line() -> None:
    line = "a=crypto:9 aes_cm_128_hmac_sha1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz WSH=128 -X\n"
    (crypto,) = cryptos_of(parse_untrusted(crlf(LOAD_GENERATOR + line)).media[0])
    assert (crypto.tag, crypto.suite, len(crypto.key_salt)) == (9, "AES_CM_128_HMAC_SHA1_80", 30)
    assert "key" not in repr(crypto)


def test_codecs_are_read_in_order_with_their_parameters() -> None:
    codecs = codecs_of(parse_untrusted(crlf(BROWSER_VIDEO)).media[1])
    assert [str(c) for c in codecs[:3]] == ["VP8/90000", "rtx/90000", "H264/90000"]
    assert codecs[1].apt == 96
    assert codecs_of(parse_untrusted(crlf(LOAD_GENERATOR)).media[0])[0].identity == ("pcmu", 8000, 1)


# --- whatever the network feeds ---

_WORDS = st.sampled_from(
    ["audio", "video", "0", "9", "65535", "RTP/AVP", "RTP/SAVP", "UDP/TLS/RTP/SAVPF", "111", "IN", "IP4", "IP6",
     "192.0.2.1", "0.0.0.0", "::", "host.example.com", "x" * 70, "\u00e9", "-", "1/2", "inline:", "actpass",
     "2^31|1:4", "sha-256", "AB:CD", "udp", "typ", "host", "1", "4294967296", "\u0661", "urn:x", "99999999999"]
)  # fmt: skip
_NAMES = st.sampled_from(
    ["rtpmap", "fmtp", "rtcp-fb", "crypto", "candidate", "ice-ufrag", "ice-pwd", "fingerprint", "setup", "mid",
     "group", "rtcp", "rtcp-mux", "extmap", "ssrc", "ptime", "msid", "bundle-only"]
)  # fmt: skip
_ATTRIBUTE = st.builds(lambda name, words: f"a={name}:{' '.join(words)}", _NAMES, st.lists(_WORDS, max_size=8))
_LINE = st.one_of(
    _ATTRIBUTE,
    st.builds(lambda words: f"m={' '.join(words)}", st.lists(_WORDS, max_size=6)),
    st.builds(lambda words: f"c={' '.join(words)}", st.lists(_WORDS, max_size=4)),
    st.sampled_from(["a=sendonly", "m=audio 9 RTP/AVP 0", "m=audio 9 RTP/SAVP 0", "c=IN IP4 192.0.2.1", "t=0 0"]),
    st.text(max_size=12),
)


def _read_all(data: bytes) -> Session | None:
    """Everything that reads a peer's SDP; only BadMedia may rise."""
    try:
        session = parse_untrusted(data)
    except BadMedia:
        return None
    for media in session.media:
        for codec in codecs_of(media):
            assert codec.clock_rate > 0
            assert codec.apt is None or codec.apt >= 0
        cryptos_of(media)
        extensions_of(media, session)
        try:
            read_transport(session, media)
        except BadMedia:
            pass
    return session


@settings(deadline=None)
@given(st.lists(_LINE, max_size=30))
def test_only_bad_media_rises_from_lines_like_sdp(lines: list[str]) -> None:
    text = "\r\n".join(["v=0", "o=- 1 1 IN IP4 192.0.2.1", *lines, ""])
    session = _read_all(text.encode("utf-8", "surrogateescape"))
    if session is not None:
        assert parse_untrusted(session.to_bytes()) == session


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_only_bad_media_rises_from_any_bytes(data: bytes) -> None:
    _read_all(data)
    _read_all(b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\n" + data)


@settings(deadline=None, max_examples=200)
@given(st.sampled_from(SAMPLES), st.data())
def test_only_bad_media_rises_from_damaged_captures(text: str, data: st.DataObject) -> None:
    whole = bytearray(crlf(text))
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(whole) - 1))
        whole[place : place + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
        if not whole:
            break
    _read_all(bytes(whole))
