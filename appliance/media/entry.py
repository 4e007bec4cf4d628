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

from appliance.rtc.errors import BadMedia
from appliance.rtc.quality import Reception
from appliance.rtc.rtp import FIXED_HEADER
from appliance.rtc.srtp import CAPACITY, CAUSES, PacketBuffer, srtp_protect, srtp_unprotect

UNKNOWN_PT = -1.0
NO_JITTER = 0.0


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
    keeper: object = None
    """Owns what `protect` points to."""
    out: Sent = field(factory=Sent)
    hindrance: str = "not_joined"
    alias: int | None = None
    """The SSRC under which the partner gets it, None for its own (returning.py)."""


class Receiver(Protocol):
    """What the packet path needs of its endpoint, for what is out of the ordinary."""

    def drop(self, cause: str) -> None: ...
    def learn_untrusted(self, size: int, now: float) -> Source | None:
        """The source for an SSRC heard for the first time, after authentication; None (and counted) to drop it."""

    def may_learn(self, now: float) -> bool: ...
    def on_rtcp_untrusted(self, size: int, now: float) -> None: ...
    def on_other_untrusted(self, size: int, now: float) -> None:
        """Neither RTP nor RTCP, from the settled address."""

    def on_unknown_payload_type(self, source: Source, payload_type: int, now: float) -> bool: ...


@define(eq=False)
class Path:
    """Where packets come in: one endpoint's media, and its connected socket while there is one.

    The functions are shared by all paths of a relay, so that a packet touches as little memory as may be.
    `unprotect` is the SRTP handle, None while there are no keys; `receive_into` that of the connected socket.
    """

    handle: Callable[[Any, float], None]
    deliver: Callable[["Path", int, float], None]
    sources: dict[int, Source]
    endpoint: Receiver
    secure: bool
    unprotect: Any = None
    receive_into: Any = None


def make_path_functions(
    buffer: PacketBuffer,
) -> tuple[Callable[[Path, float], None], Callable[[Path, int, float], None]]:
    """`receive` takes one datagram from a path's connected socket; `deliver` takes one that lies in the buffer,
    from a source already checked."""
    view, cdata, length = buffer.view, buffer.cdata, buffer.length
    unpack = FIXED_HEADER.unpack_from
    unprotect_rtp, protect_rtp = srtp_unprotect, srtp_protect

    def receive(path: Path, now: float) -> None:
        # One datagram a call: the epoll is level-triggered and tells again when there is more, which costs less
        # than the EAGAIN that a drained socket would answer with.
        try:
            size = path.receive_into(view, CAPACITY)
        except BlockingIOError:
            return
        except OSError:
            # An ICMP error for something that we sent earlier.
            path.endpoint.drop("unreachable")
            return
        deliver(path, size, now)

    def deliver(path: Path, size: int, now: float) -> None:
        if size < 12:
            if size >= 8 and 128 <= view[0] <= 191 and 192 <= view[1] <= 223:
                path.endpoint.on_rtcp_untrusted(size, now)
            else:
                path.endpoint.on_other_untrusted(size, now)
            return
        first, second, sequence, timestamp, ssrc = unpack(view)
        if first & 0xC0 != 0x80:
            path.endpoint.on_other_untrusted(size, now)
            return
        if 191 < second < 224:
            path.endpoint.on_rtcp_untrusted(size, now)
            return
        source = path.sources.get(ssrc)
        if source is None and not path.endpoint.may_learn(now):
            path.endpoint.drop("too_many_ssrcs")
            return
        if path.secure:
            handle = path.unprotect
            if handle is None:
                path.endpoint.drop("srtp_no_key")
                return
            length[0] = size
            status = unprotect_rtp(handle, cdata, length)
            if status:
                path.endpoint.drop(CAUSES.get(status, "srtp_other"))
                return
            size = length[0]
        if source is None:
            source = path.endpoint.learn_untrusted(size, now)
            if source is None:
                return
        payload_type = second & 127
        rate = source.rates[payload_type]
        if rate < 0.0 and not path.endpoint.on_unknown_payload_type(source, payload_type, now):
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
            path.endpoint.drop(source.hindrance)
            return
        if source.rewrite is not None:
            try:
                size = source.rewrite(buffer, size)
            except BadMedia as error:
                path.endpoint.drop(error.cause)
                return
        if source.protect is not None:
            length[0] = size
            status = protect_rtp(source.protect, cdata, length)
            if status:
                path.endpoint.drop("srtp_protect")
                return
            size = length[0]
        try:
            send(view[:size])
        except BlockingIOError:
            path.endpoint.drop("buffer_full")
        except OSError:
            path.endpoint.drop("unreachable")
        else:
            out = source.out
            out.packets += 1
            out.bytes += size

    return receive, deliver
