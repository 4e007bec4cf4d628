"""INVITEs that made no call: kept for who looks at the box now, and told for their records."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import attrs

from appliance.proxy.call import Calls
from appliance.sip.errors import Rejected
from appliance.sip.flow import Address
from appliance.sip.message import Request
from appliance.sip.server_transaction import ServerTransaction

_LATEST = 50


@attrs.frozen
class Refusal:
    """An INVITE that made no call, at a wall-clock time."""

    at: float
    request: Request
    source: Address
    status: int
    cause: str
    kind: str = ""
    """The kind of limit, as [refusal KIND] names it."""
    reason: str = ""
    why: str = ""
    """The kind of cause, as in `router.causes`."""
    serial: str = ""


class Refusals:
    """One for the core. `wall` is the time of day in seconds."""

    def __init__(self, calls: Calls, wall: Callable[[], float]) -> None:
        self.latest: deque[Refusal] = deque(maxlen=_LATEST)
        """The latest first."""
        self.total = 0
        """Since the start."""
        self.record: Callable[[Refusal], None] | None = None
        """Takes each of them, for its record."""
        self._calls = calls
        self._wall = wall

    def add(self, transaction: ServerTransaction, rejected: Rejected) -> None:
        """An INVITE that was answered so."""
        request = transaction.request
        reason = next((value for name, value in rejected.headers if name == "Reason"), "")
        refusal = Refusal(
            self._wall(),
            request,
            transaction.flow.remote,
            rejected.status,
            rejected.cause,
            rejected.kind,
            reason,
            rejected.why,
            self._calls.serial_of_refusal(),
        )
        self.latest.appendleft(refusal)
        ended = self._calls.ended
        if ended and ended[0].caller_side.message is request:
            return  # its own record tells
        self.total += 1
        if self.record is not None and rejected.status not in (401, 407) and request.to_tag is None:
            self.record(refusal)
