"""Is it well, and if not: what is wrong and what to do. One sentence and its reasons, from what the box knows.

Alarms tell most of it; what has none (a service that starts, listeners that take nothing) is added here. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

import attrs

from appliance.alarm_kinds import Severity
from appliance.alarms import Alarm

from .inside import Health, ListenerFigures

MOST_REASONS: Final = 12
_PAGES: Final = {
    "trunk-down": "/trunks",
    "gateway-down": "/trunks",
    "quality": "/trunks",
    "trunk-registration": "/trunks",
    "capacity": "/#h-capacity",
    "ban-storm": "/security",
    "configuration": "/configuration",
    "certificate": "/configuration",
}


class Grade(StrEnum):
    WELL = "well"
    DEGRADED = "degraded"
    DOWN = "down"
    CHANGING = "changing"
    """Starting, or going down because somebody said so."""


@attrs.frozen
class Reason:
    """One thing that is wrong; `page` is where more of it stands."""

    tone: str
    """bad or fair."""
    what: str
    sentence: str
    remedy: str
    page: str
    since: float | None


@attrs.frozen
class Wellness:
    """`left_out`: how many reasons more there are."""

    grade: Grade
    sentence: str
    reasons: tuple[Reason, ...]
    left_out: int


def judge(
    health: Health, alarms: Sequence[Alarm], listeners: Sequence[ListenerFigures], trunks: Sequence[bool]
) -> Wellness:
    """`alarms` the worst first; `trunks`: for each that has gateways, whether calls can go out there."""
    reasons = [_of_alarm(one) for one in alarms if one.clears_at is None]
    told = {one.subject for one in alarms} | {one.sentence for one in alarms}
    for service in health.services:
        if service.state in ("degraded", "starting") and service.name not in told and service.fault not in told:
            fault = service.fault or f"it is {service.state}"
            reasons.append(Reason("bad", f"service {service.name}", fault, "It is tried again by itself.", "/", None))
    for name, fault in health.faults.items():
        if name not in told and fault not in told:
            reasons.append(Reason("bad", name, fault, "The log says more: jackfield run writes it.", "/", None))
    deaf = bool(listeners) and not any(one.accepting for one in listeners)
    if health.state == "starting":
        grade, sentence = Grade.CHANGING, "Starting"
    elif health.state == "draining":
        grade, sentence = Grade.CHANGING, "Going down: no new calls"
    elif deaf:
        grade, sentence = Grade.DOWN, "Down: no listener takes calls"
        reasons.insert(
            0, Reason("bad", "listeners", "None of them takes messages.", "Restart the box.", "/#h-listeners", None)
        )
    elif trunks and not any(trunks):
        grade, sentence = Grade.DOWN, "Down: no trunk can be reached"
    elif any(one.tone == "bad" for one in reasons):
        bad = sum(one.tone == "bad" for one in reasons)
        grade = Grade.DEGRADED
        sentence = "Something does not work" if bad == 1 else f"{bad} things do not work"
    elif reasons:
        grade = Grade.DEGRADED
        sentence = "Calls go well, but look at this" if len(reasons) == 1 else "Calls go well, but look at these"
    else:
        grade, sentence = Grade.WELL, "All is well"
    return Wellness(grade, sentence, tuple(reasons[:MOST_REASONS]), max(0, len(reasons) - MOST_REASONS))


def _of_alarm(alarm: Alarm) -> Reason:
    tone = "bad" if alarm.severity in (Severity.CRITICAL, Severity.MAJOR) else "fair"
    what = alarm.kind.name.replace("-", " ")
    if alarm.subject:
        what += f" · {alarm.subject}"
    page = _PAGES.get(alarm.kind.name, "/alarms")
    return Reason(tone, what, alarm.sentence, alarm.kind.remedy, page, alarm.raised_at)
