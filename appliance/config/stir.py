"""Signed caller numbers (STIR/SHAKEN): what we sign with, whom we believe, and how far a call may wait for it."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import attrs

from .kinds import flag, listed, milliseconds, optional, path, seconds, text
from .rewriting import name_of
from .setting import setting


class Attestation(StrEnum):
    """What we say of a caller's number (RFC 8588 §4): A, it is theirs; B, we know who calls; C, we only took it in."""

    A = "A"
    B = "B"
    C = "C"


class Signing(StrEnum):
    """Whether calls to a trunk are signed: not, by what is known of the caller, or always the same."""

    NO = "no"
    AUTO = "auto"
    A = "A"
    B = "B"
    C = "C"


class Verification(StrEnum):
    """What a trunk's signatures mean: nothing, a mark on the call, or no call without."""

    OFF = "off"
    MARK = "mark"
    REQUIRE = "require"


@attrs.frozen(kw_only=True)
class StirSettings:
    """Signing and verifying caller numbers (STIR/SHAKEN); which trunks do it, sign and verify of [trunk NAME] say."""

    certificate: Path | None = setting(
        optional(path(), "none", "nothing is signed"),
        "none",
        "PEM file with the certificate that was issued to us for signing numbers; the file behind x5u.",
    )
    private_key: Path | None = setting(
        optional(path(), "none", "in the certificate's file"),
        "none",
        "PEM file with the private key of the certificate, on P-256.",
    )
    x5u: str = setting(
        text("an https URL", pattern=r"(?:https?://[A-Za-z0-9.-]+(?::[0-9]+)?/[!-;=?-~]*)?", longest=400),
        "",
        "URL at which everybody finds our certificate; it stands in every signature.",
    )
    origid: str = setting(
        text("a UUID or auto", pattern=r"auto|[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"),
        "auto",
        "Name of this box in its signatures, by which a call is traced back; auto: one made from the box's own secret.",
    )
    authorities: Path | None = setting(
        optional(path(), "none", "no signature is believed"),
        "none",
        "PEM file, or directory of PEM files, with the authorities whose certificates we believe.",
    )
    numberplan: str | None = setting(
        optional(name_of("the name of a [numberplan]"), "none", "numbers are in international form already"),
        "none",
        "Number plan by which callers and called numbers in other forms are read for signatures.",
    )
    freshness_s: float = setting(seconds(1, 3600), "60 s", "A signature older than this, or as far ahead, is stale.")
    wait_ms: float = setting(
        milliseconds(0, 5000),
        "0 ms",
        "How long a call may wait for a certificate that is not known yet. 0: it goes on without, later ones find it.",
    )
    hosts: tuple[str, ...] = setting(
        listed(text("*, a host, or *.domain", pattern=r"\*|(?:\*\.)?[A-Za-z0-9.-]+"), least=1),
        "*",
        "Hosts from which certificates may be fetched.",
    )
    private_hosts: bool = setting(
        flag(), "no", "Whether certificates may be fetched from private and loopback addresses, as in a laboratory."
    )
    fetch_timeout_s: float = setting(
        seconds(0.5, 60), "5 s", "A certificate that has not come by then is not waited for."
    )
    fetch_again_s: float = setting(
        seconds(10, 86400), "5 min", "After this long a certificate that could not be fetched is asked for again."
    )
    keep_s: float = setting(
        seconds(60, 7 * 86400),
        "24 h",
        "A certificate is fetched anew after this long at the latest, or as its server says. While that fails, the old "
        "one serves as long as it is valid.",
    )
