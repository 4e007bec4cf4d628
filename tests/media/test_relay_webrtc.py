import math

import pytest
import trio

from appliance.media.backend import DtlsRole, EndpointKind, Line, RemoteParameters, StreamSpec
from appliance.media.relay import open_relay
from appliance.rtc.g711 import encode_mu_law, mu_law_sample

from .phone import Events, audio, open_phone
from .test_lines import power
from .webpeer import describe_us, find, fingerprints, open_web_peer

LOCAL = "127.0.0.1"
PCMU = "audio PORT UDP/TLS/RTP/SAVPF 0\na=rtpmap:0 PCMU/8000"


def remote_of(sdp: str, role: DtlsRole | None) -> RemoteParameters:
    return RemoteParameters(
        ice_ufrag=find(sdp, "ice-ufrag"),
        ice_pwd=find(sdp, "ice-pwd"),
        fingerprints=fingerprints(sdp),
        dtls_role=role,
    )


def tone(hertz: float, packet: int) -> bytes:
    return encode_mu_law(int(2000 * math.sin(2 * math.pi * hertz * (packet * 160 + n) / 8000)) for n in range(160))


async def converse(peer, phone, b, hertz: float) -> None:
    """The phone speaks 700 Hz and must hear the browser's tone, and the browser must hear 700 Hz."""
    heard: list[float] = []
    async with trio.open_nursery() as nursery:

        async def speak() -> None:
            n = 0
            while True:
                await phone.send(b, phone.packet(tone(700.0, n)))
                n += 1
                await trio.sleep(0.02)

        async def listen() -> None:
            while len(heard) < 4000:
                data = await phone.receive_raw()
                if not 192 <= data[1] <= 223:
                    heard.extend(float(mu_law_sample(octet)) for octet in data[12:])

        nursery.start_soon(speak)
        await listen()
        await peer.wait_for(lambda: len(peer.samples) > 12000)
        nursery.cancel_scope.cancel()
    assert power(heard[-2000:], hertz) > 500
    assert power(heard[-2000:], 700.0) < 100
    last = peer.samples[-4000:]
    assert power(last, 700.0) > 3000
    assert power(last, hertz) < 300


@pytest.mark.parametrize(("setup", "role"), [("passive", DtlsRole.SERVER), ("active", DtlsRole.CLIENT)])
async def test_webrtc_talks_to_a_plain_phone(monkeypatch, setup, role):
    async with open_relay() as relay, open_web_peer(monkeypatch) as peer, open_phone() as phone:
        offer = await peer.offer(440.0)
        events = Events()
        a = relay.open_endpoint(EndpointKind.WEBRTC, LOCAL, mux=True, on_event=events)
        a.set_remote(remote_of(offer, role))
        a.set_streams([audio(payload_types={0: 8000})])
        b = relay.open_endpoint(EndpointKind.RTP, LOCAL, mux=True, on_event=Events())
        b.set_remote(phone.remote())
        b.set_streams([audio(payload_types={0: 8000})])
        relay.join(a, 0, b, 0)
        await peer.take_answer(describe_us(a.local, [PCMU], setup))
        await converse(peer, phone, b, 440.0)
        assert events.kinds()[:3] == ["ice-connected", "dtls-connected", "media-started"]
        stats = a.stats()
        assert (stats.ice, stats.dtls) == ("connected", "connected")
        assert stats.streams[0].received is not None
        assert [step.sentence for step in stats.timeline]


async def test_dtls_that_comes_before_the_answer_is_held(monkeypatch):
    async with open_relay() as relay, open_web_peer(monkeypatch) as peer, open_phone() as phone:
        a = relay.open_endpoint(EndpointKind.WEBRTC, LOCAL, mux=True, on_event=Events())
        a.set_streams([audio(payload_types={0: 8000})])
        b = relay.open_endpoint(EndpointKind.RTP, LOCAL, mux=True, on_event=Events())
        b.set_remote(phone.remote())
        b.set_streams([audio(payload_types={0: 8000})])
        relay.join(a, 0, b, 0)
        answer = await peer.answer(describe_us(a.local, [PCMU], "actpass"), 440.0)
        await peer.wait_for(lambda: any("held" in step.sentence for step in a.stats().timeline))
        assert a.stats().dtls == "waiting"
        role = DtlsRole.SERVER if find(answer, "setup") == "active" else DtlsRole.CLIENT
        a.set_remote(remote_of(answer, role))
        await converse(peer, phone, b, 440.0)


async def test_a_browser_hears_and_sees_itself_on_the_echo_line(monkeypatch):
    async with open_relay() as relay, open_web_peer(monkeypatch) as peer:
        offer = await peer.offer(620.0, video=True)
        a = relay.open_endpoint(EndpointKind.WEBRTC, LOCAL, mux=True, on_event=Events())
        a.set_remote(remote_of(offer, DtlsRole.SERVER))
        feedback = frozenset({"nack", "nack pli", "goog-remb"})
        a.set_streams([audio(payload_types={0: 8000}), StreamSpec(1, "video", {97: 90000}, mid="1", feedback=feedback)])
        relay.join_line(a, 0, Line.ECHO)
        relay.join_line(a, 1, Line.ECHO)
        vp8 = "video PORT UDP/TLS/RTP/SAVPF 97\na=rtpmap:97 VP8/90000\na=rtcp-fb:97 nack\na=rtcp-fb:97 nack pli"
        await peer.take_answer(describe_us(a.local, [PCMU, vp8], "passive"))
        await peer.wait_for(lambda: len(peer.samples) > 8000 and peer.frames > 10)
        assert power(peer.samples[-4000:], 620.0) > 3000
        video = a.stats().streams[1]
        assert video.kind == "video"
        assert video.packets_sent > 10


async def test_a_browser_hears_the_milliwatt(monkeypatch):
    async with open_relay() as relay, open_web_peer(monkeypatch) as peer:
        offer = await peer.offer()
        a = relay.open_endpoint(EndpointKind.WEBRTC, LOCAL, mux=True, on_event=Events())
        a.set_remote(remote_of(offer, DtlsRole.SERVER))
        a.set_streams([audio(payload_types={0: 8000})])
        relay.join_line(a, 0, Line.TONE)
        await peer.take_answer(describe_us(a.local, [PCMU], "passive"))

        def heard() -> bool:
            """Half a second of which a busy machine has cut nothing out."""
            if len(peer.samples) < 8000:
                return False
            return abs(20 * math.log10(max(power(peer.samples[-4000:], 1004.0), 1) / 32636) + 3.17) < 0.3

        await peer.wait_for(heard)


async def test_a_wrong_fingerprint_lets_no_media_through(monkeypatch):
    async with open_relay() as relay, open_web_peer(monkeypatch) as peer:
        offer = await peer.offer()
        events = Events()
        a = relay.open_endpoint(EndpointKind.WEBRTC, LOCAL, mux=True, on_event=events)
        remote = remote_of(offer, DtlsRole.SERVER)
        zeros = tuple(type(each)(each.algorithm, bytes(len(each.value))) for each in remote.fingerprints)
        a.set_remote(RemoteParameters(ice_ufrag=remote.ice_ufrag, fingerprints=zeros, dtls_role=DtlsRole.SERVER))
        a.set_streams([audio(payload_types={0: 8000})])
        relay.join_line(a, 0, Line.ECHO)
        await peer.take_answer(describe_us(a.local, [PCMU], "passive"))
        await peer.wait_for(lambda: "dtls-failed" in events.kinds())
        assert a.stats().dtls == "failed"
        assert a.stats().streams[0].packets_sent == 0
