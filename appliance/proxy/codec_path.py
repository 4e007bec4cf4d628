"""Codecs on their way between two ends: the filters of trunks and users laid over each offer and answer of a call.

Works on the body before media/ converts it, or where media passes us by. RFC 3264.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from appliance.config.rewriting import Codecs
from appliance.config.settings import Settings
from appliance.proxy.sdp_body import replace_sdp, sdp_of, unacceptable
from appliance.router.question import Caller, CallerKind
from appliance.rtc.errors import BadMedia
from appliance.rtc.sdp import parse_untrusted
from appliance.rtc.sdp_filter import CodecFilter, filtered
from appliance.sip.message import Message, Request, Response


class CodecPath:
    """The filters of one moment's settings; false where there are none."""

    def __init__(self, settings: Settings) -> None:
        self._trunks = _filters((name, trunk.codecs) for name, trunk in settings.trunks.items())
        self._users = _filters((name, user.codecs) for name, user in settings.users.items())

    def __bool__(self) -> bool:
        return bool(self._trunks or self._users)

    def of_caller(self, caller: Caller | None) -> CodecFilter | None:
        """The filter of who made a call."""
        if caller is None:
            return None
        return (self._trunks if caller.kind is CallerKind.TRUNK else self._users).get(caller.name)

    def of_callee(self, trunk: str, user: str) -> CodecFilter | None:
        """The filter of where a branch leads."""
        return self._trunks.get(trunk) if trunk else self._users.get(user)


def _filters(named: Iterable[tuple[str, Codecs]]) -> dict[str, CodecFilter]:
    return {name: CodecFilter(one.wanted, one.unwanted, one.others) for name, one in named if one}


def filter_request(request: Request, legs: Mapping[str, CodecFilter], from_leg: str, to_leg: str) -> None:
    """Filter the SDP of a request on its way from one leg to another.

    Raises `Rejected` 488 where nothing is left, 400 where the SDP cannot be read.
    """
    _filter(request, legs, from_leg, to_leg, offer=request.method not in ("ACK", "PRACK"), what=request.method)


def filter_response(
    response: Response, request: Request, legs: Mapping[str, CodecFilter], from_leg: str, to_leg: str
) -> None:
    """The same for a response to `request`, whose own SDP, where it had some, is answered by it."""
    what = f"the {response.status} to {request.method}"
    _filter(response, legs, from_leg, to_leg, offer=not request.body, what=what)


def _filter(
    message: Message, legs: Mapping[str, CodecFilter], from_leg: str, to_leg: str, *, offer: bool, what: str
) -> None:
    if not message.body:
        return
    filters = [legs[leg] for leg in (from_leg, to_leg) if leg in legs]
    if not filters:
        return
    sdp = sdp_of(message)
    if sdp is None:
        return
    preferred = legs.get(to_leg) or legs.get(from_leg) if offer else None
    try:
        before = parse_untrusted(sdp)
        after = filtered(before, filters, preferred)
    except BadMedia as bad:
        raise unacceptable(bad, what) from None
    if after is not before:
        replace_sdp(message, after.to_bytes())
