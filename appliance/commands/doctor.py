"""`jackfield doctor`: what keeps calls from working, with a remedy for each finding."""

from __future__ import annotations

import argparse
import json
from functools import partial

import attrs

from ..control.asking import status_or_why
from ..doctor.examination import examine
from ..doctor.finding import Grade
from .answers import DONE, FAILED, count, json_argument
from .tables import table_of

MANUAL = (
    "Names, name servers, ports, firewall, certificates, NAT, clock, disk, open files, kernel, versions and `conf.d`, "
    "each finding with its grade (fault, warning, note) and a remedy; `--all` shows also what is well. It runs without "
    "a running box, too, and changes nothing. Exit status 1 where there is a fault. `--json` prints one JSON object "
    "for machines."
)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--all", action="store_true", help="also what is well")
    json_argument(parser)


def run(asked: argparse.Namespace) -> int:
    found = list(examine(asked.conf_dir, asked.state_dir, partial(status_or_why, asked.state_dir)))
    faults = sum(one.grade is Grade.FAULT for one in found)
    if asked.json:
        print(json.dumps({"ok": not faults, "findings": [attrs.asdict(one) for one in found]}))
        return FAILED if faults else DONE
    rows = []
    for grade in Grade:
        for one in found:
            if one.grade is grade and (asked.all or grade is not Grade.OK):
                rows.append((grade.value, f"{one.subject}: {one.about}", one.sentence))
                if one.remedy:
                    rows.append(("", "", one.remedy))
    print(table_of(("grade", "what", "found and remedy"), rows, empty="All is well."))
    well = sum(one.grade is Grade.OK for one in found)
    print(f"{count(faults, 'fault')}, {len(found) - faults - well} to look at, {well} well.")
    return FAILED if faults else DONE
