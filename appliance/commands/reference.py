"""`jackfield reference`: the manual, put together from what the rooms declare."""

from __future__ import annotations

import argparse

from ..config.reference import example, manual
from ..manuals.alarms import alarm_manual
from ..manuals.metrics import metric_manual
from ..manuals.operation import operation_manual
from ..manuals.routing import routing_manual
from ..manuals.snmp import snmp_manual
from ..manuals.transactions import transaction_manual
from . import COMMANDS, load
from .answers import DONE

MANUAL = "A part is one of commands, running, routing, settings, alarms, metrics, transactions; `example` is the file."


def command_manual() -> str:
    """The commands and their options, in Markdown."""
    lines = [
        "## Commands\n",
        "Each takes `--conf-dir DIR` (default `conf.d`) and `--state-dir DIR` (default `var`), relative to the current "
        "folder. `scripts/run` takes the same two.\n",
    ]
    lines += [f"`jackfield {name}`: {about} {load(name).MANUAL}".rstrip() + "\n" for name, about in COMMANDS]
    return "\n".join(lines)


PARTS = {
    "commands": command_manual,
    "running": operation_manual,
    "routing": routing_manual,
    "settings": manual,
    "alarms": alarm_manual,
    "snmp": snmp_manual,
    "metrics": metric_manual,
    "transactions": transaction_manual,
}


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "part",
        nargs="?",
        choices=["all", *PARTS, "example"],
        default="all",
        help="one part of the manual, or the example file (default: all)",
    )


def run(asked: argparse.Namespace) -> int:
    if asked.part == "example":
        print(example(), end="")
    elif asked.part == "all":
        print("# Jackfield's manual\n", *(part() for part in PARTS.values()), sep="\n", end="")
    else:
        print(PARTS[asked.part](), end="")
    return DONE
