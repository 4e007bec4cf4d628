"""The status page in Chromium: signs in, follows a call without reloading, takes hostile names for text, says when the
box is gone."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from appliance.accounts.account import hash_password
from appliance.control.asking import ask
from tests.peers.appliance import Appliance
from tests.peers.processes import PATIENCE_S, program

pytestmark = pytest.mark.peer
expect.set_options(timeout=1000 * PATIENCE_S)

SECTIONS = {
    "trunk friend": {"trusted": "127.0.0.1"},
    "line tone": {"kind": "tone"},
    "trunk carrier": {"gateways": "192.0.2.10"},
    "account olga": {"role": "operator", "password_hash": hash_password("word-of-olga")},
    "account victor": {"role": "viewer", "password_hash": hash_password("word-of-victor")},
    "route 11-tone": {"match": "exact:9197", "target": "line:tone", "callers": "trunks"},
}
WELL = re.compile("^(All is well|Calls go well, but look at this)$")  # a test machine's clock may be nobody's care
EVIL = "%3Cscript%3Ealert(1)%3C/script%3E" + "A" * 300


class Caller:
    """A phone by hand: one call to a number, from a trusted address."""

    def __init__(self, box: Appliance, number: str, name: str) -> None:
        self._box = box.address()
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.bind(("127.0.0.1", 0))
        self._sock.settimeout(60)
        self._port = self._sock.getsockname()[1]
        self._unique = uuid4().hex  # a port comes again, and would be a retransmission
        self._media = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._media.bind(("127.0.0.1", 0))
        self._name = name
        self._to = f"<sip:{number}@127.0.0.1>"
        self._routes: list[str] = []
        self._uri = f"sip:{number}@127.0.0.1"

    def _send(self, method: str, cseq: int, body: str = "") -> None:
        lines = [
            f"{method} {self._uri} SIP/2.0",
            f"Via: SIP/2.0/UDP 127.0.0.1:{self._port};branch=z9hG4bK{self._unique}{method}",
            *(f"Route: {route}" for route in self._routes),
            "Max-Forwards: 70",
            f'From: "<b onclick=alert(1)>{"B" * 300}" <sip:{self._name}@example.com>;tag=1',
            f"To: {self._to}",
            f"Call-ID: {self._unique}",
            f"CSeq: {cseq} {method}",
            f"Contact: <sip:me@127.0.0.1:{self._port}>",
            *(["Content-Type: application/sdp"] if body else []),
            f"Content-Length: {len(body)}",
        ]
        self._sock.sendto(("\r\n".join(lines) + "\r\n\r\n" + body).encode(), self._box)

    def _final(self) -> tuple[int, dict[str, str]]:
        while True:
            status, *lines = self._sock.recv(65536).decode().split("\r\n")
            if not status.startswith("SIP/2.0 1"):
                headers = dict(line.split(": ", 1) for line in lines if ": " in line)
                return int(status.split()[1]), {name.lower(): value for name, value in headers.items()}

    def call(self) -> int:
        sdp = (
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
            f"m=audio {self._media.getsockname()[1]} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
        )
        self._send("INVITE", 1, sdp)
        status, headers = self._final()
        self._to = headers["to"]
        if status == 200:
            self._uri = re.sub(".*<(.*)>.*", r"\1", headers["contact"])
        self._send("ACK", 1)
        return status

    def hang_up(self) -> None:
        self._send("BYE", 2)
        assert self._final()[0] == 200
        self._media.close()
        self._sock.close()


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Appliance]:
    with Appliance(tmp_path, users=("1001",), sections=SECTIONS) as appliance:
        yield appliance


@pytest.fixture
def page(box: Appliance) -> Iterator[Page]:
    """Signed in, over plain HTTP on loopback."""
    box.program.expect_log(r"Administrator admin, password \S+")
    found = re.search(r"password (\S+)", box.log)
    assert found
    with sync_playwright() as play:
        browser = play.chromium.launch(
            timeout=120_000, executable_path=program("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page()
        page.set_default_timeout(60_000)
        page.goto(f"http://127.0.0.1:{box.ports['http']}/")
        page.fill("#name", "admin")
        page.fill("#password", "wrong")
        page.click("button")
        expect(page.get_by_role("alert")).to_have_text("Name or password is wrong.")
        page.fill("#password", found[1])
        page.click("button")
        yield page
        browser.close()


def test_the_page_follows_a_call_from_dialling_to_its_end(box: Appliance, page: Page) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text(WELL)
    expect(page.get_by_text("No call is in progress")).to_be_visible()
    expect(page.get_by_text("No call has failed")).to_be_visible()
    page.evaluate("() => { window.stayed = true; window.alert = () => { window.bitten = true; }; }")
    broken: list[str] = []
    page.on("pageerror", lambda error: broken.append(str(error)))
    page.on("console", lambda message: broken.append(message.text) if message.type == "error" else None)

    caller = Caller(box, "9197", EVIL)
    assert caller.call() == 200
    card = page.locator("article.call")
    expect(card).to_have_count(1)
    expect(card.locator(".state")).to_have_text("Talking")
    expect(card.locator(".caller")).to_contain_text("<script>alert(1)</script>AAAA")
    expect(card.locator(".called")).to_have_text("9197")
    expect(card.locator(".route")).to_contain_text("route 11-tone")
    sent = card.locator(".figures tbody tr").nth(1).locator("td").first
    expect(sent).to_have_text(re.compile(r"^[1-9]"))
    before = sent.inner_text()
    expect(sent).not_to_have_text(before)
    expect(card.locator(".time")).to_have_text(re.compile(r"[1-9]:\d\d|0:[1-5]\d|0:0[2-9]"))
    width = page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert width == 0

    caller.hang_up()
    expect(card).to_have_count(0)
    expect(page.locator("#ended tbody tr")).to_have_count(1)
    expect(page.locator("#ended")).to_contain_text("the caller hung up")

    refused = Caller(box, "4711", EVIL)
    assert refused.call() == 404
    expect(page.locator("#failed")).to_contain_text("no route matches")
    assert page.evaluate("() => window.stayed")
    assert not page.evaluate("() => window.bitten")
    assert page.locator("main script, main b").count() == 0
    assert not broken


def test_the_page_shows_who_is_banned_for_as_long_as_they_are(box: Appliance, page: Page) -> None:
    page.get_by_role("link", name="Security").click()
    expect(page.get_by_text("Nobody is banned")).to_be_visible()
    assert ask(box.state_dir, "ban", "add", "203.0.113.0/24", "1h")["ok"]
    expect(page.locator("#bans")).to_contain_text("203.0.113.0/24")
    expect(page.locator("#bans")).to_contain_text("by hand")
    assert ask(box.state_dir, "ban", "remove", "203.0.113.0/24")["ok"]
    expect(page.get_by_text("Nobody is banned")).to_be_visible()


def test_the_page_says_that_the_box_is_gone_and_comes_back_with_it(box: Appliance, page: Page) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text(WELL)
    box.kill9()
    expect(page.get_by_text("Connection lost, trying again")).to_be_visible()
    box.restart()
    expect(page.get_by_text("Connection lost, trying again")).to_be_hidden()
    expect(page.get_by_role("heading", level=1)).to_have_text(WELL)


def sign_in_as(box: Appliance, page: Page, name: str) -> None:
    page.context.clear_cookies()
    page.goto(f"http://127.0.0.1:{box.ports['http']}/sign-in")
    page.fill("#name", name)
    page.fill("#password", f"word-of-{name}")
    page.click("button")
    page.get_by_role("link", name="Trunks", exact=True).click()
    expect(page.locator("#gateways tbody tr")).to_have_count(1)


def test_an_operator_drains_a_gateway_and_a_viewer_is_offered_nothing(box: Appliance, page: Page) -> None:
    sign_in_as(box, page, "victor")
    expect(page.locator("main button.small")).to_have_count(0)
    expect(page.get_by_role("link", name="Audit")).to_have_count(0)
    sign_in_as(box, page, "olga")
    page.get_by_role("button", name="Drain").click()
    page.get_by_role("dialog").get_by_role("button", name="Drain").click()
    expect(page.locator("#said")).to_contain_text("192.0.2.10 of carrier is being drained")
    expect(page.locator("#gateways .badge")).to_have_text("drained")
    page.get_by_role("button", name="Unblock").click()
    expect(page.locator("#gateways .badge")).not_to_have_text("drained")


def test_an_operator_tests_the_box_from_the_page_and_reads_delay_and_mos(box: Appliance, page: Page) -> None:
    sign_in_as(box, page, "olga")
    page.get_by_role("link", name="Diagnosis").click()
    expect(page.get_by_text("No self-test was made since the start")).to_be_visible()
    expect(page.get_by_role("button", name="Download")).to_have_count(0)  # the bundle is an administrator's
    test = page.get_by_role("button", name="Test now")
    test.click()
    expect(page.locator("#test-verdict")).to_contain_text("Testing")
    expect(test).to_be_disabled()
    expect(page.locator("#test-verdict")).to_contain_text("The last self-test passed", timeout=180_000)
    echo = page.locator("#steps tbody tr").filter(has_text="call the echo by WebRTC")
    expect(echo).to_contain_text(re.compile(r"[\d.]+ ms"))
    expect(echo.locator("td").nth(4)).to_have_text(re.compile(r"^[34]\.\d\d$"))
    page.get_by_role("link", name="Overview").click()
    expect(page.locator("#certificates tbody tr")).to_have_count(1)
    expect(page.locator("#certificates")).to_contain_text("self-signed")
    expect(page.locator("#quality")).to_contain_text("No call went to a trunk in this time")


def test_signing_out_leads_back_to_the_door(box: Appliance, page: Page) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text(WELL)
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    page.goto(f"http://127.0.0.1:{box.ports['http']}/")
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()


def test_a_narrow_screen_needs_no_sideways_scrolling(box: Appliance, page: Page) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    caller = Caller(box, "9197", EVIL)
    assert caller.call() == 200
    expect(page.locator("article.call")).to_have_count(1)
    width = page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert width == 0
    caller.hang_up()
