"""`jackfield console`: the text console of a Jackfield image."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from ..box.machine import Machine, NotOurImage
from ..console.desk import Desk
from ..console.facts import gather
from ..console.menu import perform
from ..console.screen import first_screen
from ..console.terminal import HungUp, Terminal
from .answers import DONE, FAILED

MANUAL = (
    "Its unit runs it on the screen and on the serial line, 80 by 24. `locked = yes` of `[console]` has it ask for an "
    "administrator's password before anything is changed; the shell always asks."
)
LOOK_EVERY_S, LOOK_AGAIN_S = 5.0, 30.0
"""At the soonest, and at the latest."""
PAUSES = 9
"""A look takes a tenth of the time at most: a small machine that starts has better things to do."""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--root", type=Path, default=Path("/"), metavar="DIR", help=argparse.SUPPRESS)


def run(asked: argparse.Namespace) -> int:
    """Show how the box does and take numbers, until the line is hung up."""
    machine = Machine(asked.root)
    try:
        machine.must_be_ours()
        with Terminal(sys.stdin.fileno(), sys.stdout.fileno()) as terminal:
            desk, said = Desk(terminal, machine, asked.conf_dir, asked.state_dir), ""
            while True:
                began = time.monotonic()
                terminal.show(first_screen(gather(machine, asked.conf_dir, asked.state_dir), said))
                took_s = time.monotonic() - began
                key = terminal.key(min(max(LOOK_EVERY_S, PAUSES * took_s), LOOK_AGAIN_S))
                if key is not None:
                    said = perform(desk, key)
    except NotOurImage as error:
        print(f"jackfield: {error}", file=sys.stderr)
        return FAILED
    except HungUp:
        return DONE
