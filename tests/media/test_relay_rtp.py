import pytest
import trio

from appliance.media.backend import EndpointKind, Line, PortsExhausted, RemoteParameters
from appliance.media.ports import PortOptions
from appliance.media.relay import PythonRelay, RelayOptions, open_relay
from appliance.rtc.rtcp import (
    NACK,
    PSFB,
    RTPFB,
    ReportBlock,
    SenderInfo,
    build_cname,
    build_nack,
    build_pli,
    build_receiver_report,
    build_sender_report,
    parse_rtcp_untrusted,
)

from .phone import Events, RtpPhone, audio, open_phone, until_dropped

LOCAL = "127.0.0.1"
SUITES = ("AES_CM_128_HMAC_SHA1_80", "AEAD_AES_128_GCM")


def leg(relay: PythonRelay, phone: RtpPhone, *, mux: bool = True, **changes: object):
    kind = EndpointKind.RTP if phone.suite is None else EndpointKind.SDES
    endpoint = relay.open_endpoint(kind, phone.host, mux=mux, on_event=Events())
    endpoint.set_remote(phone.remote(mux=mux))
    endpoint.set_streams([audio(**changes)])
    return endpoint


@pytest.mark.parametrize("host", [LOCAL, "::1"])
async def test_rtp_is_carried_both_ways(host):
    async with open_relay() as relay, open_phone(host) as alice, open_phone(host) as bob:
        a, b = leg(relay, alice), leg(relay, bob)
        relay.join(a, 0, b, 0)
        for n in range(5):
            await alice.send(a, alice.packet(bytes((n,)) * 160))
            heard = await bob.receive()
            assert (heard.payload, heard.ssrc, heard.sequence) == (
                bytes((n,)) * 160,
                alice.ssrc,
                alice.sequence,
            )
            await bob.send(b, bob.packet(bytes((n + 100,)) * 160, 8))
            assert (await alice.receive()).payload == bytes((n + 100,)) * 160
        stats = a.stats().streams[0]
        assert (stats.packets_received, stats.packets_sent, stats.lost, stats.payload_type) == (5, 5, 0, 0)
        assert stats.bytes_received == 5 * 172


@pytest.mark.parametrize("suite", SUITES)
async def test_sdes_srtp_meets_plain_rtp(suite):
    async with open_relay() as relay, open_phone(suite=suite) as alice, open_phone() as bob:
        a, b = leg(relay, alice), leg(relay, bob)
        relay.join(a, 0, b, 0)
        for n in range(5):
            await alice.send(a, alice.packet(bytes((n,)) * 160))
            assert (await bob.receive()).payload == bytes((n,)) * 160
            await bob.send(b, bob.packet(bytes((n + 100,)) * 160))
            assert (await alice.receive()).payload == bytes((n + 100,)) * 160
        assert a.stats().srtp_suite == suite
        assert not a.stats().drops


async def test_a_replayed_srtp_packet_is_dropped():
    async with open_relay() as relay, open_phone(suite=SUITES[0]) as alice, open_phone() as bob:
        a, b = leg(relay, alice), leg(relay, bob)
        relay.join(a, 0, b, 0)
        protected = alice.protected(alice.packet())
        await alice.send_raw(a, protected)
        await bob.receive()
        await alice.send_raw(a, protected)
        await until_dropped(a, "srtp_replay")
        assert b.stats().streams[0].packets_sent == 1


async def test_unauthenticated_srtp_is_never_relayed_nor_latched():
    async with (
        open_relay() as relay,
        open_phone(suite=SUITES[1]) as alice,
        open_phone() as bob,
        open_phone() as mallory,
    ):
        a, b = leg(relay, alice), leg(relay, bob)
        relay.join(a, 0, b, 0)
        await mallory.send_raw(a, mallory.packet())
        await until_dropped(a, "srtp_auth")
        assert a.stats().remote == alice.address
        assert b.stats().streams[0].packets_sent == 0


async def test_a_foreign_source_is_ignored():
    async with (
        open_relay() as relay,
        open_phone() as alice,
        open_phone() as bob,
        open_phone("127.0.0.2") as mallory,
    ):
        a, b = leg(relay, alice), leg(relay, bob)
        relay.join(a, 0, b, 0)
        await mallory.send(a, mallory.packet(b"\0" * 160))
        await until_dropped(a, "unknown_source")
        await alice.send(a, alice.packet(b"\1" * 160))
        assert (await bob.receive()).payload == b"\1" * 160


