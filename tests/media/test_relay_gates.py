"""What a WebRTC leg refuses, tried with packets made by hand from a socket of the test."""

import trio

from appliance.media.backend import MID_URI, DtlsRole, EndpointKind, Fingerprint, RemoteParameters, StreamSpec
from appliance.media.relay import RelayOptions, open_relay
from appliance.rtc import stun
from appliance.rtc.dtls import DtlsIdentity, DtlsSession
from appliance.rtc.rtcp import ReportBlock, build_cname, build_pli, build_receiver_report, parse_rtcp_untrusted
from appliance.rtc.rtp import build_rtp, iter_elements_untrusted, parse_rtp_untrusted
from appliance.rtc.srtp import PacketBuffer, SrtpContext
from appliance.rtc.stun import build_stun, parse_stun_untrusted

from .phone import Events, RtpPhone, audio, open_phone, until_dropped

LOCAL = "127.0.0.1"
IDENTITY = DtlsIdentity.generate()


def webrtc(relay, events=None, role=DtlsRole.SERVER):
    a = relay.open_endpoint(EndpointKind.WEBRTC, LOCAL, mux=True, on_event=Events() if events is None else events)
    a.set_remote(
        RemoteParameters(
            ice_ufrag="them",
            fingerprints=(Fingerprint("sha-256", IDENTITY.fingerprint("sha-256")),),
            dtls_role=role,
        )
    )
    a.set_streams([audio()])
    return a


def check(local, *, nominate=True, password=None, theirs="them") -> bytes:
    attributes = [
        (stun.USERNAME, f"{local.ice_ufrag}:{theirs}".encode()),
        (stun.PRIORITY, b"\x6e\0\1\xff"),
        (stun.ICE_CONTROLLING, b"12345678"),
    ]
    if nominate:
        attributes.append((stun.USE_CANDIDATE, b""))
    return build_stun(1, b"transaction!", attributes, password=password or local.ice_pwd)


class WirePeer:
    """A hand-driven WebRTC peer on a phone's socket: checks, handshake, SRTP."""

    def __init__(self, phone: RtpPhone) -> None:
        self.phone = phone
        self.buffer = PacketBuffer()
        self.receiver: SrtpContext
        self.sender: SrtpContext

    async def nominate(self, endpoint, **changes) -> None:
        await self.phone.send_raw(endpoint, check(endpoint.local, **changes))
        while True:
            data = await self.phone.receive_raw()
            if data[0] < 4:
                assert parse_stun_untrusted(data).kind == stun.BINDING_SUCCESS
                return

    async def handshake(self, endpoint) -> None:
        session = DtlsSession(
            IDENTITY,
            client=True,
            fingerprints=[("sha-256", endpoint.local.fingerprint.value)],
            now=0.0,
        )
        session.start(0.0)
        for _ in range(20):
            for datagram in session.take_datagrams():
                await self.phone.send_raw(endpoint, datagram)
            if session.keys is not None:
                break
            session.receive_untrusted(await self.phone.receive_raw(), 0.0)
        assert session.keys is not None
        self.receiver, self.sender = session.keys.contexts()

    async def send(self, endpoint, packet: bytes, *, rtcp: bool = False) -> None:
        protect = self.sender.protect_rtcp if rtcp else self.sender.protect
        size = protect(self.buffer, self.buffer.put(packet))
        await self.phone.send_raw(endpoint, bytes(self.buffer.view[:size]))

    async def receive(self, *, rtcp: bool = False) -> bytes:
        """The next RTP (or RTCP) packet, whatever else comes in between."""
        for _ in range(20):
            data = await self.phone.receive_raw()
            if 128 <= data[0] <= 191 and (192 <= data[1] <= 223) == rtcp:
                size = self.buffer.put(data)
                unprotect = self.receiver.unprotect_rtcp if rtcp else self.receiver.unprotect
                return bytes(self.buffer.view[: unprotect(self.buffer, size)])
        raise AssertionError("nothing of that kind came")


async def test_checks_with_wrong_integrity_are_dropped():
    async with open_relay() as relay, open_phone() as phone:
        a = webrtc(relay)
        await phone.send_raw(a, check(a.local, password="wrong"))
        await until_dropped(a, "stun_bad_integrity")
        assert a.stats().ice == "waiting"
        await WirePeer(phone).nominate(a)
        assert a.stats().ice == "connected"


async def test_a_client_hello_from_an_address_that_ice_has_not_validated_is_dropped():
    async with open_relay() as relay, open_phone() as phone, open_phone() as mallory:
        a = webrtc(relay)
        session = DtlsSession(IDENTITY, client=True, fingerprints=[], now=0.0)
        session.start(0.0)
        (hello,) = session.take_datagrams()
        await mallory.send_raw(a, hello)
        await until_dropped(a, "dtls_not_validated")
        await WirePeer(phone).nominate(a)
        await mallory.send_raw(a, hello)
        await until_dropped(a, "dtls_not_validated", 2)
        assert a.stats().dtls == "waiting"
        await WirePeer(phone).handshake(a)


