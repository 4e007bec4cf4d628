import math

import pytest
import trio

from appliance.media.backend import EndpointKind, Line
from appliance.media.relay import open_relay
from appliance.rtc.g711 import A_LAW_FULL, MU_LAW_FULL, a_law_sample, mu_law_sample
from appliance.rtc.rtcp import (
    SenderInfo,
    build_pli,
    build_receiver_report,
    build_sender_report,
    parse_rtcp_untrusted,
)

from .phone import Events, audio, open_phone, until_dropped


def power(samples: list[float], hertz: float) -> float:
    """Goertzel: amplitude of one frequency in samples at 8 kHz."""
    coefficient = 2 * math.cos(2 * math.pi * hertz / 8000)
    before = last = 0.0
    for sample in samples:
        before, last = last, sample + coefficient * last - before
    energy = last * last + before * before - coefficient * last * before
    return 2 * math.sqrt(max(0.0, energy)) / len(samples)


@pytest.mark.parametrize("payload_type", [0, 8])
@pytest.mark.parametrize("suite", [None, "AEAD_AES_128_GCM"])
async def test_tone_is_a_milliwatt_at_1004_hertz(payload_type, suite):
    async with open_relay() as relay, open_phone(suite=suite) as alice:
        kind = EndpointKind.SDES if suite else EndpointKind.RTP
        a = relay.open_endpoint(kind, "127.0.0.1", mux=True, on_event=Events())
        a.set_remote(alice.remote())
        a.set_streams([audio(payload_types={96: 48000, payload_type: 8000})])
        relay.join_line(a, 0, Line.TONE)
        packets = [await alice.receive() for _ in range(25)]
        first = packets[0]
        assert first.marker
        for n, packet in enumerate(packets):
            assert packet.payload_type == payload_type
            assert packet.sequence == (first.sequence + n) & 0xFFFF
            assert packet.timestamp == (first.timestamp + 160 * n) & 0xFFFFFFFF
            assert len(packet.payload) == 160
        decode, full, peak = (
            (mu_law_sample, MU_LAW_FULL, 3.17) if payload_type == 0 else (a_law_sample, A_LAW_FULL, 3.14)
        )
        samples = [float(decode(octet)) for packet in packets for octet in packet.payload]
        amplitude = power(samples, 1004.0)
        assert abs(20 * math.log10(amplitude / full) + peak) < 0.1
        for hertz in (984.0, 1024.0, 2008.0, 440.0):
            assert power(samples, hertz) < amplitude / 50


async def test_tone_stops_when_the_stream_is_held_and_when_it_is_left():
    async with open_relay() as relay, open_phone() as alice:
        a = relay.open_endpoint(EndpointKind.RTP, "127.0.0.1", mux=True, on_event=Events())
        a.set_remote(alice.remote())
        a.set_streams([audio()])
        relay.join_line(a, 0, Line.TONE)
        await alice.receive()
        await alice.send(a, alice.packet())
        relay.leave(a, 0)
        sent = a.stats().streams[0].packets_sent
        bye = parse_rtcp_untrusted(await until_rtcp(alice))
        assert bye[-1].kind == 203
        assert a.stats().streams[0].packets_sent == sent


async def test_tone_reports_let_the_listener_measure_the_round_trip():
    async with open_relay() as relay, open_phone() as alice:
        a = relay.open_endpoint(EndpointKind.RTP, "127.0.0.1", mux=True, on_event=Events())
        a.set_remote(alice.remote())
        a.set_streams([audio()])
        relay.join_line(a, 0, Line.TONE)
        await alice.send(a, alice.packet())
        await until_dropped(a, "consumed")
        info = SenderInfo(0x0102030405060708, 1, 1, 160)
        await alice.send_rtcp(a, build_sender_report(alice.ssrc, info))
        with trio.fail_after(60):
            while not a.control.heard_at > 0:
                await trio.lowlevel.checkpoint()
        for _ in range(5):
            a.lines[0].tick(a, a.streams[0], relay.clock())
        report = parse_rtcp_untrusted(await until_rtcp(alice))[0]
        (block,) = report.blocks
        assert (block.ssrc, block.lsr) == (alice.ssrc, info.middle)
        assert block.dlsr < 5 * 65536


async def until_rtcp(phone):
    for _ in range(100):
        data = await phone.receive_raw()
        if 192 <= data[1] <= 223:
            return data
    raise AssertionError("no RTCP among 100 packets")


@pytest.mark.parametrize("suite", [None, "AES_CM_128_HMAC_SHA1_80"])
async def test_echo_returns_every_packet_under_its_own_ssrc(suite):
    async with open_relay() as relay, open_phone(suite=suite) as alice:
        kind = EndpointKind.SDES if suite else EndpointKind.RTP
        a = relay.open_endpoint(kind, "127.0.0.1", mux=True, on_event=Events())
        a.set_remote(alice.remote())
        a.set_streams([audio(feedback=frozenset({"nack pli"}))])
        relay.join_line(a, 0, Line.ECHO)
        for n in range(5):
            packet = alice.packet(bytes((n,)) * 160, marker=n == 0)
            await alice.send(a, packet)
            heard = await alice.receive()
            assert heard.ssrc != alice.ssrc
            assert (heard.payload, heard.sequence, heard.timestamp, heard.payload_type, heard.marker) == (
                bytes((n,)) * 160,
                alice.sequence,
                alice.timestamp,
                0,
                n == 0,
            )
        # What Alice says about the echo comes back as said about herself, and the other way round.
        await alice.send_rtcp(a, build_receiver_report(alice.ssrc) + build_pli(alice.ssrc, heard.ssrc))
        report, pli = parse_rtcp_untrusted(await alice.receive_rtcp())
        assert report.sender == heard.ssrc
        assert (pli.sender, pli.media) == (heard.ssrc, alice.ssrc)
        await alice.send_rtcp(a, build_sender_report(alice.ssrc, SenderInfo(5 << 32, 1, 2, 3)))
        (mirrored,) = parse_rtcp_untrusted(await alice.receive_rtcp())
        assert mirrored.sender == heard.ssrc
        assert mirrored.sender_info == SenderInfo(5 << 32, 1, 2, 3)
