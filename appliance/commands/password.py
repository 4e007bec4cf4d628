"""`jackfield password`: the hash of a password, to be copied into conf.d; it needs no running box."""

from __future__ import annotations

import argparse
import getpass
import sys
from typing import Final

from ..accounts.account import hash_password
from ..config.accounts import Role
from .answers import DONE, FAILED

MANUAL = "Asks twice at a terminal, else reads a line. `password NAME --role ROLE` prints a whole section."
SHORTEST: Final = 8
LONGEST: Final = 256


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", default="", metavar="NAME", help="print a whole [account NAME] section")
    parser.add_argument(
        "--role", choices=[role.value for role in Role], default=Role.VIEWER.value, help="default: viewer"
    )


def run(asked: argparse.Namespace) -> int:
    """Ask for a password, twice at a terminal, and print what goes into a file of conf.d."""
    if sys.stdin.isatty():
        typed = getpass.getpass("Password: ")
        if getpass.getpass("Once more: ") != typed:
            print("jackfield: those were two different passwords", file=sys.stderr)
            return FAILED
    else:
        typed = sys.stdin.readline().rstrip("\r\n")
    if not SHORTEST <= len(typed) <= LONGEST:
        print(f"jackfield: give a password of {SHORTEST} to {LONGEST} characters", file=sys.stderr)
        return FAILED
    if asked.name:
        print(f"[account {asked.name}]\nrole = {asked.role}")
    print(f"password-hash = {hash_password(typed)}")
    return DONE
