"""`jackfield run`: the appliance itself, in the foreground."""

from __future__ import annotations

import argparse
import errno
import os
import sys

from ..app import Appliance, run_appliance
from ..config import Secret
from ..control.lock import AlreadyRuns
from ..identity import Identity, StateDamaged
from ..ports import PortsRefused
from ..supervisor import CoreFailed
from .answers import DONE, FAILED
from .welcome import first_passwords, welcome

MANUAL = "`--welcome` also prints addresses and accounts, as `scripts/run` does."


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--welcome", action="store_true", help="show where things are, and the accounts with their passwords"
    )


def run(asked: argparse.Namespace) -> int:
    """Until it is ended by a signal; what keeps it from starting is told with a remedy. Raises `ConfigRejected`."""
    try:
        _serve(asked)
    except PortsRefused as refused:
        print(refused, "Nothing was started.", sep="\n", file=sys.stderr)
        return FAILED
    except (StateDamaged, AlreadyRuns, CoreFailed) as error:
        print(f"jackfield: {error}{_remedy(str(error))}", file=sys.stderr)
        return FAILED
    return DONE


def _serve(asked: argparse.Namespace) -> None:
    unseen: dict[str, Secret] = {}

    def made(identity: Identity) -> None:
        unseen.update(identity.new_passwords)

    def announce(appliance: Appliance) -> None:
        if asked.welcome:
            unseen.clear()
            show(welcome(appliance) + "\n")
        show_unseen()

    def show_unseen() -> None:
        if unseen:
            show(first_passwords(unseen))
            unseen.clear()

    def show(text: str) -> None:
        try:
            sys.stdout.write(text)
            sys.stdout.flush()
        except OSError:
            pass  # nobody reads any more: no reason to end calls

    try:
        run_appliance(asked.conf_dir, asked.state_dir, made, announce)
    finally:
        show_unseen()  # a start that failed has made the password all the same


def _remedy(error: str) -> str:
    """What to do about a fault that comes from the machine."""
    for number, remedy in (
        (errno.EADDRINUSE, "Another program listens there: end it, or give another port in the configuration."),
        (errno.EADDRNOTAVAIL, "This machine has no such address: look at bind in the configuration."),
        (errno.EACCES, "Ports below 1024 need a privilege: give a higher port, or CAP_NET_BIND_SERVICE."),
    ):
        if os.strerror(number) in error:
            return f". {remedy}"
    return ""
