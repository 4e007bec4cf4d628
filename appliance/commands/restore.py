"""`jackfield restore`: a backup taken back, once every part of it is proved."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..box.archive import is_sealed
from ..box.restoring import stage, stage_the_state_before, take_up
from ..box.sealing import Damaged
from ..control.backup import restart_for_it, sentence_of, told
from ..control.lock import AlreadyRuns, hold_state_dir
from ..identity import StateDamaged, open_state_dir
from ..storage.schema import VERSION
from .answers import DONE, FAILED
from .passphrase import passphrase_argument, passphrase_of

MANUAL = (
    "Where the box runs, it is taken up at its next start; else at once. A damaged file, one of a newer "
    "Jackfield, or one whose configuration has mistakes here is refused and changes nothing. The passphrase of an "
    "encrypted one is asked for, or read by `--passphrase-file FILE`; `--back` brings back what the last restore put "
    "aside."
)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help="the backup")
    parser.add_argument("--back", action="store_true", help="in place of a file: what the last restore put aside")
    passphrase_argument(parser)


def run(asked: argparse.Namespace) -> int:
    """Raises `ConfigRejected`; then nothing has changed."""
    try:
        state_dir = open_state_dir(asked.state_dir)
        if asked.back == (asked.file is not None):
            raise ValueError("name the file of a backup, or give --back")
        if asked.back:
            done = f"Back to what {stage_the_state_before(asked.conf_dir, state_dir)} kept."
        else:
            with open(asked.file, "rb") as source:
                passphrase = passphrase_of(asked, is_sealed(source), twice=False)
                done = told(stage(source, asked.conf_dir, state_dir, passphrase, newest_schema=VERSION))
        print(done)
        try:
            with hold_state_dir(state_dir):
                kept = take_up(state_dir)
            print(
                f"It is in place. What was there before is kept in {kept}, and comes back by jackfield restore --back."
            )
        except AlreadyRuns:
            print(restart_for_it())
    except (OSError, ValueError, Damaged, StateDamaged) as error:
        print(f"jackfield: {sentence_of(error)}", "Nothing was changed.", sep="\n", file=sys.stderr)
        return FAILED
    return DONE
