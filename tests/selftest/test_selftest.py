"""The self-test against a box that runs: it passes, and where something is wrong it says what."""

import json
import re
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from urllib.request import urlopen

import attrs
import pytest

from appliance.selftest.course import run
from appliance.selftest.permission import Door, Permission
from appliance.selftest.report import Verdict
from tests.doctor.certificates import make_certificate
from tests.peers.appliance import ROOT, Appliance
from tests.peers.ports import free_block, free_port

pytestmark = pytest.mark.peer


def selftest(box: Appliance, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "appliance", "selftest", "--state-dir", str(box.state_dir), *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=180, check=False)


def steps_of(box: Appliance) -> dict[str, dict[str, object]]:
    done = selftest(box, "--json")
    assert done.returncode in (0, 1), done.stderr
    return {step["name"]: step for step in json.loads(done.stdout)["steps"]}


def test_a_box_without_users_and_lines_calls_itself(tmp_path: Path) -> None:
    with Appliance(tmp_path, sections={"appliance": {"domains": "localhost"}}) as box:
        done = selftest(box, "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        report = json.loads(done.stdout)
        assert report["passed"]
        register, tone, certificate, echo = report["steps"]
        assert register["figures"]["setup_ms"] > 0
        assert tone["figures"]["hertz"] == pytest.approx(1004, abs=4)
        assert certificate["figures"]["days"] > 700
        assert echo["figures"]["mos"] > 3.6
        assert echo["figures"]["dtls_ms"] > 0
        assert "self-test passed" in _status(box)
        answer = urlopen(f"http://127.0.0.1:{box.ports['http']}/metrics", timeout=60).read().decode()
        began = re.search(r"^jackfield_start_time_seconds ([0-9.e+]+)$", answer, re.MULTILINE)
        assert began is not None
        assert 0 < time.time() - float(began[1]) < 600
        assert 'jackfield_selftest_runs_total{result="passed"} 1' in answer


def _status(box: Appliance) -> str:
    command = [sys.executable, "-m", "appliance", "status", "--state-dir", str(box.state_dir)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True).stdout


def test_media_ports_that_are_used_up_and_a_certificate_for_another_name(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path, ("other.example.net",), 90)
    wrong = {"certificate": certificate, "private-key": key}
    domain = {"domains": "example.com"}
    low = free_block(4)
    with ExitStack() as taken:
        sections = {"appliance": domain, "listener wss": wrong, "media": {"ports": f"{low}-{low + 3}"}}
        box = taken.enter_context(Appliance(tmp_path / "box", sections=sections, addresses=("127.0.0.1",)))
        for port in range(low, low + 4):
            holder = taken.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            holder.bind(("127.0.0.1", port))
        steps = steps_of(box)
        failed = {name: str(step["sentence"]) for name, step in steps.items() if step["verdict"] == "failed"}
        assert "register over UDP" not in failed
        assert "503" in failed["call the tone over UDP"]
        assert "other.example.net, not for example.com" in failed["certificate of WSS"]
        assert "503" in failed["call the echo by WebRTC"]
        shown = _status(box)
        assert "self-test failed" in shown
        assert re.search(r"\bselftest +the box\b", shown)
        assert all(steps[name]["remedy"] for name in failed)
        assert "media ports" in str(steps["call the tone over UDP"]["remedy"])


async def test_a_port_that_swallows_or_refuses_everything_is_named() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
        deaf.bind(("127.0.0.1", 0))
        door = Door("udp", "udp", "127.0.0.1", deaf.getsockname()[1])
        report = await run(Permission("u", "p", "example.com", ("example.com",), (door,)))
    assert not report.passed
    assert "did not answer our REGISTER" in report.sentence
    assert "firewall" in report.remedy
    closed = [attrs.evolve(door, port=free_port()), Door("wss", "wss", "127.0.0.1", free_port())]
    report = await run(Permission("u", "p", "example.com", ("example.com",), tuple(closed)))
    assert [step.verdict for step in report.steps] == [Verdict.FAILED] * 4
    assert "nothing listens at listener udp" in report.sentence
    assert "cannot be reached" in report.steps[2].sentence
    assert all(step.remedy for step in report.steps)


def test_at_the_start_the_box_tests_itself(tmp_path: Path) -> None:
    sections = {"selftest": {"at-start": "yes"}, "appliance": {"domains": "localhost"}}
    with Appliance(tmp_path, sections=sections) as box:
        deadline = time.monotonic() + 120
        while "selftest.done" not in box.log and time.monotonic() < deadline:
            time.sleep(0.1)
        assert "self-test passed" in _status(box)
