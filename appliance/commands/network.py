"""`jackfield network`: the addresses of a Jackfield image."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..box.asking import ask_box
from ..box.machine import Machine, NotOurImage, Refused
from ..box.network_change import DEFAULT_S
from ..box.verb import Answer
from .answers import DONE, FAILED

MANUAL = (
    "`network apply` takes up the `[interface …]` sections; unless `network confirm` follows within 120 s "
    "(`--seconds`), the old addresses return, also over a restart. `network revert` returns at once."
)


def arguments(parser: argparse.ArgumentParser) -> None:
    actions = ["show", "apply", "confirm", "revert"]
    parser.add_argument("action", nargs="?", choices=actions, default="show", help="default: show")
    parser.add_argument(
        "--seconds", type=int, default=DEFAULT_S, metavar="N", help=f"return after so many (default: {DEFAULT_S})"
    )
    parser.add_argument("--root", type=Path, default=Path("/"), metavar="DIR", help=argparse.SUPPRESS)


def run(asked: argparse.Namespace) -> int:
    """Show addresses, try those of the configuration, keep them or go back."""
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
        return FAILED
    return DONE


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
