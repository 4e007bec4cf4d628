"""`jackfield audit`: who did what on the web side; it reads a file and needs no running box."""

from __future__ import annotations

import argparse
import json
import sys
import time

import attrs

from ..accounts.audit import last_entries
from .answers import DONE, FAILED

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
    for one in reversed(entries):
        if asked.json:
            print(json.dumps(attrs.asdict(one)))
        else:
            at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(one.at))
            who = f"{one.who} ({one.role})" if one.role else one.who
            did = _visible(f"{one.what} {one.subject}")
            print(f"{at}  {_visible(who):<24} {one.source:<16} {did:<40} {one.result}")
    if not entries and not asked.json:
        print("Nothing is written yet.")
    return DONE


def _visible(text: str) -> str:
    """Without what a terminal would heed: a name at the sign-in may be anything."""
    return "".join(letter if letter.isprintable() else "?" for letter in text).strip()
