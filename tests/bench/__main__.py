"""scripts/bench: what a call, a registration and a packet cost, Jackfield beside Kamailio and rtpengine.

`scripts/bench routes` measures routing decisions alone.

Servers take turns within the same run at the same offered load, each round a fresh process on core 0 with the
generator on core 1. A round with a loss is void and said so; the table shows the median of the others and their
range. A cost is CPU time of all the server's threads from schedstat, divided by the units that came through.
`overload` shows what becomes of calls that are offered faster than one core can carry.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path

from tests.bench import routes
from tests.bench.overload import measure_overload
from tests.bench.servers import JACKFIELD, SERVERS, Load, Outcome, Server
from tests.peers.processes import PeerError

WHAT = {
    "call": "a proxied call (INVITE, 180, 200, ACK, BYE, 200), stateful, record-routed, sent to a trunk",
    "call-told": "the same call of Jackfield with trace and records on, as shipped (aim: 15 % over `call`)",
    "stateless": "the same call forwarded without state, by a hash of its Call-ID",
    "register": "a registration with digest (REGISTER, 401, REGISTER, 200)",
    "register-open": "a REGISTER without digest (a peer's figure only: Jackfield always asks)",
    "call-dn": "the same call routed by a table of 100,000 numbers (Kamailio: its mtree, prefixes alone)",
    "rtp": "a relayed packet, RTP to RTP",
    "srtp": "a relayed packet, SRTP (SDES) to RTP and back",
}
AIMS = {("call", "call"): 2.5, ("stateless", "call"): 1.5, ("srtp", "packet"): 1.3}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description="CPU cost of calls, registrations, packets")
    what = [[], *WHAT, "overload", "routes"]
    parser.add_argument("what", nargs="*", choices=what, help="default: all but overload and routes, which go alone")
    parser.add_argument("--quick", action="store_true", help="one round of two seconds at a light load")
    parser.add_argument("--rounds", type=int, help="rounds of each server (default 3)")
    parser.add_argument("--rate", type=int, help="calls or registrations a second (default 1000)")
    parser.add_argument("--calls", type=int, help="calls with media at once (default 300)")
    parser.add_argument("--seconds", type=float, help="measured time of a round (default 4)")
    parser.add_argument("--server", action="append", choices=[server.name for server in SERVERS])
    parser.add_argument("--json", type=Path, help="write every round here, one JSON object a line")
    return parser.parse_args()


def _load(arguments: argparse.Namespace) -> Load:
    quick = arguments.quick
    return Load(
        arguments.rate or (500 if quick else 1000),
        arguments.calls or (50 if quick else 300),
        arguments.seconds or (2.0 if quick else 4.0),
    )


def _round(server: Server, what: str, load: Load, tries: int = 2) -> Outcome | None:
    """One round that counts, or None where every try was void."""
    for _ in range(tries):
        with tempfile.TemporaryDirectory(prefix="jackfield-bench-") as directory:
            outcome = server.runs[what](Path(directory), load)
        costs = " ".join(f"{unit} {cost:.1f}" for unit, cost in outcome.costs.items())
        print(
            f"  {server.name:<10} {what:<13} {costs} us, load {outcome.server_load:.2f}, "
            f"generator {outcome.generator_load:.2f}, p99 {outcome.p99_ms:.1f} ms"
            + (f"  VOID: {outcome.void}" if outcome.void else ""),
            flush=True,
        )
        if not outcome.void:
            return outcome
    return None


def _print_table(results: dict[tuple[str, str], list[Outcome]]) -> None:
    print(f"\n{'what':<14}{'unit':<14}{'server':<12}{'CPU us':>8}  {'range':<15}{'of peer':>8}  aim")
    for what in WHAT:
        measured = {name: rounds for (kind, name), rounds in results.items() if kind == what and rounds}
        units = [unit for rounds in measured.values() for unit in rounds[0].costs]
        for unit in dict.fromkeys(units):
            peer = None
            for server in reversed(SERVERS):
                costs = [outcome.costs[unit] for outcome in measured.get(server.name, ())]
                if not costs:
                    continue
                middle = statistics.median(costs)
                ratio = aim = ""
                if server is not JACKFIELD:
                    peer = middle
                elif peer is not None:
                    ratio = f"{middle / peer:.2f}"
                    aim = f"at most {AIMS[what, unit]}" if (what, unit) in AIMS else ""
                spread = f"{min(costs):.1f}-{max(costs):.1f}"
                print(f"{what:<14}{unit:<14}{server.name:<12}{middle:>8.1f}  {spread:<15}{ratio:>8}  {aim}")


def main() -> int:
    arguments = _arguments()
    if (os.cpu_count() or 1) < 2:
        print("scripts/bench needs two cores: one for the server, one for the generator", file=sys.stderr)
        return 2
    if "overload" in arguments.what:
        return measure_overload(arguments.seconds or (4.0 if arguments.quick else 20.0), arguments.rate)
    if "routes" in arguments.what:
        routes.main()
        return 0
    load = _load(arguments)
    rounds = arguments.rounds or (1 if arguments.quick else 3)
    results: dict[tuple[str, str], list[Outcome]] = {}
    for what in arguments.what or [kind for kind in WHAT if kind in JACKFIELD.runs]:
        amount = f"{load.calls} calls at once" if "rtp" in what else f"{load.per_second} a second"
        print(f"{what}: {WHAT[what]}; {amount}, {rounds} x {load.seconds:g} s")
        for _ in range(rounds):
            for server in SERVERS:
                if what not in server.runs or (arguments.server and server.name not in arguments.server):
                    continue
                if not server.installed:
                    print(f"  {server.name} is not installed: left out")
                    continue
                try:
                    outcome = _round(server, what, load)
                except PeerError as failure:
                    print(f"  {server.name}: {failure}", file=sys.stderr)
                    return 1
                if outcome is None:
                    continue
                results.setdefault((what, server.name), []).append(outcome)
                if arguments.json:
                    with arguments.json.open("a") as lines:
                        row = {"what": what, "server": server.name, "rate": load.per_second, "calls": load.calls}
                        lines.write(json.dumps({**row, **outcome.costs, "p99_ms": outcome.p99_ms}) + "\n")
    _print_table(results)
    return 0 if results else 1


if __name__ == "__main__":
    sys.exit(main())
