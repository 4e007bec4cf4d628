"""NETWORK-SERVICES-MIB, SIP-COMMON-MIB and SIP-SERVER-MIB as snmpd gives them out, at the numbers of their RFCs."""

from __future__ import annotations

import pytest

from appliance.management.snmp_sip import bits
from tests.outlets.snmp.snmpd import Snmpd, answers
from tests.peers.appliance import Appliance
from tests.peers.processes import wait_until

pytestmark = pytest.mark.peer

APPL = "1.3.6.1.2.1.27.1.1"
COMMON = "1.3.6.1.2.1.149.1"
SERVER = "1.3.6.1.2.1.151.1"


def test_bits_count_from_the_highest() -> None:
    assert bits(2, 4) == b"\x28"
    assert bits(0) == b"\x80"


def test_the_standard_modules_tell_of_the_box(snmpd: Snmpd, box: Appliance) -> None:
    wait_until(lambda: answers(snmpd, f"{APPL}.6.1"), "the first answer")
    assert snmpd.value(f"{APPL}.2.1") == '"jackfield"'
    assert snmpd.value(f"{APPL}.6.1") == "1"
    assert snmpd.value(f"{COMMON}.1.1.1.1.1") == '"SIP/2.0"'
    assert snmpd.value(f"{COMMON}.1.1.1.2.1") == "2"
    assert snmpd.value(f"{COMMON}.2.1.1.12.1") == "500"
    assert snmpd.value(f"{COMMON}.3.1.1.1.1") == "0"
    udp_and_tcp = chr(0x60)
    assert snmpd.value(f"{COMMON}.1.2.1.2.1.{box.ports['udp']}") == f'"{udp_and_tcp}"'
    assert snmpd.value(f"{SERVER}.3.1.1.1.1") == "3"
    assert snmpd.value(f"{SERVER}.5.1.1.1.1") == "7200"
    for module in ("1.3.6.1.2.1.27", "1.3.6.1.2.1.149", "1.3.6.1.2.1.151"):
        walked = snmpd.ask("snmpbulkwalk", module, options=["-On"]).splitlines()
        names = [tuple(map(int, line.split(" ")[0].strip(".").split("."))) for line in walked if line.startswith(".")]
        assert names == sorted(set(names))
        assert len(names) >= 5
