"""Topology hiding on real sockets: an exchange at 127.0.0.2 calls out by Kamailio, which may see nothing of it."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from tests.peers.appliance import Appliance
from tests.peers.kamailio import Kamailio
from tests.peers.ports import free_port
from tests.peers.sipp import UNTIL_TOLD, Sipp

pytestmark = pytest.mark.peer

INSIDE = "127.0.0.2"


@attrs.define
class Line:
    """The box, and behind its carrier the port at which a gateway answers numbers from 9."""

    appliance: Appliance
    gateway: int

    def call(self, scenario: str, directory: Path, *, standing: bool = False) -> Sipp:
        return Sipp(
            scenario,
            directory,
            target=self.appliance.address("udp"),
            host=INSIDE,
            service="9123",
            keys={"domain": "example.com", "caller": "2001"},
            words=UNTIL_TOLD if standing else None,
        )

    def answer(self, scenario: str, directory: Path, *, standing: bool = False) -> Sipp:
        words = UNTIL_TOLD if standing else None
        return Sipp(scenario, directory, port=self.gateway, service="9123", words=words)


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    gateway = free_port()
    with Kamailio(tmp_path / "kamailio", gateways=[f"sip:127.0.0.1:{gateway}"], patience_ms=30_000) as carrier:
        appliance = Appliance(
            tmp_path / "box",
            addresses=("127.0.0.1",),
            sections={
                "appliance": {"domains": "example.com", "drain_deadline": "1 s"},
                "trunk carrier": {
                    "gateways": f"127.0.0.1:{carrier.port};transport=udp",
                    "trusted": "127.0.0.1",
                    "hide-topology": "yes",
                },
                "trunk exchange": {"gateways": "127.0.0.2:9", "trusted": INSIDE},
                "route 10": {"match": "prefix:9", "target": "trunk:carrier", "callers": "trunks"},
            },
        )
        with appliance:
            yield Line(appliance, gateway)


def shows_nothing(gateway: Sipp) -> None:
    """What came to the gateway names the inside nowhere, in base64 neither."""
    text = gateway.messages
    assert text
    texts = [text]
    for token in re.findall(r"(?<=sip:jf-)[A-Za-z0-9_-]+", text):
        texts.append(urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode("latin-1"))
    assert [one for one in texts if INSIDE in one] == []


def test_reinvites_both_ways_and_a_bye_after_kill9(line: Line, tmp_path: Path) -> None:
    with line.answer("answer_reinvited", tmp_path) as gateway:
        with line.call("call_reinvited", tmp_path, standing=True) as caller:
            caller.expect_message(r"message received \[\d+\] bytes :\n\nACK sip:")
            line.appliance.kill9()
            line.appliance.restart()
            caller.go_on()
            caller.finish()
        gateway.finish()
        shows_nothing(gateway)


def test_the_gateway_hangs_up_after_kill9(line: Line, tmp_path: Path) -> None:
    with line.answer("answer_and_hang_up", tmp_path, standing=True) as gateway:
        with line.call("call_ended_by_peer", tmp_path) as caller:
            gateway.expect_message(r"^ACK sip:")
            line.appliance.kill9()
            line.appliance.restart()
            gateway.go_on()
            caller.finish()
        gateway.finish()
        shows_nothing(gateway)


def test_calls_at_some_rate(line: Line, tmp_path: Path) -> None:
    with Sipp("answer", tmp_path, port=line.gateway, service="9123", calls=50) as gateway:
        with Sipp(
            "call",
            tmp_path,
            target=line.appliance.address("udp"),
            host=INSIDE,
            calls=50,
            rate=50,
            service="9123",
            keys={"domain": "example.com", "caller": "2001"},
            options=["-d", "100"],
        ) as caller:
            caller.finish()
        gateway.finish()
        shows_nothing(gateway)
