"""Certificates that do not load, keys that do not belong to them, authorities that nobody named."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

from .mistakes import Mistake
from .places import Places
from .sections import ClientCertificate, ListenerSettings
from .settings import Settings


def certificate_mistakes(settings: Settings, places: Places) -> Iterator[Mistake]:
    for one in settings.listeners.values():
        yield from pair_mistakes(one.certificate, one.private_key, "listener", one.name, places)
        yield from _listener(one, places)
    yield from pair_mistakes(settings.web.certificate, settings.web.private_key, "web", "", places)
    for trunk in settings.trunks.values():
        yield from pair_mistakes(trunk.tls_certificate, trunk.tls_private_key, "trunk", trunk.name, places, "tls-")
        yield from authorities_mistakes(trunk.tls_ca, "trunk", trunk.name, "tls-ca", places)
    yield from _identities(settings, places)


def pair_mistakes(
    certificate: Path | None, key: Path | None, heading: str, name: str, places: Places, prefix: str = ""
) -> Iterator[Mistake]:
    """Of a certificate and its key, named by the settings certificate and private-key."""
    title = f"[{heading} {name}]" if name else f"[{heading}]"
    named, named_key = f"{prefix}certificate", f"{prefix}private-key"
    if certificate is None:
        if key is not None and places.sound(heading, name):
            place = places.of(heading, name, named_key)
            yield Mistake(place, title, named_key, f"stands without {named}", "Name the certificate as well")
        return
    place = places.of(heading, name, named)
    for path in filter(None, (certificate, key)):
        try:
            path.read_bytes()
        except OSError as error:
            mistake = f"{path} cannot be read: {error.strerror}"
            yield Mistake(place, title, named, mistake, "Name a PEM file that this user may read")
            return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password=_no_password)
    except (ssl.SSLError, ValueError) as error:
        mistake = f"{certificate} and its key cannot be used: {getattr(error, 'reason', None) or error}"
        remedy = "Give PEM files of one certificate chain and of the key that belongs to it, without a password"
        yield Mistake(place, title, named, mistake, remedy)


def _no_password() -> str:
    raise ValueError("the key has a password")


def _listener(one: ListenerSettings, places: Places) -> Iterator[Mistake]:
    if (
        one.client_certificate is not ClientCertificate.NONE
        and one.client_ca is None
        and places.sound("listener", one.name)
    ):
        place = places.of("listener", one.name, "client-certificate")
        remedy = "Name the PEM file of the authorities by client-ca"
        yield Mistake(place, f"[listener {one.name}]", "client-certificate", "needs client-ca", remedy)
    yield from authorities_mistakes(one.client_ca, "listener", one.name, "client-ca", places)


def authorities_mistakes(ca: Path | None, heading: str, name: str, key: str, places: Places) -> Iterator[Mistake]:
    if ca is None:
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(ca)
    except (OSError, ssl.SSLError) as error:
        mistake = f"{ca} cannot be used: {error.strerror or error}"
        remedy = "Name a PEM file with the authorities' certificates"
        yield Mistake(places.of(heading, name, key), f"[{heading} {name}]".replace(" ]", "]"), key, mistake, remedy)


def _identities(settings: Settings, places: Places) -> Iterator[Mistake]:
    asked = any(
        one.transport.secure and one.client_certificate is not ClientCertificate.NONE
        for one in settings.listeners.values()
    )
    seen: dict[str, str] = {}
    for trunk in settings.trunks.values():
        title, place = f"[trunk {trunk.name}]", places.of("trunk", trunk.name, "tls-identity")
        dialled = any(gateway.transport == "tls" for gateway in (*trunk.gateways, *trunk.registrar))
        if trunk.tls_identity and not asked and not dialled:
            mistake = "can never be shown: no listener asks for client certificates, and no gateway is met over tls"
            remedy = "Set client-certificate and client-ca of a tls listener"
            yield Mistake(place, title, "tls-identity", mistake, remedy)
        for identity in trunk.tls_identity:
            other = seen.setdefault(identity.lower(), trunk.name)
            if other != trunk.name:
                mistake = f"{identity} belongs to [trunk {other}] already"
                yield Mistake(place, title, "tls-identity", mistake, "Give each trunk names of its own")
