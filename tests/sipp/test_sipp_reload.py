"""Change without harm: a reload and an orderly stop, in the middle of a call between SIPp and SIPp."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers.appliance import ROOT
from tests.peers.sipp import UNTIL_TOLD, Sipp
from tests.sipp.conftest import CARRIER, Box, start_box

pytestmark = pytest.mark.peer


@pytest.fixture
def own_box(tmp_path: Path) -> Iterator[Box]:
    box, tunnel = start_box(tmp_path / "reload")
    with tunnel, box.appliance:
        yield box


def jackfield(box: Box, command: str) -> subprocess.CompletedProcess[str]:
    directories = ["--conf-dir", str(box.appliance.conf_dir), "--state-dir", str(box.appliance.state_dir)]
    return subprocess.run(
        [sys.executable, "-m", "appliance", command, *directories], cwd=ROOT, text=True, capture_output=True, timeout=60
    )


def call(box: Box, directory: Path, service: str, *, standing: bool = False) -> Sipp:
    return Sipp(
        "call",
        directory,
        target=box.appliance.address("udp"),
        host=CARRIER,
        service=service,
        keys=box.keys(),
        words=UNTIL_TOLD if standing else None,
    )


def test_call_and_registration_live_through_a_reload(own_box: Box, tmp_path: Path) -> None:
    with Sipp("answer", tmp_path, service="1001", calls=2) as callee:
        own_box.register(tmp_path, "1001", f"sip:1001@127.0.0.1:{callee.port}")
        with call(own_box, tmp_path, "1001", standing=True) as caller:
            callee.expect_message(r"^ACK sip:")
            own_box.appliance.write({"user 2001": {"password": "new"}}, "90-more.conf")
            reloaded = jackfield(own_box, "reload")
            assert reloaded.returncode == 0, reloaded.stderr
            assert "2001" in reloaded.stdout
            caller.go_on()
            caller.finish()
        with call(own_box, tmp_path, "1001") as again:
            again.finish()
        callee.finish()


def test_refused_reload_changes_nothing_and_names_every_mistake(own_box: Box, tmp_path: Path) -> None:
    with Sipp("answer", tmp_path, service="1001") as callee:
        own_box.register(tmp_path, "1001", f"sip:1001@127.0.0.1:{callee.port}")
        own_box.appliance.write(
            {"media": {"prots": "1-2"}, "route 99": {"match": "prefix:9", "target": "trunk:nobody"}}, "95.conf"
        )
        refused = jackfield(own_box, "reload")
        assert refused.returncode != 0
        said = refused.stdout + refused.stderr
        assert "95.conf" in said
        assert "prots" in said
        assert "nobody" in said
        with call(own_box, tmp_path, "1001") as caller:
            caller.finish()
        callee.finish()


def test_hangup_signal_reloads_too(own_box: Box, tmp_path: Path) -> None:
    own_box.appliance.write({"user 2002": {"password": "new"}}, "90-more.conf")
    own_box.appliance.program.process.send_signal(signal.SIGHUP)
    own_box.appliance.program.expect_log("reload.applied")
    own_box.register(tmp_path, "2002", "sip:2002@127.0.0.1:9", password="new")


def test_orderly_stop_lets_the_call_end_and_refuses_new_ones(own_box: Box, tmp_path: Path) -> None:
    own_box.appliance.write({"appliance": {"drain-deadline": "2 min"}}, "90-patient.conf")
    assert jackfield(own_box, "reload").returncode == 0
    with Sipp("answer", tmp_path, service="1001") as callee:
        own_box.register(tmp_path, "1001", f"sip:1001@127.0.0.1:{callee.port}")
        with call(own_box, tmp_path, "1001", standing=True) as caller:
            callee.expect_message(r"^ACK sip:")
            own_box.appliance.program.process.send_signal(signal.SIGTERM)
            own_box.appliance.program.expect_log("appliance.draining")
            with Sipp(
                "call_refused",
                tmp_path,
                target=own_box.appliance.address("udp"),
                host=CARRIER,
                service="1001",
                keys=own_box.keys(),
                words={"final": "503"},
            ) as late:
                late.finish()
            caller.go_on()
            caller.finish()
        callee.finish()
    assert own_box.appliance.program.process.wait(60) == 0
