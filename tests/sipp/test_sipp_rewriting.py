"""Rewriting on the wire: what SIPp's gateway and Kamailio see, and what the caller goes on seeing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from tests.peers.appliance import Appliance
from tests.peers.kamailio import Kamailio
from tests.peers.ports import free_port
from tests.peers.sipp import UNTIL_TOLD, Sipp

pytestmark = pytest.mark.peer

CARRIER = "127.0.0.2"
KEYS = {"domain": "example.com", "caller": "1001"}


@attrs.define
class Box:
    appliance: Appliance
    gateway: int
    behind_kamailio: int


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    directory = tmp_path_factory.mktemp("rewriting")
    gateway, behind = free_port(), free_port()
    with Kamailio(directory / "kamailio", gateways=(f"sip:127.0.0.1:{behind}",)) as kamailio:
        appliance = Appliance(
            directory / "box",
            users=["1001"],
            addresses=("127.0.0.1",),
            sections={
                "appliance": {"domains": "example.com", "drain_deadline": "1 s"},
                "numberplan uk": {"country-code": 44, "national-prefix": 0, "national-lengths": "9-10"},
                "user 1001": {"number": "+442079460001", "numbers-in": "uk", "display-name": "Ann"},
                "rules out": {
                    10: "set from.user {p-asserted-identity.user}",
                    20: "set from.host carrier.example.net",
                    30: "set to.host carrier.example.net",
                },
                "rules nine": {10: r"replace uri.user ^\+ 9"},
                "rules in": {10: "set from.display Outside", 20: "add X-Came in", 30: "add X-Ok 1 when status = 200"},
                "trunk carrier": {
                    "gateways": f"127.0.0.1:{gateway};transport=udp",
                    "rules-out": "out",
                    "numbers-out": "uk:national",
                    "codecs": "PCMA",
                },
                "trunk kamailio": {"gateways": f"127.0.0.1:{kamailio.port};transport=udp", "rules-out": "out, nine"},
                "trunk source": {"trusted": CARRIER, "rules-in": "in", "numbers-in": "uk"},
                "route 10-carrier": {"match": "prefix:+4420", "target": "trunk:carrier", "callers": "users"},
                "route 20-kamailio": {"match": "prefix:+4416", "target": "trunk:kamailio", "callers": "trunks"},
            },
        )
        with appliance:
            yield Box(appliance, gateway, behind)


def lines(messages: str, start: str, header: str) -> set[str]:
    """What stands in a header of all messages whose first line begins so, tags left out."""
    found = set()
    for message in re.split(r"^-{20,}.*$", messages, flags=re.MULTILINE):
        body = message[message.find("\n\n") + 2 :] if "message" in message[:200] else message
        if body.lstrip().startswith(start):
            found |= {
                line.partition(":")[2].partition(";tag")[0].strip()
                for line in body.splitlines()
                if line.startswith(f"{header}:")
            }
    return found


def test_the_gateway_sees_its_addresses_and_the_phone_its_own_over_a_kill_too(box: Box, tmp_path: Path) -> None:
    with Sipp("answer", tmp_path, port=box.gateway) as gateway:
        with Sipp(
            "call_authenticated",
            tmp_path,
            target=box.appliance.address("udp"),
            service="02079460000",
            user=("1001", box.appliance.passwords["1001"]),
            keys=KEYS,
            words=UNTIL_TOLD,
        ) as caller:
            gateway.expect_message(r"^ACK ")
            box.appliance.kill9()
            box.appliance.restart()
            caller.go_on()
            caller.finish()
        gateway.finish()
    seen = gateway.messages
    for method in ("INVITE", "ACK", "BYE"):
        assert lines(seen, f"{method} ", "From") == {"<sip:02079460001@carrier.example.net>"}
        assert lines(seen, f"{method} ", "To") == {"<sip:02079460000@carrier.example.net>"}
    assert lines(seen, "INVITE sip:02079460000@", "P-Asserted-Identity") == {'"Ann" <sip:02079460001@example.com>'}
    assert re.search(r"^m=audio \d+ RTP/AVP 8 101$", seen, re.MULTILINE)
    assert lines(caller.messages, "SIP/2.0 ", "From") == {"<sip:1001@example.com>"}
    assert lines(caller.messages, "SIP/2.0 ", "To") == {"<sip:02079460000@example.com>"}
    assert not re.search(r"RTP/AVP 0 8 101$", caller.messages.partition("SIP/2.0 200")[2], re.MULTILINE)


def test_through_kamailio_a_callee_that_hangs_up_reaches_the_caller_under_his_own_name(
    box: Box, tmp_path: Path
) -> None:
    with Sipp("answer_and_hang_up", tmp_path, port=box.behind_kamailio, options=["-d", "200"]) as callee:
        with Sipp(
            "call_ended_by_peer",
            tmp_path,
            target=box.appliance.address("udp"),
            host=CARRIER,
            service="01632960000",
            keys={**KEYS, "caller": "02079460009"},
        ) as caller:
            caller.finish()
        callee.finish()
    assert lines(callee.messages, "INVITE sip:9441632960000@", "From") == {
        '"Outside" <sip:+442079460009@carrier.example.net>'
    }
    assert lines(callee.messages, "INVITE ", "X-Came") == {"in"}
    assert lines(callee.messages, "SIP/2.0 200", "To") == {
        "<sip:+441632960000@carrier.example.net>",  # its own answer to the INVITE
        '"Outside" <sip:+442079460009@carrier.example.net>',
    }
    assert lines(callee.messages, "SIP/2.0 200", "X-Ok") == {"1"}
    assert lines(caller.messages, "BYE ", "To") == {"<sip:02079460009@example.com>"}
    assert lines(caller.messages, "BYE ", "From") == {"<sip:01632960000@example.com>"}
