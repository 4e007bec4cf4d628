"""`jackfield call`: all that the record of one call holds."""

from __future__ import annotations

import argparse

from .answers import DONE, FAILED, json_argument, print_json, refused
from .records import answer_to_command, detail_rows
from .tables import table_of

MANUAL = "`jackfield call ID`: an id as `calls` lists it, the serial of the call, or its Call-ID; `--json`."


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="ID", help="its id, its serial or its Call-ID")
    json_argument(parser)


def run(asked: argparse.Namespace) -> int:
    answer = answer_to_command("call", asked)
    if asked.json:
        return print_json(answer)
    if refused(answer):
        return FAILED
    print(table_of(("fact", "value"), detail_rows(answer.get("call")), empty="Nothing is known of it."))
    return DONE
