"""RTCP: compound packets taken apart, looked into where a relay must, and built where it speaks for itself.

RFC 3550 §6 (SR, RR, SDES, BYE, APP), RFC 4585 (NACK, PLI), RFC 5104 (FIR), RFC 5506 (reduced size), REMB and
transport-wide congestion control as browsers send them. A packet nobody here understands stays whole in
`raw`.
"""

from collections.abc import Callable, Iterable, Sequence
from struct import Struct

from attrs import frozen

from appliance.rtc.errors import BadMedia

SR, RR, SDES, BYE, APP, RTPFB, PSFB, XR = 200, 201, 202, 203, 204, 205, 206, 207
NACK, TMMBR, TRANSPORT_CC = 1, 3, 15
"""RTPFB formats."""
PLI, FIR, AFB = 1, 4, 15
"""PSFB formats; AFB is the application layer's, REMB among them."""

HEAD = Struct("!BBH")
SENDER_INFO = Struct("!IIIII")
BLOCK = Struct("!IIIIII")
REMB = b"REMB"
MAX_PACKETS = 64
CNAME = 1


@frozen
class ReportBlock:
    """`lost` is cumulative and may be negative; `jitter` in timestamp units; `lsr` and `dlsr` in 1/65536
    s."""

    ssrc: int
    fraction: int
    lost: int
    highest: int
    jitter: int
    lsr: int
    dlsr: int

    def pack(self) -> bytes:
        lost = max(-0x800000, min(0x7FFFFF, self.lost)) & 0xFFFFFF
        return BLOCK.pack(
            self.ssrc, self.fraction << 24 | lost, self.highest & 0xFFFFFFFF, self.jitter, self.lsr, self.dlsr
        )


@frozen
class SenderInfo:
    """`ntp` is the 64-bit NTP time."""

    ntp: int
    timestamp: int
    packets: int
    octets: int

    @property
    def middle(self) -> int:
        """What report blocks quote as LSR."""
        return self.ntp >> 16 & 0xFFFFFFFF


@frozen
class RtcpPacket:
    """One packet of a compound. `count` is RC, SC or FMT; `body` is what follows the four-byte head,
    unpadded."""

    kind: int
    count: int
    body: bytes
    raw: bytes

    @property
    def sender(self) -> int:
        """SSRC of the sender (first source of a BYE, first chunk of an SDES); 0 in an empty one."""
        return int.from_bytes(self.body[:4], "big")

    @property
    def media(self) -> int:
        """Media SSRC of a feedback packet."""
        return int.from_bytes(self.body[4:8], "big")

    @property
    def sender_info(self) -> SenderInfo | None:
        if self.kind != SR:
            return None
        high, low, timestamp, packets, octets = SENDER_INFO.unpack_from(self.body, 4)
        return SenderInfo(high << 32 | low, timestamp, packets, octets)

    @property
    def blocks(self) -> tuple[ReportBlock, ...]:
        if self.kind not in (SR, RR):
            return ()
        start = 24 if self.kind == SR else 4
        return tuple(_block(self.body, start + 24 * n) for n in range(self.count))

    def targets(self) -> tuple[int, ...]:
        """SSRCs whose senders a feedback packet is meant for: of the FCI for FIR and REMB, else the media
        SSRC."""
        if self.kind == PSFB and self.count == FIR:
            return tuple(int.from_bytes(self.body[at : at + 4], "big") for at in range(8, len(self.body) - 7, 8))
        if self.is_remb:
            return tuple(int.from_bytes(self.body[at : at + 4], "big") for at in range(16, len(self.body) - 3, 4))
        return (self.media,)

    @property
    def is_remb(self) -> bool:
        return self.kind == PSFB and self.count == AFB and self.body[8:12] == REMB and len(self.body) >= 16

    def feedback_name(self) -> str | None:
        """As a=rtcp-fb names it; None for a packet that is no feedback, "unknown" for one without a name
        here."""
        if self.kind == RTPFB:
            return {NACK: "nack", TMMBR: "ccm tmmbr", TRANSPORT_CC: "transport-cc"}.get(self.count, "unknown")
        if self.kind == PSFB:
            if self.is_remb:
                return "goog-remb"
            return {PLI: "nack pli", 2: "nack sli", 3: "nack rpsi", FIR: "ccm fir"}.get(self.count, "unknown")
        return None


def _block(body: bytes, at: int) -> ReportBlock:
    ssrc, lost, highest, jitter, lsr, dlsr = BLOCK.unpack_from(body, at)
    fraction, lost = lost >> 24, lost & 0xFFFFFF
    return ReportBlock(ssrc, fraction, lost - 0x1000000 if lost & 0x800000 else lost, highest, jitter, lsr, dlsr)


MINIMUM = {SR: 24, RR: 4, APP: 8, RTPFB: 8, PSFB: 8, XR: 4}


