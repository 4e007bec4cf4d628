"""The box as a load balancer without state: every call stays with its server, also over a kill in mid-load."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.peers.appliance import Appliance
from tests.peers.processes import wait_until
from tests.peers.sipp import STRICT, STUBBORN, Sipp
from tests.sipp.conftest import CARRIER, DOMAIN

pytestmark = pytest.mark.peer

CALLS = 40
LINGERING = {"linger_ms": "60000", "ack_optional": "true"}
"""As RFC 3261 has it (Timer J), and longer than a box takes to come back: an answer that the kill swallowed is given
again when the BYE comes once more. An ACK that it swallowed is not: the BYE comes without."""


def call_ids(server: Sipp, method: str) -> set[str]:
    return set(re.findall(rf"^{method} sip:[^\n]*\n(?:[^\n]+\n)*?Call-ID: ([^\n\r]+)", server.messages, re.M))


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_each_call_stays_with_its_server_and_a_kill_costs_none(tmp_path: Path, transport: str) -> None:
    with (
        Sipp("answer", tmp_path / "one", calls=CALLS, options=["-d", "0", *STUBBORN], words=LINGERING) as one,
        Sipp("answer", tmp_path / "two", calls=CALLS, options=["-d", "0", *STUBBORN], words=LINGERING) as two,
        Appliance(
            tmp_path / "box",
            addresses=("127.0.0.1",),
            sections={
                "appliance": {"domains": DOMAIN},
                f"listener {transport}": {"stateless": "yes"},
                "trunk servers": {
                    "gateways": ", ".join(f"127.0.0.1:{server.port};transport=udp" for server in (one, two)),
                    "algorithm": "hash",
                },
                "route 10-all": {"match": "any", "target": "trunk:servers", "callers": "anyone"},
            },
        ) as box,
        Sipp(
            "call",
            tmp_path / "caller",
            target=box.address(transport),
            host=CARRIER,
            transport=transport,
            calls=CALLS,
            rate=20,
            keys={"domain": DOMAIN, "caller": "caller"},
            options=["-d", "1000", *STUBBORN],
            words=STRICT,
        ) as caller,
    ):
        if transport == "udp":  # SIPp gives its calls up when a TCP connection breaks
            wait_until(lambda: caller.messages.count("BYE sip:") > CALLS // 4, "calls that have ended")
            box.kill9()
            box.restart()
        caller.finish()
        of_one, of_two = call_ids(one, "INVITE"), call_ids(two, "INVITE")
        assert len(of_one) + len(of_two) == CALLS
        assert not of_one & of_two
        assert min(len(of_one), len(of_two)) > CALLS // 8
        for server, calls in ((one, of_one), (two, of_two)):
            acknowledged = call_ids(server, "ACK")
            assert acknowledged == calls if transport == "tcp" else acknowledged <= calls
            assert len(acknowledged) > len(calls) // 2
            assert call_ids(server, "BYE") == calls
