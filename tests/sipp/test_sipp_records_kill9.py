"""Records over `kill -9`: every call whose end was told as recorded has exactly one record, and none has two.

Once with the file, and once with a ClickHouse server that is killed as well, while somebody asks for calls all along,
so that records are on their way to it at each kill.

A thousand calls and twenty kills: `scripts/test records`. The ordinary run makes do with three kills.
"""

from __future__ import annotations

import json
import os
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.cli import main
from appliance.control.asking import NothingRuns, ask
from appliance.storage.call_data import CallData
from appliance.storage.call_record import CallRecord
from appliance.storage.clickhouse_store import ClickHouseStore
from appliance.storage.event_record import EventRecord
from appliance.storage.record_question import CallQuestion, EventQuestion, RecordQuestions
from appliance.storage.record_store import RecordStore
from tests.peers.clickhouse import PASSWORD, ClickHouseServer, absence
from tests.peers.processes import wait_until
from tests.peers.sipp import Sipp
from tests.peers.tls import TlsTunnel
from tests.sipp.conftest import CARRIER, Box, start_box

pytestmark = pytest.mark.peer

LONG = "JACKFIELD_LONG" in os.environ
KILLS, CALLS = (20, 50) if LONG else (3, 15)
"""Kills, and calls begun between two of them."""


def test_each_call_that_was_told_as_recorded_has_one_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    box, tunnel = start_box(tmp_path / "box")
    told = kill_again_and_again(box, tunnel, tmp_path, capsys)
    judge(told, RecordStore(box.appliance.state_dir / "records"))


@pytest.mark.skipif(bool(absence()), reason=absence())
def test_the_same_where_a_server_has_the_records_and_is_killed_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with ClickHouseServer(tmp_path / "server") as server:
        box, tunnel = start_box(tmp_path / "box")
        kept = {"url": server.url, "database": "calls", "username": "jackfield", "password": PASSWORD}
        box.appliance.write({"records": kept}, "70-records.conf")
        over = threading.Event()

        def ask_on() -> None:
            while not over.wait(0.02):
                try:
                    ask(box.appliance.state_dir, "records", json.dumps({"what": "calls", "limit": 1}), deadline_s=5)
                except (NothingRuns, OSError, ValueError):
                    continue

        def kill_server() -> None:
            server.kill()
            server.start()

        asking = threading.Thread(target=ask_on)
        asking.start()
        try:
            told = kill_again_and_again(box, tunnel, tmp_path, capsys, KILLS if LONG else 2, kill_server)
        finally:
            over.set()
            asking.join()
        kept_in = box.appliance.state_dir / "records"  # the file has what was before the server was named
        judge(told, ClickHouseStore(server.settings("calls"), kept_in, "jackfield"), RecordStore(kept_in))


def kill_again_and_again(
    box: Box,
    tunnel: TlsTunnel,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    kills: int = KILLS,
    before: Callable[[], None] = lambda: None,
) -> list[tuple[int, int]]:
    """The ids of all groups that were told as recorded; `before` is done between the box's kills."""
    appliance = box.appliance
    appliance.write({"appliance": {"log_level": "debug"}}, "60-log.conf")
    words = ["--conf-dir", str(appliance.conf_dir), "--state-dir", str(appliance.state_dir)]
    told: list[tuple[int, int]] = []
    with tunnel, appliance:
        assert main(["reload", *words]) == 0
        target = appliance.address("udp")
        answered = Sipp("answer", tmp_path, service="any", port=box.gateways[0], calls=100_000, timeout_s=600)
        with answered:
            for kill in range(kills):
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
                    caller.expect_message(r"^BYE ")
                    time.sleep(random.uniform(0, 0.8))  # at any moment: that is what is tried
                    appliance.kill9()
                    told += synced(appliance.log)
                    before()
                    appliance.restart()
                    time.sleep(1.5)  # what is said again meets the new one
            wait_until(lambda: sum(last - first + 1 for first, last in synced(appliance.log)) > kills, "some records")
            appliance.kill9()
            told += synced(appliance.log)
    assert main(["calls", *words, "--limit", "1"]) == 0
    assert "9100" in capsys.readouterr().out
    return told


def judge(told: list[tuple[int, int]], *stores: CallData) -> None:
    """Against all that the stores have together."""
    records: list[CallRecord] = []
    events: list[EventRecord] = []
    for store in stores:
        store.open()
        records += RecordQuestions(store).find(CallQuestion(limit=100_000))
        events += RecordQuestions(store).events(EventQuestion(limit=100_000))
        store.close()
    ids = Counter(one.id for one in (*records, *events))
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
