"""What a decision against a call becomes on the wire: 403, 404, the route's own status, or a redirection (§21)."""

from __future__ import annotations

from urllib.parse import quote

from appliance.config.patch import TargetKind
from appliance.router.causes import Cause
from appliance.router.decision import Decision
from appliance.sip.errors import Rejected

_USER_SAFE = "-_.!~*'()&=+$,/#"


def refusal(decision: Decision) -> Rejected:
    """The answer to a request that no route takes, or that its route refuses or sends elsewhere."""
    target, reason = decision.target, decision.reason
    headers: tuple[tuple[str, str], ...]
    if target is None:
        if decision.forbidden:
            return Rejected(403, "Forbidden", decision.explanation, why=Cause.NOT_ADMITTED)
        if decision.question.foreign:
            host = decision.question.host
            cause = f"{host} is not a domain of this box, and {decision.explanation}"
            return Rejected(403, "Relaying Denied", cause, why=Cause.FOREIGN)
        return Rejected(404, "Not Found", decision.explanation, why=Cause.NO_ROUTE)
    if target.kind is TargetKind.REDIRECT:
        number = quote(decision.number, _USER_SAFE, errors="surrogateescape")
        contact = target.name.replace("{number}", number)
        headers = (("Contact", f"<{contact}>"),)
        return Rejected(302, reason or "Moved Temporarily", decision.explanation, headers, why=Cause.BY_ROUTE)
    headers = ()
    if decision.q850:
        headers = (("Reason", f"Q.850;cause={decision.q850}"),)
    return Rejected(target.status, reason, decision.explanation, headers, why=Cause.BY_ROUTE)
