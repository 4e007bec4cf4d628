"""Chromium as a phone: headless, with a fake camera, running phone.js (JsSIP) from a page on loopback.

The page comes over plain HTTP from 127.0.0.1, which browsers take for a secure context; SIP goes over WSS to the
appliance with its own certificate, whose key is the only one excused from the check.
"""

from __future__ import annotations

import base64
import hashlib
import http.server
import math
import subprocess
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from playwright.sync_api import Page, expect, sync_playwright

from tests.peers.processes import PATIENCE_S, PeerError, program, wait_until

expect.set_options(timeout=1000 * PATIENCE_S)

SOURCES = Path(__file__).parent
_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--allow-loopback-in-peer-connection",
    "--autoplay-policy=no-user-gesture-required",
)


def bundle(directory: Path) -> None:
    """Put the page and its script, JsSIP included, into `directory`."""
    esbuild = SOURCES / "node_modules" / ".bin" / "esbuild"
    if not esbuild.exists() or not (SOURCES / "node_modules" / "jssip").exists():
        raise PeerError("JsSIP is not installed: scripts/test installs it (npm ci --prefix tests/browser)")
    target = directory / "phone.bundle.js"
    subprocess.run(
        [str(esbuild), "--bundle", str(SOURCES / "phone.js"), f"--outfile={target}", "--log-level=warning"],
        check=True,
    )
    (directory / "phone.html").write_bytes((SOURCES / "phone.html").read_bytes())


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: Any) -> None:
        pass


