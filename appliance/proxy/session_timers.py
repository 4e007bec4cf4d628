"""Session timers in the part of a proxy (RFC 4028 §8): 422 below our least, intervals set or shortened, calls watched.

The ends refresh by re-INVITE or UPDATE. Where none comes in time the call is hung up, which is more than §8.3 asks of a
proxy: our leases, ports and records end with it.
"""

from __future__ import annotations

import re

from appliance.config.settings import Settings
from appliance.proxy.call import Call
from appliance.sip.errors import Rejected
from appliance.sip.message import Request, Response

REFRESHING = frozenset({"INVITE", "UPDATE"})
_SECONDS = re.compile(r"\s*(\d{1,9})\s*(?:;.*)?")
_LEAST_OF_ALL_S = 90
"""Min-SE of who does not name one (§3)."""


class SessionTimers:
    """Reads and edits; whose time is over is asked once a second."""

    def configure(self, settings: Settings) -> None:
        own = settings.session_timers
        self._watch = own.watch
        self._least = int(own.least_s)
        self._interval = None if own.interval_s is None else max(self._least, int(own.interval_s))

    def asked(self, request: Request) -> None:
        """An INVITE or UPDATE passes, edited in place. Raises `Rejected` 422."""
        if "session-expires" not in request.kinds and self._interval is None:
            return
        supported = "timer" in request.tokens("supported")
        wanted = _seconds(request, "session-expires")
        least_of_caller = _seconds(request, "min-se") or _LEAST_OF_ALL_S
        if wanted is not None and wanted < self._least:
            if supported:
                cause = f"Session-Expires of {wanted} s is below the least of {self._least} s"
                raise Rejected(422, "Session Interval Too Small", cause, (("Min-SE", str(self._least)),))
            if least_of_caller < self._least:
                request.set("min-se", str(self._least))
            _set_seconds(request, self._least)
        elif self._interval is not None:
            # §8.1: never below what the caller, or a proxy before us, takes for the least.
            most = max(self._interval, least_of_caller)
            if wanted is None:
                request.append("session-expires", str(most))
            elif wanted > most:
                _set_seconds(request, most)

    def answered(self, request: Request, response: Response) -> None:
        """A 2xx to what was `asked` goes back: whoever supports timers refreshes, also alone (§8.2)."""
        if "session-expires" not in request.kinds or "session-expires" in response.kinds:
            return
        if "timer" not in request.tokens("supported"):
            return
        interval = _seconds(request, "session-expires")
        if interval is not None:
            response.append("session-expires", f"{interval};refresher=uac")
            if "timer" not in response.tokens("require"):
                response.append("require", "timer")

    def agreed(self, call: Call, response: Response, now: float) -> None:
        """A 2xx to an INVITE or UPDATE of the call has gone back: its session begins anew."""
        interval = _seconds(response, "session-expires") if "session-expires" in response.kinds else None
        call.refresh_by = now + interval if self._watch and interval else None

    def over(self, call: Call, now: float) -> str:
        """Why a call must end: nobody refreshed it in time. '' where its session goes on."""
        if call.refresh_by is None or now < call.refresh_by:
            return ""
        return "neither end refreshed the session in time (RFC 4028)"


def _seconds(message: Request | Response, key: str) -> int | None:
    """The delta-seconds of a header, None without it or where it cannot be read."""
    value = message.get(key) if key in message.kinds else None
    found = _SECONDS.fullmatch(value) if value is not None else None
    return int(found[1]) if found else None


def _set_seconds(request: Request, seconds: int) -> None:
    """Another interval; the parameters stay."""
    _, semicolon, parameters = request.require("session-expires").partition(";")
    request.set("session-expires", f"{seconds}{semicolon}{parameters}")