async def test_media_of_an_address_that_ice_has_not_validated_is_dropped():
    async with open_relay() as relay, open_phone() as phone, open_phone() as mallory:
        a = webrtc(relay)
        await WirePeer(phone).nominate(a)
        await mallory.send_raw(a, mallory.packet())
        await until_dropped(a, "unknown_source")
        await phone.send_raw(a, phone.packet())
        await until_dropped(a, "srtp_no_key")


async def test_srtp_needs_the_keys_of_the_handshake():
    async with open_relay() as relay, open_phone() as phone, open_phone() as bob:
        a = webrtc(relay)
        b = relay.open_endpoint(EndpointKind.RTP, LOCAL, mux=True, on_event=Events())
        b.set_remote(bob.remote())
        b.set_streams([audio()])
        relay.join(a, 0, b, 0)
        peer = WirePeer(phone)
        await peer.nominate(a)
        await peer.handshake(a)
        await phone.send_raw(a, phone.packet())
        await until_dropped(a, "srtp_auth")
        await peer.send(a, phone.packet(b"\1" * 160))
        assert (await bob.receive()).payload == b"\1" * 160
        await bob.send(b, bob.packet(b"\2" * 160))
        assert parse_rtp_untrusted(await peer.receive()).payload == b"\2" * 160


async def test_an_ice_restart_moves_the_call_to_another_address():
    events = Events()
    async with open_relay() as relay, open_phone() as home, open_phone() as roaming, open_phone() as bob:
        a = webrtc(relay, events)
        b = relay.open_endpoint(EndpointKind.RTP, LOCAL, mux=True, on_event=Events())
        b.set_remote(bob.remote())
        b.set_streams([audio()])
        relay.join(a, 0, b, 0)
        peer = WirePeer(home)
        await peer.nominate(a)
        await peer.handshake(a)
        before = a.local
        after = a.restart_ice()
        assert (after.rtp_port, after.host) == (before.rtp_port, before.host)
        assert after.ice_ufrag != before.ice_ufrag
        assert after.ice_pwd != before.ice_pwd
        a.set_remote(
            RemoteParameters(ice_ufrag="them2", fingerprints=a.remote.fingerprints, dtls_role=a.remote.dtls_role)
        )
        await peer.send(a, home.packet(b"\1" * 160))
        assert (await bob.receive()).payload == b"\1" * 160
        peer.phone = roaming
        await peer.nominate(a, theirs="them2")
        assert a.stats().remote == roaming.address
        await peer.send(a, home.packet(b"\2" * 160))
        assert (await bob.receive()).payload == b"\2" * 160
        await bob.send(b, bob.packet(b"\3" * 160))
        assert parse_rtp_untrusted(await peer.receive()).payload == b"\3" * 160
        assert events.kinds().count("ice-connected") == 2
        assert events.kinds().count("dtls-connected") == 1


async def test_a_bundle_is_taken_apart_by_mid_and_its_rtcp_goes_where_the_media_goes():
    async with open_relay() as relay, open_phone() as web, open_phone() as voice, open_phone() as picture:
        a = webrtc(relay)
        video = StreamSpec(1, "video", {96: 90000}, mid="v", extensions={3: MID_URI}, feedback=frozenset({"nack pli"}))
        a.set_streams([audio(mid="a", extensions={3: MID_URI}), video])
        legs = []
        for index, phone in enumerate((voice, picture)):
            b = relay.open_endpoint(EndpointKind.RTP, LOCAL, mux=True, on_event=Events())
            b.set_remote(phone.remote())
            b.set_streams([audio() if index == 0 else StreamSpec(0, "video", {96: 90000, 0: 8000})])
            relay.join(a, index, b, 0)
            legs.append(b)
        peer = WirePeer(web)
        await peer.nominate(a)
        await peer.handshake(a)
        # The same payload type on both m-lines: only the MID tells them apart.
        a.set_streams([audio(mid="a", extensions={3: MID_URI}), StreamSpec(**_with(video, {96: 90000, 0: 8000}))])
        await peer.send(a, build_rtp(0, 1, 160, 111, b"voice", elements=[(3, b"a")]))
        heard = await voice.receive()
        assert (heard.payload, heard.ssrc, heard.extension_profile) == (b"voice", 111, None)
        await peer.send(a, build_rtp(0, 1, 160, 222, b"picture", elements=[(3, b"v")]))
        assert (await picture.receive()).payload == b"picture"
        # Media towards the bundle gets its MID.
        await picture.send(legs[1], picture.packet(b"back", 96))
        back = parse_rtp_untrusted(await peer.receive())
        assert list(iter_elements_untrusted(back.extension_profile, back.extension)) == [(3, b"v")]
        assert back.payload == b"back"
        await voice.send(legs[0], voice.packet())
        await peer.receive()
        # One report of the browser on both sources reaches each phone with its own block only.
        blocks = [ReportBlock(phone.ssrc, 0, 0, 1, 0, 0, 0) for phone in (voice, picture)]
        await peer.send(a, build_receiver_report(111, blocks) + build_cname(111, b"web"), rtcp=True)
        for phone in (voice, picture):
            report, *_ = parse_rtcp_untrusted(await phone.receive_rtcp())
            assert [block.ssrc for block in report.blocks] == [phone.ssrc]
        await picture.send_rtcp(legs[1], build_pli(picture.ssrc, 222))
        (pli,) = parse_rtcp_untrusted(await peer.receive(rtcp=True))
        assert pli.media == 222


