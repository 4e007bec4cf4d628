"""What routing costs by itself: a table of 100,000 numbers read from its file, and decisions by the clock of the CPU.

Run by `scripts/bench routes`. Everything happens in this process; the best of several rounds counts, since others may
use the machine.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from appliance.config.loader import load_settings
from appliance.router.dialplan import DialPlan
from appliance.router.question import Caller, CallerKind, Question
from appliance.sip.flow import Flow
from appliance.sip.message import Request

NUMBERS = 100_000
ASKED = 10_000
ROUNDS = 7
CONF = """
[listener udp]
transport = udp
port = 5060
[trunk load]
gateways = 192.0.2.10
trusted = 192.0.2.10
[numbers dn]
file = numbers.dn
[schedule office]
zone = Europe/Helsinki
times = mon-sun 00:00-24:00
[route 10-plain]
match = exact:9000
callers = trunk:load
target = trunk:load
[route 20-conditions]
match = exact:9001
callers = trunk:load
listener = udp
source = 192.0.2.0/24
header = X-Class is gold
schedule = office
caller-number = prefix:+1555
target = trunk:load
[route 30-table]
match = any
callers = trunk:load
target = numbers:dn
"""


def table(draw: random.Random) -> tuple[str, list[str]]:
    """The text of a number table, and numbers that fall to its lines: 70 % exact, 25 % prefixes, 5 % ranges."""
    exact = {f"+1555{draw.randrange(10**7):07}" for _ in range(NUMBERS * 80 // 100)}
    exact = set(sorted(exact)[: NUMBERS * 70 // 100])
    prefixes: set[str] = set()
    while len(prefixes) < NUMBERS * 25 // 100:
        prefixes.add(f"+{draw.randrange(2, 10)}{draw.randrange(10 ** draw.randrange(3, 7))}")
    ranges = range(2_000_000, 2_000_000 + 20 * (NUMBERS - len(exact) - len(prefixes)), 20)
    lines = [f"{number} trunk:load" for number in exact]
    lines += [f"{prefix}* trunk:load strip=1 add=00" for prefix in prefixes]
    lines += [f"{low}-{low + 9} trunk:load" for low in ranges]
    lines.sort()
    draw.shuffle(lines)
    asked = draw.sample(sorted(exact), ASKED // 2)
    asked += [f"{prefix}5550100" for prefix in draw.sample(sorted(prefixes), ASKED // 4)]
    asked += [str(draw.choice(ranges) + draw.randrange(10)) for _ in range(ASKED - len(asked))]
    draw.shuffle(asked)
    return "\n".join(lines) + "\n", asked


def prefixes(draw: random.Random) -> list[str]:
    """The numbers of such a table without its signs: those that stand for themselves or as a prefix."""
    lines = table(draw)[0].splitlines()
    return [line.split()[0].rstrip("*") for line in lines if "-" not in line]


def _best_us(work: Callable[[Question], object], questions: Sequence[Question]) -> float:
    best = float("inf")
    for _ in range(ROUNDS):
        started = time.process_time()
        for question in questions:
            work(question)
        best = min(best, time.process_time() - started)
    return best / len(questions) * 1e6


def measure() -> list[tuple[str, float, str]]:
    """What, how much, and its unit."""
    text, asked = table(random.Random(3261))  # the same numbers each time
    request = Request.make(
        "INVITE",
        "sip:9000@192.0.2.9",
        [("from", "<sip:+15550100@192.0.2.10>;tag=a"), ("call-id", "a"), ("x-class", "gold")],
    )
    flow = Flow(
        transport="UDP",
        listener="udp",
        local=("192.0.2.9", 5060),
        remote=("192.0.2.10", 5060),
        id="udp",
        sent_by="192.0.2.9",
    )
    caller = Caller(CallerKind.TRUNK, "load")

    def question(number: str) -> Question:
        return Question(number, caller, "192.0.2.9", False, request, flow, 1_800_000_000.0)

    with tempfile.TemporaryDirectory(prefix="jackfield-bench-") as directory:
        (Path(directory) / "a.conf").write_text(CONF)
        (Path(directory) / "numbers.dn").write_text(text)
        reading = float("inf")
        for _ in range(3):
            started = time.process_time()
            settings = load_settings(Path(directory))
            reading = min(reading, time.process_time() - started)
    plan = DialPlan(settings)
    numbers = settings.number_lists["dn"]
    questions = [question(number) for number in asked]
    assert len(numbers) == NUMBERS
    assert all(plan.decide(one).target is not None for one in questions)
    return [
        (f"read and verify {NUMBERS:,} numbers", reading, "s"),
        ("find a number in the table", _best_us(lambda one: numbers.row_of(one.number), questions), "us"),
        ("decide by the table", _best_us(plan.decide, questions), "us"),
        ("decide by an exact route", _best_us(plan.decide, [question("9000")] * ASKED), "us"),
        ("decide by a route with five conditions", _best_us(plan.decide, [question("9001")] * ASKED), "us"),
        ("put a decision into words", _best_us(lambda one: plan.decide(one).explanation, questions[:1000]), "us"),
    ]


def main() -> None:
    for what, amount, unit in measure():
        print(f"{what:<42}{amount:>8.2f} {unit}")
