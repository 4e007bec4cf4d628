"""The journal of call records: groups of lines appended to segment files, each synced before anybody relies on it.

A group is a header with length and CRC-32 and its lines, taken whole or not at all. Ids rise by one within a group and
never repeat, so that reading a group twice does no harm. Whoever imports a segment removes it afterwards.
Its methods block on the disk: call them from a thread.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import attrs

_HEADER: Final = struct.Struct(">4sIIQI")  # magic, bytes of payload, lines, first id, CRC of the payload
_CHECK: Final = struct.Struct(">I")  # CRC of the header
_HEAD: Final = _HEADER.size + _CHECK.size
_MAGIC: Final = b"JFR1"
SUFFIX: Final = ".journal"
LONGEST_GROUP: Final = 64 << 20
SEGMENT: Final = 1 << 20
"""Bytes after which a new segment is begun: so many that their import never holds the interpreter for long."""


@attrs.frozen
class Group:
    """Lines that were synced together; their ids are `first` and those that follow."""

    first: int
    lines: tuple[str, ...]

    @property
    def last(self) -> int:
        return self.first + len(self.lines) - 1


def frame_of(group: Group) -> bytes:
    """The group as it stands in a segment. A line holds no control characters."""
    payload = "\n".join(group.lines).encode("utf-8", "replace")
    header = _HEADER.pack(_MAGIC, len(payload), len(group.lines), group.first, zlib.crc32(payload))
    return header + _CHECK.pack(zlib.crc32(header)) + payload


def groups_of(data: bytes) -> tuple[list[Group], int]:
    """All whole groups of a segment, and how many bytes belong to none. Never raises: a torn or spoilt group is
    stepped over up to the next one that is whole. Time is linear, for a header holds a zero byte and no line does.
    """
    found: list[Group] = []
    stray = at = 0
    while at < len(data):
        group, size = _group_at(data, at)
        if group is not None:
            found.append(group)
            at += size
            continue
        following = data.find(_MAGIC, at + 1)
        following = len(data) if following < 0 else following
        stray += following - at
        at = following
    return found, stray


def _group_at(data: bytes, at: int) -> tuple[Group | None, int]:
    header = data[at : at + _HEAD]
    if len(header) < _HEAD or _CHECK.unpack_from(header, _HEADER.size)[0] != zlib.crc32(header[: _HEADER.size]):
        return None, 0
    magic, size, count, first, crc = _HEADER.unpack_from(header)
    payload = data[at + _HEAD : at + _HEAD + size]
    if magic != _MAGIC or len(payload) < size or zlib.crc32(payload) != crc:
        return None, 0
    lines = tuple(payload.decode("utf-8", "replace").split("\n"))
    return (Group(first, lines), _HEAD + size) if len(lines) == count else (None, 0)


class Journal:
    """The segments of one directory. One process at a time; `append` and `seal` by one thread at a time."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._file: int | None = None
        self._path: Path | None = None
        self._size = 0

    def append(self, group: Group) -> int:
        """Write and sync; the bytes that it took. Raises `OSError`, and then the group may be there or not."""
        frame = frame_of(group)
        if self._file is None or self._size >= SEGMENT:
            self.seal()
            self._begin(group.first)
        assert self._file is not None
        try:
            view = memoryview(frame)
            while view:
                view = view[os.write(self._file, view) :]
            os.fdatasync(self._file)
        except OSError:
            self.seal()  # what stands in the file now is not known: go on in another
            raise
        self._size += len(frame)
        return len(frame)

    def _begin(self, first: int) -> None:
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        number = 0
        while True:
            path = self.directory / f"{first:020}-{number}{SUFFIX}"
            try:
                self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
                break
            except FileExistsError:
                number += 1
        self._path, self._size = path, 0
        directory = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)  # else the file itself may be gone after a power cut
        finally:
            os.close(directory)

    def seal(self) -> None:
        """Nothing more is written to the segment: it may be imported and removed."""
        file, self._file, self._path = self._file, None, None
        if file is not None:
            os.close(file)

    def last_id(self) -> int:
        """The highest id that stands in the segments, 0 for none."""
        found = (one.last for _, groups, _ in groups_after(self.sealed(), 0) for one in groups)
        return max(found, default=0)

    def sealed(self) -> list[Path]:
        """The segments that nobody writes to, the oldest first."""
        try:
            return sorted(path for path in self.directory.glob(f"*{SUFFIX}") if path != self._path)
        except OSError:
            return []

    def shrink(self, most_bytes: int) -> int:
        """Give up the oldest sealed segments while all of them hold more; how many records went with them."""
        sizes = [(path, path.stat().st_size) for path in self.sealed()]
        used = sum(size for _, size in sizes)
        lost = 0
        for path, size in sizes:
            if used <= most_bytes:
                break
            lost += sum(len(group.lines) for group in groups_of(path.read_bytes())[0])
            path.unlink()
            used -= size
        return lost


def groups_after(segments: Sequence[Path], last: int) -> Iterator[tuple[Path, list[Group], int]]:
    """Segment by segment, the groups with ids above `last`, each id once, and the bytes that belong to none."""
    for path in segments:
        groups, stray = groups_of(path.read_bytes())
        fresh = []
        for group in groups:
            if group.first > last:
                fresh.append(group)
                last = group.last
        yield path, fresh, stray
