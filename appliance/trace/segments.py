"""The ring on disk: segment files, the oldest removed as a new one begins. For a thread; reading needs no box running.

A record is its length, its checksum, and what was seen. What a power cut has torn ends its file for the reader, and a
start begins a new one.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final

from appliance.sip.flow import Address

from .masking import masked
from .message import Direction, TracedMessage
from .ring import Entry

DIRECTORY: Final = "trace"
LEAST_BYTES: Final = 16 << 20
_SUFFIX: Final = ".messages"
_SEGMENTS: Final = 16
_FRAME = struct.Struct(">II")
_FIXED = struct.Struct(">dBH")
_DIRECTIONS: Final = tuple(Direction)
_LONGEST: Final = 1 << 28


def packed(entry: Entry, known: dict[int, bytes]) -> bytes:
    """One record, secrets masked. `known` are the names of ways by id, for as long as these live."""
    at, direction, data, way, dropped = entry
    names = known.get(id(way))
    if names is None or dropped:
        (host, port), (peer, peer_port) = way.local, way.remote
        words = (way.transport, way.listener, host, str(port), peer, str(peer_port), dropped)
        names = "\n".join(word.replace("\n", " ") for word in words).encode("utf-8", "replace")
        if not dropped:
            known[id(way)] = names
    rest = _FIXED.pack(at, direction is Direction.OUT, len(names)) + names + masked(data)
    return _FRAME.pack(len(rest), zlib.crc32(rest)) + rest


def _unpacked(rest: bytes) -> TracedMessage:
    at, direction, length = _FIXED.unpack_from(rest)
    end = _FIXED.size + length
    transport, listener, host, port, peer, peer_port, dropped = rest[_FIXED.size : end].decode().split("\n")
    local: Address = (host, int(port))
    remote: Address = (peer, int(peer_port))
    return TracedMessage(
        at=at,
        direction=_DIRECTIONS[direction],
        local=local,
        remote=remote,
        transport=transport,
        listener=listener,
        dropped=dropped,
        data=rest[end:],
    )


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

    def write(self, entries: Sequence[Entry]) -> int:
        """Append them; gives how many were too long to be kept."""
        too_long = 0
        known: dict[int, bytes] = {}
        batch: list[bytes] = []
        size = self._sizes.get(self._path, 0) if self._file is not None else self._segment_bytes
        for entry in entries:
            record = packed(entry, known)
            if len(record) > self._segment_bytes:
                too_long += 1
                continue
            size += len(record)
            if size > self._segment_bytes:
                self._append(batch)
                batch = []
                self._begin()
                size = len(record)
            batch.append(record)
        self._append(batch)
        return too_long

    def _append(self, records: list[bytes]) -> None:
        if records:
            assert self._file is not None
            data = b"".join(records)
            self._sizes[self._path] += len(data)
            self._file.write(data)
            self._file.flush()

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


def read_segments(directory: Path, since: float = 0.0) -> Iterator[TracedMessage]:
    """What is kept from a time on, oldest first; nothing where there is no such directory."""
    for path in _files(directory):
        try:
            if path.stat().st_mtime < since:
                continue
            with path.open("rb") as file:
                for message in _records(file):
                    if message.at >= since:
                        yield message
        except FileNotFoundError:
            continue  # it has just made room


def _records(file: BinaryIO) -> Iterator[TracedMessage]:
    while len(frame := file.read(_FRAME.size)) == _FRAME.size:
        length, checksum = _FRAME.unpack(frame)
        rest = file.read(length) if length < _LONGEST else b""
        if len(rest) != length or zlib.crc32(rest) != checksum:
            return
        try:
            yield _unpacked(rest)
        except (ValueError, IndexError, struct.error):
            return
