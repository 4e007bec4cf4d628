"""Records over `kill -9`: every call whose end was told as recorded has exactly one record, and none has two.

A thousand calls and twenty kills: `scripts/test records`. The ordinary run makes do with three kills.
"""

from __future__ import annotations

import os
import random
import re
import time
from collections import Counter
from pathlib import Path

import pytest

from appliance.cli import main
from appliance.storage.record_question import CallQuestion, RecordQuestions
from appliance.storage.record_store import RecordStore
from tests.peers.sipp import Sipp
from tests.sipp.conftest import CARRIER, start_box

pytestmark = pytest.mark.peer

LONG = "JACKFIELD_LONG" in os.environ
KILLS, CALLS = (20, 50) if LONG else (3, 15)
"""Kills, and calls begun between two of them."""


def test_each_call_that_was_told_as_recorded_has_one_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    box, tunnel = start_box(tmp_path / "box")
    appliance = box.appliance
    appliance.write({"appliance": {"log_level": "debug"}}, "60-log.conf")
    words = ["--conf-dir", str(appliance.conf_dir), "--state-dir", str(appliance.state_dir)]
    told: list[tuple[int, int]] = []
    with tunnel, appliance:
        assert main(["reload", *words]) == 0
        target = appliance.address("udp")
        answered = Sipp("answer", tmp_path, service="any", port=box.gateways[0], calls=100_000, timeout_s=600)
        with answered:
            for kill in range(KILLS):
                options = ["-d", "400"]
                caller = Sipp(
                    "call",
                    tmp_path / f"{kill}",
                    target=target,
                    host=CARRIER,
                    service="9100",
                    calls=CALLS,
                    rate=40,
                    keys=box.keys(),
                    options=options,
                )
                with caller:
                    time.sleep(random.uniform(0.5, 1.3))  # at any moment: that is what is tried
                    appliance.kill9()
                    told += synced(appliance.log)
                    appliance.restart()
                    time.sleep(1.5)  # what is said again meets the new one
            time.sleep(0.5)
            appliance.kill9()
            told += synced(appliance.log)
    assert main(["calls", *words, "--limit", "1"]) == 0
    assert "9100" in capsys.readouterr().out

    store = RecordStore(appliance.state_dir / "records")
    store.open()
    records = RecordQuestions(store).find(CallQuestion(limit=100_000))
    store.close()
    ids = Counter(one.id for one in records)
    acknowledged = {number for first, last in told for number in range(first, last + 1)}
    assert len(acknowledged) > KILLS
    dropped = acknowledged - set(ids)  # ends of calls whose own record was there already
    assert len(dropped) <= KILLS
    assert set(ids.values()) == {1}
    serials = Counter(one.serial for one in records if one.serial)
    assert {serial: count for serial, count in serials.items() if count > 1} == {}


def synced(log: str) -> list[tuple[int, int]]:
    """The ids of the groups that the box told as recorded."""
    return [(int(first), int(last)) for first, last in re.findall(r"records\.synced first=(\d+) last=(\d+)", log)]
