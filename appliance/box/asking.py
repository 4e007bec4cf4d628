"""Asking boxd, from a command or from a thread of the appliance."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Final

from .machine import Machine, Refused
from .verb import Answer

DEADLINE_S: Final = 90.0
LONGEST_ANSWER: Final = 1 << 20


def ask_box(verb: str, *, machine: Machine | None = None, deadline_s: float = DEADLINE_S, **words: str | int) -> Answer:
    """What boxd answers to a verb that it did. It blocks.

    Raises `NotOurImage` on other machines, `Refused` where boxd refuses or does not answer.
    """
    machine = machine or Machine()
    machine.must_be_ours()
    file: Path = machine.socket
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as wire:
            wire.settimeout(deadline_s)
            wire.connect(str(file))
            wire.sendall(json.dumps({"verb": verb, **words}).encode() + b"\n")
            with wire.makefile("rb") as answers:
                answer = json.loads(answers.readline(LONGEST_ANSWER))
    except PermissionError:
        raise Refused(f"only root and members of the group jackfield may ask {file}") from None
    except (FileNotFoundError, ConnectionError):
        raise Refused(f"boxd does not run ({file}): look at systemctl status jackfield-boxd") from None
    except (OSError, ValueError) as error:
        raise Refused(f"boxd gave no answer: {error}") from None
    if not isinstance(answer, dict):
        raise Refused("boxd gave no answer")
    if not answer.get("ok"):
        raise Refused(str(answer.get("error", "boxd gave no reason")))
    return answer
