"""Which message of a dialog carries an offer and which an answer, and their conversion by the media bridge.

RFC 3264 and RFC 6337 say who offers: INVITE, UPDATE and PRACK with SDP offer and their response answers; an INVITE
without SDP has its offer in a reliable response and its answer in PRACK or ACK. How SDP is converted is the bridge's.
"""

from __future__ import annotations

import attrs

from appliance.media.backend import PortsExhausted
from appliance.media.bridge import MediaCall
from appliance.media.profile import Profile
from appliance.proxy.sdp_body import replace_sdp, sdp_of, unacceptable
from appliance.router.causes import Cause
from appliance.rtc.errors import BadMedia
from appliance.sip.errors import Rejected
from appliance.sip.message import Request, Response


@attrs.define
class Exchange:
    """The offer/answer exchange of one forwarded request, as far as it has come."""

    from_leg: str
    to_leg: str
    offered: bool = False
    """The request carried an offer; SDP in its response is the answer."""
    settled: bool = False
    answered: bool = False
    """SDP has come back, if only early, or never will."""


class MediaPath:
    """The media of one call as the signalling sees it. Legs are "a" for the caller, "b1", "b2" … for branches."""

    def __init__(self, media: MediaCall) -> None:
        self.media = media
        self._legs: set[str] = set()
        self._latest: dict[frozenset[str], Exchange] = {}
        """The latest offer in a request between two legs."""
        self._awaiting_answer_from: str | None = None
        """The leg to which we passed an offer that came in a response."""

    def add_leg(self, leg: str, profile: Profile) -> None:
        if leg not in self._legs:
            self._legs.add(leg)
            self.media.add_leg(leg, profile)

    def change_leg(self, leg: str, profile: Profile) -> None:
        """Somebody else sits at this leg from now on; what stands changes with the next offer."""
        if leg in self._legs:
            self.media.add_leg(leg, profile)

    def request(self, request: Request, from_leg: str, to_leg: str) -> Exchange | None:
        """Convert the SDP of a request on its way out, in place; None where one of the legs is not anchored.

        Raises `Rejected` for SDP that cannot cross, and `PortsExhausted`.
        """
        if from_leg not in self._legs or to_leg not in self._legs:
            return None
        exchange = Exchange(from_leg, to_leg)
        sdp = sdp_of(request)
        if sdp is None:
            return exchange
        try:
            if request.method in ("ACK", "PRACK") and self._awaiting_answer_from == from_leg:
                converted = self.media.answer(sdp, from_leg=from_leg, to_leg=to_leg)
                if request.method == "PRACK":
                    self._awaiting_answer_from = None
            elif request.method == "ACK":
                return exchange
            else:
                pair = frozenset((from_leg, to_leg))
                latest = self._latest.get(pair)
                if latest is not None and not latest.answered and request.to_tag is not None:
                    # §14.2, RFC 3311 §5.2: both ends would have to say so themselves; we know it first.
                    raise Rejected(491, "Request Pending", f"{request.method} with an offer while another is open")
                exchange.offered = True
                self._awaiting_answer_from = None
                self._latest[pair] = exchange
                converted = self.media.offer(sdp, from_leg=from_leg, to_leg=to_leg)
        except BadMedia as bad:
            raise unacceptable(bad, f"{request.method}") from None
        replace_sdp(request, converted)
        return exchange

    def response(self, response: Response, exchange: Exchange, method: str) -> None:
        """Convert the SDP of a response on its way back, in place. Raises `Rejected` where it cannot cross."""
        sdp = sdp_of(response)
        final = response.status >= 200
        if sdp is not None or final:
            exchange.answered = True
        if sdp is None:
            return
        try:
            if exchange.offered:
                converted = self.media.answer(sdp, from_leg=exchange.to_leg, to_leg=exchange.from_leg, final=final)
                exchange.settled = exchange.settled or final
            elif method == "INVITE":
                converted = self.media.offer(sdp, from_leg=exchange.to_leg, to_leg=exchange.from_leg)
                self._awaiting_answer_from = exchange.from_leg
            else:
                return
        except BadMedia as bad:
            raise Rejected(
                bad.status,
                "Bad SDP" if bad.status == 400 else "Not Acceptable Here",
                f"SDP of {response.status} to {method}: {bad}",
                why=Cause.CODEC,
            ) from None
        except PortsExhausted as none:
            cause = f"no media port for the offer in the {response.status} to {method}: {none}"
            raise Rejected(503, "Service Unavailable", cause, why=Cause.LIMIT) from None
        replace_sdp(response, converted)

    def refused(self, exchange: Exchange) -> None:
        """The request failed: its offer is rolled back."""
        exchange.answered = True
        if exchange.offered and not exchange.settled:
            exchange.settled = True
            self.media.reject_offer(from_leg=exchange.from_leg, to_leg=exchange.to_leg)

    def select(self, leg: str) -> None:
        self.media.select_leg(leg)

    def drop(self, leg: str) -> None:
        if leg in self._legs:
            self._legs.discard(leg)
            for pair in [pair for pair in self._latest if leg in pair]:
                del self._latest[pair]
            self.media.drop_leg(leg)

    def close(self) -> None:
        self.media.close()
