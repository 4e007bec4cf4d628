"""Certificates that other people's signatures name: what is known of them now, and who waits for the rest.

Nothing here waits itself. What is not known is asked for through `fetch`, outside the call path, and told by `fetched`
or `failed`; until then a call goes without, or is held for as long as it may. An old certificate serves while its
server is away. Times are wall-clock seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

import attrs
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from appliance.config.stir import StirSettings
from appliance.sip.stir_chain import BadChain, Chain, TnAuthList

_MOST_KNOWN = 2000
_MOST_WAITING = 1000
_LONGEST_URL = 512


@attrs.frozen
class Known:
    """What there is behind a URL. `key` is None where it proves nothing: `trouble` says why.

    `fetched`: it came, and is no good; else it could not be had.
    """

    fetched: bool
    trouble: str = ""
    key: ec.EllipticCurvePublicKey | None = None
    numbers: TnAuthList = attrs.field(factory=TnAuthList)
    ends_at: float = 0.0


@attrs.define
class _Entry:
    known: Known | None = None
    pem: bytes = b""
    fetching: bool = False
    until: float = 0.0
    waiting: list[Callable[[], None]] = attrs.field(factory=list)


class CertificateStore:
    """By URL; bounded, the longest known go first."""

    def __init__(self, wall: Callable[[], float]) -> None:
        self.fetch: Callable[[str], bool] = lambda _: False
        """Asks for a URL, without waiting; False where too much is being fetched already."""
        self.waiting = 0
        self._wall = wall
        self._entries: dict[str, _Entry] = {}

    def configure(self, settings: StirSettings, authorities: tuple[x509.Certificate, ...]) -> None:
        """Other authorities may believe other certificates: what is kept is judged anew."""
        self._settings = settings
        self._authorities = authorities
        for entry in self._entries.values():
            if entry.pem:
                entry.known = self._judge(entry.pem)

    def look_up(self, url: str) -> Known | None:
        """What is known of a URL; None where it is being fetched."""
        trouble = self._forbidden(url)
        if trouble:
            return Known(False, trouble)
        now = self._wall()
        entry = self._entries.get(url)
        if entry is None:
            while len(self._entries) >= _MOST_KNOWN:
                oldest = next(iter(self._entries))
                self._release(self._entries.pop(oldest))
            entry = self._entries[url] = _Entry()
        if now >= entry.until and not entry.fetching:
            entry.fetching = self.fetch(url)
        known = entry.known
        if known is not None and known.key is not None and now >= known.ends_at:
            return Known(True, "the certificate has run out")
        return known

    def wait(self, url: str, tell: Callable[[], None]) -> bool:
        """Call `tell` once it is known whether the URL is good; False where nobody is asked, or too many wait."""
        entry = self._entries.get(url)
        if entry is None or not entry.fetching or self.waiting >= _MOST_WAITING:
            return False
        entry.waiting.append(tell)
        self.waiting += 1
        return True

    def fetched(self, url: str, pem: bytes, fresh_s: float | None) -> None:
        """It has come, to be kept for so long as its server says; None where it does not say."""
        entry = self._entries.get(url)
        if entry is None:
            return
        keep_s = self._settings.keep_s
        entry.pem = pem
        entry.known = self._judge(pem)
        entry.until = self._wall() + (keep_s if fresh_s is None else min(max(fresh_s, 60.0), keep_s))
        if entry.known.key is None:
            entry.until = self._wall() + self._settings.fetch_again_s
        entry.fetching = False
        self._release(entry)

    def failed(self, url: str, why: str) -> None:
        """It could not be had. What was known before still serves."""
        entry = self._entries.get(url)
        if entry is None:
            return
        if entry.known is None or entry.known.key is None:
            entry.known = Known(False, why)
        entry.until = self._wall() + self._settings.fetch_again_s
        entry.fetching = False
        self._release(entry)

    def _release(self, entry: _Entry) -> None:
        waiting, entry.waiting = entry.waiting, []
        self.waiting -= len(waiting)
        for tell in waiting:
            tell()

    def _judge(self, pem: bytes) -> Known:
        try:
            chain = Chain.read_untrusted(pem)
            chain.verify(self._authorities, datetime.fromtimestamp(self._wall(), UTC))
            return Known(True, "", chain.key, chain.numbers, chain.ends_at())
        except BadChain as bad:
            return Known(True, str(bad))

    def _forbidden(self, url: str) -> str:
        """Why a URL is not fetched, '' where it may be; which addresses it leads to is the fetcher's to look at."""
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname or "", parts.port
        except ValueError:
            return "a URL that cannot be read"
        if parts.scheme != "https" or parts.username is not None or len(url) > _LONGEST_URL or not url.isascii():
            return "only plain https URLs are fetched"
        if not any(fnmatchcase(host, pattern.lower()) for pattern in self._settings.hosts):
            return f"certificates are not fetched from {host}"
        return ""
