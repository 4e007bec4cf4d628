"""Answers without a transaction: nothing is kept, so the same request gets the same To tag each time (RFC 3261 §8.2.7).

For requests that cannot be read, and for challenges to datagrams whose sender may be forged: a transaction would be
memory for nobody, and for an INVITE would repeat the answer ten times to somebody who never asked.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from appliance.sip.build import response_to
from appliance.sip.errors import BadMessage
from appliance.sip.flow import Flow, FlowClosed
from appliance.sip.message import Request, Response


class SteadyAnswers:
    """`key` is secret."""

    def __init__(self, key: bytes) -> None:
        self._key = hmac.digest(key, b"To tags", "sha256")
        self.refused = 0
        """Requests that could not be read and got their 400."""

    def refuse(self, request: Request, flow: Flow, bad: BadMessage) -> bool:
        """400 to what cannot be read (§16.3): where there is a Via to know it by, and never to an ACK.

        What else is missing is missing in the answer too, which names it (RFC 4475 §3.3.1). False where it could not
        be sent.
        """
        if request.method == "ACK" or "via" not in request.keys:
            return True
        try:
            flow.send(self.response(request, bad.status, bad.reason).to_bytes())
        except FlowClosed:
            return False
        self.refused += 1
        return True

    def response(self, request: Request, status: int, reason: str, headers: Sequence[tuple[str, str]] = ()) -> Response:
        """An answer with the tag that this request gets each time; `headers` have canonical keys."""
        lines = [line for key, line in zip(request.keys, request.lines, strict=True) if key in ("via", "call-id")]
        tag = hmac.digest(self._key, "".join(lines).encode("utf-8", "surrogateescape"), "sha256")[:8].hex()
        return response_to(request, status, reason or None, to_tag=tag, headers=headers)
