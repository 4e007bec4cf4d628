"""Texts that a peer carries for us without reading them: sealed with a key of the box, and nothing is stored.

The same text always gives the same mask, so a Call-ID or a Contact keeps its own for as long as the key lives; any
change to a mask is noticed. AES-SIV (RFC 5297) is made for just that: authenticated, deterministic, without a nonce.
"""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from enum import Enum

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

MARK = "jfh-"
"""Every mask begins so: a message without it in any place holds none."""
_LONGEST = 8192


class Kind(Enum):
    """What a mask stands for; one sort never opens as another."""

    URI = b"uri"
    CALL_ID = b"call-id"
    VIAS = b"vias"


class Masks:
    """`key` is the box's token secret, kept over restarts."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESSIV(hashlib.blake2b(key, person=b"topology").digest())

    def seal(self, kind: Kind, text: str) -> str:
        """The mask of a text that is not empty: letters, digits, '-' and '_'."""
        sealed = self._cipher.encrypt(text.encode("utf-8", "surrogateescape"), [kind.value])
        return MARK + urlsafe_b64encode(sealed).rstrip(b"=").decode()

    def open(self, kind: Kind, mask: str) -> str | None:
        """The text behind a mask of that kind; None for what is none, or not ours."""
        text = mask.removeprefix(MARK)
        if text is mask or len(text) > _LONGEST:
            return None
        try:
            sealed = urlsafe_b64decode(text + "=" * (-len(text) % 4))
            return self._cipher.decrypt(sealed, [kind.value]).decode("utf-8", "surrogateescape")
        except (InvalidTag, ValueError):
            return None
