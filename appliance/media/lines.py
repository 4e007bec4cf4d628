"""Test lines that a stream can be joined to: an echo, and a 1004 Hz milliwatt.

The echo sends every packet back under an SSRC of its own (the same SSRC coming back would be a loop, RFC
3550 §8.2) and reflects RTCP mapped the same way, so that a browser's picture requests reach its own
encoder. The tone is the digital milliwatt's level, 0 dBm0, at 1004 Hz (ITU-T O.41 keeps off 1000 Hz), paced
by the relay every 20 ms.
"""

from __future__ import annotations

import math
import time
from secrets import randbits, token_hex
from typing import TYPE_CHECKING

from appliance.media.entry import Source
from appliance.media.relaystream import Stream
from appliance.rtc.g711 import (
    A_LAW_FULL,
    A_LAW_PEAK_DBM0,
    MU_LAW_FULL,
    MU_LAW_PEAK_DBM0,
    encode_a_law,
    encode_mu_law,
)
from appliance.rtc.rtcp import (
    ReportBlock,
    SenderInfo,
    build_bye,
    build_cname,
    build_receiver_report,
    build_sender_report,
    map_ssrcs_untrusted,
    ntp_time,
    parse_rtcp_untrusted,
)
from appliance.rtc.rtp import build_rtp
from appliance.rtc.srtp import PacketBuffer

if TYPE_CHECKING:
    from appliance.media.endpoint import RelayEndpoint

TONE_HZ = 1004
PACKET_SAMPLES = 160
PACKET_S = 0.02
CYCLE = 25
"""Packets until the tone's samples repeat: 4000 samples are exactly 502 periods of 1004 Hz."""
REPORT_TICKS = 5
CATCH_UP = 10
"""Packets sent at once after a stall; what is older is left out."""


def _milliwatt(full: int, peak_dbm0: float) -> list[int]:
    amplitude = full * 10 ** (-peak_dbm0 / 20)
    return [round(amplitude * math.sin(2 * math.pi * TONE_HZ * n / 8000)) for n in range(CYCLE * PACKET_SAMPLES)]


def _packets(octets: bytes) -> tuple[bytes, ...]:
    return tuple(octets[at : at + PACKET_SAMPLES] for at in range(0, len(octets), PACKET_SAMPLES))


TONES = {
    0: _packets(encode_mu_law(_milliwatt(MU_LAW_FULL, MU_LAW_PEAK_DBM0))),
    8: _packets(encode_a_law(_milliwatt(A_LAW_FULL, A_LAW_PEAK_DBM0))),
}
"""Payloads by static payload type (RFC 3551)."""


class EchoLine:
    def __init__(self) -> None:
        self._mask = randbits(31) << 1 | 1

    def preset(self, endpoint: RelayEndpoint, stream: Stream, source: Source) -> None:
        if not stream.spec.send:
            source.hindrance = "held"
            return
        echoed = source.ssrc ^ self._mask
        if not endpoint.claim(echoed, source.index):
            source.hindrance = "ssrc_collision"
            return
        name = echoed.to_bytes(4, "big")

        def rewrite(buffer: PacketBuffer, size: int) -> int:
            buffer.view[8:12] = name
            return size

        source.out = stream.sent
        source.rewrite = rewrite
        endpoint.aim(source, stream)

    def take_rtcp(self, endpoint: RelayEndpoint, stream: Stream, data: bytes) -> None:
        """Raises BadMedia."""
        pieces = []
        for packet in parse_rtcp_untrusted(data):
            name = packet.feedback_name()
            if name is None or name in endpoint.feedback_taken(stream):
                pieces.append(map_ssrcs_untrusted(packet, self._change))
                endpoint.sent_reports.remember_as(packet, self._change(packet.sender), endpoint.relay.clock())
        if pieces:
            endpoint.send_rtcp(b"".join(pieces))

    def _change(self, ssrc: int) -> int:
        return ssrc ^ self._mask

    def tick(self, endpoint: RelayEndpoint, stream: Stream, now: float) -> None:
        pass

    def close(self) -> None:
        pass