async def test_media_latches_on_another_port_of_the_signalled_host_and_then_locks():
    async with (
        open_relay() as relay,
        open_phone() as alice,
        open_phone() as behind_nat,
        open_phone() as late,
        open_phone() as bob,
    ):
        a, b = leg(relay, alice), leg(relay, bob)
        relay.join(a, 0, b, 0)
        await behind_nat.send(a, behind_nat.packet())
        await bob.receive()
        await bob.send(b, bob.packet(b"\7" * 160))
        assert (await behind_nat.receive()).payload == b"\7" * 160
        await behind_nat.send(a, behind_nat.packet())
        await bob.receive()
        await late.send(a, late.packet())
        await until_dropped(a, "unknown_source")
        assert a.stats().remote == behind_nat.address
        assert any("the SDP said" in step.sentence for step in a.stats().timeline)


@pytest.mark.parametrize("mux", [True, False])
async def test_packets_still_under_way_when_the_peer_moves_do_not_lead_back(mux):
    now = 1000.0
    async with (
        open_relay(clock=lambda: now) as relay,
        open_phone() as old,
        open_phone() as new,
        open_phone() as bob,
    ):
        a, b = leg(relay, old, mux=mux), leg(relay, bob)
        relay.join(a, 0, b, 0)
        await old.send(a, old.packet())
        await bob.receive()
        await old.send_rtcp(a, build_receiver_report(old.ssrc), mux=mux)
        await bob.receive_rtcp()
        now += 60
        a.set_remote(new.remote(mux=mux))
        await old.send(a, old.packet())
        await old.send_rtcp(a, build_receiver_report(old.ssrc), mux=mux)
        await until_dropped(a, "unknown_source", 2)
        assert a.stats().remote == new.address
        await new.send(a, new.packet(b"\7" * 160))
        assert (await bob.receive()).payload == b"\7" * 160
        await bob.send_rtcp(b, build_receiver_report(bob.ssrc))
        await new.receive_rtcp(mux=mux)
        now += 60  # the SDP was wrong: what is heard after all is where the peer is
        await old.send(a, old.packet(b"\5" * 160))
        assert (await bob.receive()).payload == b"\5" * 160


async def test_media_may_come_from_where_the_signalling_came_from():
    async with open_relay() as relay, open_phone("127.0.0.3") as alice, open_phone() as bob:
        a = relay.open_endpoint(EndpointKind.RTP, LOCAL, mux=True, on_event=Events())
        a.set_streams([audio()])
        a.set_remote(RemoteParameters(rtp=("192.0.2.1", 4000), latch_hosts=("127.0.0.3",)))
        b = leg(relay, bob)
        relay.join(a, 0, b, 0)
        await alice.send(a, alice.packet())
        await bob.receive()
        await bob.send(b, bob.packet())
        await alice.receive()


async def test_an_unknown_payload_type_is_dropped():
    async with open_relay() as relay, open_phone() as alice, open_phone() as bob:
        a, b = leg(relay, alice), leg(relay, bob)
        relay.join(a, 0, b, 0)
        await alice.send(a, alice.packet(payload_type=77 + 20))
        await until_dropped(a, "unknown_pt")


async def test_held_streams_carry_one_way_only():
    async with open_relay() as relay, open_phone() as alice, open_phone() as bob:
        a, b = leg(relay, alice, send=False), leg(relay, bob, receive=False)
        relay.join(a, 0, b, 0)
        await bob.send(b, bob.packet())
        await until_dropped(b, "held")
        await alice.send(a, alice.packet(b"\2" * 160))
        assert (await bob.receive()).payload == b"\2" * 160
        a.set_streams([audio()])
        b.set_streams([audio()])
        await bob.send(b, bob.packet(b"\3" * 160))
        assert (await alice.receive()).payload == b"\3" * 160


async def test_joining_another_partner_moves_the_media():
    async with open_relay() as relay, open_phone() as alice, open_phone() as bob, open_phone() as carol:
        a, b, c = leg(relay, alice), leg(relay, bob), leg(relay, carol)
        relay.join(a, 0, b, 0)
        await alice.send(a, alice.packet())
        await bob.receive()
        relay.join(a, 0, c, 0)
        await alice.send(a, alice.packet(b"\4" * 160))
        assert (await carol.receive()).payload == b"\4" * 160
        await bob.send(b, bob.packet())
        await until_dropped(b, "not_joined")


