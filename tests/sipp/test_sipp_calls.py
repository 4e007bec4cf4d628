"""SIPp calls SIPp through the appliance: transports, families, loss, CANCEL, forks, redirection, failover."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.peers.sipp import STUBBORN, Sipp
from tests.peers.tls import TlsTunnel
from tests.sipp.conftest import CARRIER, Box

pytestmark = pytest.mark.peer

LOSSY = {"linger_ms": "30000", "ack_optional": "true", "lost_percent": "10"}
LOSSY_CALLS = 45
"""So many, and no more loss than this: that none is lost for good, and that something is said again, is as good as sure
(each fails once in a hundred thousand runs)."""


@pytest.mark.parametrize("callee_host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("callee_transport", ["udp", "tcp"])
@pytest.mark.parametrize("caller_transport", ["udp", "tcp"])
def test_carrier_calls_phone(
    box: Box, tmp_path: Path, caller_transport: str, callee_transport: str, callee_host: str
) -> None:
    with Sipp("answer", tmp_path, host=callee_host, transport=callee_transport, service="1005", calls=5) as callee:
        address = f"[{callee_host}]" if ":" in callee_host else callee_host
        contact = f"sip:1005@{address}:{callee.port};transport={callee_transport}"
        box.register(tmp_path, "1005", contact, target=box.appliance.address("udp", callee_host))
        with Sipp(
            "call",
            tmp_path,
            target=box.appliance.address(caller_transport),
            host=CARRIER,
            transport=caller_transport,
            service="1005",
            calls=5,
            keys=box.keys(),
        ) as caller:
            caller.finish()
        callee.finish()
        box.register(tmp_path, "1005", contact, expires=0, target=box.appliance.address("udp", callee_host))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_phone_calls_phone_with_digest(box: Box, tmp_path: Path, transport: str, host: str) -> None:
    with Sipp("answer", tmp_path, host=host, service="1006") as callee:
        address = f"[{host}]" if ":" in host else host
        contact = f"sip:1006@{address}:{callee.port}"
        box.register(tmp_path, "1006", contact, target=box.appliance.address("udp", host))
        with Sipp(
            "call_authenticated",
            tmp_path,
            target=box.appliance.address(transport, host),
            host=host,
            transport=transport,
            service="1006",
            user=("1007", box.appliance.passwords["1007"]),
            keys=box.keys("1007"),
        ) as caller:
            caller.finish()
        callee.finish()
        box.register(tmp_path, "1006", contact, expires=0, target=box.appliance.address("udp", host))


def test_stranger_is_asked_for_a_password(box: Box, tmp_path: Path) -> None:
    with Sipp(
        "call_refused",
        tmp_path,
        target=box.appliance.address("udp"),
        service="1006",
        keys=box.keys("1007"),
        words={"final": "407"},
    ) as caller:
        caller.finish()


def test_call_from_tls_to_udp(box: Box, tmp_path: Path) -> None:
    with (
        TlsTunnel(box.appliance.address("tls")) as tunnel,
        Sipp("answer", tmp_path, service="1008") as callee,
    ):
        box.register(tmp_path, "1008", f"sip:1008@127.0.0.1:{callee.port}")
        with Sipp(
            "call_authenticated",
            tmp_path,
            target=("127.0.0.1", tunnel.port),
            transport="tcp",
            service="1008",
            user=("1009", box.appliance.passwords["1009"]),
            keys=box.keys("1009"),
            words={"via": "TLS"},
        ) as caller:
            caller.finish()
        callee.finish()


def test_call_from_udp_to_a_gateway_on_tls(box: Box, tmp_path: Path) -> None:
    words = {"via": "TLS", "own_contact": f"sip:9201@127.0.0.1:{box.tls_gateway};transport=tls"}
    with Sipp("answer", tmp_path, transport="tcp", port=box.tls_gateway_port, words=words) as gateway:
        with Sipp(
            "call",
            tmp_path,
            target=box.appliance.address("udp"),
            host=CARRIER,
            service="9201",
            keys=box.keys(),
        ) as caller:
            caller.finish()
        gateway.finish()


def test_lost_messages_are_sent_again(box: Box, tmp_path: Path) -> None:
    with Sipp("answer", tmp_path, service="1010", calls=LOSSY_CALLS, words=LOSSY, options=STUBBORN) as callee:
        box.register(tmp_path, "1010", f"sip:1010@127.0.0.1:{callee.port}")
        with Sipp(
            "call",
            tmp_path,
            target=box.appliance.address("udp"),
            host=CARRIER,
            service="1010",
            calls=LOSSY_CALLS,
            rate=30,
            keys=box.keys(),
            options=["-lost", "10", *STUBBORN],
        ) as caller:
            assert caller.finish()["Retransmissions"] > 0


def test_cancel_reaches_the_ringing_phone(box: Box, tmp_path: Path) -> None:
    with Sipp("ring_until_cancelled", tmp_path, service="1011") as callee:
        box.register(tmp_path, "1011", f"sip:1011@127.0.0.1:{callee.port}")
        with Sipp(
            "call_cancelled",
            tmp_path,
            target=box.appliance.address("udp"),
            host=CARRIER,
            service="1011",
            keys=box.keys(),
        ) as caller:
            caller.finish()
        callee.finish()


def test_fork_is_cancelled_where_it_was_not_answered(box: Box, tmp_path: Path) -> None:
    with (
        Sipp("answer", tmp_path, service="1012", options=["-d", "300"]) as answering,
        Sipp("ring_until_cancelled", tmp_path, service="1012") as ringing,
    ):
        box.register(tmp_path, "1012", f"sip:1012@127.0.0.1:{answering.port}")
        box.register(tmp_path, "1012", f"sip:1012@127.0.0.1:{ringing.port}")
        with Sipp(
            "call",
            tmp_path,
            target=box.appliance.address("udp"),
            host=CARRIER,
            service="1012",
            keys=box.keys(),
        ) as caller:
            caller.finish()
        answering.finish()
        ringing.finish()


def test_redirection_is_handed_to_the_caller(box: Box, tmp_path: Path) -> None:
    """RFC 3261 §16.7 lets a proxy follow a 3xx or pass it back: it is the caller's to decide, Contact and all."""
    with Sipp("redirect", tmp_path, service="1013", keys={"contact": "sip:1014@example.net"}) as forwarding:
        box.register(tmp_path, "1013", f"sip:1013@127.0.0.1:{forwarding.port}")
        with Sipp(
            "call_refused",
            tmp_path,
            target=box.appliance.address("udp"),
            host=CARRIER,
            service="1013",
            keys=box.keys(),
            words={"final": "302"},
        ) as caller:
            caller.finish()
            assert caller.expect_message(r"^Contact: <sip:1014@example.net>")
        forwarding.finish()