class ToneLine:
    def __init__(self, endpoint: RelayEndpoint, index: int) -> None:
        self._endpoint = endpoint
        self._index = index
        self._ssrc = randbits(32)
        self._cname = token_hex(8).encode()
        self._sequence = randbits(15)
        self._timestamp = randbits(31)
        self._octets = 0
        self._packets = 0
        self._due = -1.0
        self._ticks = 0
        self._heard: dict[int, tuple[int, float]] = {}
        """The last SR of each SSRC: middle of its NTP time, and when it came."""

    def preset(self, endpoint: RelayEndpoint, stream: Stream, source: Source) -> None:
        source.hindrance = "consumed"

    def pace(self, now: float) -> None:
        """Send what is due."""
        endpoint = self._endpoint
        stream = endpoint.streams.get(self._index)
        if stream is None or not stream.spec.send or not endpoint.can_send:
            self._due = -1.0
            return
        payload_type = next((each for each in stream.spec.payload_types if each in TONES), None)
        if payload_type is None:
            return
        start = self._due < 0
        if start or now - self._due > CATCH_UP * PACKET_S:
            missed = 0 if start else int((now - self._due) / PACKET_S)
            self._timestamp += missed * PACKET_SAMPLES
            self._due = now
            if start:
                endpoint.claim(self._ssrc, self._index)
        while self._due <= now:
            payload = TONES[payload_type][self._packets % CYCLE]
            packet = build_rtp(
                payload_type,
                self._sequence,
                self._timestamp,
                self._ssrc,
                payload,
                marker=start,
                elements=stream.mid_elements(),
            )
            start = False
            endpoint.send_rtp(packet, stream)
            self._sequence = (self._sequence + 1) & 0xFFFF
            self._timestamp = (self._timestamp + PACKET_SAMPLES) & 0xFFFFFFFF
            self._packets += 1
            self._octets += len(payload)
            self._due += PACKET_S

    def take_rtcp(self, endpoint: RelayEndpoint, stream: Stream, data: bytes) -> None:
        """Raises BadMedia."""
        for packet in parse_rtcp_untrusted(data):
            info = packet.sender_info
            if info is not None and packet.sender in endpoint.sources:
                self._heard[packet.sender] = (info.middle, endpoint.relay.clock())

    def tick(self, endpoint: RelayEndpoint, stream: Stream, now: float) -> None:
        """An SR with what we sent and heard, every few seconds (RFC 3550 §6.2)."""
        self._ticks += 1
        if self._ticks % REPORT_TICKS or not endpoint.can_send:
            return
        sources = [source for source in endpoint.sources_of(self._index) if source.reception.base >= 0][:31]
        self._heard = {source.ssrc: self._heard[source.ssrc] for source in sources if source.ssrc in self._heard}
        blocks = [self._block(source, now) for source in sources]
        if self._packets:
            info = SenderInfo(ntp_time(time.time()), self._timestamp, self._packets, self._octets)
            report = build_sender_report(self._ssrc, info, blocks)
            for packet in parse_rtcp_untrusted(report):
                endpoint.sent_reports.remember_as(packet, self._ssrc, now)
        else:
            report = build_receiver_report(self._ssrc, blocks)
        endpoint.send_rtcp(report + build_cname(self._ssrc, self._cname))

    def _block(self, source: Source, now: float) -> ReportBlock:
        reception = source.reception
        middle, heard_at = self._heard.get(source.ssrc, (0, now))
        return ReportBlock(
            ssrc=source.ssrc,
            fraction=reception.fraction_lost(),
            lost=reception.lost,
            highest=reception.highest,
            jitter=int(reception.jitter),
            lsr=middle,
            dlsr=int(65536 * (now - heard_at)),
        )

    def close(self) -> None:
        endpoint = self._endpoint
        if self._packets and not endpoint.closed:
            endpoint.send_rtcp(
                build_receiver_report(self._ssrc) + build_cname(self._ssrc, self._cname) + build_bye((self._ssrc,))
            )
