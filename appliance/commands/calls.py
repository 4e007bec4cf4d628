"""`jackfield calls`: calls by their records."""

from __future__ import annotations

import argparse

from .answers import DONE, FAILED, json_argument, print_json, refused
from .records import answer_to_command, call_lines, choosing_arguments, limit_argument

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
    print(*(call_lines(answer.get("calls")) or ["No such calls."]), sep="\n")
    return DONE
