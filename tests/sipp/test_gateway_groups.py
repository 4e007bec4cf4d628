"""Groups of gateways on the wire: SIPp and Kamailio as gateways; shares, failover in mid-load, probation, drain."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from tests.peers.appliance import ROOT, Appliance
from tests.peers.kamailio import Kamailio
from tests.peers.ports import free_port
from tests.peers.processes import wait_until
from tests.peers.sipp import UNTIL_TOLD, Sipp
from tests.sipp.conftest import CARRIER, DOMAIN

pytestmark = pytest.mark.peer

WATCH = {
    "ping_interval": "1 s",
    "ping_timeout": "2 s",
    "fail_after": 2,
    "stand_down": "1 s",
    "probation_interval": "1 s",
    "probation_calls": 3,
    "probation_successes": 3,
}
ALGORITHMS = {
    "priority": ("", "", ""),
    "round-robin": ("", "", ""),
    "weighted": (";weight=3", ";weight=2", ";weight=1"),
    "percentage": (";share=50", ";share=30", ";share=20"),
    "most-free": (";capacity=10", ";capacity=20", ";capacity=90"),
    "least-calls": ("", "", ""),
    "hash": ("", "", ""),
}
EXPECTED = {
    "priority": [30, 0, 0],
    "round-robin": [10, 10, 10],
    "weighted": [15, 10, 5],
    "percentage": [15, 9, 6],
    "most-free": [0, 0, 30],
}


@attrs.define
class Farm:
    """A box, and three gateways that answer at once; 127.0.0.2 may call without a password."""

    box: Appliance
    gateways: list[Sipp]

    def call(self, directory: Path, number: str, calls: int, *, rate: int = 60, standing: bool = False) -> Sipp:
        return Sipp(
            "call",
            directory,
            target=self.box.address("udp"),
            host=CARRIER,
            service=number,
            calls=calls,
            rate=rate,
            keys={"domain": DOMAIN, "caller": "caller"},
            words=UNTIL_TOLD if standing else None,
        )

    def jackfield(self, *words: str) -> str:
        directories = ["--conf-dir", str(self.box.conf_dir), "--state-dir", str(self.box.state_dir)]
        asked = [sys.executable, "-m", "appliance", *words, *directories]
        return subprocess.run(asked, cwd=ROOT, text=True, capture_output=True, timeout=60, check=True).stdout


def gateway(directory: Path, port: int | None = None, *, ring_ms: int = 0) -> Sipp:
    return Sipp("answer", directory, port=port, calls=100_000, timeout_s=300, options=("-d", str(ring_ms)))


def calls_of(peer: Sipp, number: str) -> set[str]:
    """The Call-IDs of the INVITEs for a number that a gateway has got."""
    found = re.findall(rf"^INVITE sip:{number}@[^\n]*\n(?:[^\n]+\n)*?Call-ID: ([^\n]+)", peer.messages, re.M)
    return set(found)


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    directory = tmp_path_factory.mktemp("farm")
    with gateway(directory) as one, gateway(directory) as two, gateway(directory) as three:
        ports = [peer.port for peer in (one, two, three)]
        sections: dict[str, dict[str, object]] = {
            "appliance": {"domains": DOMAIN},
            "trunk pbx": {"trusted": CARRIER},
        }
        for place, (algorithm, terms) in enumerate(ALGORITHMS.items()):
            listed = [f"127.0.0.1:{port}{term}" for port, term in zip(ports, terms, strict=True)]
            sections[f"trunk {algorithm}"] = {
                "gateways": ", ".join(listed),
                "algorithm": algorithm,
                "attempt_timeout": "60 s",  # a gateway that is slow is not passed over here
            }
            sections[f"route 9{place}"] = {
                "match": f"prefix:9{place}",
                "target": f"trunk:{algorithm}",
                "callers": "trunks",
            }
        with Appliance(directory / "box", sections=sections, addresses=("127.0.0.1",)) as box:
            yield Farm(box, [one, two, three])


@pytest.mark.parametrize("algorithm", list(EXPECTED))
def test_each_gateway_gets_its_share(farm: Farm, tmp_path: Path, algorithm: str) -> None:
    number = f"9{list(ALGORITHMS).index(algorithm)}55"
    with farm.call(tmp_path, number, 30) as caller:
        caller.finish()
    assert [len(calls_of(peer, number)) for peer in farm.gateways] == EXPECTED[algorithm]


def test_calls_that_stand_are_spread_evenly_and_a_hash_uses_all(farm: Farm, tmp_path: Path) -> None:
    with (
        farm.call(tmp_path, "9555", 30, rate=100, standing=True) as standing,
        farm.call(tmp_path, "9655", 60, rate=100) as hashed,
    ):
        hashed.finish()
        wait_until(lambda: standing.messages.count("\nACK sip:") >= 30, "thirty calls that stand")
        standing.go_on()
        standing.finish()
    assert [len(calls_of(peer, "9555")) for peer in farm.gateways] == [10, 10, 10]
    spread = [len(calls_of(peer, "9655")) for peer in farm.gateways]
    assert sum(spread) == 60
    assert min(spread) >= 3  # one in three, give or take six deviations


def test_a_gateway_killed_in_mid_load_costs_no_call_that_could_be_saved_and_comes_back(tmp_path: Path) -> None:
    victim_port = free_port()
    with (
        gateway(tmp_path) as one,
        gateway(tmp_path) as two,
        gateway(tmp_path / "first", victim_port, ring_ms=300) as victim,  # some ring there when it is killed
    ):
        listed = ", ".join(f"127.0.0.1:{peer.port}" for peer in (victim, one, two))
        sections: dict[str, dict[str, object]] = {
            "appliance": {"domains": DOMAIN},
            "sip": {"timer_c": "5 s", "t1": "100 ms"},  # what rings at the dead gateway ends within 12 s
            "trunk pbx": {"trusted": CARRIER},
            "health quick": {**WATCH, "ping_interval": "none"},
            "trunk out": {
                "gateways": listed,
                "algorithm": "round-robin",
                "health": "quick",
                "attempt_timeout": "3 s",
            },
            "route 9": {"match": "prefix:9", "target": "trunk:out", "callers": "trunks"},
        }
        with Appliance(tmp_path / "box", sections=sections, addresses=("127.0.0.1",)) as box:
            farm = Farm(box, [victim, one, two])
            with farm.call(tmp_path, "9001", 240, rate=60) as caller:
                wait_until(lambda: len(calls_of(victim, "9001")) >= 20, "20 calls at the first gateway")
                victim.program.process.kill()
                caller.program.wait(caller.timeout_s + 10)
                counters = caller.counters()
            # those that stood at the gateway nobody can save; of a BYE that it answered, the box may hear too late
            standing = _answered(victim.messages, "INVITE") - _answered(caller.messages, "BYE")
            assert counters["FailedCall"] <= len(standing), caller.story()
            assert counters["SuccessfulCall"] + counters["FailedCall"] == 240
            box.program.expect_log(rf"gateway.changed.*gateway=127.0.0.1:{victim_port} .*now=\"?(stands down|down)")
            with gateway(tmp_path / "second", victim_port) as back:
                box.program.expect_log(r"now=\"on probation\"")
                with farm.call(tmp_path, "9002", 150, rate=40) as caller:
                    caller.finish()
                box.program.expect_log(r"gateway.changed.*before=\"on probation\" now=\"in service\"")
                assert 3 <= len(calls_of(back, "9002")) <= 50
                before = len(calls_of(back, "9003"))
                with farm.call(tmp_path, "9003", 30) as caller:
                    caller.finish()
                assert len(calls_of(back, "9003")) - before == 10


def _answered(messages: str, method: str) -> set[str]:
    """Calls of which a 200 to such a request passed a peer."""
    found = set()
    for block in re.split(r"^-{10,}.*$", messages, flags=re.M):
        call_id = re.search(r"^Call-ID: (\S+)", block, re.M)
        if call_id and re.search(r"^SIP/2.0 200", block, re.M) and re.search(rf"^CSeq: \d+ {method}", block, re.M):
            found.add(call_id[1])
    return found


def test_a_drained_gateway_gets_no_call_and_keeps_what_stands(farm: Farm, tmp_path: Path) -> None:
    name = f"127.0.0.1:{farm.gateways[0].port}"
    with farm.call(tmp_path, "9011", 1, standing=True) as standing:
        farm.gateways[0].expect_message(r"^ACK sip:[^\n]*\n(?:[^\n]+\n)*?To: <sip:9011@")
        assert "drained" in farm.jackfield("gateway", "drain", "priority", name)
        with farm.call(tmp_path, "9012", 5) as caller:
            caller.finish()
        standing.go_on()
        standing.finish()
    assert [len(calls_of(peer, "9012")) for peer in farm.gateways] == [0, 5, 0]
    assert "not watched" in farm.jackfield("gateway", "unblock", "priority", name)
    with farm.call(tmp_path, "9013", 5) as caller:
        caller.finish()
    assert [len(calls_of(peer, "9013")) for peer in farm.gateways] == [5, 0, 0]


def test_kamailio_as_a_trunk_beside_another(tmp_path: Path) -> None:
    with (
        gateway(tmp_path / "behind") as behind,
        gateway(tmp_path / "beside") as beside,
        Kamailio(tmp_path / "kamailio", gateways=[f"sip:127.0.0.1:{behind.port}"]) as kamailio,
    ):
        sections: dict[str, dict[str, object]] = {
            "appliance": {"domains": DOMAIN},
            "sip": {"timer_c": "5 s", "t1": "100 ms"},  # what rings at the dead gateway ends within 12 s
            "trunk pbx": {"trusted": CARRIER},
            "health quick": WATCH,
            "trunk kamailio": {
                "gateways": f"127.0.0.1:{kamailio.port}",
                "health": "quick",
                "attempt_timeout": "30 s",
            },
            "trunk other": {"gateways": f"127.0.0.1:{beside.port}", "attempt_timeout": "30 s"},
            "group out": {"members": "kamailio;share=75, other;share=25", "algorithm": "percentage"},
            "route 9": {"match": "prefix:9", "target": "group:out", "callers": "trunks"},
        }
        with Appliance(tmp_path / "box", sections=sections, addresses=("127.0.0.1",)) as box:
            farm = Farm(box, [behind, beside])
            with farm.call(tmp_path, "9001", 20, rate=40) as caller:
                caller.finish()
            assert [len(calls_of(peer, "9001")) for peer in farm.gateways] == [15, 5]
            kamailio.program.stop()
            box.program.expect_log(r"gateway.changed trunk=kamailio .*now=down")
            with farm.call(tmp_path, "9002", 8) as caller:
                caller.finish()
            assert [len(calls_of(peer, "9002")) for peer in farm.gateways] == [0, 8]
