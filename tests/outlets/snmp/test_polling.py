"""A box under calls, asked by Debian's SNMP tools through snmpd as jackfield snmp config sets it up."""

from __future__ import annotations

import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import httpx
import pytest

from appliance.control.asking import ask
from appliance.management.snmp_figures import object_name
from appliance.metrics import catalogue
from tests.outlets.snmp.mibs import mib_directory
from tests.outlets.snmp.snmpd import V2C, Snmpd, Snmptrapd
from tests.peers.ports import free_port
from tests.peers.processes import PeerError, wait_until
from tests.peers.sipp import UNTIL_TOLD, Sipp
from tests.sipp.conftest import CARRIER, Box, start_box

pytestmark = pytest.mark.peer

ROOT = Path(__file__).parents[3]
USER, AUTH, PRIVACY = "watcher", "first-word-of-it", "second-word-of-it"
V3 = ("-v3", "-l", "authPriv", "-u", USER, "-a", "SHA-256", "-A", AUTH, "-x", "AES", "-X", PRIVACY)
COMMON = "1.3.6.1.2.1.149.1"
MODULE = "1.3.6.1.4.1.32473.1"
MOVING = {"jackfield_up_seconds", "jackfield_snmp_variables_total", "jackfield_web_connections"}
MOVING |= {"jackfield_load_cpu", "jackfield_load_wait_seconds", "jackfield_load_memory"}
"""What has moved on between two questions."""


