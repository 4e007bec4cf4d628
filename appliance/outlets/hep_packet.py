"""HEPv3, the Homer encapsulation protocol: one traced message as one packet of chunks (HEP3 specification, rev. 36).

Every chunk is vendor, type, length and value in network order; the first six bytes say HEP3 and how long it all is,
so that packets can follow each other on TCP, too.
"""

from __future__ import annotations

import socket
import struct

import attrs

from appliance.sip.flow import Address

_FAMILY, _PROTOCOL, _SOURCE4, _TARGET4, _SOURCE6, _TARGET6 = 1, 2, 3, 4, 5, 6
_SOURCE_PORT, _TARGET_PORT, _SECONDS, _MICROSECONDS, _KIND, _AGENT = 7, 8, 9, 10, 11, 12
_KEY, _PAYLOAD, _CORRELATION, _NODE = 14, 15, 17, 19
_SIP = 1
_LONGEST_VALUE = 65_535 - 6
_OTHERS = 400
"""More than all other chunks take: the length of a whole packet has 16 bits, too."""


@attrs.frozen(kw_only=True)
class Captured:
    """One message on its way from `source` to `target` at a wall-clock time; `stream`: not over UDP."""

    at: float
    source: Address
    target: Address
    stream: bool
    data: bytes
    call_id: str = ""


def hep_packet(captured: Captured, *, agent: int, password: bytes = b"", node: str = "") -> bytes:
    """`agent` is the number by which the collector knows this box. What is too long for a packet is cut off."""
    source, target = captured.source, captured.target
    ipv6 = ":" in source[0] or ":" in target[0]
    family = socket.AF_INET6 if ipv6 else socket.AF_INET
    microseconds = int(captured.at * 1e6)
    chunks = [
        _chunk(_FAMILY, bytes([10 if ipv6 else 2])),
        _chunk(_PROTOCOL, bytes([socket.IPPROTO_TCP if captured.stream else socket.IPPROTO_UDP])),
        _chunk(_SOURCE6 if ipv6 else _SOURCE4, _packed(source[0], family)),
        _chunk(_TARGET6 if ipv6 else _TARGET4, _packed(target[0], family)),
        _chunk(_SOURCE_PORT, struct.pack("!H", source[1])),
        _chunk(_TARGET_PORT, struct.pack("!H", target[1])),
        _chunk(_SECONDS, struct.pack("!I", microseconds // 1_000_000)),
        _chunk(_MICROSECONDS, struct.pack("!I", microseconds % 1_000_000)),
        _chunk(_KIND, bytes([_SIP])),
        _chunk(_AGENT, struct.pack("!I", agent)),
    ]
    if password:
        chunks.append(_chunk(_KEY, password))
    if node:
        chunks.append(_chunk(_NODE, node.encode()))
    if captured.call_id:
        chunks.append(_chunk(_CORRELATION, captured.call_id.encode("utf-8", "replace")[:200]))
    before = b"".join(chunks)
    payload = captured.data[: 65_535 - 12 - len(before)]
    body = before + _chunk(_PAYLOAD, payload)
    return b"HEP3" + struct.pack("!H", len(body) + 6) + body


def _chunk(kind: int, value: bytes) -> bytes:
    return struct.pack("!HHH", 0, kind, len(value) + 6) + value


def _packed(host: str, family: socket.AddressFamily) -> bytes:
    """The address in bytes; zeros for what is none."""
    try:
        return socket.inet_pton(family, host.partition("%")[0])
    except OSError:
        return bytes(16 if family == socket.AF_INET6 else 4)
