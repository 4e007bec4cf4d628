"""Ending a call in the name of its ends: a BYE to each side, as the other side would have sent it.

For calls whose media fell silent, that an operator hangs up, or that outlast every limit (RFC 3261 §15.1.1).
"""

from __future__ import annotations

from appliance.proxy.call import Call, Side
from appliance.sip.message import Request


def bye(call: Call, to: Side, peer: Side, reason: str) -> Request | None:
    """The BYE for `to`, or None where its contact never became known.

    The CSeq number follows the highest that the peer used, as far as it came through here.
    """
    if not to.contact:
        return None
    headers = [
        ("max-forwards", "70"),
        ("from", peer.address),
        ("to", to.address),
        ("call-id", call.call_id),
        ("cseq", f"{peer.cseq + 1} BYE"),
        *(("route", route) for route in to.routes),
        ("reason", f'SIP;cause=200;text="{reason.replace(chr(34), chr(39))}"'),
    ]
    return Request.make("BYE", to.contact, headers)
