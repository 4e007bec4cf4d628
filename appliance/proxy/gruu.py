"""GRUUs: addresses that reach one phone among several (RFC 5627).

A public one names the instance; a temporary one hides who it is. The user part of a temporary GRUU is the secret
number of a binding's generation, masked and authenticated with a key of the box, so nobody else can make or read one,
and all die together when the registrar draws a new number, i.e. when the Call-ID changes (§5.1). Nothing is stored.
"""

from __future__ import annotations

import hmac
from hashlib import blake2b
from urllib.parse import quote

from appliance.sip.uri import Uri

_PREFIX = "tgruu."
_USER_SAFE = "-_.!~*'()&=+$,;?/"
#: Nonce, masked number, authentication code.
_LENGTH = 8 + 8 + 10


def public_gruu(aor: str, instance: str) -> str:
    """'sip:user@domain;gr=urn:uuid:…' for an AOR and an instance without its angle brackets."""
    user, _, domain = aor.removeprefix("sip:").rpartition("@")
    return f"sip:{quote(user, safe=_USER_SAFE)}@{domain};gr={quote(instance, safe=':/[]&+$-_.!~*()')}"


class TemporaryGruus:
    """Makes and reads the user parts of temporary GRUUs. `key`: 32 secret bytes that outlive a restart."""

    def __init__(self, key: bytes) -> None:
        self._mask_key = hmac.digest(key, b"temporary gruu mask", "sha256")
        self._mac_key = hmac.digest(key, b"temporary gruu mac", "sha256")

    def make(self, aor: str, number: str, nonce: bytes) -> str:
        """A URI in the AOR's domain. `number`: 16 hexadecimal digits; `nonce`: 8 bytes, new each time."""
        masked = self._mask(bytes.fromhex(number), nonce)
        user = (nonce + masked + self._mac(nonce + masked)).hex()
        return f"sip:{_PREFIX}{user}@{aor.rpartition('@')[2]};gr"

    def number_of(self, uri: Uri) -> str | None:
        """The number inside a URI that we made, or None."""
        user = uri.username
        if not user.startswith(_PREFIX):
            return None
        try:
            raw = bytes.fromhex(user[len(_PREFIX) :])
        except ValueError:
            return None
        if len(raw) != _LENGTH or not hmac.compare_digest(raw[16:], self._mac(raw[:16])):
            return None
        return self._mask(raw[8:16], raw[:8]).hex()

    def _mask(self, number: bytes, nonce: bytes) -> bytes:
        """`number` hidden, or shown again."""
        pad = blake2b(nonce, key=self._mask_key, digest_size=8).digest()
        return (int.from_bytes(number, "big") ^ int.from_bytes(pad, "big")).to_bytes(8, "big")

    def _mac(self, data: bytes) -> bytes:
        return blake2b(data, key=self._mac_key, digest_size=10).digest()
