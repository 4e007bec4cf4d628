"""Which m-line a new SSRC belongs to: by a=ssrc, by the MID in its header, by its payload type (RFC 9143 §9.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appliance.media.backend import MID_URI
from appliance.media.entry import UNKNOWN_PT
from appliance.rtc.errors import BadMedia
from appliance.rtc.rtp import RtpPacket, iter_elements_untrusted, parse_rtp_untrusted

if TYPE_CHECKING:
    from appliance.media.endpoint import RelayEndpoint


def index_untrusted(endpoint: RelayEndpoint, size: int) -> int | None:
    """The m-line of the packet in the relay's buffer; None, and counted, where none fits."""
    try:
        packet = parse_rtp_untrusted(endpoint.relay.buffer.view[:size])
        mid = _mid_untrusted(endpoint, packet)
    except BadMedia as error:
        endpoint.drop(error.cause)
        return None
    index = _index(endpoint, packet, mid)
    if index is None:
        endpoint.drop("unknown_pt" if endpoint.streams else "not_joined")
    return index


def _mid_untrusted(endpoint: RelayEndpoint, packet: RtpPacket) -> str | None:
    for number, value in iter_elements_untrusted(packet.extension_profile, packet.extension):
        if any(stream.spec.extensions.get(number) == MID_URI for stream in endpoint.streams.values()):
            return value.decode("ascii", "replace")
    return None


def _index(endpoint: RelayEndpoint, packet: RtpPacket, mid: str | None) -> int | None:
    streams = endpoint.streams
    for index, stream in streams.items():
        if packet.ssrc in stream.spec.ssrcs:
            return index
    if mid is not None:
        for index, stream in streams.items():
            if stream.spec.mid == mid:
                return index
    fitting = (index for index, stream in streams.items() if stream.rates[packet.payload_type] != UNKNOWN_PT)
    return next(fitting, None)