@pytest.mark.parametrize("suite", [None, *SUITES])
@pytest.mark.parametrize("mux", [True, False])
async def test_rtcp_is_carried_and_protected(suite, mux):
    async with open_relay() as relay, open_phone(suite=suite) as alice, open_phone() as bob:
        a, b = leg(relay, alice, mux=mux), leg(relay, bob, mux=False)
        relay.join(a, 0, b, 0)
        await alice.send(a, alice.packet())
        await bob.receive()
        await bob.send(b, bob.packet())
        await alice.receive()
        info = SenderInfo(0x1122334455667788, alice.timestamp, 1, 160)
        compound = build_sender_report(alice.ssrc, info) + build_cname(alice.ssrc, b"alice")
        await alice.send_rtcp(a, compound, mux=mux)
        assert await bob.receive_rtcp(mux=False) == compound
        block = ReportBlock(alice.ssrc, 0, 0, alice.sequence, 3, info.middle, 0)
        report = build_receiver_report(bob.ssrc, [block])
        await bob.send_rtcp(b, report, mux=False)
        assert await alice.receive_rtcp(mux=mux) == report
        sent = b.stats().streams[0].sent
        assert sent is not None
        assert sent.source == "rtcp"
        assert sent.rtt_ms is not None


async def test_what_was_lost_before_us_is_not_lost_twice_and_repairs_do_not_hide_it():
    """70 of 100 packets come in; the peer reports 30 lost, and its last report is of the repair flow (RFC 4588)."""
    async with open_relay() as relay, open_phone() as alice, open_phone() as bob:
        a, b = leg(relay, alice), leg(relay, bob)
        relay.join(a, 0, b, 0)
        media, repair = alice.ssrc, alice.ssrc ^ 1
        for n in range(100):
            alice.ssrc = media
            packet = alice.packet()
            if n in (0, 99) or n % 10 > 2:
                await alice.send(a, packet)
                await bob.receive()
        lost = 100 - b.stats().streams[0].packets_sent
        alice.ssrc = repair
        await alice.send(a, alice.packet(payload_type=8))
        await bob.receive()
        for ssrc, missing, jitter in ((media, lost, 80), (repair, 0, 8000)):
            await bob.send_rtcp(b, build_receiver_report(bob.ssrc, [ReportBlock(ssrc, 0, missing, 0, jitter, 0, 0)]))
            await alice.receive_rtcp()
        heard, sent = a.stats().streams[0].received, b.stats().streams[0].sent
        assert heard is not None
        assert sent is not None
        assert heard.loss_percent == pytest.approx(100 * lost / 101)
        assert sent.loss_percent == pytest.approx(100 * lost / 101)
        assert sent.jitter_ms == pytest.approx(10.0)
        assert a.stats().streams[0].payload_type == 0


async def test_feedback_goes_only_to_who_negotiated_it():
    async with open_relay() as relay, open_phone() as alice, open_phone() as bob:
        a, b = leg(relay, alice, feedback=frozenset({"nack"})), leg(relay, bob)
        relay.join(a, 0, b, 0)
        await alice.send(a, alice.packet())
        await bob.receive()
        both = build_pli(bob.ssrc, alice.ssrc) + build_nack(bob.ssrc, alice.ssrc, [alice.sequence])
        await bob.send_rtcp(b, both)
        (nack,) = parse_rtcp_untrusted(await alice.receive_rtcp())
        assert (nack.kind, nack.count) == (RTPFB, NACK)
        assert a.stats().drops["feedback_not_negotiated"] == 1
        assert PSFB not in {nack.kind}


async def test_ports_are_exhausted_and_come_back():
    options = RelayOptions(ports=PortOptions(30000, 39999, quarantine_s=0.0, limit=4))
    async with open_relay(options) as relay:
        endpoints = [relay.open_endpoint(EndpointKind.RTP, LOCAL, mux=False, on_event=Events()) for _ in range(2)]
        for endpoint in endpoints:
            local = endpoint.local
            assert local.rtp_port % 2 == 0
            assert local.rtcp_port == local.rtp_port + 1
        with pytest.raises(PortsExhausted):
            relay.open_endpoint(EndpointKind.WEBRTC, LOCAL, mux=True, on_event=Events())
        endpoints[0].close()
        endpoints[0].close()
        relay.open_endpoint(EndpointKind.WEBRTC, LOCAL, mux=True, on_event=Events())


