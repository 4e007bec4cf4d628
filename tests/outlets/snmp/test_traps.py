"""Plain traps by SNMPv1, v2c and v3, and the notifications of RFC 4780, as Debian's snmptrapd takes them from snmpd."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import attrs
import pytest

from appliance.control.asking import ask
from appliance.outlets.snmp.mib import label
from tests.outlets.snmp.mibs import mib_directory
from tests.outlets.snmp.snmpd import V2C, Snmpd, Snmptrapd, answers
from tests.peers.appliance import ROOT, Appliance
from tests.peers.ports import free_port
from tests.peers.processes import wait_until

pytestmark = pytest.mark.peer

USER, AUTH, PRIVACY = "watcher", "first-word-of-it", "second-word-of-it"
V3 = ("-v3", "-l", "authPriv", "-u", USER, "-a", "SHA-256", "-A", AUTH, "-x", "AES", "-X", PRIVACY)
COMMON = "1.3.6.1.2.1.149"
OPTIONS = ".".join(map(str, label("OPTIONS")))
SHORT = r"(?:SNMPv2-SMI::)?mib-2\.149"
"""How snmptrapd, which has not this module, writes COMMON."""


@attrs.define
class Site:
    box: Appliance
    snmpd: Snmpd
    receiver: Snmptrapd
    section: dict[str, object]

    def reload(self, **more: str) -> bool:
        section = {**self.section, **{key.replace("_", "-"): value for key, value in more.items()}}
        self.box.write({"snmp": section}, "80-snmp.conf")
        return bool(ask(self.box.state_dir, "reload")["ok"])

    def refuse_one(self) -> None:
        """An OPTIONS that wants an extension of a proxy, which gets 420."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", 0))
            sock.settimeout(60)
            port = sock.getsockname()[1]
            branch = f"z9hG4bK{uuid4().hex}"  # a port comes again, and would be a retransmission
            lines = ["OPTIONS sip:nobody@127.0.0.1 SIP/2.0", f"Via: SIP/2.0/UDP 127.0.0.1:{port};branch={branch};rport"]
            lines += ["Max-Forwards: 70", f"From: <sip:a@127.0.0.1>;tag={port}", "To: <sip:nobody@127.0.0.1>"]
            lines += [f"Call-ID: {port}@127.0.0.1", "CSeq: 1 OPTIONS", "Proxy-Require: telepathy", "Content-Length: 0"]
            sock.sendto("\r\n".join([*lines, "", ""]).encode(), self.box.address("udp"))
            assert sock.recv(4096).startswith(b"SIP/2.0 420 ")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("site")
    (directory / "box").mkdir()
    traps = free_port()
    section: dict[str, object] = {"user": USER, "auth-password": AUTH, "privacy-password": PRIVACY, "inform": "no"}
    section |= {"community": "readers", "managers": "127.0.0.1"}
    section |= dict.fromkeys(("receivers", "receivers-v2c", "receivers-v1"), f"127.0.0.1:{traps}")
    with ExitStack() as stack:
        box = stack.enter_context(Appliance(directory / "box"))

        def conf(port: int, socket: Path) -> str:
            section.update({"enabled": "yes", "agentx": socket, "addresses": f"udp:127.0.0.1:{port}"})
            box.write({"snmp": section}, "80-snmp.conf")
            command = [sys.executable, "-m", "appliance", "snmp", "config", "--conf-dir", str(box.conf_dir)]
            return subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, timeout=60).stdout

        snmpd = stack.enter_context(Snmpd(directory, conf))
        told = snmpd.ask("snmpget", "1.3.6.1.6.3.10.2.1.1.0", who=V3, options=["-Oqvx"])
        engine = "0x" + re.sub(r"[^0-9A-F]", "", told)
        mibs = mib_directory(directory)
        receiver = stack.enter_context(Snmptrapd(directory, traps, USER, (AUTH, PRIVACY), mibs, engine))
        made = Site(box, snmpd, receiver, section)
        assert made.reload()
        wait_until(lambda: answers(snmpd, f"{COMMON}.1.3.1.1.1.1"), "the first answer")
        yield made


def test_an_alarm_is_a_trap_of_each_version(site: Site) -> None:
    (site.box.conf_dir / "99-broken.conf").write_text("[sip]\nt1 = soon\n")
    assert not site.reload()
    (site.box.conf_dir / "99-broken.conf").unlink()
    expect = site.receiver.program.expect_log
    expect(rf"(?m)^TRAP2, SNMP v3, user {USER}.*configurationRefused.*jfAlarmSeverity")
    expect(r"(?m)^TRAP2, SNMP v2c, community readers.*configurationRefused.*jfAlarmSeverity")
    expect(r"(?m)^TRAP, SNMP v1, community readers.*jfAlarmSeverity")
    assert "INFORM" not in site.receiver.program.log


def test_the_service_tells_of_its_start_and_of_a_reload(site: Site) -> None:
    expect = site.receiver.program.expect_log
    expect(rf"TRAP2, SNMP v3.*{SHORT}\.0\.4\b.*{SHORT}\.1\.9\.5\.0 = 1\b.*{SHORT}\.1\.1\.1\.1\.3\.1 = ")
    assert site.reload(status_interval="50 s")
    expect(rf"TRAP2, SNMP v3.*{SHORT}\.0\.5\b.*{SHORT}\.1\.1\.1\.1\.4\.1 = ")
    numbers = re.findall(rf"TRAP2, SNMP v3.*{SHORT}\.1\.9\.6\.0 = (\d+)", site.receiver.program.log)
    assert numbers == [str(number) for number in range(1, len(numbers) + 1)]


def test_a_status_that_comes_too_often_is_told_once(site: Site) -> None:
    assert site.reload(watched_statuses="OPTIONS 420 2", status_interval="1 h")
    failures = f"{COMMON[:-3]}151.1.4.1.1.1.1"
    before = int(site.snmpd.value(failures, V2C))
    asked = 0
    told = rf"TRAP2, SNMP v3.*{SHORT}\.0\.3\b.*{SHORT}\.1\.5\.1\.1\.4\.1\.{re.escape(OPTIONS)}\.420 = (\d+)"

    def heard() -> bool:
        nonlocal asked
        site.refuse_one()
        asked += 1
        return bool(re.search(told, site.receiver.program.log))

    wait_until(heard, "the notification of too many 420")
    assert asked > 2
    found = re.search(told, site.receiver.program.log)
    assert found
    assert int(found[1]) <= asked
    assert int(site.snmpd.value(failures, V2C)) == before + asked
    row = f"{COMMON}.1.5.2.1.{{}}.1.{OPTIONS}.420"
    assert [site.snmpd.value(row.format(column)) for column in (1, 2, 3, 4)] == ["2", "1", "2", "3600"]
    assert len(re.findall(told, site.receiver.program.log)) == 1


def test_the_extensions_that_the_box_takes_part_in(site: Site) -> None:
    walked = site.snmpd.ask("snmpbulkwalk", f"{COMMON}.1.1.3.1", options=["-Oqvx"]).splitlines()
    tags = ["path", "timer", "outbound", "gruu"]
    assert walked[: len(tags)] == [f'"{tag.encode().hex(" ").upper()} "' for tag in tags]
    assert walked[len(tags) :] == ['"20 "'] * len(tags)
