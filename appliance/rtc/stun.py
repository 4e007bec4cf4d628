"""STUN messages as ICE uses them (RFC 8489 §5, §14; RFC 8445 §16).

Reads and builds; who answers what is in ice.py. Message integrity is HMAC-SHA1 with a short-term credential,
the fingerprint a CRC-32 (RFC 8489 §14.5, §14.7); both cover the message with its length cut to end behind
them.
"""

import hmac
import ipaddress
import zlib
from collections.abc import Sequence
from struct import Struct

from attrs import field, frozen

from appliance.rtc.errors import BadMedia

COOKIE = 0x2112A442
HEADER = Struct("!HHI12s")
BINDING_REQUEST = 0x0001
BINDING_INDICATION = 0x0011
BINDING_SUCCESS = 0x0101
BINDING_ERROR = 0x0111

USERNAME = 0x0006
MESSAGE_INTEGRITY = 0x0008
ERROR_CODE = 0x0009
UNKNOWN_ATTRIBUTES = 0x000A
XOR_MAPPED_ADDRESS = 0x0020
PRIORITY = 0x0024
USE_CANDIDATE = 0x0025
SOFTWARE = 0x8022
FINGERPRINT = 0x8028
ICE_CONTROLLED = 0x8029
ICE_CONTROLLING = 0x802A

UNDERSTOOD = frozenset({0x0001, USERNAME, MESSAGE_INTEGRITY, ERROR_CODE, XOR_MAPPED_ADDRESS, PRIORITY})
UNDERSTOOD |= {UNKNOWN_ATTRIBUTES, USE_CANDIDATE, 0x0014, 0x0015}
FINGERPRINT_XOR = 0x5354554E
MAX_ATTRIBUTES = 64


@frozen
class StunMessage:
    """`attributes` in their order, those behind MESSAGE-INTEGRITY left out except FINGERPRINT (RFC 8489
    §14.5).

    `integrity_at` and `fingerprint_at` are offsets into `raw`, -1 where there is none.
    """

    kind: int
    transaction: bytes
    attributes: tuple[tuple[int, bytes], ...]
    raw: bytes = field(repr=False)
    integrity_at: int = -1
    fingerprint_at: int = -1

    def get(self, kind: int) -> bytes | None:
        for number, value in self.attributes:
            if number == kind:
                return value
        return None

    def unknown_required(self) -> tuple[int, ...]:
        """Comprehension-required attributes (below 0x8000) that nobody here understands."""
        return tuple(number for number, _ in self.attributes if number < 0x8000 and number not in UNDERSTOOD)

    def verify_integrity(self, password: str | bytes) -> bool:
        """`password` is a short-term one, or the key made of a long-term credential (RFC 8489 §9.2.2)."""
        at = self.integrity_at
        if at < 0:
            return False
        covered = self.raw[:2] + (at + 24 - 20).to_bytes(2, "big") + self.raw[4:at]
        key = password.encode() if isinstance(password, str) else password
        expected = hmac.digest(key, covered, "sha1")
        return hmac.compare_digest(expected, self.raw[at + 4 : at + 24])

    def verify_fingerprint(self) -> bool:
        """True where there is none."""
        at = self.fingerprint_at
        if at < 0:
            return True
        return _crc(self.raw[:at]) == int.from_bytes(self.raw[at + 4 : at + 8], "big")

    def mapped_address(self) -> tuple[str, int] | None:
        """XOR-MAPPED-ADDRESS, RFC 8489 §14.2; None where missing or not understood."""
        value = self.get(XOR_MAPPED_ADDRESS)
        if value is None or len(value) not in (8, 20):
            return None
        port = int.from_bytes(value[2:4], "big") ^ (COOKIE >> 16)
        mask = self.raw[4:20]
        address = bytes(a ^ b for a, b in zip(value[4:], mask, strict=False))
        return str(ipaddress.ip_address(address)), port

    def error(self) -> tuple[int, str] | None:
        value = self.get(ERROR_CODE)
        if value is None or len(value) < 4:
            return None
        return (value[2] & 7) * 100 + value[3], value[4:].decode("utf-8", "replace")


