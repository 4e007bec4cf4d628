"""The guard on real sockets: a scanner hears nothing, a flood is banned while others call, and bans end."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.control.asking import ask
from tests.peers.appliance import Appliance
from tests.peers.processes import wait_until
from tests.peers.sipp import Sipp
from tests.sipp.conftest import CARRIER, DOMAIN

pytestmark = pytest.mark.peer

KEYS = {"domain": DOMAIN, "caller": "somebody"}
BAN_S = 3


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    with Appliance(
        tmp_path_factory.mktemp("guard") / "box",
        users=("1001",),
        sections={
            "appliance": {"domains": DOMAIN, "drain_deadline": "1 s"},
            "security": {
                "exempt": "",
                "messages": 50,
                "burst": "1 s",
                "ban": f"{BAN_S} s",
                "unproved_ban": f"{BAN_S} s",
                "longest_ban": f"{BAN_S} s",
            },
            "acl phones": {"deny": "127.0.0.66"},
            "listener udp": {"acl": "phones"},
            "listener tcp": {"acl": "phones"},
            "trunk carrier": {"trusted": CARRIER},
            "route 50-users": {"match": "aor", "target": "aor", "callers": "users, trunks"},
        },
    ) as appliance:
        yield appliance


def bans(box: Appliance) -> dict[str, str]:
    """Grades of bans by source."""
    answer = ask(box.state_dir, "ban")
    listed = answer["bans"]
    assert isinstance(listed, list)
    return {str(one["source"]): str(one["grade"]) for one in listed if isinstance(one, dict)}


@pytest.mark.parametrize(("method", "host"), [("OPTIONS", "127.0.0.41"), ("INVITE", "127.0.0.42")])
def test_a_scanner_hears_nothing(box: Appliance, tmp_path: Path, method: str, host: str) -> None:
    with Sipp("scan", tmp_path, target=box.address(), host=host, keys=KEYS, words={"method": method}) as scanner:
        wait_until(lambda: bans(box).get(host) == "drop", "the scanner to be banned")  # for a few seconds only
        scanner.finish()


def test_a_flood_is_banned_while_a_phone_is_called_and_the_ban_ends(box: Appliance, tmp_path: Path) -> None:
    flooder = "127.0.0.43"
    with Sipp("answer", tmp_path, service="1001") as callee:
        with Sipp(
            "register",
            tmp_path,
            target=box.address(),
            service="1001",
            user=("1001", box.passwords["1001"]),
            keys={"domain": DOMAIN, "contact": f"sip:1001@127.0.0.1:{callee.port}", "expires": "60"},
        ) as phone:
            phone.finish()
        with Sipp("flood", tmp_path, target=box.address(), host=flooder, keys=KEYS, calls=1500, rate=300) as flood:
            wait_until(lambda: bans(box).get(flooder) == "drop", "the flooder to be banned")
            with Sipp("call", tmp_path, target=box.address(), host=CARRIER, service="1001", keys=KEYS) as caller:
                caller.finish()
            flood.finish()
        callee.finish()
    assert set(bans(box)) <= {flooder, "127.0.0.41", "127.0.0.42"}
    wait_until(lambda: flooder not in bans(box), "the end of the ban")
    with Sipp("options", tmp_path, target=box.address(), host=flooder, keys=KEYS) as again:
        again.finish()


def test_an_acl_is_heeded_before_a_connection_is_taken(box: Appliance, tmp_path: Path) -> None:
    denied = "127.0.0.66"
    with Sipp("scan", tmp_path, target=box.address(), host=denied, keys=KEYS, words={"method": "OPTIONS"}) as outsider:
        outsider.finish()
    assert denied not in bans(box)
    with socket.create_connection(box.address("tcp"), timeout=5, source_address=(denied, 0)) as wire:
        wire.settimeout(60)
        assert wire.recv(1) == b""


def test_a_ban_by_hand_outlives_a_power_cut(box: Appliance, tmp_path: Path) -> None:
    banned = "127.0.0.44"
    assert ask(box.state_dir, "ban", "add", banned)["ok"]
    box.kill9()
    box.restart()
    assert bans(box)[banned] == "drop"
    with Sipp("scan", tmp_path, target=box.address(), host=banned, keys=KEYS, words={"method": "OPTIONS"}) as outsider:
        outsider.finish()
    assert ask(box.state_dir, "ban", "remove", banned)["ok"]
    with Sipp("options", tmp_path, target=box.address(), host=banned, keys=KEYS) as again:
        again.finish()
