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
    "certificate": "/#h-certificates",
    "selftest": "/diagnosis",
}

_OVERLOAD: Final = (
    "Calls in progress go on. Look who calls so much; else give the box more processor or memory, or limit a source."
)


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
    health: Health,
    alarms: Sequence[Alarm],
    listeners: Sequence[ListenerFigures],
    trunks: Sequence[bool],
    overload: str = "",
) -> Wellness:
    """`alarms` the worst first; `trunks`: for each that has gateways, whether calls can go out there; `overload`: why
    new requests are refused, "" where none are."""
    reasons = [_of_alarm(one) for one in alarms if one.clears_at is None]
    told = {one.subject for one in alarms} | {one.sentence for one in alarms}
    for service in health.services:
        if service.state in ("degraded", "starting") and service.name not in told and service.fault not in told:
            fault = service.fault or f"it is {service.state}"
            page = "/#h-services"
            reasons.append(Reason("bad", f"service {service.name}", fault, "It is tried again by itself.", page, None))
    for name, fault in health.faults.items():
        if name not in told and fault not in told:
            remedy = "The log says more: jackfield run writes it, the support bundle holds its end."
            reasons.append(Reason("bad", name, fault, remedy, "/diagnosis", None))
    if overload:
        reasons.insert(0, Reason("bad", "overload", overload, _OVERLOAD, "/#h-capacity", None))
    deaf = bool(listeners) and not any(one.accepting for one in listeners)
    cut_off = bool(trunks) and not any(trunks)
    if deaf:
        remedy = "Restart the box; if it is so again, a support bundle from the page Diagnosis says why."
        reasons.insert(0, Reason("bad", "listeners", "None of them takes messages.", remedy, "/#h-listeners", None))
    if cut_off and not any(one.page == "/trunks" for one in reasons):
        said = "Every gateway of every trunk is out of service, drained or blocked."
        reasons.insert(0, Reason("bad", "trunks", said, "See what each waits for; unblock one.", "/trunks", None))
    grade, sentence = _whole(health.state, reasons, deaf=deaf, cut_off=cut_off)
    return Wellness(grade, sentence, tuple(reasons[:MOST_REASONS]), max(0, len(reasons) - MOST_REASONS))


def _whole(state: str, reasons: Sequence[Reason], *, deaf: bool, cut_off: bool) -> tuple[Grade, str]:
    """The box in a word and a sentence."""
    if state == "starting":
        return Grade.CHANGING, "Starting"
    if state == "draining":
        return Grade.CHANGING, "Going down: no new calls"
    if deaf:
        return Grade.DOWN, "Down: no listener takes calls"
    if cut_off:
        return Grade.DOWN, "Down: no trunk can be reached"
    bad = sum(one.tone == "bad" for one in reasons)
    if bad:
        return Grade.DEGRADED, "Something does not work" if bad == 1 else f"{bad} things do not work"
    if reasons:
        return Grade.DEGRADED, f"Calls go well, but look at {'this' if len(reasons) == 1 else 'these'}"
    return Grade.WELL, "All is well"


def _of_alarm(alarm: Alarm) -> Reason:
    tone = "bad" if alarm.severity in (Severity.CRITICAL, Severity.MAJOR) else "fair"
    what = alarm.kind.name.replace("-", " ")
    if alarm.subject:
        what += f" · {alarm.subject}"
    page = _PAGES.get(alarm.kind.name, "/alarms")
    return Reason(tone, what, alarm.sentence, alarm.kind.remedy, page, alarm.raised_at)
