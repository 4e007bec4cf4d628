"""Traced messages as a pcapng file that Wireshark reads as if it had been captured, IP, UDP and TCP put around them.

What came over connections has lost its segments, and TLS and WebSocket frames are gone; each message becomes segments
of a TCP connection that begins with a handshake, in the clear. Each listener is an interface; a packet's comment says
what the wire was really like. Media is not captured: SDP names its addresses, so a capture of it may be merged in.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Iterator

import attrs

from appliance.sip.flow import Address

from .message import Direction, TracedMessage

_RAW_IP = 101
_SHB, _IDB, _EPB = 0x0A0D0D0A, 1, 6
_COMMENT, _IF_NAME, _TSRESOL, _FLAGS = 1, 2, 9, 2
_MICROSECONDS = 6
_LONGEST_SEGMENT = 32_000
_SYN, _ACK, _PUSH = 0x02, 0x10, 0x08
_UDP_HEADER, _TCP_HEADER = 8, 20
_CLAIMED = frozenset({80, 443, 5061, 8080, 8088})
"""TCP ports at which Wireshark looks for TLS or HTTP, whatever is there."""
_SIP_PORT = 5060


def pcapng(messages: Iterable[TracedMessage]) -> Iterator[bytes]:
    """The blocks of the file, in the order of the messages."""
    yield _block(_SHB, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
    interfaces: dict[str, int] = {}
    connections: dict[tuple[str, Address, Address], _Connection] = {}
    for message in messages:
        name = message.listener or "outgoing"
        interface = interfaces.get(name)
        if interface is None:
            interface = interfaces[name] = len(interfaces)
            options = _option(_IF_NAME, name.encode()) + _option(_TSRESOL, bytes([_MICROSECONDS])) + _option(0, b"")
            yield _block(_IDB, struct.pack("<HHI", _RAW_IP, 0, 0) + options)
        outgoing = message.direction is Direction.OUT
        source, target = (message.local, message.remote) if outgoing else (message.remote, message.local)
        comment = _comment(message)
        if message.transport == "UDP":
            yield _packet(interface, message.at, outgoing, udp(source, target, message.data), comment)
            continue
        connection = connections.get((message.transport, message.local, message.remote))
        if connection is None:
            connection = _Connection(source, target)
            connections[message.transport, message.local, message.remote] = connection
            for from_us, packet in connection.handshake():
                yield _packet(interface, message.at, from_us == outgoing, packet, "made up")
        for packet in connection.carry(source, target, message.data):
            yield _packet(interface, message.at, outgoing, packet, comment)


def _comment(message: TracedMessage) -> str:
    said = []
    if message.transport != "UDP":
        said.append(f"was {message.transport}; its segments are made up")
        ports = [str(one[1]) for one in (message.local, message.remote) if one[1] in _CLAIMED]
        if ports:
            said.append(f"port {', '.join(ports)} stands as {_SIP_PORT}")
    if message.dropped:
        said.append(f"dropped: {message.dropped}")
    return "; ".join(said)


@attrs.define
class _Connection:
    """A TCP connection that is made up: where both directions have got to. `first` is who opens it."""

    first: Address
    second: Address
    sent: dict[Address, int] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.sent = {self.first: 1, self.second: 1}

    def handshake(self) -> Iterator[tuple[bool, bytes]]:
        """Each packet with whether it is the first's."""
        yield True, tcp(self.first, self.second, 0, 0, _SYN, b"")
        yield False, tcp(self.second, self.first, 0, 1, _SYN | _ACK, b"")
        yield True, tcp(self.first, self.second, 1, 1, _ACK, b"")

    def carry(self, source: Address, target: Address, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), _LONGEST_SEGMENT):
            part = data[start : start + _LONGEST_SEGMENT]
            yield tcp(source, target, self.sent[source], self.sent[target], _PUSH | _ACK, part)
            self.sent[source] = (self.sent[source] + len(part)) & 0xFFFFFFFF


def udp(source: Address, target: Address, data: bytes) -> bytes:
    """One IP packet with one datagram; a checksum of 0 where IPv4 allows it to be none."""
    data = data[: 65_535 - 40 - _UDP_HEADER]
    length = _UDP_HEADER + len(data)
    head = struct.pack("!HHHH", source[1], target[1], length, 0)
    return _ip(source, target, socket.IPPROTO_UDP, head, data, 6)


def tcp(source: Address, target: Address, sequence: int, acknowledged: int, flags: int, data: bytes) -> bytes:
    ports = [_SIP_PORT if port in _CLAIMED else port for port in (source[1], target[1])]
    head = struct.pack("!HHIIBBHHH", *ports, sequence, acknowledged, _TCP_HEADER << 2, flags, 65_535, 0, 0)
    return _ip(source, target, socket.IPPROTO_TCP, head, data, 16)


def _ip(source: Address, target: Address, protocol: int, head: bytes, data: bytes, checksum_at: int) -> bytes:
    """The packet around a transport header, whose checksum is filled in at that offset."""
    family = socket.AF_INET6 if ":" in source[0] or ":" in target[0] else socket.AF_INET
    ends = _packed(source[0], family) + _packed(target[0], family)
    length = len(head) + len(data)
    pseudo = ends + struct.pack("!IHH", length, 0, protocol)
    check = _checksum(pseudo + head + data) or 0xFFFF
    head = head[:checksum_at] + struct.pack("!H", check) + head[checksum_at + 2 :]
    if family == socket.AF_INET6:
        return struct.pack("!IHBB", 6 << 28, length, protocol, 64) + ends + head + data
    front = struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, 0, 0, 64, protocol, 0)
    front = front[:10] + struct.pack("!H", _checksum(front + ends))
    return front + ends + head + data


def _packed(host: str, family: socket.AddressFamily) -> bytes:
    """The address in bytes; zeros for what is none."""
    try:
        return socket.inet_pton(family, host.partition("%")[0])
    except OSError:
        return bytes(16 if family == socket.AF_INET6 else 4)


def _checksum(data: bytes) -> int:
    """RFC 1071."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _packet(interface: int, at: float, outgoing: bool, packet: bytes, comment: str) -> bytes:
    microseconds = int(at * 1e6)
    head = struct.pack("<IIIII", interface, microseconds >> 32, microseconds & 0xFFFFFFFF, len(packet), len(packet))
    options = _option(_FLAGS, struct.pack("<I", 2 if outgoing else 1))
    if comment:
        options = _option(_COMMENT, comment.encode()) + options
    return _block(_EPB, head + _padded(packet) + options + _option(0, b""))


def _block(kind: int, body: bytes) -> bytes:
    length = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + length + body + length


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + _padded(value)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
