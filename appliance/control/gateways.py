"""The operator's hand on gateways: list, drain, block, unblock, kept over a restart; and what is shown of their state.

What a hold means is the router's business. The file in the state directory is written whole, beside the call path.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import attrs
import trio

from ..logs import log
from ..metrics import Metrics
from ..proxy.core import SipCore
from ..proxy.overview import GatewayOverview, gateways
from ..router.gateway import Hold, LivingGateway
from ..router.health import State
from ..storage.whole_file import write_whole
from .asking import Answer, Json

HOLDS_FILE: Final = "gateways.json"
ACTIONS: Final = {"drain": Hold.DRAINED, "block": Hold.BLOCKED, "unblock": Hold.NONE}


class GateControl:
    """For one core; `load` reads what the last run left."""

    def __init__(self, core: SipCore, state_dir: Path) -> None:
        self._core = core
        self._file = state_dir / HOLDS_FILE
        self._writing = trio.Lock()
        core.hunts.gateways.changed = _tell

    def load(self) -> None:
        """Hold whom the operator held before. A file that cannot be read is told and left alone."""
        try:
            held = json.loads(self._file.read_text())["held"]
            found = {(str(one["trunk"]), str(one["gateway"])): Hold(one["hold"]) for one in held}
        except FileNotFoundError:
            return
        except (OSError, ValueError, TypeError, KeyError) as error:
            log.error("gateways.unreadable", error, file=self._file)
            return
        self._core.hunts.restore(found)

    async def command(self, action: str = "list", trunk: str = "", gateway: str = "", *more: str) -> Answer:
        """One command of `jackfield gateway`."""
        hunts = self._core.hunts
        if trunk and trunk not in hunts.trunks:
            return _refused(f"there is no [trunk {trunk}]", hunts.trunks)
        names = [place.living.name for place in hunts.trunks[trunk].places] if trunk else []
        if gateway and gateway not in names:
            return _refused(f"[trunk {trunk}] has no gateway {gateway}", names)
        if action in ACTIONS:
            if not trunk or more:
                return {"ok": False, "error": f"say which: gateway {action} TRUNK [GATEWAY]"}
            for name in [gateway] if gateway else names:
                hunts.hold(trunk, name, ACTIONS[action])
                log.info("gateway.held", trunk=trunk, gateway=name, hold=ACTIONS[action])
            try:
                await self._save()
            except OSError as error:
                log.error("gateways.unsaved", error, file=self._file)
                reason = error.strerror or str(error)
                return {"ok": False, "error": f"it is so now, but would be forgotten at a restart: {reason}"}
        elif action != "list":
            return {"ok": False, "error": f"known are list, {', '.join(ACTIONS)}"}
        return {"ok": True, "gateways": [row(one) for one in self.overview() if trunk in ("", one.trunk)]}

    def overview(self) -> list[GatewayOverview]:
        return gateways(self._core)

    async def _save(self) -> None:
        async with self._writing:
            held = [
                {"trunk": one.trunk, "gateway": one.name, "hold": one.hold.value}
                for one in self._core.hunts.gateways
                if one.hold is not Hold.NONE
            ]
            await trio.to_thread.run_sync(write_whole, self._file, json.dumps({"held": held}, indent=1).encode())

    def show(self, metrics: Metrics) -> None:
        """Hang the figures into the catalogue."""
        known = self._core.hunts.gateways
        metrics.gateway_up.read = lambda: {(one.trunk, one.gateway): int(one.usable) for one in self.overview()}
        metrics.gateway_calls.read = lambda: {(one.trunk, one.gateway): one.calls for one in self.overview()}
        metrics.gateway_attempts.read = lambda: {
            (one.trunk, one.name, end.value): count for one in known for end, count in one.ends.items() if count
        }
        metrics.gateway_pings.read = lambda: {
            (one.trunk, one.name, "answered" if answered else "unanswered"): count
            for one in known
            for answered, count in one.pings.items()
            if count
        }


def _tell(living: LivingGateway, before: State, state: State, why: str) -> None:
    tell = log.info if state is State.IN or state is State.PROBATION else log.warning
    tell("gateway.changed", trunk=living.trunk, gateway=living.name, before=before.value, now=state.value, why=why)


def row(one: GatewayOverview) -> Json:
    """The facts as JSON."""
    facts: dict[str, Json] = attrs.asdict(one)
    return facts


def _refused(mistake: str, known: Iterable[str]) -> Answer:
    return {"ok": False, "error": f"{mistake}; known are {', '.join(sorted(known)) or 'none'}"}
