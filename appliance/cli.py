"""The jackfield command: reads the command line and loads the file of appliance/commands that does it.

Exit codes: 0 done, 1 failed, 2 mistakes in the configuration or on the command line, 3 nothing runs.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from . import __version__
from .commands import COMMANDS, load
from .commands.answers import FAILED, MISTAKEN, NOTHING_RUNS, count
from .control.asking import NothingRuns

if TYPE_CHECKING:
    from .config.mistakes import ConfigRejected


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; gives the exit code."""
    try:
        return _do(sys.argv[1:] if argv is None else argv)
    except KeyboardInterrupt:
        return 130
    except EOFError:  # Ctrl-D where a password is asked for
        print("\njackfield: nothing was typed, nothing was done", file=sys.stderr)
        return FAILED


def _do(words: Sequence[str]) -> int:
    asked = _parser(next((word for word in words if not word.startswith("-")), "")).parse_args(words)
    try:
        return load(asked.command).run(asked)
    except NothingRuns as nothing:
        print(f"{nothing}. Start it with: jackfield run --state-dir {asked.state_dir}", file=sys.stderr)
        return NOTHING_RUNS
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the flush at exit complains again
        return FAILED
    except _config_rejected() as rejected:
        print(rejected, file=sys.stderr)
        print(count(len(rejected.mistakes), "mistake"), file=sys.stderr)
        return MISTAKEN


def _config_rejected() -> type[ConfigRejected]:
    """Looked up only when something is raised: most commands read no configuration, and its room takes time to load."""
    from .config.mistakes import ConfigRejected

    return ConfigRejected


def _parser(command: str) -> argparse.ArgumentParser:
    """All commands by name, and the one asked for with its arguments."""
    directories = argparse.ArgumentParser(add_help=False)
    directories.add_argument(
        "--conf-dir", type=Path, default=Path("conf.d"), metavar="DIR", help="drop-ins *.conf (default: conf.d)"
    )
    directories.add_argument(
        "--state-dir", type=Path, default=Path("var"), metavar="DIR", help="keys, data, control socket (default: var)"
    )
    parser = argparse.ArgumentParser(
        prog="jackfield", description="A SIP network appliance: router, registrar, media bridge and web side."
    )
    parser.add_argument("--version", action="version", version=f"jackfield {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    for name, about in COMMANDS:
        sub = commands.add_parser(name, help=about, description=about, parents=[directories])
        if name == command:
            load(name).arguments(sub)
    return parser
