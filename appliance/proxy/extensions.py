"""What a request insists on, where the box itself answers: extensions and bodies (RFC 3261 §8.2.2.3, §8.2.3)."""

from __future__ import annotations

from appliance.router.causes import Cause
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


def refuse_body(request: Request, sdp: bytes | None) -> None:
    """Raises `Rejected` 415 for a body that is not `sdp` and may not be passed over, or that is packed."""
    encoding = (request.get("content-encoding") or "identity").lower()
    if request.body and encoding != "identity":
        raise _unsupported("Content-Encoding", encoding, ("Accept-Encoding", "identity"))
    kind = (request.get("content-type") or "").lower()
    optional = "handling=optional" in (request.get("content-disposition") or "").lower().replace(" ", "")
    if request.body and sdp is None and not optional and not kind.startswith("multipart/"):
        raise _unsupported("Content-Type", kind, ("Accept", "application/sdp"))


def _unsupported(header: str, value: str, accepted: tuple[str, str]) -> Rejected:
    return Rejected(415, "Unsupported Media Type", f"{header}: {value[:80]}", (accepted,), why=Cause.CODEC)
