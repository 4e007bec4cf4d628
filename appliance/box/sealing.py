"""A file encrypted under a passphrase: scrypt makes the key, AES-256-GCM seals it piece by piece.

A header (magic, cost, salt, nonce prefix) is followed by pieces of 64 KiB, each with its tag. A piece's nonce holds its
number and whether it is the last, so that pieces cannot be swapped, left out or cut off at the end unnoticed. The
header is bound to every piece.
"""

from __future__ import annotations

import io
import os
import struct
from typing import BinaryIO, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

MAGIC: Final = b"JACKFIELD SEALED BACKUP 1\n"
_HEADER: Final = struct.Struct(">B16s7s")  # log2 of scrypt's cost, salt, nonce prefix
_COST: Final = 15
"""32 MiB of memory and about 0.1 s."""
_MOST_COST: Final = 17
_PIECE: Final = 65_536
_TAG: Final = 16
SHORTEST_PASSPHRASE: Final = 8
LONGEST_PASSPHRASE: Final = 1024


class Damaged(Exception):  # noqa: N818 (it says what happened)
    """The file is not what it should be; the text is a sentence that says what, and what to do."""


def _key(passphrase: str, salt: bytes, cost: int) -> AESGCM:
    return AESGCM(Scrypt(salt=salt, length=32, n=1 << cost, r=8, p=1).derive(passphrase.encode()))


def _nonce(prefix: bytes, number: int, last: bool) -> bytes:
    return prefix + number.to_bytes(4, "big") + bytes([last])


class SealingWriter(io.RawIOBase):
    """Writes what it is given sealed into `out`, which stays open; `close` writes the last piece."""

    _begun = False
    """What was refused its passphrase is closed as well, by Python, and has nothing to write."""

    def __init__(self, out: BinaryIO, passphrase: str) -> None:
        if not SHORTEST_PASSPHRASE <= len(passphrase) <= LONGEST_PASSPHRASE:
            raise ValueError(f"a passphrase has {SHORTEST_PASSPHRASE} to {LONGEST_PASSPHRASE} characters")
        salt, self._prefix = os.urandom(16), os.urandom(7)
        self._header = MAGIC + _HEADER.pack(_COST, salt, self._prefix)
        self._key = _key(passphrase, salt, _COST)
        self._out = out
        self._held = bytearray()
        self._number = 0
        out.write(self._header)
        self._begun = True

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        view = memoryview(data)  # type: ignore[arg-type]
        self._held += view
        while len(self._held) > _PIECE:
            self._put(bytes(self._held[:_PIECE]), last=False)
            del self._held[:_PIECE]
        return len(view)

    def _put(self, piece: bytes, *, last: bool) -> None:
        self._out.write(self._key.encrypt(_nonce(self._prefix, self._number, last), piece, self._header))
        self._number += 1

    def close(self) -> None:
        if self._begun and not self.closed:
            self._put(bytes(self._held), last=True)
        super().close()


class UnsealingReader(io.RawIOBase):
    """Reads what was sealed; every byte that comes out is proved. The magic has been read from `source` already.

    Raises `Damaged` for a wrong passphrase as for a damaged file: they cannot be told apart.
    """

    def __init__(self, source: BinaryIO, passphrase: str) -> None:
        packed = source.read(_HEADER.size)
        if len(packed) < _HEADER.size:
            raise Damaged("the file ends in its header: copy it once more from where it was made")
        cost, salt, self._prefix = _HEADER.unpack(packed)
        if not 1 <= cost <= _MOST_COST or len(passphrase) > LONGEST_PASSPHRASE:
            raise Damaged("the header of the file is damaged: copy it once more from where it was made")
        self._header = MAGIC + packed
        self._key = _key(passphrase, salt, cost)
        self._source = source
        self._next = source.read(_PIECE + _TAG)
        self._number = 0
        self._ready = b""
        self._ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        while not self._ready and not self._ended:
            self._open_piece()
        size = min(len(view), len(self._ready))
        view[:size], self._ready = self._ready[:size], self._ready[size:]
        return size

    def _open_piece(self) -> None:
        sealed, self._next = self._next, self._source.read(_PIECE + _TAG)
        last = not self._next
        try:
            self._ready = self._key.decrypt(_nonce(self._prefix, self._number, last), sealed, self._header)
        except (InvalidTag, ValueError):
            what = "the passphrase is wrong, or the file is damaged" if not self._number else "the file is damaged"
            raise Damaged(f"{what}: try again, or copy it once more from where it was made") from None
        self._number += 1
        self._ended = last
