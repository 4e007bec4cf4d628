"""What a request insists on in Require, where the box itself answers (RFC 3261 §8.2.2.3)."""

from __future__ import annotations

from appliance.sip.errors import BadMessage, Rejected
from appliance.sip.message import Request

UNDERSTOOD = ("path", "outbound", "gruu")
"""Option tags that the registrar understands, as Supported says."""


def refuse_unknown(request: Request, understood: tuple[str, ...] = ()) -> None:
    """Raises `Rejected` 420 with what is not understood in Unsupported, `BadMessage` for what cannot be told."""
    if "require" not in request.kinds:
        return
    unknown = sorted(request.tokens("require").difference(understood))
    named = ", ".join(unknown)
    if not named.isprintable():
        raise BadMessage("Bad Require")
    if unknown:
        raise Rejected(420, "Bad Extension", f"Require: {named}", (("unsupported", named),))