@attrs.define
class Site:
    box: Box
    snmpd: Snmpd
    receiver: Snmptrapd
    mibs: Path

    def named(self, command: str, *words: str, options: tuple[str, ...] = ()) -> str:
        """An answer with our names in it."""
        return self.snmpd.ask(command, *words, who=V3, options=["-M", str(self.mibs), "-m", "JACKFIELD-MIB", *options])

    def value(self, name: str) -> str:
        return self.named("snmpget", f"JACKFIELD-MIB::{name}", options=("-Oqv",)).strip()

    def answers(self) -> bool:
        try:
            return self.value("jfState.0") in ("ready", "degraded")
        except PeerError:
            return False

    def messages(self) -> dict[str, int]:
        """What SIP-COMMON-MIB counts by method and status, and sums of it, by a short name."""
        walked = self.snmpd.ask("snmpbulkwalk", COMMON, who=V3, options=["-OnqU", "-Cr50"]).splitlines()
        values = dict(line.split(" ", 1) for line in walked if line.startswith("."))
        found = {}
        for method in ("INVITE", "ACK", "BYE"):
            name = ".".join(map(str, (1, len(method), *method.encode())))
            found[f"{method} out"] = int(values[f".{COMMON}.4.1.1.2.{name}"])
            found[f"{method} in"] = int(values[f".{COMMON}.4.1.1.3.{name}"])
            found[f"{method} repeated"] = int(values[f".{COMMON}.7.1.1.2.{name}"])
            for status in (180, 200):
                found[f"{status} to {method} in"] = int(values.get(f".{COMMON}.5.1.1.3.{name}.{status}", 0))
                found[f"{status} to {method} out"] = int(values.get(f".{COMMON}.5.1.1.4.{name}.{status}", 0))
        for number, name in enumerate(("requests in", "requests out", "responses in", "responses out"), 1):
            found[name] = int(values[f".{COMMON}.3.1.1.{number}.1"])
        return found

    def metrics(self) -> dict[str, str]:
        url = f"http://127.0.0.1:{self.box.appliance.ports['http']}/metrics"
        with urllib.request.urlopen(url, timeout=60) as answer:
            lines = answer.read().decode().splitlines()
        return dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))

    @contextmanager
    def browser(self) -> Iterator[httpx.Client]:
        """Signed in as the administrator of the first start."""
        self.box.appliance.program.expect_log(r"Administrator admin, password \S+")
        password = re.search(r"password (\S+)", self.box.appliance.log)
        assert password
        with httpx.Client(base_url=f"http://127.0.0.1:{self.box.appliance.ports['http']}", timeout=60) as browser:
            browser.post("/sign-in", data={"name": "admin", "password": password[1]})
            yield browser

    def reload(self) -> bool:
        return bool(ask(self.box.appliance.state_dir, "reload")["ok"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("site")
    mibs = mib_directory(directory)
    traps = free_port()
    box, tunnel = start_box(directory)

    def conf(port: int, socket: Path) -> str:
        section = {"enabled": "yes", "agentx": socket, "addresses": f"udp:127.0.0.1:{port}", "user": USER}
        section |= {"auth-password": AUTH, "privacy-password": PRIVACY, "receivers": f"127.0.0.1:{traps}"}
        section |= {"receivers-v2c": f"127.0.0.1:{traps}"}
        section |= {"community": "readers", "managers": "127.0.0.1"}
        box.appliance.write({"snmp": section, "media": {"anchor": "always"}}, "80-snmp.conf")
        command = [sys.executable, "-m", "appliance", "snmp", "config", "--conf-dir", str(box.appliance.conf_dir)]
        return subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, timeout=60).stdout

    with (
        tunnel,
        box.appliance,
        Snmptrapd(directory, traps, USER, (AUTH, PRIVACY), mibs) as receiver,
        Snmpd(directory, conf) as snmpd,
    ):
        made = Site(box, snmpd, receiver, mibs)
        assert made.reload()
        wait_until(made.answers, "the first answer")
        yield made


def test_nobody_reads_without_a_right(site: Site) -> None:
    for who in (
        ("-v2c", "-c", "public"),
        ("-v3", "-l", "noAuthNoPriv", "-u", USER),
        ("-v3", "-l", "authNoPriv", "-u", USER, "-a", "SHA-256", "-A", AUTH),
    ):
        with pytest.raises(PeerError):
            site.snmpd.ask("snmpget", f"{MODULE}.1.3.1.0", who=who)


def test_nothing_can_be_set(site: Site) -> None:
    with pytest.raises(PeerError, match=r"notWritable|noAccess|authorizationError"):
        site.snmpd.ask("snmpset", f"{MODULE}.1.3.1.0", "s", "other", who=V3)


def said(peer: Sipp, start: str, method: str) -> int:
    """How many messages passed a peer, those that a slow machine made it say twice among them."""
    return len(re.findall(rf"^{start} [^\n]*\n(?:[^\n]+\n)*?CSeq: *\d+ {method}$", peer.messages, re.M))


def test_values_agree_with_metrics_and_status_under_calls(site: Site, tmp_path: Path) -> None:
    box = site.box
    messages = site.messages()
    with site.browser() as browser, Sipp("answer", tmp_path, service="1012", calls=5) as callee:
        box.register(tmp_path, "1012", f"sip:1012@127.0.0.1:{callee.port}")
        with Sipp(
            "call",
            tmp_path,
            target=box.appliance.address("udp"),
            host=CARRIER,
            service="1012",
            calls=5,
            rate=100,
            keys=box.keys(),
            words=UNTIL_TOLD,
        ) as caller:
            wait_until(lambda: caller.messages.count("\nACK sip:") >= 5, "five calls that stand")
            wait_until(lambda: site.value("jfCallsActive.0") == "5", "five calls")
            before = site.metrics()
            walked = site.named("snmpbulkwalk", f"{MODULE}.1.1", options=("-OqUs",))
            page = browser.get("/status/now").json()
            after, status = site.metrics(), ask(box.appliance.state_dir, "status")
            media = site.named("snmptable", "JACKFIELD-MIB::jfMediaTable", options=("-Cf", "|", "-Cw", "900"))
            living = ask(box.appliance.state_dir, "calls")["calls"]
            calls = site.named("snmptable", "JACKFIELD-MIB::jfCallTable", options=("-Cf", "|", "-Cw", "400"))
            caller.go_on()
            caller.finish()
        callee.finish()
    read = dict(line.split(" ", 1) for line in walked.splitlines())
    compared = 0
    for one in catalogue().values():
        if one.oid is None or one.labels:
            continue
        told = float(read[f"{object_name(one.name)}.0"]) / (1000 if one.thousandths else 1)
        low, high = sorted((float(before[one.name]), float(after[one.name])))
        if low == high and one.name not in MOVING:
            assert told == pytest.approx(low, abs=0.001 if one.thousandths else 0), one.name
            compared += 1
        else:
            assert low - 1 <= told <= high + 1, one.name
    assert compared > 10
    assert len(re.findall(r"^audio\|", media, re.M)) == 10, media
    assert isinstance(living, list)
    assert len(living) == 5
    telephony = status["telephony"]
    assert isinstance(telephony, dict)
    assert telephony["calls"] == page["totals"]["active"] == len(page["calls"]) == float(read["jfCallsActive.0"]) == 5
    assert telephony["calls_routed"] == page["totals"]["routed"] == float(read["jfCalls.0"])
    assert page["totals"]["answered"] == float(read["jfCallsAnswered.0"])
    assert page["totals"]["registrations"] == float(read["jfRegistrations.0"])
    assert calls.count("|1012|") >= 5, calls
    # Which rows a table has is looked up once a second.
    wait_until(lambda: site.messages()["200 to BYE out"] >= messages["200 to BYE out"] + 5, "rows of each status")
    more = {name: count - messages[name] for name, count in site.messages().items()}
    for method in ("INVITE", "ACK", "BYE"):
        on_the_wire = (said(caller, method, method), said(callee, method, method))
        assert (more[f"{method} in"], more[f"{method} out"]) == on_the_wire
        assert min(on_the_wire) >= 5
    for answer in ("180 to INVITE", "200 to INVITE", "200 to BYE"):
        status, _, method = answer.split()
        on_the_wire = (said(callee, f"SIP/2.0 {status}", method), said(caller, f"SIP/2.0 {status}", method))
        assert (more[f"{answer} in"], more[f"{answer} out"]) == on_the_wire, answer
        assert min(on_the_wire) >= 5
    assert more["200 to ACK in"] == 0
    counts, figures = site.messages(), site.metrics()
    for method in ("INVITE", "ACK", "BYE"):
        for way in ("in", "out"):
            told = figures[f'jackfield_sip_requests_total{{method="{method}",direction="{way}"}}']
            assert int(told) == counts[f"{method} {way}"]
    for way in ("in", "out"):
        told = figures[f'jackfield_sip_responses_total{{method="INVITE",status="180",direction="{way}"}}']
        assert int(told) == counts[f"180 to INVITE {way}"]
    assert more["requests in"] >= 16
    assert more["requests out"] >= 15
    assert more["responses in"] >= 15
    assert more["responses out"] >= 17


def test_a_walk_of_everything_ends_and_is_in_order(site: Site) -> None:
    for who in (V2C, V3):
        walked = site.snmpd.ask("snmpbulkwalk", MODULE, who=who, options=["-On", "-Cr50"])
        names = [
            tuple(int(part) for part in line.split(" ")[0].strip(".").split("."))
            for line in walked.splitlines()
            if re.match(r"\.1\.3\.6\.1\.4\.1\.32473\.\S+ = ", line)
        ]
        assert len(names) > 150
        assert names == sorted(set(names))
    single = site.snmpd.ask("snmpwalk", f"{MODULE}.1.3", who=V3, options=["-On"])
    assert f".{MODULE}.1.3.5.0 = Timeticks: " in single


def test_an_alarm_is_an_inform_as_it_begins_and_as_it_ends(site: Site) -> None:
    broken = site.box.appliance.conf_dir / "99-broken.conf"
    broken.write_text("[sip]\nt1 = soon\n")
    assert not site.reload()
    raised = site.receiver.program.expect_log(rf"INFORM.*v3.*{USER}.*JACKFIELD-MIB::configurationRefused\b.*")[0]
    site.receiver.program.expect_log(r"INFORM.*v2c.*readers.*JACKFIELD-MIB::configurationRefused\b.*")
    assert "jfAlarmSeverity" in raised
    table = site.named("snmptable", "JACKFIELD-MIB::jfAlarmTable", options=("-Cf", "|", "-Cw", "900"))
    assert re.search(r"^configuration\|reload\|warning\|.*t1", table, re.M), table
    broken.unlink()
    assert site.reload()
    cleared = site.receiver.program.expect_log(r"INFORM.*JACKFIELD-MIB::configurationApplied\b.*")[0]
    assert "= cleared" in cleared
    number = re.search(r"jfAlarmKind\.(\d+) ", raised)
    assert number
    assert f"jfAlarmKind.{number[1]} " in cleared
    assert int(site.metrics()['jackfield_snmp_notifications_total{result="handed over"}']) >= 2
    answered = "received the inform response"
    wait_until(lambda: site.snmpd.program.log.count(answered) >= 4, "four informs answered")
    assert "failed to send an inform" not in site.snmpd.program.log


def test_the_box_is_read_again_after_snmpd_restarted(site: Site) -> None:
    site.snmpd.stop()
    state = site.box.appliance.state_dir

    def told() -> bool:
        return any("snmp" in str(one) for one in ask(state, "status")["degraded"])  # type: ignore[union-attr]

    wait_until(told, "the status to say that snmpd is gone")
    site.snmpd.start()
    wait_until(site.answers, "an answer after the restart")
    wait_until(lambda: not told(), "the status to say that all is well")
    assert int(site.value("jfDiscontinuityTime.0").split(":")[0]) == 0
