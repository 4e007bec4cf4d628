"""What lives in the box as lists for the command line: phones that are registered, trunks with their gateways,
calls in progress.

Facts are JSON, times in seconds from now.
"""

from __future__ import annotations

import attrs

from ..proxy import overview
from ..proxy.call_detail import detail
from ..proxy.core import SipCore
from ..proxy.verdict import verdict
from .asking import Answer, Json


class Listings:
    """Asked over the control socket."""

    def __init__(self, core: SipCore) -> None:
        self._core = core

    async def registrations(self, of: str = "") -> Answer:
        """Every binding, or those of one user."""
        now = self._core.wall()
        found: list[Json] = [
            {
                "aor": one.aor,
                "contact": one.contact,
                "transport": one.transport,
                "address": f"[{one.received[1]}]:{one.received[2]}"
                if ":" in one.received[1]
                else f"{one.received[1]}:{one.received[2]}",
                "expires_s": round(max(0.0, one.expires_at - now)),
                "user_agent": one.user_agent,
            }
            for one in sorted(self._core.location.snapshot(now), key=lambda one: (one.aor, one.key))
            if of in ("", one.aor, one.aor.removeprefix("sip:").rpartition("@")[0])
        ]
        return {"ok": True, "registrations": found}

    async def calls(self, name: str = "") -> Answer:
        """Calls in progress, the longest first; or one of them by its serial or Call-ID. Times as in records."""
        now = self._core.wall()
        found: list[Json] = [
            {
                "id": one.serial,
                "call_id": one.call_id,
                "caller": one.caller,
                "called": one.called,
                "callee": one.callee,
                "trunk": one.trunk,
                "state": one.state,
                "started_ms": _ms(one.started_at),
                "ringing_ms": _ms(one.ringing_at),
                "answered_ms": _ms(one.answered_at),
                "talk_ms": None if one.answered_at is None else _ms(now - one.answered_at),
                "route": one.route,
            }
            for one in overview.calls(self._core)
            if name in ("", one.serial, one.call_id)
        ]
        if name and not found:
            return {"ok": False, "error": f"no call {name} is in progress"}
        if name:
            found = [self._judged(one) for one in found]
        return {"ok": True, "calls": found}

    def _judged(self, one: Json) -> Json:
        known = detail(self._core, str(one["id"])) if isinstance(one, dict) else None
        if known is None or not isinstance(one, dict):
            return one
        found = verdict(known)
        return {"verdict": found.sentence, "what_to_do": found.remedy, **one}

    async def trunks(self) -> Answer:
        """Every trunk with its gateways and how our registration there stands."""
        found: list[Json] = []
        for one in overview.trunks(self._core):
            facts: dict[str, Json] = attrs.asdict(one)
            found.append(facts | {"gateways": [attrs.asdict(each) for each in one.gateways], "trusted": [*one.trusted]})
        return {"ok": True, "trunks": found}


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)
