"""`jackfield call`: all that the record of one call holds, or what is known of it while it is in progress."""

from __future__ import annotations

import argparse

from ..control.asking import Answer, NothingRuns, ask
from .answers import DONE, json_argument, objects, settled
from .records import answer_to_command, detail_rows
from .tables import table_of

MANUAL = "`jackfield call ID`: an id as `calls` lists it, the serial of the call, or its Call-ID; `--json`."


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="ID", help="its id, its serial or its Call-ID")
    json_argument(parser)


def run(asked: argparse.Namespace) -> int:
    answer = _living(asked) or answer_to_command("call", asked)
    if (code := settled(asked, answer)) is not None:
        return code
    print(table_of(("fact", "value"), detail_rows(answer.get("call")), empty="Nothing is known of it."))
    return DONE


def _living(asked: argparse.Namespace) -> Answer | None:
    """Of a call in progress, which has no record yet."""
    try:
        answer = ask(asked.state_dir, "calls", asked.name)
    except NothingRuns:
        return None
    found = objects(answer.get("calls"))
    return {"ok": True, "call": found[0]} if found else None
