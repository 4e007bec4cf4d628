"""What trace and records add to the instructions of a proxied call; run `python -m tests.proxy.told_cost`.

The core alone, as `tests.proxy.call_cost` plays it, and again with every message shown to the trace and every call
recorded: chunks closed, groups synced and segments imported into the database as often as the running box does it at
1000 calls a second. Counted by callgrind, so that a busy machine does no harm; what threads cost one another is not in
it. Takes some minutes; `--seconds` measures CPU time instead.
"""

from __future__ import annotations

import argparse
import gc
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from appliance.config.records import RecordsSettings
from appliance.logs import log
from appliance.proxy.call_record import texts_of_call
from appliance.storage.journal import Group, Journal, groups_after
from appliance.storage.record_line import CALLS
from appliance.storage.record_store import RecordStore
from appliance.storage.recorder import Recorder
from appliance.trace.ring import Chunk, Ring
from appliance.trace.segments import Segments
from tests.proxy.call_cost import CALLS_A_SECOND, DeafFlow, Tape, new_box, record
from tests.proxy.pretend_net import Box

KINDS = ("off", "trace", "trace and disk", "records", "trace and records")
IMPORT = "import"
_TICK_CALLS = 250
"""Calls between two looks of the trace at its ring: 0.25 s."""
_SYNC_CALLS = 100
_COUNTED = 400
_IMPORTED = 5000


class TappedFlow(DeafFlow):
    """Shows what it sends to the ring, as the flows of the transports do."""

    __slots__ = ("tap",)

    tap: Ring | None

    def send(self, data: bytes) -> None:
        self.last = data
        if self.tap is not None:
            self.tap.said(data, self)


class Told:
    """A box that shows its messages and records its calls, what threads do otherwise done in place."""

    def __init__(self, kind: str, place: Path) -> None:
        self.box, plain = new_box()
        self.tap = Ring(32 << 20, 3600.0) if "trace" in kind else None
        self.flows = {}
        for address, flow in plain.items():
            self.flows[address] = TappedFlow(self.box.net, "UDP", address)
            self.flows[address].tap = self.tap
            self.box.net.flows[flow.id] = self.flows[address]
        self._chunks: list[Chunk] = []
        self._segments = Segments(place / "trace", 64 << 20) if "disk" in kind else None
        if self.tap is not None and self._segments is not None:
            self.tap.on_chunk.append(self._chunks.append)
        self._ended: list[object] = []
        self._recorder = recorder_of(self.box, place)
        if "records" in kind:
            self.box.core.calls.record = self._ended.append

    def play(self, tape: Tape) -> None:
        box, tap, flows = self.box, self.tap, self.flows
        receive, work, run_due = box.core.receive, box.core.work, box.timers.run_due
        calls = 0
        for data, sender in tape:
            flow = flows[sender]
            if data.startswith(b"INVITE"):
                box.now += 1 / CALLS_A_SECOND
                run_due(box.now)
                work()
                calls += 1
                if calls % _TICK_CALLS == 0:
                    self._tick()
                if calls % _SYNC_CALLS == 0:
                    self._sync()
            if tap is not None:
                tap.heard(data, flow)
            receive(data, flow)
        self._tick()
        self._sync()
        box.run(60)
        assert box.core.calls.answered == len(tape) // 6

    def _tick(self) -> None:
        if self.tap is not None:
            self.tap.close_chunk()
            if self._segments is not None:
                for chunk in self._chunks:
                    self._segments.write(chunk)
                self._chunks.clear()

    def _sync(self) -> None:
        if self._ended:
            lines = self._recorder.lines(self._ended)
            self._recorder.journal.append(Group(self._recorder.next_id, tuple(lines)))
            self._recorder.next_id += len(lines)
            self._ended.clear()


def recorder_of(box: Box, place: Path) -> Recorder:
    def word(ended: object) -> str:
        return CALLS.line(texts_of_call(ended, box.settings, box.core.hiding.call_ids))  # type: ignore[arg-type]

    return Recorder(Journal(place / "records" / "journal"), word, RecordsSettings(), lambda fault: None, 1)


