"""GRUUs: addresses that reach one phone among several (RFC 5627).

A public one names the instance; a temporary one hides who it is. The user part of a temporary GRUU is the secret
number of a binding's generation, masked and authenticated with a key of the box, so nobody else can make or read one,
and all die together when the registrar draws a new number, i.e. when the Call-ID changes (§5.1). Nothing is stored.
"""

from __future__ import annotations

import base64
import hmac
from urllib.parse import quote

from appliance.sip.uri import Uri

_PREFIX = "tgruu."
_NUMBER, _NONCE, _MAC = 8, 8, 10


def public_gruu(aor: str, instance: str) -> str:
    """'sip:user@domain;gr=urn:uuid:…' for an AOR and an instance without its angle brackets."""
    return f"{aor};gr={quote(instance, safe=':/[]&+$-_.!~*()')}"


class TemporaryGruus:
    """Makes and reads the user parts of temporary GRUUs. `key`: 32 secret bytes that outlive a restart."""

    def __init__(self, key: bytes) -> None:
        self._mask_key = hmac.digest(key, b"temporary gruu mask", "sha256")
        self._mac_key = hmac.digest(key, b"temporary gruu mac", "sha256")

    def make(self, aor: str, number: str, nonce: bytes) -> str:
        """A URI in the AOR's domain. `number`: 16 hexadecimal digits; `nonce`: 8 bytes, new each time."""
        masked = self._mask(bytes.fromhex(number), nonce)
        mac = hmac.digest(self._mac_key, nonce + masked, "sha256")[:_MAC]
        user = base64.b32encode(nonce + masked + mac).decode("ascii").rstrip("=").lower()
        return f"sip:{_PREFIX}{user}@{aor.rpartition('@')[2]};gr"

    def number_of(self, uri: Uri) -> str | None:
        """The number inside a URI that we made, or None."""
        user = uri.username
        if not user.startswith(_PREFIX):
            return None
        text = user[len(_PREFIX) :].upper()
        try:
            raw = base64.b32decode(text + "=" * (-len(text) % 8))
        except ValueError:
            return None
        nonce, masked, mac = raw[:_NONCE], raw[_NONCE : _NONCE + _NUMBER], raw[_NONCE + _NUMBER :]
        if not hmac.compare_digest(mac, hmac.digest(self._mac_key, nonce + masked, "sha256")[:_MAC]):
            return None
        return self._mask(masked, nonce).hex()

    def _mask(self, number: bytes, nonce: bytes) -> bytes:
        pad = hmac.digest(self._mask_key, nonce, "sha256")
        return bytes(a ^ b for a, b in zip(number, pad, strict=False))
