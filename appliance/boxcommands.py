"""Commands about the machine under Jackfield: `jackfield boxd`, and `jackfield box`, which asks it."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import trio

from .box.asking import ask_box
from .box.boxd import serve_box
from .box.machine import Machine, NotOurImage, Refused
from .box.network_change import DEFAULT_S
from .box.verb import Answer
from .logs import feeds_journal, log

Command = tuple[str, Callable[[argparse.Namespace], int], str]


def add_box_arguments(name: str, sub: argparse.ArgumentParser) -> None:
    """What follows one of BOX_COMMANDS."""
    sub.add_argument("--root", type=Path, default=Path("/"), metavar="DIR", help=argparse.SUPPRESS)
    if name == "box":
        sub.add_argument("verb", nargs="?", default="status", metavar="VERB", help="default: status; help lists them")
        sub.add_argument("words", nargs="*", metavar="NAME=VALUE", help="what the verb needs")
    if name == "network":
        actions = ["show", "apply", "confirm", "revert"]
        sub.add_argument("action", nargs="?", choices=actions, default="show", help="default: show")
        sub.add_argument(
            "--seconds", type=int, default=DEFAULT_S, metavar="N", help=f"return after so many (default: {DEFAULT_S})"
        )


def network(asked: argparse.Namespace) -> int:
    """Show addresses, or try those of the configuration."""
    machine = Machine(asked.root)
    try:
        if asked.action == "apply":
            answer = ask_box("network-apply", machine=machine, seconds=asked.seconds)
            print(
                f"Applied. The old addresses return in {asked.seconds} s unless you say: jackfield network confirm"
                if answer["changed"]
                else "The configuration is what is in force."
            )
        elif asked.action != "show":
            ask_box(f"network-{asked.action}", machine=machine)
            print("Confirmed." if asked.action == "confirm" else "The old addresses are back.")
        else:
            print(*network_lines(ask_box("network-show", machine=machine)), sep="\n")
    except (NotOurImage, Refused) as refused:
        print(f"jackfield: {refused}", file=sys.stderr)
        return 1
    return 0


def network_lines(shown: Answer) -> list[str]:
    """What `network-show` answers, a card a line."""
    cards = shown["cards"]
    rows = [one for one in cards if isinstance(one, dict)] if isinstance(cards, list) else []
    lines = []
    for one in rows:
        addresses = one["addresses"]
        found = ", ".join(map(str, addresses)) if isinstance(addresses, list) else ""
        lines.append(f"{one['name']}  {one['state']}  {found or 'no address'}  {one['mac']}")
    if shown["confirm_within_s"] is not None:
        lines.append(f"On trial: the old addresses return in {shown['confirm_within_s']} s unless confirmed.")
    elif shown["differs"]:
        lines.append("The configuration says otherwise: jackfield network apply takes it up.")
    return lines or ["There is no network card."]


def boxd(asked: argparse.Namespace) -> int:
    """Serve until a signal ends it."""
    log.journald = feeds_journal()
    try:
        trio.run(serve_box, Machine(asked.root))
    except (NotOurImage, OSError) as error:
        print(f"jackfield: {error}", file=sys.stderr)
        return 1
    return 0


def box(asked: argparse.Namespace) -> int:
    """Ask boxd one verb and print its answer."""
    words = {}
    for word in asked.words:
        name, equals, value = word.partition("=")
        if not equals:
            print(f"jackfield: write {word!r} as NAME=VALUE", file=sys.stderr)
            return 2
        words[name] = value
    try:
        answer = ask_box(asked.verb, machine=Machine(asked.root), **words)
    except (NotOurImage, Refused) as refused:
        print(f"jackfield: {refused}", file=sys.stderr)
        return 1
    print(json.dumps(answer, indent=1))
    return 0


BOX_COMMANDS: Final[tuple[Command, ...]] = (
    ("box", box, "On a Jackfield image: tell how the machine does, or have it do something."),
    ("network", network, "On a Jackfield image: show the addresses, or try those of the configuration for a while."),
    ("boxd", boxd, "On a Jackfield image: the root daemon that restarts, updates and addresses the machine."),
)
BOX_MANUAL: Final = {
    "box": "`box help` lists the verbs, `box restart service=snmpd` restarts a service. It speaks to `boxd`.",
    "network": "`network apply` takes up the `[interface …]` sections; unless `network confirm` follows within 120 s "
    "(`--seconds`), the old addresses return, also over a restart. `network revert` returns at once.",
    "boxd": "Its unit starts it. Only root and the group jackfield may ask it.",
}
