"""TLS with mutual authentication at a trunk: who we are there, and by which certificate we know it (RFC 5922)."""

from __future__ import annotations

from pathlib import Path

import attrs

from .kinds import host, listed, optional, path, text
from .setting import setting


@attrs.frozen(kw_only=True, slots=False)
class TrunkTlsSettings:
    """Certificates of both ends of a trunk's TLS connections."""

    tls_certificate: Path | None = setting(
        optional(path(), "none", "we show no certificate"),
        "none",
        "PEM file with the certificate, and its chain, that we show on TLS connections to this trunk.",
    )
    tls_private_key: Path | None = setting(
        optional(path(), "auto", "in the certificate's file"), "auto", "PEM file with the key of tls-certificate."
    )
    tls_ca: Path | None = setting(
        optional(path(), "auto", "the authorities of the system"),
        "auto",
        "PEM file with the authorities that certificates of this trunk must come from.",
    )
    tls_verify_name: str | None = setting(
        optional(host(), "auto", "the gateway's own name or address"),
        "auto",
        "Name that the certificates of the gateways must have (RFC 5922: no wildcards).",
    )
    tls_identity: tuple[str, ...] = setting(
        listed(text("a name as certificates have it", pattern=r"[^\s\"<>]+")),
        "",
        "Names of the trunk's own certificate: domains, or SIP URIs with a user. Requests are then the trunk's only on "
        "TLS connections with such a certificate, and from a trusted address where there are any. A listener must ask "
        "for client certificates, unless requests only come over connections that we opened.",
    )
