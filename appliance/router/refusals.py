"""How a refusal reads: code, reason phrase, Reason with its Q.850 cause (RFC 3326, RFC 6432), spread Retry-After."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from appliance.config.admission import RefusalKind, RefusalSettings
from appliance.config.settings import Settings
from appliance.router.causes import Cause
from appliance.sip.build import reason_of
from appliance.sip.errors import Rejected

Draw = Callable[[int, int], int]
"""A whole number from the first to the second, at random."""


@attrs.frozen
class Q850:
    """A status of SIP and a cause of ISDN, with what the cause is called in ITU-T Q.850."""

    status: int
    cause: int


_TEXTS = {
    17: "User busy",
    34: "No circuit/channel available",
    38: "Network out of order",
    41: "Temporary failure",
    42: "Switching equipment congestion",
    47: "Resource unavailable, unspecified",
    49: "Quality of service not available",
    65: "Bearer capability not implemented",
}
_DEFAULTS = {
    RefusalKind.BOX_FULL: Q850(503, 42),
    RefusalKind.TENANT_FULL: Q850(503, 34),
    RefusalKind.GROUP_FULL: Q850(503, 34),
    RefusalKind.TRUNK_FULL: Q850(503, 34),
    RefusalKind.GATEWAY_FULL: Q850(503, 34),
    RefusalKind.ROUTE_FULL: Q850(503, 34),
    RefusalKind.SOURCE_FULL: Q850(503, 47),
    RefusalKind.USER_FULL: Q850(486, 17),
    RefusalKind.RATE: Q850(503, 42),
    RefusalKind.SPIKE: Q850(503, 42),
    RefusalKind.BANDWIDTH: Q850(503, 49),
    RefusalKind.BANDWIDTH_CHANGE: Q850(488, 49),
    RefusalKind.REGISTRATIONS: Q850(503, 47),
    RefusalKind.MESSAGES: Q850(503, 42),
    RefusalKind.MEDIA_FULL: Q850(503, 47),
    RefusalKind.OVERLOAD: Q850(503, 42),
    RefusalKind.MEMORY: Q850(503, 47),
    RefusalKind.STOPPING: Q850(503, 41),
}


def refusal(settings: Settings, kind: RefusalKind, cause: str, draw: Draw, name: str = "") -> Rejected:
    """The refusal, to be raised; `cause` names what is full and its counts; `name` is that of a [refusal NAME]."""
    own = settings.refusals.get(name or kind) or RefusalSettings(name=kind)
    usual = _DEFAULTS[kind]
    status = own.status or usual.status
    q850 = usual.cause if own.cause is None else own.cause
    headers = []
    span = own.retry_after or (settings.sip.retry_after if status == 503 else None)
    if span is not None:
        headers.append(("Retry-After", str(draw(span.low, span.high))))
    if q850:
        headers.append(("Reason", f'Q.850;cause={q850};text="{_TEXTS.get(q850, "")}"'.replace(';text=""', "")))
    return Rejected(status, own.phrase or reason_of(status), cause, tuple(headers), kind.value, Cause.LIMIT)
