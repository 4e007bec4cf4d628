"""A rolling window of sums: a ring of time buckets, bounded in memory, the sums of the whole ready at any moment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum

BUCKETS = 30
"""The window moves on by this part of itself."""


class Sum(IntEnum):
    """What is summed up."""

    SEIZURES = 0
    """Attempts that count for the answer-seizure ratio."""
    ANSWERED = 1
    ATTEMPTS = 2
    """Attempts that count for the network effectiveness ratio."""
    EFFECTIVE = 3
    DELAYED = 4
    """Attempts with a post-dial delay, and their delays in seconds."""
    DELAY_S = 5
    ENDED = 6
    """Calls that ended, and how long they were talked, in seconds."""
    TALKED_S = 7
    HEARD = 8
    """Calls with a MOS of what the gateway sent, and the scores."""
    HEARD_MOS = 9
    SENT = 10
    """The same of what it was sent."""
    SENT_MOS = 11


class Window:
    """`length_s` of the past. Times are wall-clock seconds, so that it can be kept over a restart."""

    __slots__ = ("_buckets", "_newest", "_step_s", "sums")

    def __init__(self, length_s: float) -> None:
        self._step_s = length_s / BUCKETS
        self._buckets: dict[int, list[float]] = {}
        self._newest = 0
        self.sums: list[float] = [0.0] * len(Sum)

    def add(self, at: float, amounts: Iterable[tuple[Sum, float]]) -> None:
        """Add to the bucket of `at`, which is the present."""
        place = int(at // self._step_s)
        if place != self._newest:
            self.roll(at)
        self._put(place, amounts)

    def _put(self, place: int, amounts: Iterable[tuple[Sum, float]]) -> None:
        if not self._newest - BUCKETS < place <= self._newest:
            return
        bucket = self._buckets.get(place)
        if bucket is None:
            bucket = self._buckets[place] = [0.0] * len(Sum)
        sums = self.sums
        for what, amount in amounts:
            bucket[what] += amount
            sums[what] += amount

    def roll(self, at: float) -> bool:
        """Forget what is too old at `at`; whether that was anything. The sums are made anew, so that none drifts."""
        newest = int(at // self._step_s)
        if newest == self._newest:
            return False
        if newest < self._newest - 1:
            self._buckets.clear()  # the clock was set back: what is ahead of it means nothing
        self._newest = newest
        gone = [place for place in self._buckets if not newest - BUCKETS < place <= newest]
        for place in gone:
            del self._buckets[place]
        self.sums = [sum(bucket[what] for bucket in self._buckets.values()) for what in Sum]
        return True

    def snapshot(self) -> list[tuple[float, list[float]]]:
        """(start of the bucket, its sums), the oldest first."""
        return [(place * self._step_s, list(self._buckets[place])) for place in sorted(self._buckets)]

    def restore(self, buckets: Sequence[tuple[float, Sequence[float]]], at: float) -> None:
        """Take what `snapshot` gave, of this or of another length; what is too old by now is left."""
        self.roll(at)
        for start, amounts in buckets:
            self._put(int(start // self._step_s), zip(Sum, amounts, strict=False))

    def __bool__(self) -> bool:
        return bool(self._buckets)


def mean(sums: Sequence[float], total: Sum, count: Sum) -> float | None:
    """None without samples."""
    return sums[total] / sums[count] if sums[count] else None


def figures(sums: Sequence[float]) -> Mapping[str, float | None]:
    """ASR and NER in per cent, PDD and ACD in seconds, MOS of what the gateway sent and was sent."""
    asr, ner = mean(sums, Sum.ANSWERED, Sum.SEIZURES), mean(sums, Sum.EFFECTIVE, Sum.ATTEMPTS)
    return {
        "asr": None if asr is None else 100 * asr,
        "ner": None if ner is None else 100 * ner,
        "pdd_s": mean(sums, Sum.DELAY_S, Sum.DELAYED),
        "acd_s": mean(sums, Sum.TALKED_S, Sum.ENDED),
        "mos": mean(sums, Sum.HEARD_MOS, Sum.HEARD),
        "mos_sent": mean(sums, Sum.SENT_MOS, Sum.SENT),
    }