def measure(kind: str, calls: int, counted: bool = False) -> float:
    """Seconds of CPU of so many calls, or of so many records on their way from the journal into the database."""
    with tempfile.TemporaryDirectory() as place:
        Told(kind, Path(place)).play(record(20))  # what is done once only does not count
        if kind == IMPORT:
            job = _importing(Path(place), calls)
        else:
            told = Told(kind, Path(place))
            job = partial(told.play, record(calls))
        gc.collect()
        gc.freeze()
        gc.set_threshold(10_000, 1 << 30, 1 << 30)  # as the box has it
        if counted:
            _count("on")
        started = time.process_time()
        job()
        spent = time.process_time() - started
        if counted:
            _count("off")
        gc.unfreeze()
    return spent


def _count(turned: str) -> None:
    """Turn counting on or off, where callgrind runs us."""
    subprocess.run(["callgrind_control", "-i", turned, str(os.getpid())], check=True, capture_output=True)


def _importing(place: Path, calls: int) -> Callable[[], None]:
    told = Told("records", place)
    told.play(record(100))
    recorder = told._recorder
    recorder.journal.seal()
    [(path, groups, _)] = groups_after(recorder.journal.sealed(), 0)
    path.unlink()
    lines = tuple(line for group in groups for line in group.lines)
    for number in range(calls // 100):
        recorder.journal.append(Group(1 + 100 * number, lines))
    recorder.journal.seal()
    store = RecordStore(place / "records")
    store.open()

    def job() -> None:
        assert store.take_in(recorder.journal) == calls
        store.close()

    return job


def instructions(kind: str, calls: int) -> int:
    """What callgrind counts while so many calls are played."""
    command = ["valgrind", "--tool=callgrind", "--instr-atstart=no", "--callgrind-out-file=/dev/null"]
    command += [sys.executable, "-m", __spec__.name, "--play", kind, "--calls", str(calls), "--counted"]
    ran = subprocess.run(command, env={**os.environ, "PYTHONHASHSEED": "0"}, capture_output=True, text=True)
    found = re.search(r"Collected : (\d+)", ran.stderr)
    if ran.returncode or found is None:
        raise SystemExit(f"valgrind failed:\n{ran.stderr[-2000:]}")
    return int(found[1])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.proxy.told_cost")
    parser.add_argument("--play", choices=(*KINDS, IMPORT), help="only this, once, to be looked at by a profiler")
    parser.add_argument("--calls", type=int, default=1000, help="with --play")
    parser.add_argument("--counted", action="store_true", help="with --play, under callgrind")
    parser.add_argument("--seconds", action="store_true", help="measure CPU time: the least of five runs in turn")
    parser.add_argument("--kind", action="append", choices=(*KINDS, IMPORT), help="default: all")
    arguments = parser.parse_args()
    log.set_level("warning")
    if arguments.play:
        measure(arguments.play, arguments.calls, arguments.counted)
        return
    kinds = arguments.kind or [*KINDS, IMPORT]
    costs: dict[str, float]
    if arguments.seconds:
        rounds = [{kind: measure(kind, 3000) / 3000 * 1e6 for kind in kinds} for _ in range(5)]
        costs = {kind: min(one[kind] for one in rounds) for kind in kinds}
    else:
        costs = {}
        for kind in kinds:
            calls = _IMPORTED if kind == IMPORT else _COUNTED
            costs[kind] = instructions(kind, calls) / calls
    unit = "us" if arguments.seconds else "instructions"
    least = costs.get("off")
    for kind, cost in costs.items():
        more = f"{100 * (cost / least - (kind != IMPORT)):+.1f} %" if least else ""
        sys.stdout.write(f"{kind:<20}{cost:10,.1f} {unit} a call  {more}\n")


if __name__ == "__main__":
    main()
