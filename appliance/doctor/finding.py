"""What the doctor says of one thing: well, worth knowing, doubtful or wrong; and what to do."""

from __future__ import annotations

from enum import StrEnum

import attrs


class Grade(StrEnum):
    FAULT = "fault"
    """Calls fail by it, or will."""
    WARNING = "warning"
    NOTE = "note"
    """Worth knowing; also what could not be looked at."""
    OK = "ok"


@attrs.frozen
class Finding:
    """`subject` is one of conf.d, box, names, dns, ports, firewall, certificates, nat, clock, disk, limits, kernel,
    versions; `about` which one of them."""

    subject: str
    about: str
    grade: Grade
    sentence: str
    remedy: str = ""
