"""The self-test against a box that runs: it passes, and where something is wrong it says what."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.peers.appliance import ROOT, Appliance

pytestmark = pytest.mark.peer


def selftest(box: Appliance, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "appliance", "selftest", "--state-dir", str(box.state_dir), *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=90, check=False)


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


def _status(box: Appliance) -> str:
    command = [sys.executable, "-m", "appliance", "status", "--state-dir", str(box.state_dir)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=True).stdout
