"""What must change in a packet between two streams: header extensions that the far side numbers otherwise,
or has not.

Nothing where both sides agree, which is the common case and costs nothing. Towards a bundle whose partner
knows no MID, the MID is put in until the peer must have learnt the SSRC. RFC 8285, RFC 9143 §9.2 and §15.
"""

from collections.abc import Callable

from appliance.media.backend import MID_URI, StreamSpec
from appliance.rtc.errors import BadMedia
from appliance.rtc.rtp import build_extension, parse_rtp_untrusted, rewrite_extension_untrusted
from appliance.rtc.srtp import PacketBuffer

Rewrite = Callable[[PacketBuffer, int], int]
MID_PACKETS = 200
"""How many packets of one source carry a MID that we add."""


def plan_rewrite(come: StreamSpec, go: StreamSpec) -> Rewrite | None:
    """The change for packets that come as one stream says and go as the other says; None for none.

    The result raises BadMedia for a packet whose extension cannot be read.
    """
    numbers = {uri: number for number, uri in go.extensions.items()}
    ids = {number: numbers[uri] for number, uri in come.extensions.items() if uri in numbers}
    mid_id = numbers.get(MID_URI)
    values = {mid_id: go.mid.encode()} if mid_id is not None and go.mid is not None else {}
    mid_comes = MID_URI in come.extensions.values()
    same = ids.keys() == come.extensions.keys() and all(old == new for old, new in ids.items())
    if same and (come.extensions or not go.extensions) and (not values or (mid_comes and come.mid == go.mid)):
        return None
    if not ids and (not values or mid_comes):
        return strip
    added = [(mid_id, values[mid_id])] if mid_id in values and not mid_comes else []
    left = MID_PACKETS if added else 0

    def rewrite(buffer: PacketBuffer, size: int) -> int:
        nonlocal left
        if buffer.view[0] & 0x10:
            size = buffer.put(rewrite_extension_untrusted(buffer.view[:size], ids, values))
        if left and not buffer.view[0] & 0x10:
            left -= 1
            size = buffer.put(_with_extension(bytes(buffer.view[:size]), build_extension(added)))
        return size

    return rewrite


def under_ssrc(ssrc: int, inner: Rewrite | None) -> Rewrite:
    """The change that gives packets another SSRC, after `inner`."""
    name = ssrc.to_bytes(4, "big")

    def rewrite(buffer: PacketBuffer, size: int) -> int:
        if inner is not None:
            size = inner(buffer, size)
        buffer.view[8:12] = name
        return size

    return rewrite


def strip(buffer: PacketBuffer, size: int) -> int:
    """Take the header extension out in place: a browser's packets towards a phone, so it must be quick."""
    view = buffer.view
    first = view[0]
    if not first & 0x10:
        return size
    start = 12 + 4 * (first & 0x0F)
    length = 4 + 4 * (view[start + 2] << 8 | view[start + 3])
    if start + length > size:
        raise BadMedia("malformed", "RTP ends inside its extension")
    view[start : size - length] = view[start + length : size]
    view[0] = first & ~0x10
    return size - length


def _with_extension(data: bytes, extension: bytes) -> bytes:
    at = 12 + 4 * len(parse_rtp_untrusted(data).csrcs)
    return bytes((data[0] | 0x10,)) + data[1:at] + extension + data[at:]
