"""Which of the failures of a fork goes back to the caller (RFC 3261 §16.7, steps 6 and 7)."""

from __future__ import annotations

from appliance.router.causes import Cause
from appliance.sip.build import reason_of
from appliance.sip.message import Response

#: Within the 4xx class these tell the caller more than others do.
_TELLING = frozenset({401, 407, 415, 420, 484})
#: Worth sending only where nobody said anything else: a branch that never answered, cannot be reached or is too busy.
_EMPTY = frozenset({408, 430, 503})


class BestResponse:
    """The best final response so far, with all challenges of all branches; `sentence` tells it on the call's page."""

    __slots__ = ("_challenges", "_ours", "cause", "response", "sentence")

    def __init__(self) -> None:
        self.response: Response | None = None
        self.sentence = ""
        self.cause = Cause.NONE
        self._ours = False
        self._challenges: list[tuple[str, str]] = []

    def consider(self, response: Response, sentence: str, *, ours: bool, cause: Cause = Cause.NONE) -> None:
        """`sentence`: who said it, or why it is so. `ours`: the box itself refuses the branch, for want of room say."""
        status = response.status
        if status in (401, 407):
            for key in ("www-authenticate", "proxy-authenticate"):
                self._challenges += [(key, value) for value in response.get_all(key)]
        if self.response is None or _rank(status) < _rank(self.response.status):
            self.response, self.sentence, self._ours = response, sentence, ours
            self.cause = cause

    @property
    def by(self) -> str:
        """Who refused it: callee, or box."""
        return "box" if self.response is None or self._ours else "callee"

    def to_be_sent(self, *, initial: bool) -> Response | None:
        """The response as it goes back; `initial`: to a request outside a dialog."""
        best = self.response
        if best is None:
            return None
        if best.status in (401, 407) and len(self._challenges) > 1:
            # Step 7: every challenge of every branch goes back.
            best = best.copy()
            best.remove("www-authenticate")
            best.remove("proxy-authenticate")
            for key, value in self._challenges:
                best.append(key, value)
        elif initial and not self._ours and best.status == 503:
            # Step 6: that one of our next hops is overloaded says nothing about us.
            best = _as(500, best)
            best.remove("retry-after")
        elif initial and best.status == 430:
            best = _as(480, best)  # RFC 5626 §7: flows are between us and the phone
        return best


NOTHING = BestResponse()
"""For a context that has ended."""


def _as(status: int, response: Response) -> Response:
    changed = response.copy()
    changed.status, changed.reason = status, reason_of(status)
    return changed


def _rank(status: int) -> tuple[int, int]:
    """Lower is better: 6xx, then the lowest class, within 4xx what tells more; what tells nothing last."""
    if status >= 600:
        return 0, status
    if status in _EMPTY:
        return 8, status
    return status // 100, 0 if status in _TELLING else 1
