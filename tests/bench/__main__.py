"""scripts/bench: what a call, a registration and a packet cost, Jackfield beside Kamailio and rtpengine.

`scripts/bench routes` measures routing decisions alone.

Every round measures each thing asked for on each server in turn at the same offered load, each time a fresh process
on core 0 with the generator on core 1. A measurement with a loss is void and said so; the table shows the median of
the others and their range, and the median of the rounds' own ratios: what else the machine does weighs on both
sides of a round alike. A cost is CPU time of all the server's threads from schedstat, divided by the units that
came through. `overload` shows what becomes of calls that are offered faster than one core can carry.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Mapping
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
AIMS = {("call", "call"): 2.5, ("call-told", "call"): 1.15, ("stateless", "call"): 1.5, ("srtp", "packet"): 1.3}

Turn = Mapping[tuple[str, str], Outcome]
"""What one round gave, by the thing measured and the server's name; a void one is not in it."""


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


def _peer(what: str, server: Server, turns: list[Turn]) -> tuple[str, str] | None:
    """What a server's figure is held against: the same of a rival, or the plain call for one that is told of."""
    if server is not JACKFIELD:
        return None
    rivals = [("call", JACKFIELD.name)] if what == "call-told" else [(what, each.name) for each in SERVERS[1:]]
    return next((rival for rival in rivals if any(rival in turn for turn in turns)), None)


def _print_table(turns: list[Turn]) -> None:
    print(f"\n{'what':<14}{'unit':<14}{'server':<12}{'CPU us':>8}  {'range':<15}{'of peer':>8}  aim")
    for what in WHAT:
        measured = [outcome for turn in turns for (kind, _), outcome in turn.items() if kind == what]
        for unit in dict.fromkeys(unit for outcome in measured for unit in outcome.costs):
            for server in reversed(SERVERS):
                costs = [turn[what, server.name].costs[unit] for turn in turns if (what, server.name) in turn]
                if not costs:
                    continue
                peer = _peer(what, server, turns)
                ratios = [
                    turn[what, server.name].costs[unit] / turn[peer].costs[unit]
                    for turn in turns
                    if peer in turn and (what, server.name) in turn
                ]
                ratio = f"{statistics.median(ratios):.2f}" if ratios else ""
                aim = f"at most {AIMS[what, unit]}" if ratio and (what, unit) in AIMS else ""
                middle, spread = statistics.median(costs), f"{min(costs):.1f}-{max(costs):.1f}"
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
    kinds = arguments.what or [kind for kind in WHAT if kind in JACKFIELD.runs]
    for what in kinds:
        amount = f"{load.calls} calls at once" if "rtp" in what else f"{load.per_second} a second"
        print(f"{what}: {WHAT[what]}; {amount}, {rounds} x {load.seconds:g} s")
    servers = [server for server in SERVERS if not arguments.server or server.name in arguments.server]
    for server in servers:
        if not server.installed:
            print(f"  {server.name} is not installed: left out")
    turns: list[Turn] = []
    for _ in range(rounds):
        turn: dict[tuple[str, str], Outcome] = {}
        for what, server in itertools.product(kinds, servers):
            if what not in server.runs or not server.installed:
                continue
            try:
                outcome = _round(server, what, load)
            except PeerError as failure:
                print(f"  {server.name}: {failure}", file=sys.stderr)
                return 1
            if outcome is None:
                continue
            turn[what, server.name] = outcome
            if arguments.json:
                with arguments.json.open("a") as lines:
                    row = {"what": what, "server": server.name, "rate": load.per_second, "calls": load.calls}
                    lines.write(json.dumps({**row, **outcome.costs, "p99_ms": outcome.p99_ms}) + "\n")
        turns.append(turn)
    _print_table(turns)
    return 0 if any(turns) else 1


if __name__ == "__main__":
    sys.exit(main())
