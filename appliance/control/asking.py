"""The asking side of the control socket in the state directory: one JSON line each way."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Final, TypeAlias

SOCKET: Final = "control.sock"

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
Answer: TypeAlias = dict[str, Json]


class NothingRuns(Exception):  # noqa: N818 (it says what happened)
    """No appliance answers in this state directory."""


def ask(state_dir: Path, command: str, *words: str, deadline_s: float = 60.0) -> Answer:
    """Ask a running appliance, from another process; raises NothingRuns where none answers."""
    try:
        directory = os.open(state_dir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise NothingRuns(f"the state directory {state_dir} cannot be opened: {error.strerror}") from None
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as wire:
            wire.settimeout(deadline_s)
            wire.connect(address_in(directory))
            wire.sendall(json.dumps({"command": command, "words": words}).encode() + b"\n")
            with wire.makefile("rb") as answers:
                line = answers.readline()
        answer = json.loads(line)
    except (FileNotFoundError, ConnectionError):
        raise NothingRuns(f"no jackfield runs on the state directory {state_dir}") from None
    except PermissionError:
        raise NothingRuns(f"the jackfield on {state_dir} belongs to another user") from None
    except (OSError, ValueError) as error:
        raise NothingRuns(f"the jackfield on {state_dir} gave no answer: {error}") from None
    finally:
        os.close(directory)
    if not isinstance(answer, dict):
        raise NothingRuns(f"the jackfield on {state_dir} gave no answer")
    return answer


def status_or_why(state_dir: Path) -> Answer | str:
    """What the running box says of itself, or why none does."""
    try:
        return ask(state_dir, "status", deadline_s=10.0)
    except NothingRuns as nothing:
        return str(nothing)


def address_in(directory: int) -> str:
    """The socket's name by way of an open directory: a Unix address holds 107 bytes only."""
    return f"/proc/self/fd/{directory}/{SOCKET}"