def _with(spec: StreamSpec, payload_types: dict[int, int]) -> dict[str, object]:
    return {
        "index": spec.index,
        "kind": spec.kind,
        "payload_types": payload_types,
        "mid": spec.mid,
        "extensions": spec.extensions,
        "feedback": spec.feedback,
    }


async def test_a_peer_that_goes_away_is_told_and_gets_no_more_media():
    now = 1000.0
    events = Events()
    async with open_relay(RelayOptions(consent_s=30.0), clock=lambda: now) as relay, open_phone() as phone:
        a = webrtc(relay, events)
        await WirePeer(phone).nominate(a)
        now += 29
        a.tick(now)
        assert a.stats().ice == "connected"
        now += 2
        a.tick(now)
        assert a.stats().ice == "lost"
        assert a.stats().remote is None
        assert "ice-lost" in events.kinds()
        await WirePeer(phone).nominate(a)
        assert a.stats().ice == "connected"


async def test_too_many_sources_are_refused():
    async with open_relay() as relay, open_phone() as alice:
        a = relay.open_endpoint(EndpointKind.RTP, LOCAL, mux=True, on_event=Events())
        a.set_remote(alice.remote())
        a.set_streams([audio()])
        for ssrc in range(70):
            await alice.send_raw(a, build_rtp(0, 1, 1, ssrc, b"x"))
            await trio.lowlevel.checkpoint()
        await until_dropped(a, "too_many_ssrcs", 6)
        assert len(a.sources) == 64


async def test_sources_that_went_silent_make_room_and_stay_counted():
    now = 1000.0
    async with open_relay(clock=lambda: now) as relay, open_phone() as alice:
        a = relay.open_endpoint(EndpointKind.RTP, LOCAL, mux=True, on_event=Events())
        a.set_remote(alice.remote())
        a.set_streams([audio()])
        for ssrc in range(64):
            await alice.send_raw(a, build_rtp(0, 1, 1, ssrc, b"x"))
        await until_dropped(a, "not_joined", 64)
        now += 100
        await alice.send_raw(a, build_rtp(0, 1, 1, 99, b"x"))
        await until_dropped(a, "not_joined", 65)
        assert a.stats().streams[0].packets_received == 65
        assert list(a.sources) == [99]


async def test_two_lite_agents_take_the_addresses_of_the_sdp():
    async with open_relay() as relay, open_phone() as alice, open_phone() as bob:
        outer = []
        for phone in (alice, bob):
            endpoint = relay.open_endpoint(EndpointKind.RTP, LOCAL, mux=True, on_event=Events())
            endpoint.set_remote(phone.remote())
            endpoint.set_streams([audio()])
            outer.append(endpoint)
        events = Events()
        inner = [relay.open_endpoint(EndpointKind.WEBRTC, LOCAL, mux=True, on_event=events) for _ in range(2)]
        roles = (DtlsRole.SERVER, DtlsRole.CLIENT)
        for endpoint, other, role, phone_side in zip(inner, reversed(inner), roles, outer, strict=True):
            local = other.local
            endpoint.set_remote(
                RemoteParameters(
                    rtp=(local.host, local.rtp_port),
                    ice_ufrag=local.ice_ufrag,
                    ice_lite=True,
                    fingerprints=(local.fingerprint,),
                    dtls_role=role,
                )
            )
            endpoint.set_streams([audio()])
            relay.join(endpoint, 0, phone_side, 0)
        with trio.fail_after(60):
            while events.kinds().count("dtls-connected") < 2:  # noqa: ASYNC110 - events come by a plain call
                await trio.sleep(0.005)
        await alice.send(outer[0], alice.packet(b"\1" * 160))
        assert (await bob.receive()).payload == b"\1" * 160
        await bob.send(outer[1], bob.packet(b"\2" * 160))
        assert (await alice.receive()).payload == b"\2" * 160
