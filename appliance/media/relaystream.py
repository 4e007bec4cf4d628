"""Stream: one m-line of an endpoint, as it lives: who its partner is, what went out, what the peer reports.

Turns counters into the figures of backend.StreamStats. Control reads and writes here a few times a second
at most; packets only touch the Source and Sent of entry.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from attrs import define, field, frozen

from appliance.media.backend import MID_URI, Quality, StreamSpec, StreamStats
from appliance.media.entry import NO_JITTER, UNKNOWN_PT, Sent, Source
from appliance.rtc.quality import mos, r_factor
from appliance.rtc.rtcp import ReportBlock

if TYPE_CHECKING:
    from appliance.media.endpoint import RelayEndpoint

ASSUMED_DELAY_MS = 20.0
"""One way, where no RTCP tells the round trip."""
PRESENT_S = 2.0
"""An SSRC heard this much before the latest is of the past."""


class LineJoin(Protocol):
    """A test line as the partner of one stream (lines.py)."""

    def preset(self, endpoint: RelayEndpoint, stream: Stream, source: Source) -> None:
        """Fill in where this source's packets go."""

    def take_rtcp(self, endpoint: RelayEndpoint, stream: Stream, data: bytes) -> None: ...

    def tick(self, endpoint: RelayEndpoint, stream: Stream, now: float) -> None:
        """About once a second."""

    def close(self) -> None: ...


@define(eq=False)
class Partner:
    """The other end of a join."""

    endpoint: RelayEndpoint
    index: int


@frozen
class Arrived:
    """What came on one m-line. `jitter_ms`, `payload_type` and `ssrc` are those of the SSRC that carries the media
    now, `ssrc` -1 before there is one."""

    packets: int
    lost: int
    jitter_ms: float = 0.0
    payload_type: int = -1
    ssrc: int = -1


@define(eq=False)
class Stream:
    spec: StreamSpec
    rates: list[float]
    sent: Sent = field(factory=Sent)
    reports: dict[int, tuple[ReportBlock, float]] = field(factory=dict)
    """The peer's last report block on each SSRC that we sent to it, and when it came."""
    rtt_ms: float | None = None
    heard: bool = False
    listening_since: float | None = None
    """Since when the peer could be expected to send; None while it need not."""
    silent: bool = False
    renamed: int = 0
    """How often a source of it got another SSRC (returning.py)."""
    retired_packets: int = 0
    retired_bytes: int = 0
    retired_lost: int = 0

    def retire(self, source: Source) -> None:
        self.retired_packets += source.reception.packets
        self.retired_bytes += source.reception.bytes
        self.retired_lost += source.reception.lost

    def apply(self, spec: StreamSpec) -> None:
        """Take a renegotiated m-line; the list object of `rates` stays, sources hold it."""
        self.spec = spec
        self.rates[:] = rates_of(spec)

    def mid_elements(self) -> list[tuple[int, bytes]]:
        """The header extension that names this m-line to its peer, for packets of our own making."""
        mid = self.spec.mid
        if mid is None:
            return []
        return [(number, mid.encode()) for number, uri in self.spec.extensions.items() if uri == MID_URI]

    def last_heard(self, sources: list[Source]) -> float | None:
        heard = max((source.reception.last_heard for source in sources), default=-1.0)
        return heard if heard >= 0.0 else None

    def stats(self, sources: list[Source], partner: tuple[Stream, list[Source]] | None) -> StreamStats:
        heard = self.arrived(sources)
        return StreamStats(
            index=self.spec.index,
            kind=self.spec.kind,
            packets_received=heard.packets,
            bytes_received=self.retired_bytes + sum(source.reception.bytes for source in sources),
            packets_sent=self.sent.packets,
            bytes_sent=self.sent.bytes,
            lost=heard.lost,
            payload_type=heard.payload_type if heard.payload_type >= 0 else None,
            received=self._judge(heard) if sources else None,
            sent=self._sent(None if partner is None else partner[0].arrived(partner[1])),
            last_heard=self.last_heard(sources),
        )

    def arrived(self, sources: list[Source]) -> Arrived:
        """All SSRCs of this m-line together; those that are retired count too."""
        lost = self.retired_lost + sum(source.reception.lost for source in sources)
        packets = self.retired_packets + sum(source.reception.packets for source in sources)
        newest = max((source.reception.last_heard for source in sources), default=0.0)
        # A repair flow (RFC 4588) has an SSRC of its own: what it repairs is what tells codec and jitter.
        present = (source for source in sources if source.reception.last_heard > newest - PRESENT_S)
        main = max(present, key=lambda source: source.reception.packets, default=None)
        if main is None:
            return Arrived(packets, lost)
        return Arrived(packets, lost, main.reception.jitter_ms, main.payload_type, main.ssrc)

    def _judge(self, arrived: Arrived) -> Quality:
        return self._quality(arrived.lost, arrived.packets + arrived.lost, arrived.jitter_ms, "own")

    def _quality(self, lost: int, expected: int, jitter_ms: float, source: str) -> Quality:
        loss_percent = min(100.0, 100.0 * lost / expected) if expected else 0.0
        r = None
        if self.spec.kind == "audio" and expected - lost >= 50:
            delay = ASSUMED_DELAY_MS if self.rtt_ms is None else self.rtt_ms / 2
            r = r_factor(loss_percent, delay, jitter_ms)
        return Quality(loss_percent, jitter_ms, self.rtt_ms, r, None if r is None else mos(r), source)

    def _sent(self, partner: Arrived | None) -> Quality | None:
        """From the peer's reports, or else from how the same media reached us on the other side. What was lost on
        the way to us is lost in the peer's eyes too."""
        if self.reports:
            latest, _ = max(self.reports.values(), key=lambda report: report[1])
            block, _ = self.reports.get(partner.ssrc if partner else -1, (latest, 0.0))
            rates = self.spec.payload_types
            rate = rates.get(partner.payload_type if partner else -1, next(iter(rates.values()), 8000))
            lost = sum(max(0, block.lost) for block, _ in self.reports.values())
            expected = self.sent.packets + (partner.lost if partner else 0)
            return self._quality(lost, expected, 1000.0 * block.jitter / rate, "rtcp")
        return self._judge(partner) if partner is not None and partner.packets else None


def rates_of(spec: StreamSpec) -> list[float]:
    """128 clock rates by payload type: UNKNOWN_PT where not negotiated, NO_JITTER for telephone-event.

    RFC 4733 §2.2: the timestamp of an event stands still while it lasts.
    """
    rates = [UNKNOWN_PT] * 128
    for payload_type, rate in spec.payload_types.items():
        if 0 <= payload_type < 128:
            rates[payload_type] = NO_JITTER if payload_type in spec.dtmf else float(rate)
    return rates


def describe(spec: StreamSpec) -> str:
    return spec.kind if spec.mid is None else f"{spec.kind} (mid {spec.mid})"
