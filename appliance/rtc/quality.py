"""Loss, jitter and what they mean to a listener: R-factor and MOS.

Reception follows RFC 3550 §6.4.1, A.3 and A.8 for one SSRC. The R-factor is the E-model of ITU-T G.107 with
its default values, reduced to delay and loss (as in G.107 §7.4 and §7.5), codec figures from G.113 Appendix
I. The first lines of a packet's accounting are written out again in media/entry.py, where every call
counts.
"""

from attrs import define, frozen

MAX_DROPOUT = 3000
MAX_MISORDER = 100


@define
class Reception:
    """What arrives of one SSRC. Sequence numbers are extended; `jitter` is in timestamp units (A.8)."""

    packets: int = 0
    bytes: int = 0
    base: int = -1
    """Extended sequence number of the first packet; -1 before it."""
    highest: int = -1
    jitter: float = 0.0
    transit: float = 0.0
    rate: float = 0.0
    """Clock rate of `transit`; another rate starts the comparison anew."""
    last_heard: float = -1.0
    lost_before: int = 0
    """Packets lost before the sender started a new sequence."""
    received_before: int = 0
    expected_at_report: int = 0
    received_at_report: int = 0

    def arrive(self, sequence: int, timestamp: int, rate: float, now: float) -> None:
        """Account one packet. `rate` is the clock rate in Hz, 0.0 to leave the jitter alone
        (telephone-event)."""
        self.packets += 1
        self.last_heard = now
        self.advance(sequence)
        if rate:
            self.spread(timestamp, rate, now)

    def advance(self, sequence: int) -> None:
        """Follow the sequence number (A.1, without its probation: the source check came before)."""
        if self.base < 0:
            self.base = self.highest = sequence
            return
        delta = (sequence - self.highest) & 0xFFFF
        if delta < MAX_DROPOUT:
            self.highest += delta
        elif delta <= 0x10000 - MAX_MISORDER:
            # A.1: a very large jump is a sender that started again.
            received = self.packets - 1 - self.received_before
            self.lost_before += max(0, self.highest - self.base + 1 - received)
            self.received_before = self.packets - 1
            self.base = self.highest = sequence
            self.expected_at_report = self.received_at_report = 0

    def spread(self, timestamp: int, rate: float, now: float) -> None:
        transit = now * rate - timestamp
        difference = abs(transit - self.transit)
        self.transit = transit
        if rate == self.rate and difference < rate:
            self.jitter += (difference - self.jitter) / 16
        self.rate = rate

    @property
    def expected(self) -> int:
        return self.highest - self.base + 1 if self.base >= 0 else 0

    @property
    def lost(self) -> int:
        """Never below zero: duplicates may outweigh losses (A.3)."""
        return self.lost_before + max(0, self.expected - (self.packets - self.received_before))

    @property
    def loss_percent(self) -> float:
        whole = self.lost + self.packets
        return 100.0 * self.lost / whole if whole else 0.0

    @property
    def jitter_ms(self) -> float:
        return 1000.0 * self.jitter / self.rate if self.rate else 0.0

    def fraction_lost(self) -> int:
        """The 8-bit fraction since the last call, as report blocks carry it (A.3)."""
        received = self.packets - self.received_before
        expected_interval = self.expected - self.expected_at_report
        lost_interval = expected_interval - (received - self.received_at_report)
        self.expected_at_report, self.received_at_report = self.expected, received
        if expected_interval <= 0 or lost_interval <= 0:
            return 0
        return min(255, (lost_interval << 8) // expected_interval)


@frozen
class CodecImpairment:
    """G.113: equipment impairment `ie`, robustness to loss `bpl`, and the codec's own delay in ms."""

    ie: float
    bpl: float
    delay_ms: float


IMPAIRMENTS = {
    "pcmu": CodecImpairment(0.0, 25.1, 20.0),  # G.711 with packet loss concealment
    "pcma": CodecImpairment(0.0, 25.1, 20.0),
    "g729": CodecImpairment(11.0, 19.0, 25.0),
    "opus": CodecImpairment(0.0, 25.1, 26.5),
    "g722": CodecImpairment(0.0, 25.1, 20.0),
}
DEFAULT_IMPAIRMENT = IMPAIRMENTS["pcmu"]
BASE_R = 93.2


def r_factor(
    loss_percent: float,
    one_way_delay_ms: float,
    jitter_ms: float,
    codec: CodecImpairment = DEFAULT_IMPAIRMENT,
) -> float:
    """0 to 93.2. The listener's jitter buffer is taken as twice the jitter."""
    delay = one_way_delay_ms + 2.0 * jitter_ms + codec.delay_ms
    # G.107 Idd in its usual piecewise-linear form around the 177.3 ms knee.
    impairment_delay = 0.024 * delay + (0.11 * (delay - 177.3) if delay > 177.3 else 0.0)
    # G.107 §7.5 with random loss (BurstR = 1).
    impairment_loss = codec.ie + (95.0 - codec.ie) * loss_percent / (loss_percent + codec.bpl)
    return min(BASE_R, max(0.0, BASE_R - impairment_delay - impairment_loss))


def mos(r: float) -> float:
    """G.107 Annex B: mean opinion score 1.0 to 4.5 of an R-factor."""
    if r <= 0:
        return 1.0
    if r >= 100:
        return 4.5
    # The cubic dips below 1 for very small R.
    return max(1.0, 1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7.0e-6)
