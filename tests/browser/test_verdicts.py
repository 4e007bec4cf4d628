"""Each kind of failed call is made to happen with real peers; Chromium opens its page: the verdict names the cause."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Error, Page, expect

from tests.browser.chromium import Chromium
from tests.browser.conftest import DOMAIN, MakePhone
from tests.peers.appliance import Appliance
from tests.peers.ports import free_port
from tests.peers.sipp import UNTIL_TOLD, Sipp

pytestmark = pytest.mark.peer

CARRIER = "127.0.0.2"
FAR_END = "127.0.0.3"
ICE_FAILS = """() => phone.agent.on("newRTCSession", ({ session }) => session.on("sdp", (event) => {
  if (event.originator === "remote")
    event.sdp = event.sdp.replace(/(a=candidate:\\S+ \\d+ \\S+ \\d+ \\S+) \\d+/g, "$1 9");
}))"""
DTLS_FAILS = """() => phone.agent.on("newRTCSession", ({ session }) => session.on("sdp", (event) => {
  if (event.originator === "local") event.sdp = event.sdp.replace(/(a=fingerprint:sha-256 )\\S\\S:\\S\\S/g, "$100:00");
}))"""


@pytest.fixture(scope="module")
def gateway() -> int:
    return free_port()


@pytest.fixture(scope="module")
def silent_gateway() -> Iterator[int]:
    """Takes everything and says nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((FAR_END, 0))
        yield sock.getsockname()[1]


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory, gateway: int, silent_gateway: int) -> Iterator[Appliance]:
    sections = {
        "appliance": {"domains": DOMAIN, "drain_deadline": "1 s"},
        "media": {"silence_timeout": "1 min"},
        "trunk carrier": {"trusted": CARRIER},
        "trunk far": {"gateways": f"{FAR_END}:{gateway}"},
        "trunk deaf": {"gateways": f"{FAR_END}:{silent_gateway}", "attempt_timeout": "2 s"},
        "trunk narrow": {"gateways": f"{FAR_END}:{gateway}"},
        "limit one": {"scope": "trunk:narrow", "calls": "1"},
        "line tone": {"kind": "tone"},
        "route 10-tone": {"match": "exact:9197", "target": "line:tone"},
        "route 20-far": {"match": "prefix:1", "target": "trunk:far", "callers": "trunks, users"},
        "route 25-narrow": {"match": "prefix:3", "target": "trunk:narrow", "callers": "trunks"},
        "route 30-deaf": {"match": "prefix:2", "target": "trunk:deaf", "callers": "trunks"},
    }
    with Appliance(tmp_path_factory.mktemp("box"), users=["1001", "1002"], sections=sections) as appliance:
        yield appliance


@pytest.fixture(scope="module")
def page(box: Appliance, chromium: Chromium) -> Iterator[Page]:
    """An operator's, signed in."""
    box.program.expect_log(r"Administrator admin, password \S+")
    found = re.search(r"password (\S+)", box.log)
    assert found
    page = chromium.open(f"http://127.0.0.1:{box.ports['http']}/")
    page.set_default_timeout(60_000)
    page.fill("#name", "admin")
    page.fill("#password", found[1])
    page.click("button")
    page.wait_for_selector("#state")
    yield page
    page.context.close()


def expect_verdict(page: Page, box: Appliance, called: str, *texts: str) -> None:
    """The latest call to that number has a page whose verdict says all of this."""
    page.goto(f"http://127.0.0.1:{box.ports['http']}/calls?q={called}")
    page.locator("tbody tr").first.locator("a").first.click()
    for text in texts:
        expect(page.locator("#verdict")).to_contain_text(text)
    expect(page.locator(".rung").first).to_be_visible()
    expect(page.locator(".remedy")).to_be_visible()


def refused(box: Appliance, directory: Path, number: str, status: int) -> None:
    """A call from the carrier is refused with that status."""
    keys = {"domain": DOMAIN, "caller": "5550199"}
    words = {"final": str(status)}
    target = box.address()
    with Sipp("call_refused", directory, target=target, host=CARRIER, service=number, keys=keys, words=words) as sipp:
        sipp.finish()


def test_no_route(box: Appliance, page: Page, tmp_path: Path) -> None:
    refused(box, tmp_path, "7550100", 404)
    expect_verdict(page, box, "7550100", "no route leads 7550100 anywhere")


