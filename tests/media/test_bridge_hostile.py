"""SDP that was damaged or made up on the way: only BadMedia rises, what stood still stands, and what goes out can be
read again and names none of the other side's addresses."""

import re
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.media.bridge import Bridge
from appliance.media.profile import Profile, ProfileKind
from appliance.rtc.errors import BadMedia
from appliance.rtc.sdp import parse_untrusted
from tests.media.fake_backend import FakeBackend
from tests.rtc.sdp_samples import (
    BROWSER_AUDIO,
    BROWSER_DATA,
    BROWSER_VIDEO,
    KEY_80,
    LOAD_GENERATOR,
    PHONE,
    PHONE_VIDEO,
    SECURE_PHONE,
    crlf,
)

SAMPLES = [BROWSER_AUDIO, BROWSER_DATA, BROWSER_VIDEO, LOAD_GENERATOR, PHONE, PHONE_VIDEO, SECURE_PHONE]
ANSWERS = {ProfileKind.RTP: PHONE_VIDEO, ProfileKind.WEBRTC: BROWSER_VIDEO, ProfileKind.SDES: SECURE_PHONE}
PEER_SECRETS = re.compile(
    rb"192\.0\.2\.|198\.51\.100\.|Wy5Q|lvPuAHXi|A1:A1|" + re.escape(KEY_80.encode()) + rb"|\.local"
)


def profile(kind: ProfileKind) -> Profile:
    return Profile(kind, "203.0.113.5", sdes_allowed=True)


@pytest.mark.parametrize("kind", list(ANSWERS))
@pytest.mark.parametrize("text", SAMPLES)
def test_nothing_of_one_sides_transport_reaches_the_other(text: str, kind: ProfileKind) -> None:
    call = Bridge(FakeBackend()).open_call("call-h")
    call.add_leg("a", profile(ProfileKind.AUTO))
    call.add_leg("b1", profile(kind))
    offer = call.offer(crlf(text), from_leg="a", to_leg="b1")
    assert not PEER_SECRETS.search(offer)
    lines = len(parse_untrusted(offer).media)
    reply = ANSWERS[kind].replace("actpass", "active")
    reply = "m=".join(reply.split("m=")[: lines + 1])
    if "application" in text:
        reply = reply.split("m=video")[0]
    answer = call.answer(crlf(reply), from_leg="b1", to_leg="a")
    assert not PEER_SECRETS.search(answer)


def damaged(text: str, data: st.DataObject) -> bytes:
    whole = bytearray(crlf(text))
    for _ in range(data.draw(st.integers(0, 5))):
        place = data.draw(st.integers(0, len(whole) - 1))
        whole[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    lines = bytes(whole).split(b"\r\n")
    if data.draw(st.booleans()):
        place = data.draw(st.integers(0, len(lines) - 1))
        lines[place : place + 1] = lines[place : place + 1] * data.draw(st.integers(0, 2))
    return b"\r\n".join(lines)


@settings(deadline=None, max_examples=150)
@given(st.sampled_from(SAMPLES), st.sampled_from(list(ANSWERS)), st.data())
def test_only_bad_media_rises_and_what_stood_still_stands(text: str, kind: ProfileKind, data: st.DataObject) -> None:
    backend = FakeBackend()
    call = Bridge(backend).open_call("call-h")
    call.add_leg("a", profile(ProfileKind.AUTO))
    call.add_leg("b1", profile(kind))
    for one, two, offer, answer in (
        ("a", "b1", text, ANSWERS[kind]),
        ("b1", "a", ANSWERS[kind], text),
        ("a", "b1", text, ANSWERS[kind]),
    ):
        before = standing(backend)
        give = partial(call.offer, damaged(offer, data), from_leg=one, to_leg=two)
        if not taken(give):
            assert standing(backend) == before
            continue
        reply = damaged(answer.replace("actpass", "active"), data)
        if not taken(partial(call.answer, reply, from_leg=two, to_leg=one)):
            call.reject_offer(from_leg=one, to_leg=two)
            assert standing(backend) == before
    call.close()
    assert backend.open() == []


def standing(backend: FakeBackend) -> tuple[object, object]:
    return {e.local.rtp_port: e.streams for e in backend.open()}, dict(backend.joins)


def taken(act: Callable[[], bytes]) -> bool:
    """Whether the bridge took it; what it made then can be read again."""
    refused: BadMedia | None = None
    try:
        parse_untrusted(act())
    except BadMedia as bad:
        refused = bad
    if refused is None:
        return True
    assert refused.status in (400, 488)
    assert str(refused).isascii()
    return False
