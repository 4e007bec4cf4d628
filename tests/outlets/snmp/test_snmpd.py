"""The sub-agent behind Debian's snmpd, in a running box."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.outlets.snmp.snmpd import Snmpd
from tests.peers.appliance import Appliance
from tests.peers.processes import PeerError, wait_until

pytestmark = pytest.mark.peer

FIGURES = "1.3.6.1.4.1.32473.1.1.1"


@pytest.fixture
def snmpd(tmp_path: Path) -> Iterator[Snmpd]:
    with Snmpd(tmp_path) as snmpd:
        yield snmpd


@pytest.fixture
def box(tmp_path: Path, snmpd: Snmpd) -> Iterator[Appliance]:
    directory = tmp_path / "box"
    directory.mkdir()
    with Appliance(directory, sections={"snmp": {"enabled": "yes", "agentx": snmpd.socket}}) as box:
        yield box


def answers(snmpd: Snmpd, name: str) -> bool:
    try:
        return snmpd.value(name).isdigit()
    except PeerError:
        return False


def test_a_figure_is_read_and_again_after_snmpd_restarted(snmpd: Snmpd, box: Appliance) -> None:
    wait_until(lambda: answers(snmpd, f"{FIGURES}.3.0"), "the first answer")
    assert snmpd.value(f"{FIGURES}.2.0") == "0"
    snmpd.restart()
    wait_until(lambda: answers(snmpd, f"{FIGURES}.3.0"), "an answer after the restart")
