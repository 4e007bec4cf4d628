"""The files of [stir], read: the key that we sign with, and the authorities that we believe."""

from __future__ import annotations

from pathlib import Path

import attrs
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from .stir import StirSettings

_ENDINGS = (".pem", ".crt", ".cer")
_MOST_FILES = 1000


@attrs.frozen
class StirMaterial:
    """`key` is None where nothing can be signed."""

    key: ec.EllipticCurvePrivateKey | None = None
    authorities: tuple[x509.Certificate, ...] = ()


def load_key(settings: StirSettings) -> ec.EllipticCurvePrivateKey | None:
    """Our signing key, made for our certificate. Raises `ValueError` that says what is wrong with which file."""
    if settings.certificate is None:
        return None
    certificate = load_certificates(settings.certificate)[0]
    file = settings.private_key or settings.certificate
    try:
        key = serialization.load_pem_private_key(_read(file), password=None)
    except (ValueError, TypeError):
        raise ValueError(f"{file} holds no private key that can be read") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ValueError(f"{file} holds no key on P-256, which ES256 needs")
    if certificate.public_key() != key.public_key():
        raise ValueError(f"{file} holds another key than that of the certificate")
    return key


def load_authorities(place: Path | None) -> tuple[x509.Certificate, ...]:
    """All certificates of a file, or of the files of a directory. Raises `ValueError`."""
    if place is None:
        return ()
    files = [place]
    try:
        if place.is_dir():
            files = sorted(one for one in place.iterdir() if one.suffix.lower() in _ENDINGS)[:_MOST_FILES]
    except OSError as error:
        raise ValueError(f"{place} cannot be read: {error.strerror or error}") from None
    if not files:
        raise ValueError(f"{place} holds no {', '.join(_ENDINGS)} file")
    return tuple(certificate for file in files for certificate in load_certificates(file))


def load_certificates(file: Path) -> list[x509.Certificate]:
    """The certificates of a PEM file, at least one. Raises `ValueError`."""
    try:
        return x509.load_pem_x509_certificates(_read(file))
    except ValueError as error:
        if str(error).startswith(str(file)):
            raise
        raise ValueError(f"{file} holds no certificate that can be read") from None


def load_material(settings: StirSettings) -> StirMaterial:
    """Raises `ValueError`."""
    return StirMaterial(load_key(settings), load_authorities(settings.authorities))


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ValueError(f"{file} cannot be read: {error.strerror or error}") from None
