"""The bridge on the real relay: what the SDP promised is what packets on loopback do."""

import base64
from types import SimpleNamespace

import pylibsrtp
import pytest
import trio

from appliance.media.backend import LocalParameters, SdesKey
from appliance.media.bridge import Bridge, MediaCall
from appliance.media.profile import Profile, ProfileKind
from appliance.media.relay import open_relay
from appliance.rtc.sdp import Session, parse_untrusted
from appliance.rtc.sdp_crypto import cryptos_of
from tests.media.phone import KEY_LENGTH, RtpPhone, open_phone
from tests.rtc.sdp_samples import crlf

HOST = "127.0.0.1"


def described(phone: RtpPhone, direction: str = "sendrecv") -> bytes:
    """The phone's own SDP, offer or answer."""
    protocol = "RTP/AVP" if phone.suite is None else "RTP/SAVP"
    text = f"v=0\no=- 1 1 IN IP4 {HOST}\ns=-\nc=IN IP4 {HOST}\nt=0 0\nm=audio {phone.address[1]} {protocol} 0\n"
    if phone.suite is not None:
        key = base64.b64encode(phone.send_key.key_salt).decode()
        text += f"a=crypto:1 {phone.suite} inline:{key}\n"
    return crlf(f"{text}a={direction}\na=rtcp:{phone.control_address[1]}\n")


def learn(phone: RtpPhone, sdp: Session) -> SimpleNamespace:
    """The phone reads our SDP: where to send, and the key that we protect with."""
    (audio,) = sdp.media
    found = next((c for c in cryptos_of(audio) if c.suite == phone.suite), None)
    if found is not None:
        phone.receiver = phone._session(SdesKey(found.suite, found.key_salt), pylibsrtp.Policy.SSRC_ANY_INBOUND)
    return SimpleNamespace(local=LocalParameters(HOST, audio.port, audio.port + 1))


class Pair:
    """Two phones in a call."""

    def __init__(self, call: MediaCall, caller: RtpPhone, callee: RtpPhone) -> None:
        self.call, self.caller, self.callee = call, caller, callee
        for leg, phone in (("a", caller), ("b1", callee)):
            kind = ProfileKind.RTP if phone.suite is None else ProfileKind.SDES
            call.add_leg(leg, Profile(kind, HOST, sdes_allowed=True))

    def agree(self, direction: str = "sendrecv", reply: str = "sendrecv") -> None:
        offer = self.call.offer(described(self.caller, direction), from_leg="a", to_leg="b1")
        answer = self.call.answer(described(self.callee, reply), from_leg="b1", to_leg="a")
        self.to_callee = learn(self.callee, parse_untrusted(offer))
        self.to_caller = learn(self.caller, parse_untrusted(answer))

    async def both_hear(self) -> None:
        await self.caller.send(self.to_caller, self.caller.packet(b"\x11" * 160))
        assert (await self.callee.receive()).payload == b"\x11" * 160
        await self.callee.send(self.to_callee, self.callee.packet(b"\x22" * 160))
        assert (await self.caller.receive()).payload == b"\x22" * 160


@pytest.mark.parametrize("callee", [None, *KEY_LENGTH])
@pytest.mark.parametrize("caller", [None, *KEY_LENGTH])
async def test_phones_of_every_kind_hear_each_other_and_hold(caller: str | None, callee: str | None) -> None:
    async with open_relay() as relay, open_phone(HOST, caller) as one, open_phone(HOST, callee) as two:
        call = Bridge(relay).open_call("call-p")
        pair = Pair(call, one, two)
        pair.agree()
        await pair.both_hear()
        pair.agree("sendonly", "recvonly")
        await two.send(pair.to_callee, two.packet(b"\x33" * 160))
        await one.send(pair.to_caller, one.packet(b"\x44" * 160))
        assert (await two.receive()).payload == b"\x44" * 160
        pair.agree()
        await pair.both_hear()  # what was sent into the hold does not come late
        figures = call.snapshot().legs[0].transports[0]
        assert figures.remote == one.address
        assert figures.streams[0].codec == "PCMU/8000"
        assert figures.streams[0].received.packets == 3
        call.close()


@pytest.mark.parametrize("known", [True, False])
async def test_phone_behind_nat_is_heard_from_where_its_signalling_came(known: bool) -> None:
    async with open_relay() as relay, open_phone(HOST, None) as one, open_phone(HOST, None) as two:
        call = Bridge(relay).open_call("call-n")
        call.add_leg("a", Profile(ProfileKind.RTP, HOST, latch_hosts=(HOST,) if known else ()))
        call.add_leg("b1", Profile(ProfileKind.RTP, HOST))
        private = described(one).replace(b"c=IN IP4 127.0.0.1", b"c=IN IP4 192.0.2.77")
        call.offer(private, from_leg="a", to_leg="b1")
        answer = call.answer(described(two), from_leg="b1", to_leg="a")
        to_caller = learn(one, parse_untrusted(answer))
        await one.send(to_caller, one.packet(b"\x11" * 160))
        if known:
            assert (await two.receive()).payload == b"\x11" * 160
            assert call.snapshot().legs[0].transports[0].remote == one.address
        else:
            with trio.fail_after(60):
                while not call.snapshot().legs[0].transports[0].drops.get("unknown_source"):
                    await trio.lowlevel.checkpoint()
        call.close()