def parse_rtcp_untrusted(data: bytes) -> tuple[RtcpPacket, ...]:
    """All packets of a compound, or of a reduced-size one (RFC 5506). Raises BadMedia."""
    packets = []
    at, end = 0, len(data)
    while at < end:
        if end - at < 4:
            raise BadMedia("malformed", "RTCP ends inside a header")
        first, kind, words = HEAD.unpack_from(data, at)
        size = 4 * (words + 1)
        if first >> 6 != 2 or not 192 <= kind <= 223:
            raise BadMedia("malformed", f"not RTCP: {first:#x} {kind}")
        if at + size > end:
            raise BadMedia("malformed", "RTCP packet is longer than the datagram")
        raw = bytes(data[at : at + size])
        body = raw[4:]
        count = first & 0x1F
        if first & 0x20:
            padding = raw[-1]
            # §6.4.1 wants whole words, but browsers pad transport-wide feedback by one to three bytes.
            if at + size != end or padding == 0 or padding > len(body):
                raise BadMedia("malformed", "RTCP padding does not fit")
            body = body[: len(body) - padding]
        wanted = MINIMUM.get(kind, 0)
        if kind in (SR, RR):
            wanted += 24 * count
        elif kind == BYE:
            wanted += 4 * count
        if len(body) < wanted:
            raise BadMedia("malformed", f"RTCP {kind} of {len(body)} bytes needs {wanted}")
        packets.append(RtcpPacket(kind, count, body, raw))
        if len(packets) > MAX_PACKETS:
            raise BadMedia("malformed", "too many RTCP packets in one datagram")
        at += size
    if not packets:
        raise BadMedia("malformed", "empty RTCP datagram")
    return tuple(packets)


def chunks_untrusted(packet: RtcpPacket) -> tuple[tuple[int, bytes], ...]:
    """The (SSRC, raw chunk) pairs of an SDES. Raises BadMedia."""
    found = []
    body, at = packet.body, 0
    for _ in range(packet.count):
        start = at
        if at + 5 > len(body):
            raise BadMedia("malformed", "SDES chunk is cut short")
        at += 4
        while at < len(body) and body[at] != 0:
            if at + 2 > len(body):
                raise BadMedia("malformed", "SDES item is cut short")
            at += 2 + body[at + 1]
        if at >= len(body):
            raise BadMedia("malformed", "SDES chunk does not end")
        at += 4 - (at & 3)
        found.append((int.from_bytes(body[start : start + 4], "big"), body[start:at]))
    return tuple(found)


def map_ssrcs_untrusted(packet: RtcpPacket, change: Callable[[int], int]) -> bytes:
    """The same packet with every SSRC it names changed: sender, blocks, media and those inside FIR and
    REMB."""
    raw = bytearray(packet.raw)
    places = [4] if packet.kind not in (SDES, BYE) else []
    end = 4 + len(packet.body)
    if packet.kind in (SR, RR):
        start = 28 if packet.kind == SR else 8
        places += [start + 24 * n for n in range(packet.count)]
    elif packet.kind == BYE:
        places = [4 + 4 * n for n in range(packet.count)]
    elif packet.kind == SDES:
        at = 4
        for _, chunk in chunks_untrusted(packet):
            places.append(at)
            at += len(chunk)
    elif packet.kind in (RTPFB, PSFB):
        if packet.media:
            places.append(8)
        if packet.kind == PSFB and packet.count == FIR:
            places += range(12, end - 7, 8)
        elif packet.is_remb:
            places += range(20, end - 3, 4)
    for place in places:
        if place + 4 <= end:
            changed = change(int.from_bytes(raw[place : place + 4], "big"))
            raw[place : place + 4] = changed.to_bytes(4, "big")
    return bytes(raw)


def build_packet(kind: int, count: int, body: bytes) -> bytes:
    """`body` is padded with zeros to full words (SDES) and must otherwise come in full words."""
    body += b"\0" * (-len(body) % 4)
    return HEAD.pack(0x80 | count, kind, len(body) // 4) + body


def build_sender_report(ssrc: int, info: SenderInfo, blocks: Sequence[ReportBlock] = ()) -> bytes:
    head = ssrc.to_bytes(4, "big") + SENDER_INFO.pack(
        info.ntp >> 32,
        info.ntp & 0xFFFFFFFF,
        info.timestamp & 0xFFFFFFFF,
        info.packets,
        info.octets & 0xFFFFFFFF,
    )
    return build_packet(SR, len(blocks), head + b"".join(block.pack() for block in blocks))


def build_receiver_report(ssrc: int, blocks: Sequence[ReportBlock] = ()) -> bytes:
    return build_packet(RR, len(blocks), ssrc.to_bytes(4, "big") + b"".join(block.pack() for block in blocks))


def build_cname(ssrc: int, cname: bytes) -> bytes:
    chunk = ssrc.to_bytes(4, "big") + bytes((CNAME, len(cname))) + cname + b"\0"
    return build_packet(SDES, 1, chunk)


def build_bye(ssrcs: Iterable[int]) -> bytes:
    body = b"".join(ssrc.to_bytes(4, "big") for ssrc in ssrcs)
    return build_packet(BYE, len(body) // 4, body)


def build_pli(sender: int, media: int) -> bytes:
    return build_packet(PSFB, PLI, sender.to_bytes(4, "big") + media.to_bytes(4, "big"))


def build_nack(sender: int, media: int, lost: Sequence[int]) -> bytes:
    """RFC 4585 §6.2.1, one entry a lost sequence number."""
    entries = b"".join(sequence.to_bytes(2, "big") + b"\0\0" for sequence in lost)
    return build_packet(RTPFB, NACK, sender.to_bytes(4, "big") + media.to_bytes(4, "big") + entries)


def ntp_time(unix_s: float) -> int:
    """64-bit NTP time of a Unix time."""
    return int((unix_s + 2208988800.0) * 4294967296.0) & 0xFFFFFFFFFFFFFFFF


def round_trip_s(block: ReportBlock, heard_ntp_middle: int) -> float | None:
    """RFC 3550 §6.4.1 from one report block, None where the peer has heard no SR yet or the sum makes no
    sense."""
    if block.lsr == 0:
        return None
    delay = (heard_ntp_middle - block.lsr - block.dlsr) & 0xFFFFFFFF
    return delay / 65536.0 if delay < 0x80000000 else None
