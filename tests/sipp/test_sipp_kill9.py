"""What outlives `kill -9`: every acknowledged registration, and calls that still end with their BYE."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers.sipp import UNTIL_TOLD, Sipp
from tests.sipp.conftest import CARRIER, Box, start_box

pytestmark = pytest.mark.peer


@pytest.fixture
def own_box(tmp_path: Path) -> Iterator[Box]:
    box, tunnel = start_box(tmp_path / "kill9")
    with tunnel, box.appliance:
        yield box


def test_acknowledged_registrations_are_there_after_kill9(own_box: Box, tmp_path: Path) -> None:
    users = [str(number) for number in range(1001, 1011)]
    with Sipp("answer", tmp_path, service="any", calls=len(users)) as callee:
        for user in users:
            own_box.register(tmp_path, user, f"sip:{user}@127.0.0.1:{callee.port}")
        own_box.appliance.kill9()
        own_box.appliance.restart()
        for user in users:
            with Sipp(
                "call",
                tmp_path,
                target=own_box.appliance.address("udp"),
                host=CARRIER,
                service=user,
                keys=own_box.keys(),
            ) as caller:
                caller.finish()
        callee.finish()


def test_call_ends_with_its_bye_after_kill9(own_box: Box, tmp_path: Path) -> None:
    with Sipp("answer", tmp_path, service="1001") as callee:
        own_box.register(tmp_path, "1001", f"sip:1001@127.0.0.1:{callee.port}")
        with Sipp(
            "call",
            tmp_path,
            target=own_box.appliance.address("udp"),
            host=CARRIER,
            service="1001",
            keys=own_box.keys(),
            words=UNTIL_TOLD,
        ) as caller:
            callee.expect_message(r"^ACK sip:")
            own_box.appliance.kill9()
            own_box.appliance.restart()
            caller.go_on()
            caller.finish()
        callee.finish()


def test_callee_may_hang_up_after_kill9(own_box: Box, tmp_path: Path) -> None:
    with Sipp("answer_and_hang_up", tmp_path, service="1002", words=UNTIL_TOLD) as callee:
        own_box.register(tmp_path, "1002", f"sip:1002@127.0.0.1:{callee.port}")
        with Sipp(
            "call_ended_by_peer",
            tmp_path,
            target=own_box.appliance.address("udp"),
            host=CARRIER,
            service="1002",
            keys=own_box.keys(),
        ) as caller:
            callee.expect_message(r"^ACK sip:")
            own_box.appliance.kill9()
            own_box.appliance.restart()
            callee.go_on()
            caller.finish()
        callee.finish()
