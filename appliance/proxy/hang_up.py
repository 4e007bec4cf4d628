"""Requests of our own in other people's dialogs: the BYEs that end a call, the ACK and BYE to an answer nobody wants.

For calls whose media fell silent, that an operator hangs up, or that outlast every limit (RFC 3261 §15.1.1); and for
2xx that cannot go back to the caller, whose dialog stands at the callee's all the same (§13.2.2.4).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from appliance.proxy.call import Call, Side
from appliance.proxy.destination import Hop
from appliance.proxy.forwarding import set_next_hop
from appliance.proxy.own_request import OwnRequest
from appliance.router.causes import Cause
from appliance.sip.errors import BadMessage
from appliance.sip.headers import parse_name_addr_untrusted
from appliance.sip.message import Request, Response
from appliance.sip.uri import parse_uri_untrusted

if TYPE_CHECKING:
    from appliance.proxy.branch import Attempt
    from appliance.proxy.core import SipCore
    from appliance.proxy.response_context import ResponseContext


class HangUp:
    """Ends dialogs from our side; nobody waits for what is answered."""

    def __init__(self, core: SipCore) -> None:
        self._core = core

    def call(self, call: Call, sentence: str) -> None:
        """End a call that stands: BYE to both sides, and the sentence into its record."""
        core = self._core
        caller, callee = call.caller_side, call.callee_side
        core.calls.end(call, sentence, core.wall())
        if callee is not None:
            for to, peer in ((callee, caller), (caller, callee)):
                hop = to.hop
                if hop is not None:
                    leg = "a" if to is caller else call.leg
                    make = partial(bye, call, to, peer, sentence)
                    OwnRequest(core, make, call.changes.extras, leg, to.hiding).send(to.open_flow, hop)

    def answer(self, context: ResponseContext, attempt: Attempt, response: Response, sentence: str) -> None:
        """Acknowledge a 2xx that does not go back, the first time with a BYE after it; '' for a repeated one."""
        side = Side(response, "to", attempt.flow, attempt.branch.destination.by_contact)
        target = side.contact or attempt.branch.destination.uri
        routes = side.routes if context.record else tuple(context.request.get_all("route"))
        try:
            first = parse_name_addr_untrusted(routes[0]).uri if routes else parse_uri_untrusted(target)
        except BadMessage:
            return
        flow = side.open_flow
        number = context.request.cseq.number
        make = partial(_to_callee, response, target, routes)
        branch = attempt.branch
        extras = context.extras or branch.changes.extras
        hiding = branch.destination.hiding
        leg = branch.leg or context.to_leg
        OwnRequest(self._core, partial(make, "ACK", number, ()), extras, leg, hiding).send(flow, Hop.of(first))
        if attempt.ended:
            return
        attempt.ended = True
        if context.record:
            end = partial(make, "BYE", number + 1, (reason_header(sentence),))
            OwnRequest(self._core, end, extras, leg, hiding).send(flow, Hop.of(first))
        elif context.call is not None:
            context.call.hang_up(sentence)  # the callee has changed over to a session that the caller will never have


def by_operator(core: SipCore, serial: str) -> bool:
    """End a call that stands because somebody wants it; False where there is none of that serial."""
    call = core.calls.active.get(serial)
    if call is None or call.answered_at is None:
        return False
    call.hang_up_for(Cause.OPERATOR, "hung up by an operator")
    return True


def reason_header(sentence: str) -> tuple[str, str]:
    """The Reason (RFC 3326) that tells the other end why."""
    text = " ".join(sentence.split())[:200].replace("\\", "/").replace('"', "'")
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    return "reason", f'SIP;cause=200;text="{text}"'


def bye(call: Call, to: Side, peer: Side, sentence: str, via: str) -> Request:
    """The BYE for `to`, as `peer` would have sent it.

    The CSeq number follows the highest that the peer used, as far as it came through here.
    """
    return request_towards(call, to, peer, "BYE", peer.cseq + 1, [reason_header(sentence)], b"", via)


def request_towards(
    call: Call,
    to: Side,
    peer: Side,
    method: str,
    number: int,
    headers: list[tuple[str, str]],
    body: bytes,
    via: str,
) -> Request:
    """A request for `to` with this CSeq number, as `peer` would have sent it."""
    request = _request(
        method,
        to.contact,
        to.routes,
        [
            ("via", via),
            ("max-forwards", "70"),
            ("from", peer.address),
            ("to", to.address),
            ("call-id", call.call_id),
            ("cseq", f"{number} {method}"),
            *headers,
        ],
    )
    request.body = body
    return request


def _to_callee(
    response: Response,
    target: str,
    routes: tuple[str, ...],
    method: str,
    number: int,
    headers: tuple[tuple[str, str], ...],
    via: str,
) -> Request:
    """A request to whoever sent `response`, in the dialog that it made, as the caller would have sent it."""
    return _request(
        method,
        target,
        routes,
        [
            ("via", via),
            ("max-forwards", "70"),
            ("from", response.require("from")),
            ("to", response.require("to")),
            ("call-id", response.call_id),
            ("cseq", f"{number} {method}"),
            *headers,
        ],
    )


def _request(method: str, target: str, routes: tuple[str, ...], headers: list[tuple[str, str]]) -> Request:
    request = Request.make(method, target, [*headers, *(("route", route) for route in routes)])
    if routes:
        set_next_hop(request)
    return request
