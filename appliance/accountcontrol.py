"""The commands `jackfield password` and `jackfield audit`: they read and print, and need no running appliance."""

from __future__ import annotations

import argparse
import getpass
import json
import sys
import time

import attrs

from .accounts.account import hash_password
from .accounts.audit import last_entries
from .config.accounts import Role

SHORTEST: int = 8
LONGEST: int = 256


def add_password_arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("name", nargs="?", default="", metavar="NAME", help="print a whole [account NAME] section")
    sub.add_argument("--role", choices=[role.value for role in Role], default=Role.VIEWER.value, help="default: viewer")


def add_audit_arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--last", type=int, default=50, metavar="NUMBER", help="so many entries (default: 50)")
    sub.add_argument("--json", action="store_true", help="for machines: one JSON object a line")


def password(asked: argparse.Namespace) -> int:
    """Ask for a password, twice at a terminal, and print what goes into a file of conf.d."""
    if sys.stdin.isatty():
        typed = getpass.getpass("Password: ")
        if getpass.getpass("Once more: ") != typed:
            print("jackfield: that were two different passwords", file=sys.stderr)
            return 1
    else:
        typed = sys.stdin.readline().rstrip("\r\n")
    if not SHORTEST <= len(typed) <= LONGEST:
        print(f"jackfield: give a password of {SHORTEST} to {LONGEST} characters", file=sys.stderr)
        return 1
    if asked.name:
        print(f"[account {asked.name}]\nrole = {asked.role}")
    print(f"password-hash = {hash_password(typed)}")
    return 0


def audit(asked: argparse.Namespace) -> int:
    """Print the latest entries of the audit log, the latest last."""
    try:
        entries = last_entries(asked.state_dir, max(1, asked.last))
    except OSError as error:
        print(f"jackfield: the audit log cannot be read: {error}", file=sys.stderr)
        return 1
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
    return 0


def _visible(text: str) -> str:
    """Without what a terminal would heed: a name at the sign-in may be anything."""
    return "".join(letter if letter.isprintable() else "?" for letter in text).strip()
