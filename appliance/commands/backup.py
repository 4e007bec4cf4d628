"""`jackfield backup`: everything that makes the box, in one file."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from pathlib import Path
from typing import Final

from .. import __version__
from ..box.archive import Manifest
from ..box.saving import CopyRecords, Places, backup_name, make_backup
from ..config import Settings
from ..config.loader import load_settings
from ..control.asking import NothingRuns, ask
from ..control.backup import engine_extra, sentence_of, told
from ..control.lock import AlreadyRuns, hold_state_dir
from ..identity import StateDamaged, open_state_dir
from .answers import DONE, FAILED
from .passphrase import passphrase_argument, passphrase_of

MANUAL = (
    "It runs beside a running box. `--no-records` leaves the call records out, `--encrypt` asks for a "
    "passphrase (scrypt and AES-256-GCM), `--passphrase-file FILE` reads it. Unencrypted it is a tar.gz. "
    "The trace of SIP messages is not in it."
)
COPY_DEADLINE_S: Final = 3600.0


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help="default: one named by the time, here")
    parser.add_argument("--no-records", action="store_true", help="without the call records")
    parser.add_argument("--encrypt", action="store_true", help="ask for a passphrase")
    passphrase_argument(parser)


def run(asked: argparse.Namespace) -> int:
    """Raises `ConfigRejected`."""
    settings = load_settings(asked.conf_dir)
    try:
        state_dir = open_state_dir(asked.state_dir)
        passphrase = passphrase_of(asked, asked.encrypt, twice=True)
        file = asked.file or Path(backup_name(time.time(), sealed=passphrase is not None))
        if file.exists():
            raise ValueError(f"{file} is there already: give another name")
        places = Places.of(asked.conf_dir, state_dir, settings)
        try:
            with hold_state_dir(state_dir):
                manifest = _make(file, places, settings, passphrase, asked, _copier_of_files(places))
        except AlreadyRuns:
            manifest = _make(file, places, settings, passphrase, asked, _copier_of_the_box(state_dir))
    except (OSError, ValueError, StateDamaged) as error:
        print(f"jackfield: {sentence_of(error)}", file=sys.stderr)
        return FAILED
    print(f"{file}: {told(manifest)}")
    if passphrase is None:
        print("Passwords and keys are in it, unencrypted: keep it where nobody else reads, or use --encrypt.")
    for path in manifest.outside:
        print(f"Not in it, for it lies elsewhere: {path}")
    return DONE


def _make(
    file: Path,
    places: Places,
    settings: Settings,
    passphrase: str | None,
    asked: argparse.Namespace,
    copy_records: CopyRecords,
) -> Manifest:
    has_records = not asked.no_records and places.records is not None and places.records.is_dir()
    return make_backup(
        file,
        places,
        settings,
        __version__,
        passphrase=passphrase,
        copy_records=copy_records if has_records else None,
        extras=engine_extra(),
    )


def _copier_of_files(places: Places) -> CopyRecords:
    def copy(folder: Path) -> None:
        if places.records is not None:
            ignored = shutil.ignore_patterns("*.broken-*", "*.csv", "*.parquet", "*.json")
            shutil.copytree(places.records, folder, dirs_exist_ok=True, ignore=ignored)

    return copy


def _copier_of_the_box(state_dir: Path) -> CopyRecords:
    def copy(folder: Path) -> None:
        try:
            answer = ask(state_dir, "backup", str(folder.resolve()), deadline_s=COPY_DEADLINE_S)
        except NothingRuns as nothing:
            raise ValueError(f"{nothing}: try again, or leave the call records out by --no-records") from None
        if not answer.get("ok"):
            raise ValueError(str(answer.get("error")))

    return copy
