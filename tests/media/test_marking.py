"""Audio and video leave with marks of their own, also where they share one transport."""

import socket
from struct import unpack

import pytest
import trio

from appliance.media.backend import EndpointKind, RemoteParameters, StreamSpec
from appliance.media.endpoint import RelayEndpoint
from appliance.media.profile import Profile, ProfileKind
from appliance.media.relay import PythonRelay, open_relay
from tests.media.phone import RtpPhone, audio, open_phone

EF, AF41 = 46, 34


def video(index: int = 1, **changes: object) -> StreamSpec:
    return StreamSpec(index, "video", {96: 90_000}, **changes)  # type: ignore[arg-type]


def watch_marks(phone: RtpPhone) -> None:
    six = ":" in phone.host
    for sock in (phone.socket, phone.control):
        if six:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVTCLASS, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)


async def heard(phone: RtpPhone) -> tuple[int, int]:
    """Payload type and mark of the next packet."""
    with trio.fail_after(60):
        data, [(_, _, value)], _, _ = await phone.socket.recvmsg(4096, 100)
    return data[1] & 127, (value[0] if len(value) == 1 else unpack("i", value)[0]) >> 2


def endpoint(relay: PythonRelay, phone: RtpPhone, *streams: StreamSpec) -> RelayEndpoint:
    made = relay.open_endpoint(EndpointKind.RTP, phone.host, mux=True, on_event=lambda event: None)
    made.set_remote(phone.remote())
    made.set_streams(streams)
    return made


@pytest.mark.parametrize("order", ["audio first", "video first"])
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_one_transport_carries_both_marks_packet_by_packet(host: str, order: str) -> None:
    first, second = (0, 1) if order == "audio first" else (1, 0)
    async with open_relay() as relay, open_phone(host) as a, open_phone(host) as b:
        watch_marks(b)
        here = endpoint(relay, a, audio(first), video(second))
        there = endpoint(relay, b, audio(first, dscp=EF), video(second, dscp=AF41))
        for index in (0, 1):
            relay.join(here, index, there, index)
        await a.send(here, a.packet(payload_type=0))
        assert await heard(b) == (0, EF)
        a.ssrc += 1
        await a.send(here, a.packet(payload_type=96))
        assert await heard(b) == (96, AF41)
        assert there.port.dscp == EF


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_marks_of_a_trusted_leg_go_on_as_they_came(host: str) -> None:
    option = (socket.IPPROTO_IPV6, socket.IPV6_TCLASS) if ":" in host else (socket.IPPROTO_IP, socket.IP_TOS)
    async with open_relay() as relay, open_phone(host) as a, open_phone(host) as b:
        watch_marks(a)
        watch_marks(b)
        here = endpoint(relay, a, audio(dscp=EF, trust_dscp=True))
        there = endpoint(relay, b, audio(dscp=EF))
        relay.join(here, 0, there, 0)
        for mark in (AF41, 0, 40):
            a.socket.setsockopt(*option, mark << 2)
            await a.send(here, a.packet())
            assert await heard(b) == (0, mark)
            b.socket.setsockopt(*option, mark << 2)
            await b.send(there, b.packet())
            assert await heard(a) == (0, EF)
        here.set_streams([audio(dscp=EF)])
        await a.send(here, a.packet())
        assert await heard(b) == (0, EF)


async def test_each_leg_has_its_own_mark_and_a_new_one_counts_at_once() -> None:
    async with open_relay() as relay, open_phone() as a, open_phone() as b:
        watch_marks(a)
        watch_marks(b)
        here, there = endpoint(relay, a, audio(dscp=EF)), endpoint(relay, b, audio(dscp=40))
        relay.join(here, 0, there, 0)
        await a.send(here, a.packet())
        await b.send(there, b.packet())
        assert (await heard(a), await heard(b)) == ((0, EF), (0, 40))
        there.set_streams([audio(dscp=0)])
        await a.send(here, a.packet())
        assert await heard(b) == (0, 0)
        # a peer that moves: the socket towards it is another
        async with open_phone() as moved:
            watch_marks(moved)
            here.set_remote(RemoteParameters(rtp=moved.address))
            await b.send(there, b.packet())
            assert await heard(moved) == (0, EF)


async def test_rtcp_on_a_port_of_its_own_goes_with_its_media() -> None:
    async with open_relay() as relay:
        made = relay.open_endpoint(EndpointKind.RTP, "127.0.0.1", mux=False, on_event=lambda event: None)
        made.set_streams([video(dscp=AF41)])
        assert made.port.control is not None
        for sock in (made.port.open, made.port.control):
            assert sock.getsockopt(socket.IPPROTO_IP, socket.IP_TOS) >> 2 == AF41


def test_what_is_neither_audio_nor_video_goes_with_the_audio() -> None:
    profile = Profile(ProfileKind.RTP, "127.0.0.1", audio_dscp=EF, video_dscp=AF41)
    assert [profile.dscp(kind) for kind in ("audio", "video", "text")] == [EF, AF41, EF]
