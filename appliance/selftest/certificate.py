"""Whether the certificate that a listener shows is one that phones can take, and the one in its file."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Iterable
from pathlib import Path

from cryptography import x509

from .permission import Door
from .report import StepFailed

REMEDY = "Put a certificate for the right names into the listener's file and run jackfield reload."


def judge(der: bytes, door: Door, names: Iterable[str], now: datetime.datetime) -> tuple[float, str]:
    """The days that it has left, and whose it is in words. Raises `StepFailed`."""
    shown = x509.load_der_x509_certificate(der)
    left = shown.not_valid_after_utc - now
    where = f"the certificate of listener {door.name}"
    if left.total_seconds() <= 0:
        raise StepFailed(f"{where} ran out on {shown.not_valid_after_utc:%Y-%m-%d}: phones refuse it", REMEDY)
    if shown.not_valid_before_utc > now:
        raise StepFailed(
            f"{where} is valid from {shown.not_valid_before_utc:%Y-%m-%d} only", "Look at the box's clock, then at it."
        )
    held = names_of(shown)
    wanted = tuple(names)
    if not any(covers(held, name) for name in wanted):
        raise StepFailed(
            f"{where} is for {', '.join(held) or 'nobody'}, not for {' or '.join(wanted)}: phones refuse it", REMEDY
        )
    if door.certificate:
        try:
            on_disk = x509.load_pem_x509_certificate(Path(door.certificate).read_bytes())
        except (OSError, ValueError):
            on_disk = shown  # not ours to read: nothing can be said of it
        if on_disk != shown:
            raise StepFailed(f"{where} is another than its file holds by now", "Run jackfield reload: calls stand.")
    own = shown.issuer == shown.subject
    return left.total_seconds() / 86400, "self-signed" if own else f"of {shown.issuer.rfc4514_string()}"


def names_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """Host names and addresses that it is for, from its SAN alone (RFC 6125 §6.4.4)."""
    try:
        san = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    names = [*san.get_values_for_type(x509.DNSName), *map(str, san.get_values_for_type(x509.IPAddress))]
    return tuple(name.lower() for name in names)


def covers(held: Iterable[str], name: str) -> bool:
    """A wildcard stands for one whole label (RFC 6125 §6.4.3)."""
    name = name.lower()
    try:
        name = str(ipaddress.ip_address(name))
    except ValueError:
        rest = name.partition(".")[2]
        return name in held or (bool(rest) and f"*.{rest}" in held)
    return name in held
