"""The self-test's ends of the media: plain RTP that listens, and a browser's WebRTC that speaks and hears itself.

The latter is a full ICE agent with one host candidate towards a lite peer (RFC 8445), then DTLS-SRTP (RFC 5763).
"""

from __future__ import annotations

import secrets
from typing import Final

import attrs
import trio

from appliance.rtc.dtls import DtlsIdentity, DtlsSession, DtlsState
from appliance.rtc.errors import BadMedia
from appliance.rtc.quality import Reception, mos, r_factor
from appliance.rtc.rtp import PacketKind, build_rtp, classify_untrusted, parse_rtp_untrusted
from appliance.rtc.sdp import parse_untrusted
from appliance.rtc.sdp_transport import HOST_PRIORITY, Address, PeerTransport, read_transport
from appliance.rtc.srtp import PacketBuffer, SrtpContext
from appliance.rtc.stun import (
    BINDING_REQUEST,
    BINDING_SUCCESS,
    ICE_CONTROLLING,
    PRIORITY,
    USE_CANDIDATE,
    USERNAME,
    build_stun,
    parse_stun_untrusted,
)
from appliance.sip.flow import host_port

from .report import StepFailed
from .sound import FRAME, RATE, samples_of, tone_frame

PTIME_S: Final = 0.02
LISTEN_S: Final = 1.0
FIRST_PACKET_S: Final = 3.0
ICE_S: Final = 4.0
DTLS_S: Final = 5.0
ECHOED: Final = 50
"""Packets that are sent to the echo."""
HERTZ: Final = 697.0
"""Of the tone that is sent there."""


@attrs.frozen
class Heard:
    """What came in. `media_s`: until the first packet; `round_trip_s`: of the echo, 0 where there is none."""

    media_s: float
    loss_percent: float
    jitter_ms: float
    round_trip_s: float
    samples: list[int] = attrs.field(repr=False)

    @property
    def mos(self) -> float:
        return mos(r_factor(self.loss_percent, 500.0 * self.round_trip_s, self.jitter_ms))


@attrs.define
class MediaSocket:
    """One UDP socket on the address by which the box sees us."""

    socket: trio.socket.SocketType
    host: str
    port: int

    @classmethod
    async def open(cls, host: str) -> MediaSocket:
        sock = trio.socket.socket(trio.socket.AF_INET6 if ":" in host else trio.socket.AF_INET, trio.socket.SOCK_DGRAM)
        try:
            await sock.bind((host, 0))
        except OSError as error:
            sock.close()
            raise StepFailed(
                f"no port for media at {host}: {error.strerror}", "See open files by jackfield doctor."
            ) from None
        return cls(sock, host, sock.getsockname()[1])

    def offer(self, protocol: str, lines: tuple[str, ...]) -> bytes:
        """An SDP with one line of G.711 mu-law."""
        net = "IP6" if ":" in self.host else "IP4"
        first = ("v=0", f"o=- {secrets.randbits(31)} 1 IN {net} {self.host}", "s=-", f"c=IN {net} {self.host}", "t=0 0")
        media = (f"m=audio {self.port} {protocol} 0", *lines, "a=rtpmap:0 PCMU/8000", "a=ptime:20", "a=sendrecv")
        return "\r\n".join((*first, *media, "")).encode()

    def close(self) -> None:
        self.socket.close()


def transport_of(sdp: bytes) -> PeerTransport:
    """Of the first m-line of the box's answer. Raises `StepFailed` where it carries nothing."""
    try:
        session = parse_untrusted(sdp)
        if not session.media or session.media[0].port == 0:
            raise BadMedia("refused", "the audio was refused")
        return read_transport(session, session.media[0])
    except BadMedia as bad:
        raise StepFailed(
            f"the box's SDP cannot be used: {bad}", "This is a fault of Jackfield: send jackfield support."
        ) from None


