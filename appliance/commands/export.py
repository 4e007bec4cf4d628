"""`jackfield export`: records of calls as a file."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from ..storage.call_data import Format
from .answers import DONE, FAILED, count, refused, whole
from .records import answer_to_command, choosing_arguments

MANUAL = "`jackfield export --output FILE`: `--format` csv, json (a line a call) or parquet; chosen as by `calls`."


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--format", choices=[one.value for one in Format], default=Format.CSV.value, help="default: csv"
    )
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="where to write it")
    choosing_arguments(parser)


def run(asked: argparse.Namespace) -> int:
    answer = answer_to_command("export", asked)
    if refused(answer):
        return FAILED
    written = Path(str(answer["file"]))
    try:
        shutil.copyfile(written, asked.output)
    except OSError as error:
        print(f"jackfield: {asked.output} cannot be written: {error.strerror}", file=sys.stderr)
        return FAILED
    finally:
        written.unlink(missing_ok=True)
    print(f"{count(whole(answer['calls']), 'call')} in {asked.output}")
    return DONE
