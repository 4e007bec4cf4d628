"""Certificates for signing caller numbers, made on the spot: an authority, one below it, and what they issue."""

from __future__ import annotations

import datetime

import attrs
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from appliance.sip.stir_chain import TN_AUTH_LIST

_DAY = datetime.timedelta(days=1)
NOW = datetime.datetime.now(datetime.UTC).replace(microsecond=0)


def der(tag: int, content: bytes) -> bytes:
    size = len(content)
    length = bytes([size]) if size < 128 else b"\x82" + size.to_bytes(2, "big")
    return bytes([tag]) + length + content


def tn_auth_list(
    *, codes: tuple[str, ...] = (), numbers: tuple[str, ...] = (), ranges: tuple[tuple[str, int], ...] = ()
) -> bytes:
    """RFC 8226 §9."""
    entries = b"".join(der(0xA0, der(0x16, code.encode())) for code in codes)
    entries += b"".join(
        der(0xA1, der(0x30, der(0x16, start.encode()) + der(0x02, count.to_bytes(4, "big")))) for start, count in ranges
    )
    entries += b"".join(der(0xA2, der(0x16, number.encode())) for number in numbers)
    return der(0x30, entries)


def pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in certificates)


@attrs.frozen
class Holder:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def of_authority(cls, name: str = "authority") -> Holder:
        return _issue(name, None, authority=True)

    def authority(self, name: str = "authority below", path_length: int | None = None) -> Holder:
        return _issue(name, self, authority=True, path_length=path_length)

    def issue(
        self,
        numbers: bytes | None = None,
        *,
        name: str = "provider",
        days: tuple[float, float] = (-1, 30),
        curve: ec.EllipticCurve | None = None,
        critical: bool = False,
    ) -> Holder:
        numbers = tn_auth_list(codes=("1234",)) if numbers is None else numbers
        return _issue(name, self, authority=False, numbers=numbers, days=days, curve=curve, critical=critical)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


def _issue(
    name: str,
    issuer: Holder | None,
    *,
    authority: bool,
    numbers: bytes = b"",
    days: tuple[float, float] = (-1, 30),
    path_length: int | None = None,
    curve: ec.EllipticCurve | None = None,
    critical: bool = False,
) -> Holder:
    key = ec.generate_private_key(curve or ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW + days[0] * _DAY)
        .not_valid_after(NOW + days[1] * _DAY)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=path_length), critical=True)
    )
    if numbers:
        builder = builder.add_extension(x509.UnrecognizedExtension(TN_AUTH_LIST, numbers), critical=False)
    if critical:
        odd = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
        builder = builder.add_extension(odd, critical=True)
    return Holder(builder.sign(key if issuer is None else issuer.key, hashes.SHA256()), key)
