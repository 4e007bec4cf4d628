"""Certificates of our own: readable, in time, with their key; those of listeners and of the web also for our names."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from appliance.config import Settings
from appliance.config.certificate_places import CertificatePlace, certificate_places
from appliance.interfaces import local_names
from appliance.selftest.certificate import covers, names_of

from .finding import Finding, Grade

SOON_DAYS: Final = 30
SYSTEM: Final = Path("/etc/ssl/certs/ca-certificates.crt")
_RENEW: Final = "Put a new certificate into the file and run jackfield reload: calls stand."


def examine_certificates(settings: Settings, state_dir: Path, now: datetime.datetime) -> Iterator[Finding]:
    own = state_dir / "certificate.pem", state_dir / "private-key.pem"
    for place in certificate_places(settings, *own):
        yield judged(place, settings, now)


def judged(place: CertificatePlace, settings: Settings, now: datetime.datetime) -> Finding:
    """What is to be said of the certificate at one place. It reads files."""
    file, key = place.certificate, place.private_key

    def found(grade: Grade, sentence: str, remedy: str = "") -> Finding:
        return Finding("certificates", place.section, grade, sentence, remedy)

    try:
        chain = x509.load_pem_x509_certificates(file.read_bytes())
    except FileNotFoundError:
        return found(Grade.NOTE, f"{file} is not there yet: it is made at the first start")
    except (OSError, ValueError) as error:
        return found(Grade.FAULT, f"{file} cannot be used: {error}", "Give a PEM file that the box's user may read.")
    leaf = chain[0]
    if key is not None and not _belong(leaf, key):
        return found(Grade.FAULT, f"{key} is not the key of {file}", "Give the key that the certificate was made for.")
    left = min(one.not_valid_after_utc for one in chain) - now
    if left.total_seconds() <= 0:
        who = "phones refuse" if place.server else "the other side refuses"
        return found(Grade.FAULT, f"it ran out {-left.days} days ago: {who} it", _RENEW)
    if leaf.not_valid_before_utc > now:
        return found(Grade.FAULT, f"it is valid from {leaf.not_valid_before_utc:%Y-%m-%d} only", "Look at the clock.")
    if not place.server:
        if left.days < SOON_DAYS:
            return found(Grade.WARNING, f"it runs out in {left.days} days", _RENEW)
        return found(Grade.OK, f"valid for {left.days} more days, of {leaf.issuer.rfc4514_string()}")
    names = tuple(settings.appliance.domains or ()) or local_names()
    held = names_of(leaf)
    missing = [name for name in names if not covers(held, name)]
    if missing:
        said = f"it is for {', '.join(held) or 'nobody'}, not for {', '.join(missing)}"
        return found(Grade.WARNING, said, "Get a certificate that holds all our domains as subject alternative names.")
    if left.days < SOON_DAYS:
        return found(Grade.WARNING, f"it runs out in {left.days} days", _RENEW)
    if leaf.issuer == leaf.subject:
        said = f"it is self-signed, valid for {left.days} more days: browsers and phones must be told to take it"
        return found(Grade.NOTE, said, "For phones of others, get a certificate of a public authority.")
    why = distrust(chain, names[0], now)
    if why:
        return found(
            Grade.WARNING,
            f"this machine's own list of authorities does not lead to it: {why}",
            "Append the intermediate certificates to the file; with an authority of your own, phones must know it.",
        )
    return found(Grade.OK, f"valid for {left.days} more days, of {leaf.issuer.rfc4514_string()}")


def _belong(leaf: x509.Certificate, key: Path) -> bool:
    try:
        private = load_pem_private_key(key.read_bytes(), None)
    except (OSError, ValueError, TypeError):
        return True  # not ours to read, or locked: check and reload tell of that
    form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    return private.public_key().public_bytes(*form) == leaf.public_key().public_bytes(*form)


def distrust(chain: list[x509.Certificate], name: str, now: datetime.datetime, system: Path = SYSTEM) -> str:
    """Why the machine's authorities do not vouch for it, "" where they do or cannot be asked."""
    try:
        store = Store(x509.load_pem_x509_certificates(system.read_bytes()))
    except (OSError, ValueError):
        return ""
    try:
        subject: x509.DNSName | x509.IPAddress = x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        subject = x509.DNSName(name)
    try:
        PolicyBuilder().store(store).time(now).build_server_verifier(subject).verify(chain[0], chain[1:])
    except VerificationError as error:
        return str(error).partition("(encountered")[0].strip()
    except (ValueError, x509.UnsupportedGeneralNameType) as error:
        return str(error)
    return ""
