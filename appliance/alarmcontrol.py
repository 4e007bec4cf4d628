"""The alarms as the command line and the status show them: facts as JSON, lines for people."""

from __future__ import annotations

import time
from collections.abc import Iterable

from .alarms import Alarm, Alarms
from .control import Answer, Json


class AlarmControl:
    """For one table of alarms."""

    def __init__(self, alarms: Alarms) -> None:
        self._alarms = alarms

    async def command(self, which: str = "active") -> Answer:
        """`jackfield alarms`: what is wrong now, or what was, the latest first."""
        if which not in ("active", "past"):
            return {"ok": False, "error": "known are active and past"}
        found: Iterable[Alarm] = self._alarms.active if which == "active" else reversed(self._alarms.past)
        return {"ok": True, "alarms": [facts(one) for one in found]}

    def active(self) -> Json:
        return [facts(one) for one in self._alarms.active]


def facts(alarm: Alarm) -> dict[str, Json]:
    """One alarm; times are seconds since 1970."""
    return {
        "number": alarm.number,
        "alarm": alarm.kind.name,
        "severity": alarm.severity.value,
        "subject": alarm.subject,
        "sentence": alarm.sentence,
        "about": alarm.kind.about,
        "remedy": alarm.kind.remedy,
        "raised_at": alarm.raised_at,
        "cleared_at": alarm.cleared_at,
        "count": alarm.count,
    }


def alarm_lines(alarms: Json, *, remedies: bool = False) -> list[str]:
    """One line an alarm, the remedy below it where asked for."""
    lines = []
    for one in alarms if isinstance(alarms, list) else []:
        if not isinstance(one, dict):
            continue
        since = _time(one["raised_at"])
        until = "" if one["cleared_at"] is None else f" to {_time(one['cleared_at'])}"
        often = f" ({one['count']} times)" if one["count"] != 1 else ""
        lines.append(
            f"{one['severity']!s:<8} {one['alarm']} of {one['subject']}: {one['sentence']}, since {since}{until}{often}"
        )
        if remedies:
            lines.append(f"         {one['remedy']}")
    return lines


def _time(at: Json) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at if isinstance(at, (int, float)) else 0))