def parse_stun_untrusted(data: bytes) -> StunMessage:
    """Structure only; integrity and fingerprint are verified by who knows the password. Raises BadMedia."""
    if len(data) < 20:
        raise BadMedia("malformed", f"STUN of {len(data)} bytes is shorter than its header")
    kind, length, cookie, transaction = HEADER.unpack_from(data)
    if kind & 0xC000 or cookie != COOKIE:
        raise BadMedia("malformed", "not a STUN message")
    if length % 4 or length != len(data) - 20:
        raise BadMedia("malformed", f"STUN length {length} in {len(data)} bytes")
    attributes: list[tuple[int, bytes]] = []
    integrity_at = fingerprint_at = -1
    at = 20
    while at < len(data):
        if fingerprint_at >= 0:
            raise BadMedia("malformed", "STUN attribute behind FINGERPRINT")
        if len(attributes) >= MAX_ATTRIBUTES:
            raise BadMedia("malformed", "too many STUN attributes")
        number = int.from_bytes(data[at : at + 2], "big")
        size = int.from_bytes(data[at + 2 : at + 4], "big")
        value = data[at + 4 : at + 4 + size]
        if len(value) != size:
            raise BadMedia("malformed", "STUN attribute runs past the end")
        if number == FINGERPRINT:
            if size != 4:
                raise BadMedia("malformed", f"STUN FINGERPRINT of {size} bytes")
            fingerprint_at = at
        elif integrity_at >= 0:
            number = -1  # §14.5: ignored
        elif number == MESSAGE_INTEGRITY:
            if size != 20:
                raise BadMedia("malformed", f"STUN MESSAGE-INTEGRITY of {size} bytes")
            integrity_at = at
        if number >= 0:
            attributes.append((number, value))
        at += 4 + size + (-size % 4)
    return StunMessage(kind, transaction, tuple(attributes), bytes(data), integrity_at, fingerprint_at)


def build_stun(
    kind: int,
    transaction: bytes,
    attributes: Sequence[tuple[int, bytes]],
    *,
    password: str | None = None,
    fingerprint: bool = True,
) -> bytes:
    """A message with MESSAGE-INTEGRITY where a password is given, and FINGERPRINT."""
    body = b"".join(
        number.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value + b"\0" * (-len(value) % 4)
        for number, value in attributes
    )
    message = HEADER.pack(kind, len(body), COOKIE, transaction) + body
    if password is not None:
        covered = _with_length(message, len(message) + 4)
        digest = hmac.digest(password.encode(), covered, "sha1")
        message = covered + MESSAGE_INTEGRITY.to_bytes(2, "big") + b"\0\x14" + digest
    if fingerprint:
        covered = _with_length(message, len(message) - 12)
        message = covered + FINGERPRINT.to_bytes(2, "big") + b"\0\x04" + _crc(covered).to_bytes(4, "big")
    return message


def xor_mapped_address(address: tuple[str, int], transaction: bytes) -> bytes:
    ip = ipaddress.ip_address(address[0].partition("%")[0]).packed
    mask = COOKIE.to_bytes(4, "big") + transaction
    family = 1 if len(ip) == 4 else 2
    port = address[1] ^ (COOKIE >> 16)
    return bytes((0, family)) + port.to_bytes(2, "big") + bytes(a ^ b for a, b in zip(ip, mask, strict=False))


def error_code(code: int, reason: str) -> bytes:
    return bytes((0, 0, code // 100, code % 100)) + reason.encode()


def _with_length(message: bytes, length: int) -> bytes:
    return message[:2] + length.to_bytes(2, "big") + message[4:]


def _crc(covered: bytes) -> int:
    return zlib.crc32(covered) ^ FINGERPRINT_XOR
