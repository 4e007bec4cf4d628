"""One appliance with the test lines, and one Chromium, for the tests of this folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.browser.chromium import BrowserPhone, Chromium, key_hash
from tests.peers.appliance import Appliance
from tests.peers.baresip import Baresip

DOMAIN = "example.com"
USERS = [str(number) for number in range(1001, 1011)]

MakePhone = Callable[..., BrowserPhone]
MakePlainPhone = Callable[..., Baresip]


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    sections = {
        "appliance": {"domains": DOMAIN, "drain_deadline": "1 s"},
        "line echo": {"kind": "echo"},
        "line tone": {"kind": "tone"},
        "route 10-echo": {"match": "exact:9196", "target": "line:echo"},
        "route 11-tone": {"match": "exact:9197", "target": "line:tone"},
        "route 50-users": {"match": "aor", "target": "aor"},
        "user 1004": {"profile": "sdes"},
    }
    with Appliance(tmp_path_factory.mktemp("box"), users=USERS, sections=sections) as appliance:
        yield appliance


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory, box: Appliance) -> Iterator[Chromium]:
    certificate = box.state_dir / "certificate.pem"
    with Chromium(tmp_path_factory.mktemp("web"), key_hash(certificate)) as chromium:
        yield chromium


@pytest.fixture
def browser_phone(box: Appliance, chromium: Chromium) -> Iterator[MakePhone]:
    """Makes a registered browser phone; what it noticed is told when the test fails."""
    made: list[BrowserPhone] = []

    def make(user: str, tone_hz: int = 440) -> BrowserPhone:
        url = f"wss://127.0.0.1:{box.ports['wss']}/sip"
        phone = chromium.phone(user, box.passwords[user], url=url, domain=DOMAIN, tone_hz=tone_hz)
        made.append(phone)
        phone.register()
        return phone

    yield make
    for phone in made:
        print(f"{phone.user}: {phone.log} {phone.console}")
        phone.close()


@pytest.fixture
def plain_phone(box: Appliance, tmp_path: Path) -> Iterator[MakePlainPhone]:
    """Makes a registered baresip on RTP."""
    made: list[Baresip] = []

    def make(user: str, tone_hz: int = 620, host: str = "127.0.0.1", **options: str) -> Baresip:
        transport = options.get("transport", "udp")
        phone = Baresip(
            tmp_path / user,
            user,
            box.passwords[user],
            registrar=box.address(transport, host),
            domain=DOMAIN,
            tone_hz=tone_hz,
            **options,
        )
        made.append(phone)
        phone.expect_registered()
        return phone

    yield make
    for phone in made:
        phone.program.stop()
        print(f"{phone.user}:\n{phone.program.tail(40)}")
    print(box.log[-4000:])
