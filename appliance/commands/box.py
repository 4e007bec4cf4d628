"""`jackfield box`: asks the root daemon of a Jackfield image one thing."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from ..box.asking import ask_box
from ..box.machine import Machine, NotOurImage, Refused
from .answers import DONE, FAILED, MISTAKEN

MANUAL = "`box help` lists the verbs, `box restart service=snmpd` restarts a service. It speaks to `boxd`."


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("verb", nargs="?", default="status", metavar="VERB", help="default: status; help lists them")
    parser.add_argument("words", nargs="*", metavar="NAME=VALUE", help="what the verb needs")
    parser.add_argument("--root", type=Path, default=Path("/"), metavar="DIR", help=argparse.SUPPRESS)


def run(asked: argparse.Namespace) -> int:
    """Ask boxd one verb and print its answer."""
    words = {}
    for word in asked.words:
        name, equals, value = word.partition("=")
        if not equals:
            print(f"jackfield: write {word!r} as NAME=VALUE", file=sys.stderr)
            return MISTAKEN
        words[name] = value
    try:
        answer = ask_box(asked.verb, machine=Machine(asked.root), **words)
    except (NotOurImage, Refused) as refused:
        print(f"jackfield: {refused}", file=sys.stderr)
        return FAILED
    print(json.dumps(answer, indent=1))
    return DONE
