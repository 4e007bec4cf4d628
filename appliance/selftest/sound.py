"""Tones in G.711: made, and measured by Goertzel's filter in what was heard."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from appliance.rtc.g711 import MU_LAW_FULL, encode_mu_law, mu_law_sample

RATE: Final = 8000
FRAME: Final = 160
"""Samples of 20 ms."""
_QUIET: Final = MU_LAW_FULL * 10 ** (-50 / 20)


def tone_frame(hertz: float, number: int) -> bytes:
    """The `number`th 20 ms of a tone at a quarter of full scale, in mu-law."""
    step = 2 * math.pi * hertz / RATE
    first = number * FRAME
    return encode_mu_law(round(MU_LAW_FULL / 4 * math.sin(step * (first + n))) for n in range(FRAME))


def samples_of(octets: bytes) -> list[int]:
    return [mu_law_sample(octet) for octet in octets]


def tone_of(samples: Sequence[int]) -> float | None:
    """The frequency in Hz that carries at least half of the power; None where none does, or all is quiet."""
    if len(samples) < FRAME:
        return None
    power = sum(sample * sample for sample in samples) / len(samples)
    if power < _QUIET**2 / 2:
        return None
    coarse = max(range(100, RATE // 2 - 100, 20), key=lambda hertz: _power_at(samples[:400], hertz))
    fine = max(range(coarse - 24, coarse + 25), key=lambda hertz: _power_at(samples, hertz))
    return float(fine) if _power_at(samples, fine) > power / 2 else None


def _power_at(samples: Sequence[int], hertz: float) -> float:
    coefficient = 2 * math.cos(2 * math.pi * hertz / RATE)
    before = last = 0.0
    for sample in samples:
        before, last = last, sample + coefficient * last - before
    return 2 * (last * last + before * before - coefficient * last * before) / len(samples) ** 2