def test_second_gateway_answers_when_the_first_refuses(box: Box, tmp_path: Path) -> None:
    with (
        Sipp("refuse", tmp_path, port=box.gateways[0], words={"status": "503 Service Unavailable"}) as full,
        Sipp("answer", tmp_path, port=box.gateways[1]) as spare,
        Sipp(
            "call",
            tmp_path,
            target=box.appliance.address("udp"),
            host=CARRIER,
            service="9101",
            keys=box.keys(),
        ) as caller,
    ):
        caller.finish()
        full.finish()
        spare.finish()


def test_second_gateway_answers_when_the_first_is_not_there(box: Box, tmp_path: Path) -> None:
    with (
        Sipp("answer", tmp_path, port=box.gateways[1]) as spare,
        Sipp(
            "call",
            tmp_path,
            target=box.appliance.address("udp"),
            host=CARRIER,
            service="9101",
            keys=box.keys(),
        ) as caller,
    ):
        caller.finish()
        spare.finish()


def test_busy_gateway_is_not_left_for_the_next(box: Box, tmp_path: Path) -> None:
    with (
        Sipp("refuse", tmp_path, port=box.gateways[0], words={"status": "486 Busy Here"}) as busy,
        Sipp(
            "call_refused",
            tmp_path,
            target=box.appliance.address("udp"),
            host=CARRIER,
            service="9101",
            keys=box.keys(),
            words={"final": "486"},
        ) as caller,
    ):
        caller.finish()
        busy.finish()


def test_phone_that_answers_may_hang_up(box: Box, tmp_path: Path) -> None:
    with Sipp("answer_and_hang_up", tmp_path, service="1015", options=["-d", "100"]) as callee:
        box.register(tmp_path, "1015", f"sip:1015@127.0.0.1:{callee.port}")
        with Sipp(
            "call_ended_by_peer",
            tmp_path,
            target=box.appliance.address("udp"),
            host=CARRIER,
            service="1015",
            keys=box.keys(),
        ) as caller:
            caller.finish()
        callee.finish()


def test_unknown_number_is_not_found(box: Box, tmp_path: Path) -> None:
    with Sipp(
        "call_refused",
        tmp_path,
        target=box.appliance.address("udp"),
        host=CARRIER,
        service="5550",
        keys=box.keys(),
        words={"final": "404"},
    ) as caller:
        caller.finish()


def test_message_is_carried(box: Box, tmp_path: Path) -> None:
    with Sipp("take_message", tmp_path, service="1016") as receiver:
        box.register(tmp_path, "1016", f"sip:1016@127.0.0.1:{receiver.port}")
        with Sipp(
            "message",
            tmp_path,
            target=box.appliance.address("udp"),
            host=CARRIER,
            service="1016",
            keys=box.keys(),
        ) as sender:
            sender.finish()
        receiver.finish()
        assert "good morning" in receiver.messages
