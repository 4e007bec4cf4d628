"""The ring on disk: segment files, the oldest removed as a new one begins. For a thread; reading needs no box running.

A record is its length, its checksum, and a batch of messages. What a power cut has torn ends its file for the reader,
and a start begins a new one.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final

from .batch import MOST_MESSAGES, packed, unpacked
from .message import TracedMessage
from .ring import Chunk

DIRECTORY: Final = "trace"
LEAST_BYTES: Final = 16 << 20
_SUFFIX: Final = ".messages"
_SEGMENTS: Final = 16
_FRAME = struct.Struct(">II")
_LONGEST: Final = 1 << 28


class Segments:
    """At most `most_bytes` (LEAST_BYTES or more) in files of `directory`, which is made. Raises OSError anywhere."""

    def __init__(self, directory: Path, most_bytes: int) -> None:
        self._directory = directory
        self._most_bytes = most_bytes
        self._segment_bytes = most_bytes // _SEGMENTS
        directory.mkdir(mode=0o700, exist_ok=True)
        self._sizes = {file: file.stat().st_size for file in _files(directory)}
        self._file: BinaryIO | None = None
        self._path = directory

    @property
    def used_bytes(self) -> int:
        return sum(self._sizes.values())

    def write(self, chunk: Chunk) -> int:
        """Append its messages; gives how many were too long to be kept."""
        many = len(chunk)
        return sum(
            self._write(chunk, start, min(start + MOST_MESSAGES, many)) for start in range(0, many, MOST_MESSAGES)
        )

    def _write(self, chunk: Chunk, start: int, end: int) -> int:
        batch = packed(chunk, start, end)
        size = _FRAME.size + len(batch)
        if size > self._segment_bytes:
            if end - start == 1:
                return 1
            middle = (start + end) // 2
            return self._write(chunk, start, middle) + self._write(chunk, middle, end)
        if self._file is None or self._sizes[self._path] + size > self._segment_bytes:
            self._begin()
        assert self._file is not None
        self._sizes[self._path] += size
        self._file.write(_FRAME.pack(len(batch), zlib.crc32(batch)) + batch)
        self._file.flush()
        return 0

    def _begin(self) -> None:
        self.close()
        while self._sizes and self.used_bytes + self._segment_bytes > self._most_bytes:
            oldest = next(iter(self._sizes))
            oldest.unlink(missing_ok=True)
            del self._sizes[oldest]
        last = max((int(file.stem) for file in self._sizes), default=0)
        self._path = self._directory / f"{last + 1:010}{_SUFFIX}"
        self._file = self._path.open("xb")
        self._path.chmod(0o600)
        self._sizes[self._path] = 0

    def close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()


def _files(directory: Path) -> list[Path]:
    """The segments, oldest first."""
    return sorted(file for file in directory.glob(f"*{_SUFFIX}") if file.stem.isdecimal())


def read_segments(directory: Path, since: float = 0.0, words: Sequence[bytes] = ()) -> Iterator[TracedMessage]:
    """What is kept from a time on, oldest first; nothing where there is no such directory.

    Where words are given, batches of messages without any of them are passed over, which is much faster.
    """
    for path in _files(directory):
        try:
            if path.stat().st_mtime < since:
                continue
            with path.open("rb") as file:
                for message in _records(file, words):
                    if message.at >= since:
                        yield message
        except FileNotFoundError:
            continue  # it has just made room


def _records(file: BinaryIO, words: Sequence[bytes]) -> Iterator[TracedMessage]:
    while len(frame := file.read(_FRAME.size)) == _FRAME.size:
        length, checksum = _FRAME.unpack(frame)
        batch = file.read(length) if length < _LONGEST else b""
        if len(batch) != length or zlib.crc32(batch) != checksum:
            return
        if words and not any(word in batch for word in words):
            continue
        try:
            yield from unpacked(batch)
        except (ValueError, IndexError, struct.error):
            return
