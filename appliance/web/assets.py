"""Files that browsers may keep for ever: served from memory under the hash of what they hold."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

import attrs

FOLDER: Final = Path(__file__).parent / "static"
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@attrs.frozen
class Asset:
    """One file as it goes out."""

    content: bytes
    content_type: str


@attrs.frozen
class Assets:
    """`version` is one hash over all files: what imports each other lies under one address."""

    version: str
    files: dict[str, Asset]

    def url(self, name: str) -> str:
        return f"/static/{self.version}/{name}"


def read_assets(folder: Path = FOLDER) -> Assets:
    """Raises `OSError` where the files are not there."""
    files = {
        path.name: Asset(path.read_bytes(), _TYPES[path.suffix])
        for path in sorted(folder.iterdir())
        if path.suffix in _TYPES
    }
    digest = hashlib.sha256()
    for name, asset in files.items():
        digest.update(name.encode() + b"\0" + asset.content + b"\0")
    return Assets(digest.hexdigest()[:16], files)
