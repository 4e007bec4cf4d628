"""The certificates behind signed caller numbers: a chain up to an authority that we trust, and what it may sign for.

RFC 8226 (TNAuthList: provider codes, number ranges, single numbers), RFC 5280 as far as such chains need it. The
certificates come from strangers' servers: bounded in number, and nothing here raises anything but `BadChain`.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable

import attrs
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtensionOID

TN_AUTH_LIST = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.26")
_MOST_CERTIFICATES = 8
_MOST_ENTRIES = 4096
_UNDERSTOOD = frozenset({ExtensionOID.BASIC_CONSTRAINTS, ExtensionOID.KEY_USAGE, TN_AUTH_LIST})
"""What may be marked critical (RFC 5280 §4.2)."""


_UNREADABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
"""What `cryptography` raises for certificates that are none; parts of them are read only when they are asked for."""


class BadChain(Exception):  # noqa: N818
    """The certificates prove nothing; the text says why."""


@attrs.frozen
class TnAuthList:
    """`codes` of service providers; numbers as (first, how many), digits without '+'."""

    codes: tuple[str, ...] = ()
    ranges: tuple[tuple[int, int, int], ...] = ()
    """First number, how many of them, how many digits they have."""

    def covers(self, number: str) -> bool:
        """Whether the number may be signed for. What belongs to a provider's code no certificate says: it counts."""
        if self.codes:
            return True
        if not (number.isascii() and number.isdigit()) or len(number) > 20:
            return False
        value = int(number)
        return any(digits == len(number) and first <= value < first + count for first, count, digits in self.ranges)


@attrs.frozen
class Chain:
    """A certificate and what was sent with it, the certificate itself first."""

    certificates: tuple[x509.Certificate, ...]

    @classmethod
    def read_untrusted(cls, pem: bytes) -> Chain:
        try:
            found = x509.load_pem_x509_certificates(pem)
        except _UNREADABLE:
            raise BadChain("no PEM certificates") from None
        if len(found) > _MOST_CERTIFICATES:
            raise BadChain("too many certificates")
        return cls(tuple(found))

    @property
    def key(self) -> ec.EllipticCurvePublicKey:
        """The key that signatures are checked with. Raises `BadChain` where it is not one for ES256."""
        try:
            key = self.certificates[0].public_key()
        except _UNREADABLE:
            raise BadChain("a key of an unknown kind") from None
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
            raise BadChain("not a key on P-256")
        return key

    @property
    def numbers(self) -> TnAuthList:
        """What the certificate may sign for; nothing where it does not say."""
        try:
            extension = self.certificates[0].extensions.get_extension_for_oid(TN_AUTH_LIST).value
        except x509.ExtensionNotFound:
            return TnAuthList()
        except _UNREADABLE:
            raise BadChain("extensions that cannot be read") from None
        assert isinstance(extension, x509.UnrecognizedExtension)
        return read_tn_auth_list_untrusted(extension.value)

    def verify(self, authorities: Iterable[x509.Certificate], now: datetime.datetime) -> None:
        """Raises `BadChain` where no way leads to one of the authorities at that time."""
        try:
            self._verify(tuple(authorities), now)
        except _UNREADABLE:
            raise BadChain("certificates that cannot be read") from None

    def _verify(self, trusted: tuple[x509.Certificate, ...], now: datetime.datetime) -> None:
        current = self.certificates[0]
        others = list(self.certificates[1:])
        below = 0
        while True:
            _check(current, now, below)
            anchor = next((one for one in trusted if one == current or _issued(one, current)), None)
            if anchor is not None:
                _check(anchor, now, below + 1 if anchor != current else below)
                return
            issuer = next((one for one in others if _issued(one, current)), None)
            if issuer is None:
                raise BadChain(f"issued by {current.issuer.rfc4514_string()[:120]}, which is not trusted")
            others.remove(issuer)
            current = issuer
            below += 1

    def ends_at(self) -> float:
        """When the first of the certificates runs out, in seconds."""
        return min(one.not_valid_after_utc.timestamp() for one in self.certificates)


def _check(certificate: x509.Certificate, now: datetime.datetime, below: int) -> None:
    """One certificate of a path; `below` is how many stand under it: 0 for the one that signs numbers."""
    name = certificate.subject.rfc4514_string()[:120]
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise BadChain(f"{name} is not valid now")
    extensions = certificate.extensions
    for extension in extensions:
        if extension.critical and extension.oid not in _UNDERSTOOD:
            raise BadChain(f"{name} has a critical extension {extension.oid.dotted_string}")
    usage = next((one.value for one in extensions if isinstance(one.value, x509.KeyUsage)), None)
    if below == 0:
        if usage is not None and not usage.digital_signature:
            raise BadChain(f"{name} is not for signatures")
        return
    constraints = next((one.value for one in extensions if isinstance(one.value, x509.BasicConstraints)), None)
    if constraints is None or not constraints.ca or (usage is not None and not usage.key_cert_sign):
        raise BadChain(f"{name} is no authority")
    if constraints.path_length is not None and below - 1 > constraints.path_length:
        raise BadChain(f"{name} allows no further authority below it")


def _issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    if issuer.subject != certificate.issuer:
        return False
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, *_UNREADABLE):
        return False
    return True


def read_tn_auth_list_untrusted(der: bytes) -> TnAuthList:
    """The extension's value (RFC 8226 §9). Raises `BadChain`."""
    codes: list[str] = []
    ranges: list[tuple[int, int, int]] = []
    entries = _only(der, 0x30)
    for _ in range(_MOST_ENTRIES):
        if not entries:
            return TnAuthList(tuple(codes), tuple(ranges))
        tag, value, entries = _element(entries)
        match tag:
            case 0xA0:
                codes.append(_only(value, 0x16).decode("ascii", "replace"))
            case 0xA1:
                body = _only(value, 0x30)
                _, start, rest = _element(body)
                count = _only(rest, 0x02)
                ranges.append(_range(start, min(int.from_bytes(count, "big"), 10**15)))
            case 0xA2:
                ranges.append(_range(_only(value, 0x16), 1))
            case _:
                raise BadChain("a TNAuthList that cannot be read")
    raise BadChain("a TNAuthList without end")


def _range(start: bytes, count: int) -> tuple[int, int, int]:
    if not start.isdigit() or len(start) > 20:  # '#' and '*' are allowed there, but no caller has such a number
        return (0, 0, 0)
    return int(start), count, len(start)


def _only(der: bytes, wanted: int) -> bytes:
    tag, value, rest = _element(der)
    if tag != wanted or rest:
        raise BadChain("a TNAuthList that cannot be read")
    return value


def _element(der: bytes) -> tuple[int, bytes, bytes]:
    """Tag, content and what follows."""
    if len(der) < 2:
        raise BadChain("a TNAuthList that cannot be read")
    tag, length, start = der[0], der[1], 2
    if length & 0x80:
        size = length & 0x7F
        start += size
        if not 1 <= size <= 3 or len(der) < start:
            raise BadChain("a TNAuthList that cannot be read")
        length = int.from_bytes(der[2:start], "big")
    end = start + length
    if len(der) < end:
        raise BadChain("a TNAuthList that cannot be read")
    return tag, der[start:end], der[end:]
