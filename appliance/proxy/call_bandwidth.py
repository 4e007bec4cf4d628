"""The bandwidth of calls: reserved for the dearest codec of an offer, settled by the answer (RFC 3264).

A re-INVITE or UPDATE that needs more than there is gets refused, and the call keeps what it had.
"""

from __future__ import annotations

from appliance.proxy.call import Call
from appliance.proxy.sdp_body import sdp_of
from appliance.router.admission import Admission
from appliance.rtc.bandwidth import G711, SILENT, Bitrate, bitrate_untrusted
from appliance.rtc.errors import BadMedia
from appliance.sip.errors import BadMessage
from appliance.sip.message import Message, Request, Response

_OFFERING = frozenset({"INVITE", "UPDATE"})


class CallBandwidth:
    """Asks `admission`, which knows whether bandwidth is limited at all."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission

    def offered(self, request: Request) -> Bitrate:
        """What a new call may take; G.711 where it offers nothing yet."""
        if not self._admission.measures:
            return SILENT
        return _of(request) or G711

    def asked(self, call: Call, request: Request) -> None:
        """A request inside the call offers something else. Raises `Rejected` where there is no room for it."""
        lease = call.lease
        if lease is None or request.method not in _OFFERING or not self._admission.measures:
            return
        wanted = _of(request)
        if wanted is not None:
            now = lease.bitrate
            most = Bitrate(max(now.audio, wanted.audio), max(now.video, wanted.video))
            refused = self._admission.change(lease, most)
            if refused is not None:
                raise refused

    def settled(self, call: Call, message: Message, method: str, status: int) -> None:
        """The final answer to an INVITE or UPDATE, or an ACK (status 0): what was agreed on, or all as it was."""
        lease = call.lease
        if lease is None or not self._admission.measures or (status and method not in _OFFERING):
            return
        agreed = _of(message) if status < 300 else None
        if agreed is not None:
            lease.bitrate = agreed
        self._admission.settle(lease, lease.bitrate)


def _of(message: Request | Response | Message) -> Bitrate | None:
    try:
        sdp = sdp_of(message)
        return None if sdp is None else bitrate_untrusted(sdp)
    except (BadMedia, BadMessage):
        return None
