"""Where certificates of our own are configured: what shows each of them, and whether it must bear our names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import attrs

from .settings import Settings


@attrs.frozen
class CertificatePlace:
    """`private_key` is None where the key lies in the certificate's file."""

    section: str
    certificate: Path
    private_key: Path | None
    server: bool
    """Phones and browsers look whether it is for the name that they asked for."""


def certificate_places(settings: Settings, certificate: Path, private_key: Path) -> Iterator[CertificatePlace]:
    """Every place that shows one; `certificate` and `private_key` are those that were made at the first start."""

    def served(section: str, named: Path | None, key: Path | None) -> CertificatePlace:
        if named is None:
            return CertificatePlace(section, certificate, private_key, server=True)
        return CertificatePlace(section, named, key, server=True)

    for one in settings.listeners.values():
        if one.transport.secure:
            yield served(f"listener {one.name}", one.certificate, one.private_key)
    yield served("web", settings.web.certificate, settings.web.private_key)
    for trunk in settings.trunks.values():
        if trunk.tls_certificate is not None:
            yield CertificatePlace(f"trunk {trunk.name}", trunk.tls_certificate, trunk.tls_private_key, server=False)
    if settings.stir.certificate is not None:
        yield CertificatePlace("stir", settings.stir.certificate, settings.stir.private_key, server=False)
    for kind, collectors in (("syslog", settings.syslogs), ("hep", settings.heps)):
        for collector in collectors.values():
            if collector.certificate is not None:
                section = f"{kind} {collector.name}"
                yield CertificatePlace(section, collector.certificate, collector.private_key, server=False)