class Chromium:
    """A browser and the little web server of its page; `phone()` opens a page of its own for each phone."""

    def __init__(self, directory: Path, certificate_key_hash: str = "") -> None:
        directory.mkdir(parents=True, exist_ok=True)
        bundle(directory)
        self._web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(directory)))
        self._thread = threading.Thread(target=self._web.serve_forever, daemon=True)
        self._thread.start()
        flags = list(_FLAGS)
        if certificate_key_hash:
            flags.append(f"--ignore-certificate-errors-spki-list={certificate_key_hash}")
        self._playwright = sync_playwright().start()
        self._browser = self._playwright.chromium.launch(
            timeout=120_000, executable_path=program("chromium"), headless=True, args=flags
        )

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self._web.server_port}"

    def phone(self, user: str, password: str, *, url: str, domain: str, tone_hz: int = 440) -> BrowserPhone:
        """A phone in a fresh page, not registered yet. `url` is the WebSocket's."""
        context = self._browser.new_context(ignore_https_errors=False)
        page = context.new_page()
        page.goto(f"{self.origin}/phone.html")
        options = {"url": url, "uri": f"sip:{user}@{domain}", "password": password, "toneHz": tone_hz}
        page.evaluate("options => { window.phone = new Phone(options); }", options)
        return BrowserPhone(page, user, domain)

    def open(self, url: str) -> Page:
        """A page of its own for somebody who only looks."""
        page = self._browser.new_context().new_page()
        page.goto(url)
        return page

    def close(self) -> None:
        self._browser.close()
        self._playwright.stop()
        self._web.shutdown()
        self._web.server_close()
        self._thread.join()

    def __enter__(self) -> Chromium:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class BrowserPhone:
    """One page with one phone; methods do what its user would do, `expect_…` wait for what its user notices."""

    def __init__(self, page: Page, user: str, domain: str) -> None:
        self.page = page
        self.user = user
        self.domain = domain
        self.console: list[str] = []
        page.on("console", lambda message: self.console.append(message.text))
        page.on("pageerror", lambda error: self.console.append(str(error)))

    def _do(self, script: str, argument: object = None) -> Any:
        return self.page.evaluate(script, argument)

    def register(self) -> None:
        self._do("() => phone.register()")

    def unregister(self) -> None:
        self._do("() => phone.unregister()")

    def call(self, number: str, video: bool = False) -> None:
        target = f"sip:{number}@{self.domain}"
        self._do("([target, video]) => phone.call(target, {video})", [target, video])

    def answer(self, video: bool = False) -> None:
        self._do("video => phone.answer({video})", video)

    def hang_up(self) -> None:
        self._do("() => phone.hangUp()")

    def hold(self) -> None:
        self._do("() => phone.hold()")

    def resume(self) -> None:
        self._do("() => phone.resume()")

    def restart_ice(self) -> None:
        self._do("() => phone.renegotiate()")

    def transfer(self, number: str) -> None:
        """Blind; returns when the target has answered."""
        self._do("target => phone.refer(target)", f"sip:{number}@{self.domain}")

    def send_digits(self, digits: str, transport: str = "RFC2833") -> None:
        self._do("([digits, transport]) => phone.sendDigits(digits, transport)", [digits, transport])

    @property
    def digits(self) -> str:
        """Digits that came in INFO requests (a browser tells nobody about RFC 4733 events: it plays them)."""
        return "".join(self._do("() => phone.digits"))

    @property
    def log(self) -> list[tuple[str, str]]:
        return [(entry["name"], entry["detail"]) for entry in self._do("() => phone.log")]

    def happened(self, name: str) -> int:
        """How many times that event is in the log."""
        return sum(entry == name for entry, _ in self.log)

    def expect(self, name: str, times: int = 1, timeout_s: float = PATIENCE_S) -> None:
        """Wait for an event of JsSIP: session, progress, accepted, confirmed, hold, ended, failed, …"""
        try:
            wait_until(lambda: self.happened(name) >= times or self._over(name), f"{name} at {self.user}", timeout_s)
        except PeerError as late:
            raise PeerError(f"{late}; log {self.log}; console {self.console}") from None
        if self.happened(name) < times:
            raise PeerError(f"the call of {self.user} is over before {name}: {self.log}")

    def _over(self, name: str) -> bool:
        return name != "failed" and self.happened("failed") > 0

    def heard(self) -> dict[str, float] | None:
        """The strongest tone heard now: hz, db, secondHz, secondDb."""
        found: dict[str, float] | None = self._do("() => phone.heard()")
        return found

    def expect_tone(self, frequency_hz: float, within_hz: float = 6, timeout_s: float = PATIENCE_S) -> float:
        """Wait until a tone of that frequency is heard; gives what was measured."""
        heard: list[dict[str, float] | None] = [None]

        def right() -> bool:
            heard[0] = self.heard()
            return heard[0] is not None and abs(heard[0]["hz"] - frequency_hz) <= within_hz

        try:
            wait_until(right, f"{frequency_hz} Hz at {self.user}", timeout_s)
        except PeerError as late:
            raise PeerError(f"{late}; heard {heard[0]}, {self.figures()}, log {self.log}") from None
        assert heard[0] is not None
        return heard[0]["hz"]

    def expect_digit_after(
        self, press: Callable[[], None], low_hz: float, high_hz: float, within_hz: float = 12
    ) -> None:
        """Wait until both tones of a digit (Q.23) are the strongest heard, once `press` has been called; again after
        some seconds, as a machine that is busy misses so short a sound.
        """
        pressed = -math.inf

        def right() -> bool:
            nonlocal pressed
            if time.monotonic() - pressed > 5:
                press()
                pressed = time.monotonic()
            heard = self.heard()
            if heard is None:
                return False
            pair = sorted((heard["hz"], heard["secondHz"]))
            return abs(pair[0] - low_hz) <= within_hz and abs(pair[1] - high_hz) <= within_hz

        wait_until(right, f"{low_hz} and {high_hz} Hz at {self.user}")

    def expect_digits(self, digits: str, timeout_s: float = PATIENCE_S) -> None:
        """Wait until just these digits came in INFO requests."""
        wait_until(lambda: self.digits == digits, f"digits {digits} at {self.user}", timeout_s)

    def expect_silence(self, timeout_s: float = PATIENCE_S) -> None:
        """Wait until no tone is heard any more."""
        wait_until(lambda: self.heard() is None, f"silence at {self.user}", timeout_s)

    def figures(self) -> dict[str, Any]:
        """From getStats: framesDecoded, framesSent, frameWidth, audioPackets, audioLost, codecs."""
        found: dict[str, Any] = self._do("() => phone.figures()")
        return found

    def expect_video(self, frames: int = 10, timeout_s: float = PATIENCE_S) -> None:
        """Wait until that many frames of the other side's picture were decoded."""
        try:
            wait_until(lambda: self.figures()["framesDecoded"] >= frames, f"video at {self.user}", timeout_s)
        except PeerError as late:
            raise PeerError(f"{late}: {self.figures()}, log {self.log}") from None

    def close(self) -> None:
        self.page.context.close()


def key_hash(certificate: Path) -> str:
    """The hash of a certificate's public key as Chromium's --ignore-certificate-errors-spki-list takes it."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = x509.load_pem_x509_certificate(certificate.read_bytes()).public_key()
    digest = hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()
    return base64.b64encode(digest).decode()
