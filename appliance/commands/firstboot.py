"""`jackfield firstboot`: the first start of a Jackfield image without a keyboard."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import trio

from ..box.firstboot import first_boot
from ..box.machine import Machine, NotOurImage
from .answers import DONE, FAILED

MANUAL = (
    "Looked at are systemd's credentials (SMBIOS, QEMU's fw_cfg), a stick or CD labelled JACKFIELD with `conf.d/` and "
    "`hostname`, and a NoCloud seed of cloud-init. Its unit runs it before Jackfield; it works once."
)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--root", type=Path, default=Path("/"), metavar="DIR", help=argparse.SUPPRESS)


def run(asked: argparse.Namespace) -> int:
    """Look for configuration; what was done is told to the console as well as to the log."""
    try:
        said = trio.run(first_boot, Machine(asked.root))
    except (NotOurImage, OSError) as error:
        print(f"jackfield: {error}", file=sys.stderr)
        return FAILED
    for sentence in said:
        print(f"jackfield: {sentence}")
    return DONE
