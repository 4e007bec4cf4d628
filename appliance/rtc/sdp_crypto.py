"""a=crypto lines: SDES keys in SDP (RFC 4568; RFC 7714 for GCM). Lines that cannot be honoured are skipped."""

import base64
import binascii
import re

from attrs import field, frozen

from appliance.rtc.sdp import Field, Media, attribute

KEY_SALT_BYTES = {"AES_CM_128_HMAC_SHA1_80": 30, "AEAD_AES_128_GCM": 28}
"""Suites that we can do, with the length of master key and salt together."""

_CRYPTO = re.compile(r"(\d{1,9})\s+(\S+)\s+(\S+)(?:\s+(.*))?\Z")
_LIFETIME = re.compile(r"(?:2\^\d{1,2}|\d{1,15})\Z")


@frozen
class Crypto:
    tag: int
    suite: str
    key_salt: bytes = field(repr=False)

    @property
    def line(self) -> Field:
        key = base64.b64encode(self.key_salt).decode("ascii")
        return attribute("crypto", f"{self.tag} {self.suite} inline:{key}")


def cryptos_of(media: Media) -> tuple[Crypto, ...]:
    """The usable ones in the peer's order: known suite, one key of the right length, no MKI, no session parameter
    that would change what is on the wire (§6.3.7: an unknown one without a hyphen refuses the line)."""
    return tuple(c for c in map(_crypto, media.attributes("crypto")) if c is not None)


def _crypto(value: str) -> Crypto | None:
    found = _CRYPTO.match(value)
    if found is None:
        return None
    tag, suite, key_parameters, session_parameters = found.groups()
    suite = suite.upper()
    if suite not in KEY_SALT_BYTES or ";" in key_parameters:
        return None
    method, _, information = key_parameters.partition(":")
    if method.lower() != "inline":
        return None
    encoded, *rest = information.split("|")
    if len(rest) > 1 or not all(_LIFETIME.match(part) for part in rest):
        return None  # a master key identifier would lengthen each packet
    for parameter in (session_parameters or "").split():
        if not parameter.startswith(("-", "WSH=")):
            return None
    try:
        key_salt = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
    if len(key_salt) != KEY_SALT_BYTES[suite]:
        return None
    return Crypto(int(tag), suite, key_salt)
