"""scripts/bench overload: calls a second that still come through at three times the capacity, beside memory.

The capacity is the session establishment rate of RFC 7502: the highest at which the box as shipped lets every call
through, offered in rising steps to one that is warm already. (What a closed loop reaches in some seconds with the
guards off is more than any box carries for long; it only tells where to begin.) Then a fresh server is offered 0.8, 1,
1.5 and 3 times the capacity, each for longer than a transaction is remembered before it counts: until then nothing of
what was begun at that rate has to be cleared away again. Held against the aims: goodput at three times at least 90 %
of the best seen, every refusal a 503 with Retry-After, and memory flat.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.bench.generators import generate
from tests.bench.servers import NUMBER, jackfield
from tests.peers.appliance import Appliance
from tests.peers.ports import free_port

_TIMES = (0.8, 1.0, 1.5, 3.0)
_WARM_S, _SETTLED_S = 4.0, 34.0
"""Before it counts: for the caches to fill; for 64*T1 to pass."""
_LEAST_GOODPUT = 0.9
_MOST_GROWTH = 1.1
_FIRST_STEP, _STEP = 0.4, 0.05
"""Of what the closed loop reached."""
_STEP_S = 6.0
_PASSES = 0.995
"""The share of calls that must come through for all to have come through: a busy machine loses a moment."""


def measure_overload(seconds: float, rate: int | None = None) -> int:
    """Print a table and the verdict; 0 where all aims are met. `rate`: the capacity, where it is known already."""
    with tempfile.TemporaryDirectory(prefix="jackfield-bench-") as directory:
        capacity = rate or _capacity(Path(directory))
        print(f"capacity: {capacity:.0f} calls a second ({'as given' if rate else 'the highest without a refusal'})")
        return _against(capacity, seconds, Path(directory))


def _capacity(directory: Path) -> float:
    answer = free_port()
    with jackfield(directory / "closed", answer, "never", 40, users=False, guards={"shed": "no"}) as server:
        closed = _offer(server, answer, {"w": 64, "d": 4, "W": 3})["per_second"]
    print(f"closed loop, guards off: {closed:.0f} calls a second")
    answer = free_port()
    capacity = 0.0
    with jackfield(directory / "rising", answer, "never", 40, users=False) as server:
        for step in range(round((1 - _FIRST_STEP) / _STEP) + 1):
            rate = int(closed * (_FIRST_STEP + step * _STEP))
            report = _offer(server, answer, {"r": rate, "d": _STEP_S, "W": _WARM_S, "o": True})
            if report["completed"] < report["offered"] * _PASSES:
                break
            capacity = report["per_second"]
    if not capacity:
        raise SystemExit(f"refused already at {rate} calls a second: this machine is too busy to tell")
    return capacity


def _against(capacity: float, seconds: float, directory: Path) -> int:
    answer = free_port()
    goodput: dict[float, float] = {}
    faults: list[str] = []
    print(f"{'offered':>8}{'goodput':>9}{'refused':>9}{'lost':>7}{'other':>7}{'load':>6}{'p99 ms':>8}{'RSS MiB':>9}")
    with jackfield(directory / "open", answer, "never", 40, users=False) as server:
        settled = 0.0
        for times in _TIMES:
            report = _offer(server, answer, {"r": int(capacity * times), "d": seconds, "W": _SETTLED_S, "o": True})
            memory = _memory(server)
            goodput[times] = report["per_second"]
            print(
                f"{report['offered'] / report['wall_s']:>8.0f}{report['per_second']:>9.0f}"
                f"{report['refused'] / report['wall_s']:>9.0f}{report['lost']:>7.0f}{report['unexpected']:>7.0f}"
                f"{report['server_load']:>6.2f}{report['p99_ms']:>8.1f}{memory / 2**20:>9.1f}",
                flush=True,
            )
            if report["bare"]:
                faults.append(f"{report['bare']:.0f} refusals without Retry-After at {times:g} times")
            if report["unexpected"]:
                faults.append(f"{report['unexpected']:.0f} other answers than 200 and 503 at {times:g} times")
            settled = settled or memory
        _offer(server, answer, {"r": int(capacity * _TIMES[-1]), "d": seconds, "W": 1, "o": True})
        again = _memory(server)
    print(f"once more at {_TIMES[-1]:g} times: RSS {again / 2**20:.1f} MiB")
    share = goodput[_TIMES[-1]] / max(goodput.values())
    print(f"goodput at {_TIMES[-1]:g} times: {share:.0%} of the best (aim: at least {_LEAST_GOODPUT:.0%})")
    if share < _LEAST_GOODPUT:
        faults.append("goodput falls")
    if again > memory * _MOST_GROWTH:
        faults.append(f"memory grew from {memory / 2**20:.1f} to {again / 2**20:.1f} MiB")
    for fault in faults:
        print(f"NOT MET: {fault}")
    return 1 if faults else 0


def _offer(server: Appliance, answer: int, options: dict[str, object]) -> dict[str, float]:
    fixed: dict[str, object] = {"t": server.ports["udp"], "c": free_port(), "s": answer, "m": "call", "n": NUMBER}
    return generate("sipload", server.program.family, {**fixed, **options}, timeout_s=120)


def _memory(server: Appliance) -> float:
    """Resident bytes of the server's processes."""
    total = 0
    for pid in server.program.family:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                total += int(line.split()[1]) * 1024
    return float(total)
