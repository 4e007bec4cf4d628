"""The sub-agent behind Debian's snmpd, in a running box."""

import pytest

from tests.outlets.snmp.snmpd import Snmpd, answers
from tests.peers.appliance import Appliance
from tests.peers.processes import wait_until

pytestmark = pytest.mark.peer

FIGURES = "1.3.6.1.4.1.32473.1.1.1"


def test_a_figure_is_read_and_again_after_snmpd_restarted(snmpd: Snmpd, box: Appliance) -> None:
    wait_until(lambda: answers(snmpd, f"{FIGURES}.3.0"), "the first answer")
    assert snmpd.value(f"{FIGURES}.2.0") == "0"
    snmpd.restart()
    wait_until(lambda: answers(snmpd, f"{FIGURES}.3.0"), "an answer after the restart")
