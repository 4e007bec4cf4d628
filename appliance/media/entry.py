"""The way of one RTP packet: source known, unprotect, account, protect, send. Nothing here awaits or
allocates much.

`Source` is the preset entry of the relay's table: one SSRC as it arrives, and where it goes. Control writes
it (endpoint.py), packets read it and count in it. `make_deliver` binds everything that does not change into
one closure per endpoint; it repeats the arithmetic of rtc/quality.py in place, because a call costs as much
as the sum. RFC 3550 §6.4.1, A.3, A.8.
"""

from collections.abc import Callable
from typing import Any, Protocol

from attrs import define, field

from appliance.media.keys import TransportKeys
from appliance.rtc.errors import BadMedia
from appliance.rtc.quality import MAX_DROPOUT, Reception
from appliance.rtc.rtp import FIXED_HEADER
from appliance.rtc.srtp import CAUSES, PacketBuffer, srtp_protect, srtp_unprotect

UNKNOWN_PT = -1.0
NO_JITTER = 0.0
Deliver = Callable[[int, float], None]
"""(bytes in the buffer, now)."""


@define(eq=False)
class Sent:
    """What went out on one stream."""

    packets: int = 0
    bytes: int = 0


@define(eq=False)
class Source:
    """One arriving SSRC. `rates` maps payload type to clock rate, UNKNOWN_PT or NO_JITTER.

    `send` is the partner's connected socket's send, None where nothing may be sent, for the reason in
    `hindrance` (the cause such packets are counted by). `protect` is the partner's SRTP handle, None for
    plain RTP. `rewrite` changes the packet in the buffer and returns its new length.
    """

    ssrc: int
    index: int
    rates: list[float]
    reception: Reception = field(factory=Reception)
    payload_type: int = -1
    send: Callable[[Any], int] | None = None
    protect: Any = None
    rewrite: Callable[[PacketBuffer, int], int] | None = None
    out: Sent = field(factory=Sent)
    hindrance: str = "not_joined"


class Receiver(Protocol):
    """What the packet path needs of its endpoint."""

    sources: dict[int, Source]

    def drop(self, cause: str) -> None: ...
    def learn_untrusted(self, size: int, now: float) -> Source | None:
        """The source for an SSRC heard for the first time, after authentication; None (and counted) to drop
        it."""

    def may_learn(self, now: float) -> bool: ...
    def on_rtcp_untrusted(self, size: int, now: float) -> None: ...
    def on_unknown_payload_type(self, source: Source, payload_type: int, now: float) -> bool: ...


def make_deliver(endpoint: Receiver, keys: TransportKeys, buffer: PacketBuffer) -> Deliver:
    """The function that takes one RTP or RTCP packet lying in the buffer, from a source already checked."""
    view, cdata, length = buffer.view, buffer.cdata, buffer.length
    unpack = FIXED_HEADER.unpack_from
    unprotect_rtp, protect_rtp = srtp_unprotect, srtp_protect
    sources = endpoint.sources
    secure = keys.required
    drop = endpoint.drop

    def deliver(size: int, now: float) -> None:
        if size < 12:
            if size >= 8 and 192 <= view[1] <= 223:
                endpoint.on_rtcp_untrusted(size, now)
            else:
                drop("malformed")
            return
        first, second, sequence, timestamp, ssrc = unpack(view)
        if 191 < second < 224:
            endpoint.on_rtcp_untrusted(size, now)
            return
        if first & 0xC0 != 0x80:
            drop("malformed")
            return
        source = sources.get(ssrc)
        if source is None and not endpoint.may_learn(now):
            drop("too_many_ssrcs")
            return
        if secure:
            handle = keys.unprotect
            if handle is None:
                drop("srtp_no_key")
                return
            length[0] = size
            status = unprotect_rtp(handle, cdata, length)
            if status:
                drop(CAUSES.get(status, "srtp_other"))
                return
            size = length[0]
        if source is None:
            source = endpoint.learn_untrusted(size, now)
            if source is None:
                return
        payload_type = second & 127
        rate = source.rates[payload_type]
        if rate < 0.0 and not endpoint.on_unknown_payload_type(source, payload_type, now):
            return
        reception = source.reception
        reception.packets += 1
        reception.bytes += size
        reception.last_heard = now
        if (sequence - reception.highest) & 0xFFFF == 1 and reception.base >= 0:
            reception.highest += 1
        else:
            reception.advance(sequence)
        if rate > 0.0:
            transit = now * rate - timestamp
            difference = transit - reception.transit
            reception.transit = transit
            if difference < 0.0:
                difference = -difference
            if difference < rate and reception.rate == rate:
                reception.jitter += (difference - reception.jitter) * 0.0625
            reception.rate = rate
            source.payload_type = payload_type
        send = source.send
        if send is None:
            drop(source.hindrance)
            return
        if source.rewrite is not None:
            try:
                size = source.rewrite(buffer, size)
            except BadMedia as error:
                drop(error.cause)
                return
        if source.protect is not None:
            length[0] = size
            status = protect_rtp(source.protect, cdata, length)
            if status:
                drop("srtp_protect")
                return
            size = length[0]
        try:
            send(view[:size])
        except BlockingIOError:
            drop("buffer_full")
        except OSError:
            drop("unreachable")
        else:
            out = source.out
            out.packets += 1
            out.bytes += size

    return deliver


def make_receive(
    receive_into: Callable[..., int],
    deliver: Deliver,
    other: Deliver,
    drop: Callable[[str], None],
    buffer: PacketBuffer,
) -> Callable[[float], None]:
    """The readiness handler of a connected socket: one datagram, RTP and RTCP to `deliver`, the rest to
    `other`.

    One datagram a call: the epoll is level-triggered and tells again when there is more, which costs less
    than the EAGAIN that a drained socket would answer with.
    """
    view = buffer.view

    def receive(now: float) -> None:
        try:
            size = receive_into(view, 4096)
        except BlockingIOError:
            return
        except OSError:
            # An ICMP error for something that we sent earlier.
            drop("unreachable")
            return
        if size and 128 <= view[0] <= 191:
            deliver(size, now)
        else:
            other(size, now)

    return receive


__all__ = ["MAX_DROPOUT", "Deliver", "Receiver", "Sent", "Source", "make_deliver", "make_receive"]
