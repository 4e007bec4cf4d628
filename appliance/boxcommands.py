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
from .logs import feeds_journal, log

Command = tuple[str, Callable[[argparse.Namespace], int], str]


def add_box_arguments(name: str, sub: argparse.ArgumentParser) -> None:
    """What follows one of BOX_COMMANDS."""
    sub.add_argument("--root", type=Path, default=Path("/"), metavar="DIR", help=argparse.SUPPRESS)
    if name == "box":
        sub.add_argument("verb", nargs="?", default="status", metavar="VERB", help="default: status; help lists them")
        sub.add_argument("words", nargs="*", metavar="NAME=VALUE", help="what the verb needs")


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
    ("boxd", boxd, "On a Jackfield image: the root daemon that restarts, updates and addresses the machine."),
)
BOX_MANUAL: Final = {
    "box": "`box help` lists the verbs, `box restart service=snmpd` restarts a service. It speaks to `boxd`.",
    "boxd": "Its unit starts it. Only root and the group jackfield may ask it.",
}
