"""Ending a call in the name of its ends: a BYE to each side, as the other side would have sent it.

For calls whose media fell silent, that an operator hangs up, or that outlast every limit (RFC 3261 §15.1.1).
"""

from __future__ import annotations

from appliance.proxy.call import Call, Side
from appliance.proxy.destination import Hop
from appliance.sip.headers import parse_name_addr_untrusted
from appliance.sip.message import Request
from appliance.sip.uri import parse_uri_untrusted


def reason_header(sentence: str) -> tuple[str, str]:
    """The Reason (RFC 3326) that tells the other end why."""
    text = " ".join(sentence.split())[:200].replace("\\", "/").replace('"', "'")
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    return "reason", f'SIP;cause=200;text="{text}"'


def bye(call: Call, to: Side, peer: Side, sentence: str, via: str) -> Request:
    """The BYE for `to`, as `peer` would have sent it.

    The CSeq number follows the highest that the peer used, as far as it came through here.
    """
    headers = [
        ("via", via),
        ("max-forwards", "70"),
        ("from", peer.address),
        ("to", to.address),
        ("call-id", call.call_id),
        ("cseq", f"{peer.cseq + 1} BYE"),
        *(("route", route) for route in to.routes),
        reason_header(sentence),
    ]
    return Request.make("BYE", to.contact, headers)


def next_hop(side: Side) -> Hop | None:
    """Where a request towards `side` goes first; None where its Contact never became known."""
    if not side.contact:
        return None
    routes = side.routes
    return Hop.of(parse_name_addr_untrusted(routes[0]).uri if routes else parse_uri_untrusted(side.contact))
