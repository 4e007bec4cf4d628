"""How commands end, and how they tell what the running box answered."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Final

from ..control.asking import Answer, Json

DONE: Final = 0
FAILED: Final = 1
MISTAKEN: Final = 2
NOTHING_RUNS: Final = 3


def json_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="for machines: one JSON object")


def print_json(answer: Answer) -> int:
    """The answer as it came; gives the exit code."""
    print(json.dumps(answer))
    return DONE if answer.get("ok") else FAILED


def refused(answer: Answer) -> bool:
    """Whether the box said no; why is then told."""
    if not answer.get("ok"):
        print(f"jackfield: {answer.get('error', 'no reason given')}", file=sys.stderr)
    return not answer.get("ok")


def settled(asked: argparse.Namespace, answer: Answer) -> int | None:
    """The exit code where --json or a refusal leaves nothing to tell, else None."""
    if asked.json:
        return print_json(answer)
    return FAILED if refused(answer) else None


def objects(listed: Json) -> list[dict[str, Json]]:
    return [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []


def texts(listed: Json) -> list[str]:
    return [str(text) for text in listed] if isinstance(listed, list) else []


def whole(value: Json) -> int:
    return value if isinstance(value, int) else 0


def count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def span(seconds: float) -> str:
    """A time that has gone by, or is left, in its two largest units."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole // 60 % 60} min"
    return f"{whole // 86400} d {whole // 3600 % 24} h"