async def listen(media: MediaSocket) -> Heard:
    """Hear the tone for a second. Raises `StepFailed` where nothing comes."""
    began = trio.current_time()
    reception, samples, first = Reception(), bytearray(), 0.0
    with trio.move_on_after(FIRST_PACKET_S) as scope:
        while len(samples) < LISTEN_S * RATE:
            data = await media.socket.recv(2048)
            now = trio.current_time()
            if classify_untrusted(data) is not PacketKind.RTP:
                continue
            try:
                packet = parse_rtp_untrusted(data)
            except BadMedia:
                continue
            if not first:
                first = now
                scope.deadline = now + 3 * LISTEN_S
            reception.arrive(packet.sequence, packet.timestamp, RATE, now)
            samples += packet.payload
    if not first:
        raise StepFailed(
            f"the call stands, but within {FIRST_PACKET_S:g} s no RTP came to {media.host}:{media.port}",
            "See whether a firewall drops UDP from the ports of [media].",
        )
    return Heard(first - began, reception.loss_percent, reception.jitter_ms, 0.0, samples_of(bytes(samples)))


class WebMedia:
    """A browser's end: `offer`, then with the box's answer `connect`, then `echo`."""

    def __init__(self, media: MediaSocket) -> None:
        self._media = media
        self._identity = DtlsIdentity.generate()
        self._ufrag, self._password = secrets.token_hex(4), secrets.token_hex(12)
        self._buffer = PacketBuffer()
        self._sending: SrtpContext
        self._receiving: SrtpContext
        self._remote: Address
        self.ice_s = 0.0
        self.dtls_s = 0.0

    def offer(self) -> bytes:
        media = self._media
        lines = (
            "a=mid:0",
            f"a=ice-ufrag:{self._ufrag}",
            f"a=ice-pwd:{self._password}",
            f"a=fingerprint:sha-256 {self._identity.fingerprint('sha-256').hex(':').upper()}",
            "a=setup:actpass",
            "a=rtcp-mux",
            f"a=candidate:1 1 udp {HOST_PRIORITY} {media.host} {media.port} typ host",
            "a=end-of-candidates",
        )
        return media.offer("UDP/TLS/RTP/SAVPF", lines)

    async def connect(self, sdp: bytes, door_host: str) -> None:
        """ICE, then DTLS. `door_host` is tried besides the candidates: the box may advertise an address of a NAT.

        Raises `StepFailed`."""
        peer = transport_of(sdp)
        if peer.ice_ufrag is None or peer.ice_pwd is None or not peer.candidates:
            raise StepFailed("the box answered our WebRTC offer without ICE", _OURS)
        began = trio.current_time()
        early = await self._check(peer, door_host)
        self.ice_s = trio.current_time() - began
        began = trio.current_time()
        await self._shake_hands(peer, early)
        self.dtls_s = trio.current_time() - began

    async def _check(self, peer: PeerTransport, door_host: str) -> list[bytes]:
        """Nominate the first candidate that answers; DTLS that came early."""
        remotes = dict.fromkeys([*peer.candidates, *((door_host, port) for _, port in peer.candidates)])
        remotes = {one: None for one in remotes if (":" in one[0]) is (":" in self._media.host)}
        early: list[bytes] = []
        with trio.move_on_after(ICE_S):
            while True:
                for remote in remotes:
                    try:
                        await self._media.socket.sendto(self._binding(peer), remote)
                    except OSError:
                        continue  # no way to that candidate
                with trio.move_on_after(0.25):
                    while True:
                        data, source = await self._media.socket.recvfrom(2048)
                        if classify_untrusted(data) is PacketKind.DTLS:
                            early.append(data)
                        elif self._is_success(data, peer.ice_pwd or ""):
                            self._remote = source[:2]
                            return early
        shown = ", ".join(host_port(*one) for one in remotes) or "none of our family"
        raise StepFailed(
            f"ICE found no way: no candidate of the box answered ({shown})",
            "See whether a firewall drops UDP to the ports of [media], and what [media] advertise says.",
        )

    def _binding(self, peer: PeerTransport) -> bytes:
        attributes = [
            (USERNAME, f"{peer.ice_ufrag}:{self._ufrag}".encode()),
            (PRIORITY, HOST_PRIORITY.to_bytes(4, "big")),
            (ICE_CONTROLLING, b"\0" * 8),
            (USE_CANDIDATE, b""),
        ]
        return build_stun(BINDING_REQUEST, secrets.token_bytes(12), attributes, password=peer.ice_pwd)

    def _is_success(self, data: bytes, password: str) -> bool:
        try:
            message = parse_stun_untrusted(data)
        except BadMedia:
            return False
        return message.kind == BINDING_SUCCESS and message.verify_integrity(password)

    async def _shake_hands(self, peer: PeerTransport, early: list[bytes]) -> None:
        session = DtlsSession(
            self._identity, client=peer.setup != "active", fingerprints=peer.fingerprints, now=trio.current_time()
        )
        session.start(trio.current_time())
        for data in early:
            session.receive_untrusted(data, trio.current_time())
        with trio.move_on_after(DTLS_S):
            while True:
                for out in session.take_datagrams():
                    await self._media.socket.sendto(out, self._remote)
                if session.state is not DtlsState.HANDSHAKING:
                    break
                with trio.move_on_after(0.1):
                    data = await self._media.socket.recv(4096)
                    if classify_untrusted(data) is PacketKind.DTLS:
                        session.receive_untrusted(data, trio.current_time())
                session.poll(trio.current_time())
        if session.keys is None:
            raise StepFailed(
                session.failure or f"the DTLS handshake did not end within {DTLS_S:g} s",
                "See the ICE and DTLS steps on the call's page.",
            )
        self._receiving, self._sending = session.keys.contexts()

    async def echo(self) -> Heard:
        """Speak a second, hear it come back. Raises `StepFailed` where nothing does."""
        sent: dict[int, tuple[float, bytes]] = {}
        heard: dict[int, float] = {}
        samples = bytearray()
        reception = Reception()
        began = trio.current_time()
        first = 0.0
        base, ssrc = secrets.randbits(14), secrets.randbits(32)
        wrong = 0

        async def speak() -> None:
            for number in range(ECHOED):
                await trio.sleep_until(began + number * PTIME_S)
                payload = tone_frame(HERTZ, number)
                sequence = base + number
                packet = build_rtp(0, sequence, number * FRAME, ssrc, payload, marker=number == 0)
                size = self._sending.protect(self._buffer, self._buffer.put(packet))
                sent[sequence] = trio.current_time(), payload
                try:
                    await self._media.socket.sendto(bytes(self._buffer.view[:size]), self._remote)
                except OSError:
                    continue  # counted as lost

        with trio.move_on_after(ECHOED * PTIME_S + 1.0):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(speak)
                while len(heard) < ECHOED:
                    data = await self._media.socket.recv(2048)
                    now = trio.current_time()
                    if classify_untrusted(data) is not PacketKind.RTP:
                        continue
                    try:
                        size = self._receiving.unprotect(self._buffer, self._buffer.put(data))
                        packet = parse_rtp_untrusted(bytes(self._buffer.view[:size]))
                    except BadMedia:
                        wrong += 1
                        continue
                    if packet.sequence in sent and packet.payload == sent[packet.sequence][1]:
                        first = first or now
                        heard[packet.sequence] = now
                        samples += packet.payload
                        reception.arrive(packet.sequence, packet.timestamp, RATE, now)
        if not heard:
            why = f", {wrong} packets could not be decrypted" if wrong else ""
            raise StepFailed(
                f"ICE and DTLS are done, but none of {len(sent)} packets of audio came back{why}",
                "See on the call's page which side is mute.",
            )
        round_trip_s = sum(at - sent[number][0] for number, at in heard.items()) / len(heard)
        loss = 100.0 * (len(sent) - len(heard)) / len(sent)
        return Heard(first - began, loss, reception.jitter_ms, round_trip_s, samples_of(bytes(samples)))


_OURS: Final = "This is a fault of Jackfield: send jackfield support."
