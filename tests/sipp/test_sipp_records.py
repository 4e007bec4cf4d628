"""Records of real calls: asked for on the command line, while the box runs and when it does not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from appliance.cli import main
from tests.peers.sipp import Sipp
from tests.sipp.conftest import CARRIER, start_box

pytestmark = pytest.mark.peer


def test_calls_are_told_by_the_box_and_by_its_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def jackfield(*words: str) -> str:
        conf_dir, state_dir = box.appliance.conf_dir, box.appliance.state_dir
        main([*words, "--conf-dir", str(conf_dir), "--state-dir", str(state_dir)])
        told = capsys.readouterr()
        return told.out + told.err

    box, tunnel = start_box(tmp_path / "box")
    with tunnel, box.appliance:
        target = box.appliance.address("udp")
        with (
            Sipp("answer", tmp_path, service="any", port=box.gateways[0], calls=3) as callee,
            Sipp("call", tmp_path, target=target, host=CARRIER, service="9100", calls=3, keys=box.keys()) as caller,
        ):
            caller.finish()
            callee.finish()
        with Sipp(
            "call_refused",
            tmp_path,
            target=target,
            host=CARRIER,
            service="8000",
            keys=box.keys(),
            words={"final": "404"},
        ) as refused:
            refused.finish()

        for _ in range(2):  # asked of the box, then of its store
            calls = json.loads(jackfield("calls", "--json"))["calls"]
            assert sorted(one["status"] for one in calls) == [200, 200, 200, 404]
            answered = [one for one in calls if one["status"] == 200]
            assert {(one["trunk"], one["called"], one["ended_by"]) for one in answered} == {
                ("carrier", "9100", "caller")
            }
            shown = jackfield("call", answered[0]["call_id"])
            assert "route 10-carrier" in shown
            report = jackfield("report", "trunks")
            assert "carrier  3      3         100.0" in report
            assert "calls" in jackfield("report", "causes", "--csv", "--status", "failed")
            file = tmp_path / "calls.parquet"
            written = jackfield("export", "--format", "parquet", "--output", str(file))
            assert "4 calls" in written
            assert file.read_bytes()[:4] == b"PAR1"
            assert len(json.loads(jackfield("calls", "--json", "--text", "carrier 9100"))["calls"]) == 3
            assert "start" in jackfield("events", "--kind", "start")
            assert "No such events" in jackfield("events", "--text", "nothing-like-that")
            assert "no time" in jackfield("calls", "--from", "tomorrow")
            box.appliance.stop()
