"""`jackfield calls`: calls by their records."""

from __future__ import annotations

import argparse

from .answers import DONE, FAILED, json_argument, print_json, refused
from .records import answer_to_command, call_rows, choosing_arguments, limit_argument
from .tables import table_of

_HEADS = ("id", "began", "who called whom", "by", "status", "talked", "how it ended")
MANUAL = (
    "`--from`, `--to`, `--text`, `--number`, `--user`, `--trunk`, `--tenant`, `--status`, `--cause` and `--limit` "
    "choose them; `--json` prints one JSON object. Where no box runs, this and the next three read its store."
)


def arguments(parser: argparse.ArgumentParser) -> None:
    choosing_arguments(parser)
    limit_argument(parser)
    json_argument(parser)


def run(asked: argparse.Namespace) -> int:
    answer = answer_to_command("calls", asked)
    if asked.json:
        return print_json(answer)
    if refused(answer):
        return FAILED
    print(table_of(_HEADS, call_rows(answer.get("calls")), empty="No such calls."))
    return DONE
