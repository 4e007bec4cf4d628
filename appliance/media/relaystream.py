"""Stream: one m-line of an endpoint, as it lives: who its partner is, what went out, what the peer reports.

Turns counters into the figures of backend.StreamStats. Control reads and writes here a few times a second
at most; packets only touch the Source and Sent of entry.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from attrs import define, field

from appliance.media.backend import MID_URI, Quality, StreamSpec, StreamStats
from appliance.media.entry import NO_JITTER, UNKNOWN_PT, Sent, Source
from appliance.rtc.quality import Reception, mos, r_factor
from appliance.rtc.rtcp import ReportBlock

if TYPE_CHECKING:
    from appliance.media.endpoint import RelayEndpoint

ASSUMED_DELAY_MS = 20.0
"""One way, where no RTCP tells the round trip."""


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
        current = max(sources, key=lambda source: source.reception.last_heard, default=None)
        return StreamStats(
            index=self.spec.index,
            kind=self.spec.kind,
            packets_received=self.retired_packets + sum(source.reception.packets for source in sources),
            bytes_received=self.retired_bytes + sum(source.reception.bytes for source in sources),
            packets_sent=self.sent.packets,
            bytes_sent=self.sent.bytes,
            lost=self.retired_lost + sum(source.reception.lost for source in sources),
            payload_type=current.payload_type if current and current.payload_type >= 0 else None,
            received=self._received(current),
            sent=self._sent(partner),
            last_heard=self.last_heard(sources),
        )

    def _received(self, source: Source | None) -> Quality | None:
        return None if source is None else self._judge(source.reception, self.rtt_ms)

    def _judge(self, reception: Reception, rtt_ms: float | None) -> Quality:
        return self._quality(reception.loss_percent, reception.jitter_ms, rtt_ms, reception.packets, "own")

    def _quality(
        self, loss_percent: float, jitter_ms: float, rtt_ms: float | None, packets: int, source: str
    ) -> Quality:
        r = None
        if self.spec.kind == "audio" and packets >= 50:
            delay = ASSUMED_DELAY_MS if rtt_ms is None else rtt_ms / 2
            r = r_factor(loss_percent, delay, jitter_ms)
        return Quality(loss_percent, jitter_ms, rtt_ms, r, None if r is None else mos(r), source)

    def _sent(self, partner: tuple[Stream, list[Source]] | None) -> Quality | None:
        """From the peer's reports, or else from how the same media reached us on the other side."""
        if self.reports:
            block, _ = max(self.reports.values(), key=lambda report: report[1])
            rate = next((rate for rate in self.spec.payload_types.values()), 8000)
            base = self.sent.packets
            loss = 100.0 * max(0, block.lost) / base if base else 0.0
            return self._quality(min(100.0, loss), 1000.0 * block.jitter / rate, self.rtt_ms, base, "rtcp")
        if partner is not None:
            _, sources = partner
            current = max(sources, key=lambda source: source.reception.last_heard, default=None)
            if current is not None:
                return self._judge(current.reception, self.rtt_ms)
        return None


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