async def test_a_mute_stream_is_told_once_with_the_reason():
    now = 1000.0
    async with open_relay(RelayOptions(silence_s=20.0), clock=lambda: now) as relay, open_phone() as alice:
        events = Events()
        a = relay.open_endpoint(EndpointKind.RTP, LOCAL, mux=True, on_event=events)
        a.set_remote(alice.remote())
        a.set_streams([audio()])
        now += 19
        a.tick(now)
        assert not events
        now += 2
        a.tick(now)
        a.tick(now)
        assert events.kinds() == ["silent"]
        assert "no audio was ever heard from 127.0.0.1" in events[0].sentence
        b = relay.open_endpoint(EndpointKind.WEBRTC, LOCAL, mux=True, on_event=events)
        b.set_remote(RemoteParameters(ice_ufrag="abcd"))
        b.set_streams([audio()])
        now += 20
        b.tick(now)
        assert "no ICE check ever came to 127.0.0.1" in events[-1].sentence


async def test_rtcp_keeps_a_phone_that_leaves_silence_out():
    now = 1000.0
    async with open_relay(RelayOptions(silence_s=20.0), clock=lambda: now) as relay, open_phone() as alice:
        a = leg(relay, alice)
        relay.join_line(a, 0, Line.ECHO)
        await alice.send(a, alice.packet())
        await alice.receive()
        report = build_receiver_report(alice.ssrc)
        for _ in range(3):
            now += 15
            await alice.send_rtcp(a, report)
            await alice.receive_rtcp()
            a.tick(now)
            assert not a.streams[0].silent
        now += 21
        a.tick(now)
        assert a.streams[0].silent


async def test_an_ssrc_that_comes_back_to_a_browser_has_another_name():
    now = 1000.0
    async with open_relay(clock=lambda: now) as relay, open_phone() as phone, open_phone() as browser:
        a = leg(relay, phone)
        b = relay.open_endpoint(EndpointKind.WEBRTC, LOCAL, mux=True, on_event=Events())
        b.set_streams([audio()])
        a.set_streams([audio(feedback=frozenset({"nack pli"}))])
        b.settle(browser.address)
        b.keys.required = False  # what matters here is before SRTP
        relay.join(a, 0, b, 0)
        voice, music = phone.ssrc, phone.ssrc ^ 0xFF
        names = []
        for ssrc in (voice, voice, music, voice, voice, music):
            phone.ssrc = ssrc
            for _ in range(2):  # what is told after a look shows with the next packet
                now += 0.5
                await phone.send(a, phone.packet())
                heard = (await browser.receive()).ssrc
                a.tick(now)
            names.append(heard)
        assert names[:3] == [voice, voice, music]
        assert names[3] == names[4]
        assert len({voice, music, names[3], names[5]}) == 4
        await browser.send_rtcp(b, build_pli(browser.ssrc, names[5]))
        assert await phone.receive_rtcp() == build_pli(browser.ssrc, music)
        await phone.send_rtcp(a, build_sender_report(music, SenderInfo(1 << 32, 1, 1, 160)))
        assert parse_rtcp_untrusted(await browser.receive_rtcp())[0].sender == names[5]


async def test_malformed_packets_are_counted_and_the_next_good_one_is_served():
    async with open_relay() as relay, open_phone() as alice, open_phone() as bob:
        a, b = leg(relay, alice), leg(relay, bob)
        relay.join(a, 0, b, 0)
        bad = [
            b"",
            b"\x80",
            b"\x80" * 11,
            b"\x00\x01",
            b"\x90\x00" + b"\xff" * 14,
            b"\x80\xc8\xff\xff",
            b"\x16" * 40,
        ]
        for data in bad:
            await alice.send_raw(a, data)
        await until_dropped(a, "malformed", len(bad))
        await alice.send(a, alice.packet(b"\5" * 160))
        assert (await bob.receive()).payload == b"\5" * 160
        assert "fault" not in relay.total_drops()


async def test_many_packets_at_once_lose_nothing():
    async with open_relay() as relay, open_phone() as alice, open_phone() as bob:
        a, b = leg(relay, alice), leg(relay, bob)
        relay.join(a, 0, b, 0)
        for _ in range(50):
            await alice.send(a, alice.packet())
        heard = [(await bob.receive()).sequence for _ in range(50)]
        assert heard == list(range(1001, 1051))
        await trio.lowlevel.checkpoint()
