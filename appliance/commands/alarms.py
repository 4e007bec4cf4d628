"""`jackfield alarms`: what is wrong, or was, and what to do about it."""

from __future__ import annotations

import argparse
import time

from ..control.asking import Json, ask
from .answers import DONE, FAILED, json_argument, objects, print_json

MANUAL = "`--past` lists those that are over, `--json` prints one JSON object for machines."


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--past", action="store_true", help="those that are over, the latest first")
    json_argument(parser)


def run(asked: argparse.Namespace) -> int:
    answer = ask(asked.state_dir, "alarms", *(["past"] if asked.past else []))
    if asked.json:
        return print_json(answer)
    print(*(alarm_lines(answer.get("alarms"), remedies=True) or ["Nothing is wrong."]), sep="\n")
    return DONE if answer.get("ok") else FAILED


def alarm_lines(alarms: Json, *, remedies: bool = False) -> list[str]:
    """One line an alarm, the remedy below it where asked for."""
    lines = []
    for one in objects(alarms):
        since = _time(one["raised_at"])
        until = "" if one["cleared_at"] is None else f" to {_time(one['cleared_at'])}"
        often = f" ({one['count']} times)" if one["count"] != 1 else ""
        lines.append(
            f"{one['severity']!s:<8} {one['alarm']} of {one['subject']}: {one['sentence']}, since {since}{until}{often}"
        )
        if remedies:
            lines.append(f"         {one['remedy']}")
    return lines


def _time(at: Json) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at if isinstance(at, (int, float)) else 0))
