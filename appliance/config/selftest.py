"""The section [selftest]: when the box calls itself to see whether calls work."""

from __future__ import annotations

import attrs

from .kinds import flag
from .setting import setting


@attrs.frozen(kw_only=True)
class SelfTestSettings:
    """Calls that the box places to itself through its own listeners: `jackfield selftest`, and at the start."""

    at_start: bool = setting(
        flag(),
        "no",
        "Test once when the box has started; a failure is an alarm. It takes four seconds and one call at a time.",
    )
