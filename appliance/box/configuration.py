"""The configuration as boxd reads it: as root, so that it says where a mistake is, but never what stands there.

The user jackfield writes the files and may name others in them, which root can read and that user cannot.
"""

from __future__ import annotations

from ..config.loader import load_settings
from ..config.mistakes import ConfigRejected
from ..config.settings import Settings
from .machine import Machine, Refused


def settings_of(machine: Machine) -> Settings:
    """Raises `Refused`."""
    try:
        return load_settings(machine.conf_dir)
    except ConfigRejected as rejected:
        first = rejected.mistakes[0]
        where = " ".join(filter(None, (str(first.place), first.section, first.key)))
        raise Refused(f"the configuration has mistakes, the first in {where}: jackfield check names them") from None
