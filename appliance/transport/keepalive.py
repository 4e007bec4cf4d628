"""Keep-alives on the SIP port of UDP: CRLF and STUN binding requests (RFC 5626 §3.5, RFC 5389 §6, §15.2).

Only what a SIP edge owes its phones: a binding request is answered with the address that it came from.
"""

from __future__ import annotations

import ipaddress
import struct
import zlib

_COOKIE = 0x2112A442
_HEADER = struct.Struct("!HHI12s")
_FINGERPRINT = 0x8028


def answer_untrusted(data: bytes, remote: tuple[str, int]) -> bytes | None:
    """The answer to a keep-alive datagram: b"" where it wants none; None where it is no keep-alive at all."""
    if not data.strip(b"\r\n\x00"):
        return b"\r\n" if data == b"\r\n\r\n" else b""
    if len(data) < 20 or data[0] > 1 or len(data) % 4:
        return None
    kind, length, cookie, transaction = _HEADER.unpack_from(data)
    if cookie != _COOKIE or length != len(data) - 20:
        return None
    if kind != 0x0001:
        return b""  # an indication, or an answer that we never asked for
    return binding_success(transaction, remote, fingerprint=_has_fingerprint(data))


def binding_success(transaction: bytes, remote: tuple[str, int], *, fingerprint: bool) -> bytes:
    """A binding success response with XOR-MAPPED-ADDRESS (RFC 5389 §15.2)."""
    address = ipaddress.ip_address(remote[0]).packed
    mask = struct.pack("!I", _COOKIE) + transaction
    mapped = bytes(a ^ b for a, b in zip(address, mask, strict=False))
    value = struct.pack("!BBH", 0, 1 if len(address) == 4 else 2, remote[1] ^ (_COOKIE >> 16)) + mapped
    body = struct.pack("!HH", 0x0020, len(value)) + value
    message = _HEADER.pack(0x0101, len(body) + (8 if fingerprint else 0), _COOKIE, transaction) + body
    if fingerprint:
        message += struct.pack("!HHI", _FINGERPRINT, 4, zlib.crc32(message) ^ 0x5354554E)
    return message


def _has_fingerprint(data: bytes) -> bool:
    return len(data) >= 28 and data[-8:-4] == b"\x80\x28\x00\x04"
