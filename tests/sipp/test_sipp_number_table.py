"""A number table written by a machine, replaced and reloaded in mid-load: no call is lost, and calls go the new way."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.peers.appliance import Appliance
from tests.peers.ports import free_port
from tests.peers.sipp import Sipp
from tests.sipp.conftest import CARRIER, DOMAIN, Box
from tests.sipp.test_sipp_reload import jackfield

pytestmark = pytest.mark.peer

CALLS = 160


def table(trunk: str) -> str:
    """100,000 numbers, the one that is called among them."""
    return "".join(f"+1555{number:07} trunk:{trunk}\n" for number in range(100_000))


def test_a_table_of_100000_numbers_is_replaced_while_calls_come_in(tmp_path: Path) -> None:
    ports = {"one": free_port(), "two": free_port()}
    conf_dir = tmp_path / "box" / "conf.d"
    conf_dir.mkdir(parents=True)
    (conf_dir / "agents.dn").write_text(table("one"))
    appliance = Appliance(
        tmp_path / "box",
        addresses=("127.0.0.1",),
        sections={
            "appliance": {"domains": DOMAIN, "drain_deadline": "1 s"},
            "trunk carrier": {"trusted": CARRIER},
            "numbers agents": {"file": "agents.dn"},
            "route 10-agents": {"match": "any", "target": "numbers:agents", "callers": "trunks"},
            **{
                f"trunk {name}": {"gateways": f"127.0.0.1:{port};transport=udp", "attempt_timeout": "60 s"}
                for name, port in ports.items()
            },
        },
    )
    box = Box(appliance, (0, 0), 0, 0)
    with (
        appliance,
        Sipp("answer", tmp_path / "one", port=ports["one"], service="one", calls=CALLS) as one,
        Sipp("answer", tmp_path / "two", port=ports["two"], service="two", calls=CALLS) as two,
        Sipp(
            "call",
            tmp_path,
            target=appliance.address("udp"),
            host=CARRIER,
            service="+15550012345",
            keys=box.keys(),
            calls=CALLS,
            rate=20,
            options=["-d", "100"],
        ) as caller,
    ):
        one.expect_message(r"^ACK sip:")
        beside = conf_dir / "agents.dn.new"
        beside.write_text(table("two"))
        os.replace(beside, conf_dir / "agents.dn")
        reloaded = jackfield(box, "reload")
        assert reloaded.returncode == 0, reloaded.stderr
        assert "[numbers agents] contents (100000 numbers) changed" in reloaded.stdout
        caller.finish()
        with Sipp(
            "call", tmp_path, target=appliance.address("udp"), host=CARRIER, service="+15550012345", keys=box.keys()
        ) as late:
            late.finish()
        assert two.messages.count("INVITE sip:+15550012345@127.0.0.1") >= 1
