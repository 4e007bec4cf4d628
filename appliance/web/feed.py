"""What the status page shows, as JSON: one object a second, made once however many pages look.

Lists are cut at MOST_SHOWN with their whole length beside them, so that a busy box spends no more on its page than a
quiet one. All texts are as they came from the net: whoever draws them must not take them for markup.
"""

from __future__ import annotations

import json
import time
from collections import deque
from typing import Final

import attrs
import trio

from appliance.alarms import Alarm
from appliance.proxy import overview

from .history import History, Totals
from .inside import Inside
from .wellness import Wellness, judge

MOST_SHOWN: Final = 200
ENDED_SHOWN: Final = 50
GATEWAYS_SHOWN: Final = 20
BANS_SHOWN: Final = 50
LONGEST_TEXT: Final = 200
HISTORY_STEP_S: Final = 5.0
_HISTORY: Final = 120
_FRESH_S: Final = 0.8


class Feed:
    """`now` is the state of the box, encoded; `keep_history` is the task behind its curve of calls."""

    def __init__(self, inside: Inside, history: History) -> None:
        self._inside = inside
        self._over_days = history
        self._made_at = -1.0
        self._made = b""
        self._history: deque[int] = deque(maxlen=_HISTORY)

    def now(self) -> bytes:
        if trio.current_time() - self._made_at >= _FRESH_S or not self._made:
            self._made_at = trio.current_time()
            self._made = json.dumps(self._read(), separators=(",", ":")).encode()
        return self._made

    async def keep_history(self) -> None:
        while True:
            core = self._inside.core
            active = len(core.calls.active)
            self._history.append(active)
            totals = Totals(core.calls.total, core.calls.answered, core.refusals.total)
            self._over_days.add(time.time(), totals, active, len(core.location))
            await trio.sleep(HISTORY_STEP_S)

    def _read(self) -> dict[str, object]:
        inside, core = self._inside, self._inside.core
        health = inside.health()
        calls, registrations = core.calls, overview.registrations(core, MOST_SHOWN)
        trunks = overview.trunks(core)
        reach = [any(gateway.usable for gateway in one.gateways) for one in trunks if one.gateways]
        listeners = [one for one in inside.listeners() if one.name]
        wellness = judge(health, inside.alarms.active, listeners, reach, core.load.sentence)
        return {
            "now": time.time(),
            "name": inside.settings().appliance.name,
            "version": inside.version,
            "state": health.state,
            "up_s": health.up_s,
            "wellness": _wellness(wellness),
            "first_user": next(iter(inside.settings().users), ""),
            "services": [attrs.asdict(one) for one in health.services],
            "faults": [{"name": name, "text": _cut(text)} for name, text in health.faults.items()],
            "alarms": [_alarm(one) for one in inside.alarms.active[:MOST_SHOWN]],
            "totals": {
                "active": len(calls.active),
                "routed": calls.total,
                "answered": calls.answered,
                "refused": core.refusals.total,
                "registrations": len(core.location),
            },
            "history": {"step_s": HISTORY_STEP_S, "calls": list(self._history)},
            "calls": [_call(one) for one in overview.calls(core, MOST_SHOWN)],
            "ended": [_call(one) for one in overview.ended_calls(core, ENDED_SHOWN)],
            "refused": [short(one) for one in overview.refusals(core)],
            "bans": {
                "total": core.gate.guard.bans.active(core.clock()),
                "shown": [short(one) for one in overview.bans(core, BANS_SHOWN)],
            },
            "registrations": [short(one) for one in registrations],
            "trunks": [_trunk(one) for one in trunks[:MOST_SHOWN]],
            "capacity": [attrs.asdict(one) for one in overview.capacity(core)[:MOST_SHOWN]],
            "test": attrs.asdict(inside.test()),
            "listeners": [
                {
                    "name": one.name,
                    "transport": one.transport,
                    "addresses": [list(address) for address in one.addresses],
                    "accepting": one.accepting,
                    "connections": one.connections,
                    "messages_in": one.messages_in,
                    "messages_out": one.messages_out,
                    "drops": dict(one.drops),
                }
                for one in listeners
            ],
        }


def _call(call: overview.CallOverview) -> dict[str, object]:
    shown = short(attrs.evolve(call, media=None))
    if call.media is not None:
        shown["legs"] = [
            {
                "name": leg.name,
                "transports": [
                    {
                        "kind": one.kind,
                        "remote": one.remote,
                        "ice": one.ice,
                        "dtls": one.dtls,
                        "suite": one.srtp_suite,
                        "drops": dict(one.drops),
                        "steps": [_cut(step.sentence) for step in one.timeline[-8:]],
                        "streams": [attrs.asdict(stream) for stream in one.streams],
                    }
                    for one in leg.transports
                ],
            }
            for leg in call.media.legs
        ]
    return shown


def _wellness(wellness: Wellness) -> dict[str, object]:
    return {
        "grade": wellness.grade.value,
        "sentence": wellness.sentence,
        "reasons": [short(one) for one in wellness.reasons],
        "left_out": wellness.left_out,
    }


def _alarm(alarm: Alarm) -> dict[str, object]:
    return {
        "number": alarm.number,
        "kind": alarm.kind.name,
        "severity": alarm.severity.value,
        "subject": _cut(alarm.subject),
        "sentence": _cut(alarm.sentence),
        "since": alarm.raised_at,
        "count": alarm.count,
        "remedy": alarm.kind.remedy,
    }


def _trunk(trunk: overview.TrunkOverview) -> dict[str, object]:
    shown = short(attrs.evolve(trunk, gateways=()))
    shown["gateways"] = [short(one) for one in trunk.gateways[:GATEWAYS_SHOWN]]
    return shown


def short(fact: attrs.AttrsInstance) -> dict[str, object]:
    """The fields of a flat fact, with texts cut: a caller may name himself at any length."""
    return {
        name: _cut(value) if isinstance(value, str) else value
        for name, value in attrs.asdict(fact, recurse=False).items()
    }


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + "…"
