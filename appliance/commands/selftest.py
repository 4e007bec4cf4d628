"""`jackfield selftest`: asks the running box for a permission, calls it as a phone does, and tells what was found."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Final

import trio

from ..control.asking import ask
from ..selftest import course
from ..selftest.permission import Permission
from ..selftest.report import Report, Step
from .answers import DONE, FAILED, json_argument
from .tables import table_of

MANUAL = (
    "It registers and calls the tone over UDP, and the echo over WSS with ICE and DTLS-SRTP, by a throwaway account "
    "that the box gives for a minute and that may call nothing else. Exit status 1 where a step failed. `--json` "
    "prints one JSON object for machines."
)

_UNITS: Final = {
    "setup_ms": "setup {:.0f} ms",
    "media_ms": "media after {:.0f} ms",
    "round_trip_ms": "round trip {:.1f} ms",
    "loss_percent": "loss {:.1f} %",
    "jitter_ms": "jitter {:.1f} ms",
    "mos": "MOS {:.2f}",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    json_argument(parser)


def run(asked: argparse.Namespace) -> int:
    try:
        report = test_box(asked.state_dir)
    except ValueError as error:
        print(f"jackfield: {error}", file=sys.stderr)
        return FAILED
    if asked.json:
        print(json.dumps(report.as_json()))
    else:
        print(table_of(("step", "verdict", "found", "figures"), report_rows(report), empty="Nothing was tried."))
        print("The self-test passed." if report.passed else f"The self-test failed: {report.sentence}.")
    return DONE if report.passed else FAILED


def test_box(state_dir: Path) -> Report:
    """Run a self-test from here, and hand the report in. Raises `NothingRuns`, `ValueError` where it is refused."""
    answer = ask(state_dir, "selftest", "permit")
    said: Any = answer.get("permission")
    if not answer.get("ok") or not isinstance(said, dict):
        raise ValueError(str(answer.get("error", "the box gave no permission")))
    permission = Permission.from_json(said)
    try:
        report = trio.run(course.run, permission)
        ask(state_dir, "selftest", "report", json.dumps(report.as_json(), separators=(",", ":")))
    finally:
        ask(state_dir, "selftest", "done", permission.user)
    return report


def report_rows(report: Report) -> list[tuple[str, str, str, str]]:
    """Step, verdict, what was found, figures; a remedy follows as a row of its own, with only the third cell."""
    rows = []
    for step in report.steps:
        rows.append((step.name, step.verdict.value, step.sentence, figures_of(step)))
        if step.remedy:
            rows.append(("", "", step.remedy, ""))
    return rows


def figures_of(step: Step) -> str:
    return ", ".join(shown.format(step.figures[name]) for name, shown in _UNITS.items() if name in step.figures)
