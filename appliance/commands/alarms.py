"""`jackfield alarms`: what is wrong, or was, and what to do about it."""

from __future__ import annotations

import argparse
import time

from ..control.asking import Json, ask
from .answers import DONE, FAILED, json_argument, objects, print_json
from .tables import table_of

ALARM_HEADS = ("severity", "alarm", "subject", "what is wrong, and what to do", "since", "until", "often")
MANUAL = "`--past` lists those that are over, `--json` prints one JSON object for machines."


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--past", action="store_true", help="those that are over, the latest first")
    json_argument(parser)


def run(asked: argparse.Namespace) -> int:
    answer = ask(asked.state_dir, "alarms", *(["past"] if asked.past else []))
    if asked.json:
        return print_json(answer)
    rows = alarm_rows(answer.get("alarms"), remedies=not asked.past)
    print(
        table_of(
            ALARM_HEADS,
            rows,
            empty="No alarm has come and gone since the start." if asked.past else "Nothing is wrong.",
        )
    )
    return DONE if answer.get("ok") else FAILED


def alarm_rows(alarms: Json, *, remedies: bool = False) -> list[tuple[str, ...]]:
    """The remedy, where asked for, is a row of its own with only the fourth cell."""
    rows: list[tuple[str, ...]] = []
    for one in objects(alarms):
        until = "" if one["cleared_at"] is None else _time(one["cleared_at"])
        often = "" if one["count"] == 1 else f"{one['count']} times"
        facts = (str(one[name]) for name in ("severity", "alarm", "subject", "sentence"))
        rows.append((*facts, _time(one["raised_at"]), until, often))
        if remedies:
            rows.append(("", "", "", str(one["remedy"]), "", "", ""))
    return rows


def _time(at: Json) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at if isinstance(at, (int, float)) else 0))
