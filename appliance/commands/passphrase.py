"""The passphrase of a backup: from a file, asked at a terminal, or read from standard input."""

from __future__ import annotations

import argparse
import getpass
import sys
from pathlib import Path


def passphrase_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--passphrase-file", type=Path, metavar="FILE", help="its first line is the passphrase")


def passphrase_of(asked: argparse.Namespace, wanted: bool, *, twice: bool) -> str | None:
    """None where there is to be none. Raises `OSError`, and `ValueError` where two differ."""
    if asked.passphrase_file is not None:
        with open(asked.passphrase_file, encoding="utf-8") as text:
            return text.readline().rstrip("\r\n")
    if not wanted:
        return None
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    typed = getpass.getpass("Passphrase: ")
    if twice and getpass.getpass("Once more: ") != typed:
        raise ValueError("those were two different passphrases")
    return typed
