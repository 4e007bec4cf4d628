"""`jackfield audit`: who did what on the web side; it reads a file and needs no running box."""

from __future__ import annotations

import argparse
import json
import sys
import time

import attrs

from ..accounts.audit import last_entries
from .answers import DONE, FAILED
from .tables import table_of

MANUAL = "`--last NUMBER` of entries, `--json` prints one JSON object a line. Nothing need run."


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--last", type=int, default=50, metavar="NUMBER", help="so many entries (default: 50)")
    parser.add_argument("--json", action="store_true", help="for machines: one JSON object a line")


def run(asked: argparse.Namespace) -> int:
    """Print the latest entries of the audit log, the latest last."""
    try:
        entries = last_entries(asked.state_dir, max(1, asked.last))
    except OSError as error:
        print(f"jackfield: the audit log cannot be read: {error}", file=sys.stderr)
        return FAILED
    entries.reverse()
    if asked.json:
        for one in entries:
            print(json.dumps(attrs.asdict(one)))
        return DONE
    rows = [
        (
            time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(one.at)),
            f"{one.who} ({one.role})" if one.role else one.who,
            one.source,
            f"{one.what} {one.subject}".strip(),
            one.result,
        )
        for one in entries
    ]
    print(table_of(("at", "who", "from", "did", "which came to"), rows, empty="Nothing is written yet."))
    return DONE
