"""What we remember of updates over a restart: the version on trial, the last that fell back, what lies in the slots.

One small file of root's on the data partition, written whole or not at all. RAUC's own file knows what it installed;
this one knows what came of it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import attrs

from .machine import Machine, write_file

FILE: Final = "update.json"


@attrs.frozen
class Trial:
    """A version that has to show itself. `installed` is False while it is still being written."""

    slot: str
    version: str
    before: str
    installed: bool = False
    starts: int = 0
    reason: str = ""
    """Why the last start was not well."""
    without_call: bool = False
    """It was wanted on a box whose own self-test failed: no call decides on it."""


@attrs.frozen
class Fallen:
    """A version that was given up; `at` is seconds of the day's clock."""

    version: str
    reason: str
    at: float


@attrs.frozen
class Record:
    """`versions` by slot: those that were well there."""

    trial: Trial | None = None
    fallen: Fallen | None = None
    versions: dict[str, str] = attrs.field(factory=dict)


def read_record(machine: Machine) -> Record:
    """An empty one where there is none, or none that can be read."""
    try:
        said = json.loads(_file(machine).read_bytes())
        trial, fallen, versions = said["trial"], said["fallen"], said["versions"]
        return Record(
            None if trial is None else Trial(**_known(Trial, trial)),
            None if fallen is None else Fallen(**_known(Fallen, fallen)),
            {str(slot): str(version) for slot, version in versions.items()},
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return Record()


def write_record(machine: Machine, record: Record) -> None:
    """Durably. Raises `OSError`."""
    write_file(_file(machine), json.dumps(attrs.asdict(record), indent=1).encode() + b"\n")


def _known(kind: type, said: dict[str, Any]) -> dict[str, Any]:
    """A newer version, which fell back, may have written more than we know."""
    return {name: value for name, value in said.items() if name in attrs.fields_dict(kind)}


def _file(machine: Machine) -> Path:
    return machine.own / FILE
