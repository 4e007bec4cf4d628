"""`jackfield support`: the support bundle, with what the running box tells and what lies in files."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from ..control.asking import NothingRuns, ask
from ..management.support import file_name, pack, still_parts
from .answers import DONE, FAILED

MANUAL = "`--call CALL-ID` adds the messages of a call; those of the last failed calls are in it anyway."


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help="default: one named by the time, here")
    parser.add_argument("--call", action="append", default=[], metavar="CALL-ID", help="add its ladder; repeat it")


def run(asked: argparse.Namespace) -> int:
    try:
        file, runs = write_bundle(asked.conf_dir, asked.state_dir, asked.file, asked.call)
    except OSError as error:
        print(f"jackfield: the bundle cannot be written: {error}", file=sys.stderr)
        return FAILED
    print(f"{file}: no passwords and keys are in it, numbers and addresses of callers are.")
    if not runs:
        print("Nothing runs on this state directory: calls, figures and log are missing.")
    return DONE


def write_bundle(conf_dir: Path, state_dir: Path, file: Path | None, call_ids: list[str]) -> tuple[Path, bool]:
    """Make the file, for its owner's eyes; whether the box ran and told its part. Raises OSError."""
    at = time.time()
    parts = still_parts(conf_dir, state_dir)
    runs = True
    try:
        live = ask(state_dir, "support", *call_ids).get("parts")
        parts |= {name: str(text) for name, text in live.items()} if isinstance(live, dict) else {}
    except NothingRuns as nothing:
        runs = False
        parts["status.json"] = f"{nothing}\n"
    file = file or Path(file_name(at))
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as out:
        out.write(pack(parts, at))
    return file, runs
