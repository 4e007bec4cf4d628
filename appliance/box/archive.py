"""The one file of a backup: a tar.gz that anybody can open, whose first member is the manifest; sealed on request.

The manifest names every member with size and SHA-256, in order. Reading trusts nothing: members must be plain files
and the very ones of the manifest, names stay inside, sizes are bounded before anything is read, and what is handed out
has been held against its sum.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import Any, BinaryIO, Final

import attrs

from .sealing import MAGIC, Damaged, SealingWriter, UnsealingReader

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
MOST_MANIFEST_BYTES: Final = 8 << 20
MOST_FILES: Final = 20_000
MOST_BYTES: Final = 256 << 30
PLACES: Final = ("conf", "state")
"""The first part of every name: the folder of the configuration, the state directory."""
_BLOCK: Final = 512
_PIECE: Final = 1 << 20
_LONGEST_NAME: Final = 1000
_AGAIN: Final = "copy it once more from where it was made, or take an older backup"


@attrs.frozen
class Entry:
    """One file: `path` begins with one of PLACES; `mode` are permission bits."""

    path: str
    size: int
    sha256: str
    mode: int = 0o600


@attrs.frozen(kw_only=True)
class Manifest:
    """What a backup says of itself. `made_at` is seconds since 1970; `records`: whether call records are in it,
    `records_folder` where they lie in the state directory; `outside` names files that the configuration needs and that
    lay elsewhere.
    """

    made_at: int
    version: str
    box: str
    records: bool
    records_folder: str = "records"
    outside: tuple[str, ...] = ()
    files: tuple[Entry, ...]

    @property
    def size(self) -> int:
        return sum(one.size for one in self.files)

    def as_json(self) -> bytes:
        return json.dumps({"format": FORMAT, **attrs.asdict(self)}, indent=1).encode()


def write_archive(
    out: BinaryIO, manifest: Manifest, opened: Callable[[Entry], BinaryIO], passphrase: str | None = None
) -> None:
    """Write the whole. Raises `OSError`, or `ValueError` where a file has changed since the manifest was made."""
    sealing = SealingWriter(out, passphrase) if passphrase is not None else None
    inner: Any = sealing or out
    with gzip.GzipFile(filename="", fileobj=inner, mode="wb", compresslevel=4, mtime=0) as packed:
        text = manifest.as_json()
        _put_head(packed, MANIFEST, len(text), 0o600, manifest.made_at)
        packed.write(text + bytes(-len(text) % _BLOCK))
        for entry in manifest.files:
            _put_head(packed, entry.path, entry.size, entry.mode, manifest.made_at)
            left, digest = entry.size, hashlib.sha256()
            with opened(entry) as source:
                while left and (piece := source.read(min(left, _PIECE))):
                    packed.write(piece)
                    digest.update(piece)
                    left -= len(piece)
            if left or digest.hexdigest() != entry.sha256:
                raise ValueError(f"{entry.path} changed while it was written: try again")
            packed.write(bytes(-entry.size % _BLOCK))
        packed.write(bytes(2 * _BLOCK))
    if sealing is not None:
        sealing.close()


def _put_head(packed: gzip.GzipFile, name: str, size: int, mode: int, at: int) -> None:
    head = tarfile.TarInfo(name)
    head.size, head.mode, head.mtime = size, mode, at
    packed.write(head.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape"))


def is_sealed(source: BinaryIO) -> bool:
    """Whether a passphrase is needed; `source` is left where it was."""
    at = source.tell()
    found = source.read(len(MAGIC)) == MAGIC
    source.seek(at)
    return found


class ArchiveReader:
    """Reads `source`, from its beginning, in one pass: `manifest` first, then `files` to its end."""

    def __init__(self, source: BinaryIO, passphrase: str | None = None, *, most_bytes: int = MOST_BYTES) -> None:
        inner: Any = source
        if is_sealed(source):
            if not passphrase:
                raise Damaged("the backup is encrypted: give the passphrase that it was made with")
            source.read(len(MAGIC))
            inner = io.BufferedReader(UnsealingReader(source, passphrase))
        self._packed = gzip.GzipFile(fileobj=inner, mode="rb")
        with _told():
            name, size = self._head()
            if name != MANIFEST or size > MOST_MANIFEST_BYTES:
                raise Damaged("this is no backup of Jackfield: it does not begin with a manifest")
            self.manifest = manifest_untrusted(self._exactly(size + -size % _BLOCK)[:size], most_bytes)

    def files(self) -> Iterator[tuple[Entry, Iterator[bytes]]]:
        """Each file with its bytes, which must be read to their end; only then they are proved to be right.

        After the last one it is proved that nothing follows. Raises `Damaged`.
        """
        for entry in self.manifest.files:
            with _told():
                name, size = self._head()
            if (name, size) != (entry.path, entry.size):
                raise Damaged(f"{name[:200]!r} stands where the manifest has {entry.path!r}: {_AGAIN}")
            yield entry, self._pieces(entry)
        with _told():
            rest = self._packed.read(_PIECE)
            if rest.strip(b"\0") or len(rest) < 2 * _BLOCK or self._packed.read(1):
                raise Damaged(f"the file does not end where its manifest ends: {_AGAIN}")

    def _pieces(self, entry: Entry) -> Iterator[bytes]:
        left, digest = entry.size, hashlib.sha256()
        while left:
            with _told():
                piece = self._exactly(min(left, _PIECE))
            digest.update(piece)
            left -= len(piece)
            yield piece
        with _told():
            self._exactly(-entry.size % _BLOCK)
        if digest.hexdigest() != entry.sha256:
            raise Damaged(f"{entry.path} is damaged, its sum is not the manifest's: {_AGAIN}")

    def _exactly(self, size: int) -> bytes:
        found = bytearray()
        while len(found) < size:
            piece = self._packed.read(min(size - len(found), _PIECE))
            if not piece:
                raise EOFError
            found += piece
        return bytes(found)

    def _head(self) -> tuple[str, int]:
        """Name and size of the next member, which must be a plain file; a long name stands in a member before it."""
        name = ""
        for _ in range(2):
            head = tarfile.TarInfo.frombuf(self._exactly(_BLOCK), "utf-8", "surrogateescape")
            if head.type == tarfile.GNUTYPE_LONGNAME and not name and head.size <= _LONGEST_NAME + 1:
                packed = self._exactly(head.size + -head.size % _BLOCK)[: head.size]
                name = packed.rstrip(b"\0").decode("utf-8", "surrogateescape")
                continue
            if head.type != tarfile.REGTYPE or head.size < 0:
                break
            return name or head.name, head.size
        raise Damaged(f"a member of the file is no plain file: {_AGAIN}")


@contextmanager
def _told() -> Iterator[None]:
    """What the packing itself finds wrong, in our words."""
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile, tarfile.HeaderError, UnicodeError) as error:
        if isinstance(error, gzip.BadGzipFile) and "Not a gzipped" in str(error):
            raise Damaged("this is no backup of Jackfield") from None
        cut = isinstance(error, EOFError)
        raise Damaged(f"the file {'is cut off' if cut else 'is damaged'}: {_AGAIN}") from None


def manifest_untrusted(text: bytes, most_bytes: int = MOST_BYTES) -> Manifest:
    """The manifest, with names that stay inside and sizes within bounds. Raises `Damaged`."""
    try:
        said: Any = json.loads(text)
        if said["format"] != FORMAT:
            raise Damaged(f"the backup is of format {str(said['format'])[:20]}, this Jackfield reads {FORMAT}: update")
        files = tuple(_entry(one) for one in said["files"])
        found = Manifest(
            made_at=_whole(said["made_at"]),
            version=_text(said["version"]),
            box=_text(said["box"]),
            records=bool(said["records"]),
            records_folder=_text(said["records_folder"]),
            outside=tuple(_text(one) for one in said["outside"]),
            files=files,
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise Damaged(f"the manifest is damaged: {_AGAIN}") from None
    if len(files) > MOST_FILES:
        raise Damaged(f"the backup holds more than {MOST_FILES} files: it was not made by Jackfield")
    if found.size > most_bytes:
        raise Damaged(f"the backup holds {found.size >> 20} MiB, {most_bytes >> 20} MiB is the most that is taken here")
    _must_be_a_tree([one.path for one in files])
    return found


def _entry(said: Any) -> Entry:
    entry = Entry(str(said["path"]), _whole(said["size"]), str(said["sha256"]), _whole(said["mode"]) & 0o777)
    parts = entry.path.split("/")
    inside = (
        len(parts) > 1
        and parts[0] in PLACES
        and all(part not in ("", ".", "..") and "\0" not in part and len(part.encode(*_FS)) <= 255 for part in parts)
        and len(entry.path.encode(*_FS)) <= _LONGEST_NAME
        and not PurePosixPath(entry.path).is_absolute()
    )
    if not inside:
        raise Damaged(f"{entry.path[:200]!r} would lie outside the folders of Jackfield: the backup is not taken")
    return entry


_FS: Final = ("utf-8", "surrogateescape")


def _must_be_a_tree(paths: list[str]) -> None:
    names, folders = set(paths), {str(folder) for path in paths for folder in PurePosixPath(path).parents}
    if len(names) < len(paths) or names & folders:
        raise Damaged("two files of the backup have the same name: it is not taken")


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 62:
        raise ValueError
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > 4096 or not value.isprintable():
        raise ValueError
    return value
