"""`jackfield events`: what happened beside calls."""

from __future__ import annotations

import argparse

from ..storage.event_record import KINDS
from .answers import DONE, json_argument, objects, settled
from .records import answer_to_command, limit_argument, moment_of, span_arguments
from .tables import table_of

MANUAL = (
    "`--kind` one of {}; `--text` words of which each stands somewhere in it; `--from`, `--to`, `--limit` and `--json` "
    "as with `calls`."
).format(", ".join(KINDS))


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--kind", default="", choices=list(KINDS), metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("--text", default="", metavar="WORDS", help="each stands somewhere in it")
    span_arguments(parser)
    limit_argument(parser)
    json_argument(parser)


def run(asked: argparse.Namespace) -> int:
    answer = answer_to_command("events", asked)
    if (code := settled(asked, answer)) is not None:
        return code
    rows = [
        (moment_of(one["at_ms"]), *(str(one[name]) for name in ("kind", "subject", "source", "detail")))
        for one in objects(answer.get("events"))
    ]
    print(table_of(("when", "what", "who", "from", "further"), rows, empty="No such events."))
    return DONE
