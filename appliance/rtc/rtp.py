"""RTP packets as they come (RFC 3550 §5.1) and their header extensions (RFC 8285).

Readers take any bytes-like object and raise only BadMedia. What is read on every relayed packet is not here
but in media/entry.py, which reads the fixed header with FIXED_HEADER in place; this module serves
everything slower. The first byte tells STUN, DTLS and RTP apart on one port (RFC 7983), the second RTP from
RTCP (RFC 5761 §4).
"""

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from struct import Struct

from attrs import frozen

from appliance.rtc.errors import BadMedia

FIXED_HEADER = Struct("!BBHII")
"""V/P/X/CC, M/PT, sequence number, timestamp, SSRC."""
ONE_BYTE_PROFILE = 0xBEDE
TWO_BYTE_PROFILE = 0x1000
Buffer = bytes | bytearray | memoryview


class PacketKind(Enum):
    STUN = "stun"
    DTLS = "dtls"
    RTP = "rtp"
    RTCP = "rtcp"
    OTHER = "other"


def classify_untrusted(data: Buffer) -> PacketKind:
    """RFC 7983 §7 by the first byte, RFC 5761 §4 by the second (192 to 223 is RTCP)."""
    if len(data) < 2:
        return PacketKind.OTHER
    first = data[0]
    if first < 4:
        return PacketKind.STUN
    if 20 <= first <= 63:
        return PacketKind.DTLS
    if 128 <= first <= 191:
        return PacketKind.RTCP if 192 <= data[1] <= 223 else PacketKind.RTP
    return PacketKind.OTHER


@frozen
class RtpPacket:
    """`header_length` covers fixed header, CSRCs and extension; the payload is without its padding."""

    marker: bool
    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    csrcs: tuple[int, ...]
    extension_profile: int | None
    extension: bytes
    payload: bytes
    header_length: int


def parse_rtp_untrusted(data: Buffer) -> RtpPacket:
    if len(data) < 12:
        raise BadMedia("malformed", f"RTP of {len(data)} bytes is shorter than its header")
    first, second, sequence, timestamp, ssrc = FIXED_HEADER.unpack_from(data)
    if first >> 6 != 2:
        raise BadMedia("malformed", f"RTP version {first >> 6}")
    end = 12 + 4 * (first & 0x0F)
    if len(data) < end:
        raise BadMedia("malformed", "RTP ends inside its CSRC list")
    csrcs = tuple(int.from_bytes(data[at : at + 4], "big") for at in range(12, end, 4))
    profile, extension = None, b""
    if first & 0x10:
        if len(data) < end + 4:
            raise BadMedia("malformed", "RTP ends inside its extension header")
        profile = int.from_bytes(data[end : end + 2], "big")
        length = 4 * int.from_bytes(data[end + 2 : end + 4], "big")
        if len(data) < end + 4 + length:
            raise BadMedia("malformed", "RTP ends inside its extension")
        extension = bytes(data[end + 4 : end + 4 + length])
        end += 4 + length
    stop = len(data)
    if first & 0x20:
        padding = data[-1]
        if padding == 0 or padding > stop - end:
            raise BadMedia("malformed", f"RTP padding of {padding} bytes does not fit")
        stop -= padding
    return RtpPacket(
        bool(second & 0x80),
        second & 0x7F,
        sequence,
        timestamp,
        ssrc,
        csrcs,
        profile,
        extension,
        bytes(data[end:stop]),
        end,
    )


def build_rtp(
    payload_type: int,
    sequence: int,
    timestamp: int,
    ssrc: int,
    payload: bytes,
    *,
    marker: bool = False,
    elements: Sequence[tuple[int, bytes]] = (),
) -> bytes:
    """A packet without CSRCs; `elements` are header extension elements as (id, value)."""
    extension = build_extension(elements)
    first = 0x90 if extension else 0x80
    second = payload_type | (0x80 if marker else 0)
    return FIXED_HEADER.pack(first, second, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc) + extension + payload


def iter_elements_untrusted(profile: int | None, extension: bytes) -> Iterator[tuple[int, bytes]]:
    """The (id, value) elements of a header extension in the one-byte or two-byte form (RFC 8285 §4).

    Another profile has none. An element that runs past the end raises BadMedia.
    """
    at, end = 0, len(extension)
    if profile == ONE_BYTE_PROFILE:
        while at < end:
            byte = extension[at]
            at += 1
            if byte == 0:
                continue
            number, length = byte >> 4, (byte & 0x0F) + 1
            if number == 15:  # §4.2: stop reading here
                return
            if at + length > end:
                raise BadMedia("malformed", "header extension element runs past its end")
            yield number, extension[at : at + length]
            at += length
    elif profile is not None and profile & 0xFFF0 == TWO_BYTE_PROFILE:
        while at < end:
            number = extension[at]
            at += 1
            if number == 0:
                continue
            if at >= end or at + 1 + extension[at] > end:
                raise BadMedia("malformed", "header extension element runs past its end")
            length = extension[at]
            yield number, extension[at + 1 : at + 1 + length]
            at += 1 + length


def build_extension(elements: Sequence[tuple[int, bytes]]) -> bytes:
    """The extension block with its four-byte head, one-byte form where it fits; nothing for no elements."""
    if not elements:
        return b""
    if all(number < 15 and 1 <= len(value) <= 16 for number, value in elements):
        profile = ONE_BYTE_PROFILE
        body = b"".join(bytes((number << 4 | len(value) - 1,)) + value for number, value in elements)
    else:
        profile = TWO_BYTE_PROFILE
        body = b"".join(bytes((number, len(value))) + value for number, value in elements)
    body += b"\0" * (-len(body) % 4)
    return profile.to_bytes(2, "big") + (len(body) // 4).to_bytes(2, "big") + body


def rewrite_extension_untrusted(
    data: Buffer, ids: Mapping[int, int], values: Mapping[int, bytes] | None = None
) -> bytes:
    """The same packet with its header extension elements renumbered by `ids` (old to new; others are
    removed).

    `values` replaces the value of an element by its new id. Padding and payload stay as they are.
    """
    packet = parse_rtp_untrusted(data)
    start = 12 + 4 * len(packet.csrcs)
    elements = []
    for number, value in iter_elements_untrusted(packet.extension_profile, packet.extension):
        new = ids.get(number)
        if new is not None:
            elements.append((new, values.get(new, value) if values else value))
    extension = build_extension(elements)
    first = data[0] | 0x10 if extension else data[0] & ~0x10
    return bytes((first,)) + bytes(data[1:start]) + extension + bytes(data[packet.header_length :])
