"""`jackfield boxd`: the root daemon of a Jackfield image."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import trio

from ..box.boxd import serve_box
from ..box.machine import Machine, NotOurImage
from ..logs import feeds_journal, log
from .answers import DONE, FAILED

MANUAL = "Its unit starts it. Only root and the group jackfield may ask it."


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--root", type=Path, default=Path("/"), metavar="DIR", help=argparse.SUPPRESS)


def run(asked: argparse.Namespace) -> int:
    """Serve until a signal ends it."""
    log.journald = feeds_journal()
    try:
        trio.run(serve_box, Machine(asked.root))
    except (NotOurImage, OSError) as error:
        print(f"jackfield: {error}", file=sys.stderr)
        return FAILED
    return DONE
