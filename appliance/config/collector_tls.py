"""How TLS to a collector is set, of the log or of SIP messages: what [syslog NAME] and [hep NAME] give to `setting`."""

from __future__ import annotations

from typing import Final

from .kinds import host, optional, path

CA: Final = (
    optional(path(), "auto", "the authorities of the system"),
    "auto",
    "PEM file with the authorities that the collector's certificate must come from.",
)
CERTIFICATE: Final = (
    optional(path(), "none", "we show no certificate"),
    "none",
    "PEM file with the certificate, and its chain, that we show to the collector.",
)
PRIVATE_KEY: Final = (
    optional(path(), "auto", "in the certificate's file"),
    "auto",
    "PEM file with the key of certificate.",
)
VERIFY_NAME: Final = (
    optional(host(), "auto", "that of host"),
    "auto",
    "Name that the collector's certificate must have.",
)
