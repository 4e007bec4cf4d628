"""What the trace adds to the CPU of a proxied call, in memory and on disk; run `python -m tests.trace.trace_cost`.

The core alone, as `tests.proxy.call_cost` measures it, and again with every message handed to the ring; chunks are
closed as often as the running box does it, and written where there is a disk. The least of several runs in turn counts.
"""

from __future__ import annotations

import gc
import sys
import tempfile
import time
from pathlib import Path

from appliance.logs import log
from appliance.trace.ring import Chunk, Ring
from appliance.trace.segments import Segments
from tests.proxy.call_cost import CALLS_A_SECOND, DeafFlow, Tape, new_box, record

RUNS = 5
_TICK = CALLS_A_SECOND // 4


class TappedFlow(DeafFlow):
    """Shows what it sends to the ring, as the flows of the transports do."""

    __slots__ = ("tap",)

    tap: Ring | None

    def send(self, data: bytes) -> None:
        self.last = data
        if self.tap is not None:
            self.tap.said(data, self)


def main() -> None:
    log.set_level("warning")
    calls = 1500
    tape = record(calls)
    found: dict[str, list[float]] = {"off": [], "in memory": [], "in memory and on disk": []}
    for _ in range(RUNS):
        for kind, spent in found.items():
            spent.append(_once(tape, kind) / calls * 1e6)
    least = {kind: min(spent) for kind, spent in found.items()}
    for kind, spent_us in least.items():
        sys.stdout.write(f"{kind:<24}{spent_us:8.1f} µs a call  {100 * (spent_us / least['off'] - 1):+.1f} %\n")


def _once(tape: Tape, kind: str) -> float:
    box, plain = new_box()
    tap = None if kind == "off" else Ring(32 << 20, 3600.0)
    flows = {}
    for address, flow in plain.items():
        flows[address] = TappedFlow(box.net, "UDP", address)
        flows[address].tap = tap
        box.net.flows[flow.id] = flows[address]
    chunks: list[Chunk] = []
    with tempfile.TemporaryDirectory() as place:
        segments = Segments(Path(place) / "trace", 64 << 20) if "disk" in kind else None
        if tap is not None and segments is not None:
            tap.on_chunk.append(chunks.append)
        receive, work, run_due = box.core.receive, box.core.work, box.timers.run_due
        gc.collect()
        gc.freeze()
        gc.disable()
        started = time.process_time()
        calls = 0
        for data, sender in tape:
            flow = flows[sender]
            if data.startswith(b"INVITE"):
                box.now += 1 / CALLS_A_SECOND
                run_due(box.now)
                work()
                calls += 1
                if tap is not None and calls % _TICK == 0:
                    tap.close_chunk()
                    if segments is not None:
                        for chunk in chunks:
                            segments.write(chunk.entries)
                        chunks.clear()
            if tap is not None:
                tap.heard(data, flow)
            receive(data, flow)
        box.run(60)
        spent = time.process_time() - started
        gc.enable()
        gc.unfreeze()
    assert box.core.calls.answered == len(tape) // 6
    return spent


if __name__ == "__main__":
    main()