def test_a_limit(box: Appliance, page: Page, tmp_path: Path, gateway: int) -> None:
    keys = {"domain": DOMAIN, "caller": "5550199"}
    with (
        Sipp("answer", tmp_path, host=FAR_END, port=gateway),
        Sipp(
            "call", tmp_path, target=box.address(), host=CARRIER, service="3000", keys=keys, words=UNTIL_TOLD
        ) as first,
    ):
        first.expect_message(r"^ACK ")
        refused(box, tmp_path, "3050", 503)
    expect_verdict(page, box, "3050", "a limit is reached", "limit one (trunk:narrow): 1 of 1 calls")


def test_a_codec(box: Appliance, page: Page, tmp_path: Path, gateway: int) -> None:
    with Sipp("refuse", tmp_path, host=FAR_END, port=gateway, words={"status": "488 Not Acceptable Here"}):
        refused(box, tmp_path, "1060", 488)
    expect_verdict(page, box, "1060", "media could not be agreed on (488)", "trunk far", "offered: PCMU")


def test_a_gateway_that_gives_no_answer(box: Appliance, page: Page, tmp_path: Path) -> None:
    refused(box, tmp_path, "2000", 408)
    expect_verdict(page, box, "2000", "It timed out: trunk deaf, gateway 127.0.0.3", "gave no answer at all")


def test_a_gateway_that_is_not_there(box: Appliance, page: Page, tmp_path: Path) -> None:
    refused(box, tmp_path, "1070", 500)
    expect_verdict(page, box, "1070", "trunk far, gateway 127.0.0.3", "cannot be reached")


def test_a_wrong_password(box: Appliance, chromium: Chromium, page: Page) -> None:
    phone = chromium.phone("1002", "not this", url=f"wss://127.0.0.1:{box.ports['wss']}/sip", domain=DOMAIN)
    with pytest.raises(Error, match="registration failed"):
        phone.register()
    phone.call("9197")
    phone.expect("failed")
    phone.close()
    expect_verdict(page, box, "9197", "1002", "could not prove who they are")


def talk(seconds: float) -> None:
    """Long enough for a side to be called mute."""
    time.sleep(seconds)


def test_ice_that_never_connects(box: Appliance, browser_phone: MakePhone, page: Page) -> None:
    phone = browser_phone("1001")
    phone._do(ICE_FAILS)
    phone.call("9197")
    phone.expect("accepted")
    talk(8)
    phone.hang_up()
    phone.expect("ended")
    expect_verdict(page, box, "9197", "ICE never connected", "no ICE check ever came", "the caller (1001) hung up")


def test_dtls_that_fails(box: Appliance, browser_phone: MakePhone, page: Page) -> None:
    phone = browser_phone("1001")
    phone._do(DTLS_FAILS)
    phone.call("9197")
    phone.expect("accepted")
    talk(8)
    phone.hang_up()
    phone.expect("ended")
    expect_verdict(page, box, "9197", "the DTLS handshake failed", "fingerprint", "the caller (1001)")


def test_one_way_audio(box: Appliance, browser_phone: MakePhone, page: Page, tmp_path: Path, gateway: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
        ear.bind((FAR_END, 0))
        ear.settimeout(60)
        words = {"audio_port": str(ear.getsockname()[1])}
        with Sipp("answer", tmp_path, host=FAR_END, port=gateway, words=words):
            phone = browser_phone("1001")
            phone.call("1080")
            phone.expect("confirmed")
            assert ear.recv(4096)  # the caller's audio flows
            talk(5)
            phone.hang_up()
            phone.expect("ended")
    expect_verdict(page, box, "1080", "One-way audio: the callee", "was never heard", "the caller (1001) was heard")
    expect(page.get_by_text("callee since")).to_be_visible()


def test_a_bar_of_the_plot_tells_its_figures_and_leads_to_its_calls(box: Appliance, page: Page) -> None:
    """The tests before have called; where this one runs alone there may be none, and the bar says 0 calls."""
    page.goto(f"http://127.0.0.1:{box.ports['http']}/")
    bar, told = page.locator(".plot .hit").last, page.locator(".plot .told")
    bar.hover()
    expect(told).to_contain_text(re.compile(r": \d+ calls, \d+ answered, .* at most \d+ at a time"))
    page.locator(".plot svg").press("ArrowLeft")
    expect(page.locator(".plot .hit.pointed")).to_have_count(1)
    page.locator(".plot svg").press("Enter")
    page.wait_for_url("**/calls?from=*")
    expect(page.get_by_role("heading", name="Calls")).to_be_visible()
