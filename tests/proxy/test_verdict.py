"""Verdicts on calls made by hand: every kind of cause has its sentence, mute sides are named, nothing raises."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.media.figures import CallMedia, DirectionFigures, LegFigures, StreamFigures, TransportFigures
from appliance.proxy.call_detail import CallDetail, Party, Vain
from appliance.proxy.verdict import Tone, verdict
from appliance.router.causes import Cause

STOOD = (Cause.CALLER, Cause.CALLEE, Cause.SILENCE, Cause.SESSION, Cause.UNHEARD, Cause.OPERATOR, Cause.TRANSFER)
FAILED = [one for one in Cause if one not in (*STOOD, Cause.FORGOTTEN)]


def call(**more: object) -> CallDetail:
    facts: dict[str, object] = {
        "serial": "1",
        "call_id": "1",
        "state": "ended",
        "caller": Party(name="1001", address="UDP 192.0.2.1:5060"),
        "callee": Party(name="1002 at 192.0.2.2:5060"),
        "called": "1002",
        "status": 200,
        "seen_at": 130.0,
        "started_at": 100.0,
        "answered_at": 110.0,
        "ended_at": 130.0,
        "leg": "b1",
    }
    return CallDetail(**(facts | more))  # type: ignore[arg-type]


def way(packets: int) -> DirectionFigures:
    return DirectionFigures(packets, packets * 172, 0, 0.0, 1.0, None, 4.4, "own")


def leg(name: str, heard: int = 1000, **more: object) -> LegFigures:
    """A leg of one audio stream, as the relay's clock says 500."""
    facts: dict[str, object] = {"direction": "sendrecv", "silent_since": None, "last_heard": 500.0 if heard else None}
    transport = {"kind": "RTP", "ice": "none", "dtls": "none", "missing": ""}
    transport |= {key: more.pop(key) for key in tuple(more) if key in transport}  # type: ignore[dict-item]
    stream = StreamFigures(
        index=0, kind="audio", codec="PCMU/8000", received=way(heard), sent=way(1), joined_to=None, **(facts | more)
    )  # type: ignore[arg-type]
    return LegFigures(
        name,
        (
            TransportFigures(
                local=("192.0.2.9", 20000),
                remote=("192.0.2.1", 4000),
                srtp_suite=None,
                drops={},
                timeline=(),
                streams=(stream,),
                at=500.0,
                **transport,  # type: ignore[arg-type]
            ),
        ),
    )


def media(*legs: LegFigures) -> CallMedia:
    return CallMedia("1", legs)


@pytest.mark.parametrize("cause", FAILED)
def test_every_kind_of_failure_has_its_sentence(cause: Cause) -> None:
    vain = (Vain("trunk a, gateway 192.0.2.7", 2.0, 503, "no answer"),)
    found = verdict(call(cause=cause, answered_at=None, status=503, ending="why {it} failed", attempts=vain))
    assert found.sentence.endswith(".")
    assert found.tone in (Tone.BAD, Tone.FAIR)
    assert (found.remedy != "") == (found.tone is Tone.BAD and cause is not Cause.NONE)


@pytest.mark.parametrize("cause", STOOD)
def test_every_way_to_end_has_its_sentence(cause: Cause) -> None:
    found = verdict(call(cause=cause, ending="so it was", media=media(leg("a"), leg("b1"))))
    assert "after 20 s" in found.sentence
    assert found.mute == ()


def test_who_hung_up_and_what_they_said() -> None:
    found = verdict(call(cause=Cause.CALLEE, reason='SIP;cause=200;text="bye"'))
    assert found.sentence == 'The callee (1002 at 192.0.2.2:5060) hung up after 20 s, saying SIP;cause=200;text="bye".'
    assert found.tone is Tone.GOOD


def test_a_side_that_fell_silent_is_named_with_its_time() -> None:
    """The relay's clock stood at 500 at the end, and the callee was heard last at 492."""
    silent = leg("b1", silent_since=498.0, last_heard=492.0)
    found = verdict(call(cause=Cause.CALLER, media=media(leg("a"), silent)))
    assert "One-way audio: the callee" in found.sentence
    assert "fell silent for the last 8 s" in found.sentence
    assert [(one.side, one.since) for one in found.mute] == [("callee", 122.0)]


def test_a_test_line_is_not_said_to_be_heard() -> None:
    found = verdict(call(cause=Cause.CALLER, callee=Party(name="line echo"), leg="", media=media(leg("a", 0))))
    assert found.sentence.startswith("The caller (1001) was never heard in all 20 s of the call; ")
    assert "line echo" not in found.sentence


def test_silence_in_both_directions_and_on_hold() -> None:
    both = verdict(call(cause=Cause.CALLER, media=media(leg("a", 0), leg("b1", 0))))
    assert "No sound in either direction" in both.sentence
    held = verdict(call(cause=Cause.CALLER, media=media(leg("a"), leg("b1", 0, direction="recvonly"))))
    assert held.mute == ()


def test_ice_and_dtls_come_before_the_silence_that_they_make() -> None:
    waiting = leg("a", 0, kind="WEBRTC", ice="waiting", dtls="waiting", missing="no ICE check ever came to x")
    found = verdict(call(cause=Cause.CALLER, media=media(waiting, leg("b1"))))
    assert "ICE never connected (no ICE check ever came to x)" in found.sentence
    failed = leg("a", 0, kind="WEBRTC", ice="connected", dtls="failed", missing="the peer showed no certificate")
    found = verdict(call(cause=Cause.CALLER, media=media(failed, leg("b1"))))
    assert "the DTLS handshake failed (the peer showed no certificate)" in found.sentence


def test_nobody_is_called_mute_in_the_first_seconds_nor_for_another_branch() -> None:
    short = attrs.evolve(call(cause=Cause.CALLER, media=media(leg("a", 0))), ended_at=111.0)
    assert verdict(short).mute == ()
    assert verdict(call(cause=Cause.CALLER, media=media(leg("a"), leg("b2", 0)))).mute == ()


TEXT = st.text(max_size=40)


@given(TEXT, TEXT, TEXT, st.sampled_from(Cause), st.sampled_from(["trying", "ringing", "answered", "ended", "refused"]))
def test_whatever_the_net_says_there_is_a_verdict(
    name: str, called: str, ending: str, cause: Cause, state: str
) -> None:
    stood = state == "answered"
    found = verdict(
        call(
            caller=Party(name=name),
            called=called,
            ending=ending,
            cause=cause,
            state=state,
            answered_at=110.0 if stood else None,
            ended_at=None if stood else 130.0,
        )
    )
    assert found.sentence
