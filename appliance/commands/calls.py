"""`jackfield calls`: calls by their records, or those in progress."""

from __future__ import annotations

import argparse

from ..control.asking import Json, ask
from .answers import DONE, json_argument, objects, settled
from .records import answer_to_command, call_rows, choosing_arguments, length_of, limit_argument, moment_of
from .tables import table_of

_HEADS = ("id", "began", "who called whom", "by", "status", "talked", "how it ended")
_HEADS_NOW = ("serial", "began", "who calls whom", "by", "state", "talked so far", "route")
MANUAL = (
    "`--from`, `--to`, `--text`, `--number`, `--user`, `--trunk`, `--tenant`, `--status`, `--cause` and `--limit` "
    "choose them, `--now` lists those in progress instead; `--json` prints one JSON object. Where no box runs, this "
    "and the next three read its store."
)


def arguments(parser: argparse.ArgumentParser) -> None:
    choosing_arguments(parser)
    limit_argument(parser)
    parser.add_argument("--now", action="store_true", help="those in progress")
    json_argument(parser)


def run(asked: argparse.Namespace) -> int:
    if asked.now:
        return _now(asked)
    answer = answer_to_command("calls", asked)
    if (code := settled(asked, answer)) is not None:
        return code
    print(table_of(_HEADS, call_rows(answer.get("calls")), empty="No such calls."))
    return DONE


def _now(asked: argparse.Namespace) -> int:
    answer = ask(asked.state_dir, "calls")
    if (code := settled(asked, answer)) is not None:
        return code
    print(table_of(_HEADS_NOW, living_rows(answer.get("calls")), empty="No call is in progress."))
    return DONE


def living_rows(calls: Json) -> list[tuple[str, ...]]:
    return [
        (
            str(one["id"]),
            moment_of(one["started_ms"]),
            f"{one['caller']} > {one['called']}",
            str(one["callee"]),
            str(one["state"]),
            length_of(one["talk_ms"]),
            str(one["route"]),
        )
        for one in objects(calls)
    ]
