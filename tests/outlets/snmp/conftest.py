"""A small box behind snmpd, for each test its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.outlets.snmp.snmpd import Snmpd
from tests.peers.appliance import Appliance


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
