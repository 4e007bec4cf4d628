"""The alarms over the control socket and in the status."""

from __future__ import annotations

from collections.abc import Iterable

from ..alarms import Alarm, Alarms
from .asking import Answer, Json


class AlarmControl:
    """For one table of alarms."""

    def __init__(self, alarms: Alarms) -> None:
        self._alarms = alarms

    async def command(self, which: str = "active") -> Answer:
        """`jackfield alarms`: what is wrong now, or what was, the latest first."""
        if which not in ("active", "past"):
            return {"ok": False, "error": "known are active and past"}
        found: Iterable[Alarm] = self._alarms.active if which == "active" else reversed(self._alarms.past)
        return {"ok": True, "alarms": [dict(one.facts()) for one in found]}

    def active(self) -> Json:
        return [dict(one.facts()) for one in self._alarms.active]
