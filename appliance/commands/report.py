"""`jackfield report`: how calls went, counted and averaged."""

from __future__ import annotations

import argparse
import csv
import sys

from ..storage.record_question import REPORTS
from .answers import DONE, json_argument, settled
from .records import answer_to_command, choosing_arguments, limit_argument, report_table

MANUAL = (
    "`jackfield report KIND`: total, trunks, gateways, sources, prefixes, tenants, hours, busiest or causes, over the "
    "calls that the options of `calls` choose; `--digits` for prefixes; `--json` or `--csv`."
)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", choices=list(REPORTS), metavar="KIND", help=", ".join(REPORTS))
    parser.add_argument("--digits", type=int, default=4, metavar="N", help="length of prefixes (default: 4)")
    parser.add_argument("--csv", action="store_true", help="comma-separated values")
    choosing_arguments(parser)
    limit_argument(parser)
    json_argument(parser)


def run(asked: argparse.Namespace) -> int:
    answer = answer_to_command("report", asked)
    columns, rows = answer.get("columns"), answer.get("rows")
    if (code := settled(asked, answer)) is not None:
        return code
    if asked.csv and isinstance(columns, list) and isinstance(rows, list):
        csv.writer(sys.stdout).writerows([columns, *(row for row in rows if isinstance(row, list))])
    else:
        print(report_table(answer))
    return DONE
