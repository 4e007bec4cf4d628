"""An agent in a browser transfers a trunk's call, which the trunk cannot do itself: tones say who talks to whom."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.chromium import BrowserPhone, Chromium, key_hash
from tests.peers.appliance import Appliance
from tests.peers.baresip import Baresip
from tests.peers.ports import free_block

pytestmark = pytest.mark.peer

DOMAIN = "example.com"
CARRIER = "1009"


@pytest.fixture(scope="module")
def carrier_port() -> int:
    return free_block(2)


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory, carrier_port: int) -> Iterator[Appliance]:
    sections = {
        "appliance": {"domains": DOMAIN, "drain_deadline": "1 s"},
        "trunk carrier": {"gateways": f"127.0.0.1:{carrier_port};transport=udp", "refer": "carry-out"},
        "route 10-carrier": {"match": "prefix:0", "target": "trunk:carrier", "strip": "1"},
        "route 50-users": {"match": "aor", "target": "aor"},
    }
    users = ["1001", "1002", "1003", CARRIER]
    with Appliance(tmp_path_factory.mktemp("box"), users=users, sections=sections) as appliance:
        yield appliance


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory, box: Appliance) -> Iterator[Chromium]:
    with Chromium(tmp_path_factory.mktemp("web"), key_hash(box.state_dir / "certificate.pem")) as chromium:
        yield chromium


def browser(box: Appliance, chromium: Chromium, user: str, tone_hz: int) -> BrowserPhone:
    url = f"wss://127.0.0.1:{box.ports['wss']}/sip"
    phone = chromium.phone(user, box.passwords[user], url=url, domain=DOMAIN, tone_hz=tone_hz)
    phone.register()
    return phone


def plain(box: Appliance, directory: Path, user: str, tone_hz: int, port: int | None = None) -> Baresip:
    registrar = box.address("udp", "127.0.0.1")
    return Baresip(
        directory / user, user, box.passwords[user], registrar=registrar, domain=DOMAIN, tone_hz=tone_hz, port=port
    )


def test_a_blind_transfer_to_a_plain_phone(
    box: Appliance, chromium: Chromium, tmp_path: Path, carrier_port: int
) -> None:
    with plain(box, tmp_path, CARRIER, 620, carrier_port) as carrier, plain(box, tmp_path, "1002", 700) as target:
        carrier.expect_registered()
        target.expect_registered()
        agent = browser(box, chromium, "1001", 440)
        agent.call(f"0{CARRIER}")
        agent.expect("confirmed")
        carrier.expect_tone(440)
        agent.transfer("1002")
        agent.hang_up()
        carrier.expect_tone(700)
        target.expect_tone(620)
        target.command("hangup")
        carrier.expect_event("CALL_CLOSED")
        agent.close()


def test_a_blind_transfer_to_another_browser(
    box: Appliance, chromium: Chromium, tmp_path: Path, carrier_port: int
) -> None:
    with plain(box, tmp_path, CARRIER, 620, carrier_port) as carrier:
        carrier.expect_registered()
        agent, colleague = browser(box, chromium, "1001", 440), browser(box, chromium, "1003", 800)
        agent.call(f"0{CARRIER}")
        agent.expect("confirmed")
        agent.expect_tone(620)
        agent.page.evaluate("target => { phone.transfer = phone.refer(target) }", f"sip:1003@{DOMAIN}")
        colleague.expect("session")
        colleague.answer()
        colleague.expect("confirmed")
        agent.page.evaluate("() => phone.transfer")
        agent.hang_up()
        carrier.expect_tone(800)
        colleague.expect_tone(620)
        colleague.hang_up()
        carrier.expect_event("CALL_CLOSED")
        for phone in (agent, colleague):
            phone.close()
