"""Names that need no DNS: /etc/hosts, read again when it changes, and localhost (RFC 6761 §6.3)."""

from __future__ import annotations

import ipaddress
from pathlib import Path

_LOCALHOST = ("127.0.0.1", "::1")


class Hosts:
    """`lookup` never blocks on more than a stat of a local file, and that at most once in five seconds."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._stamp: tuple[int, int] | None = None
        self._look_at = float("-inf")
        self._names: dict[str, tuple[str, ...]] = {}

    def lookup(self, name: str, now: float) -> tuple[str, ...] | None:
        """All addresses of a name in lower case, None where it is not ours to know."""
        if name == "localhost" or name.endswith(".localhost"):
            return _LOCALHOST
        if now >= self._look_at:
            self._look_at = now + 5.0
            self._refresh()
        return self._names.get(name)

    def _refresh(self) -> None:
        if self._file is None:
            return
        try:
            status = self._file.stat()
            stamp = (status.st_mtime_ns, status.st_size)
            if stamp == self._stamp:
                return
            lines = self._file.read_text(errors="replace").splitlines()
        except OSError:
            return
        self._stamp = stamp
        names: dict[str, list[str]] = {}
        for line in lines:
            address, *aliases = line.partition("#")[0].split() or [""]
            try:
                ipaddress.ip_address(address)
            except ValueError:
                continue
            for alias in aliases:
                names.setdefault(alias.lower().rstrip("."), []).append(address)
        self._names = {name: tuple(dict.fromkeys(addresses)) for name, addresses in names.items()}
