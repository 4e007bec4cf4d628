"""Steady tones: written as WAV for a phone to speak, and measured in what another phone heard."""

from __future__ import annotations

import math
import struct
import wave
from pathlib import Path


def write_tone(path: Path, frequency_hz: float, seconds: float, rate: int = 8000) -> None:
    """A mono 16-bit sine at a quarter of full scale."""
    step = 2 * math.pi * frequency_hz / rate
    samples = [round(8192 * math.sin(step * n)) for n in range(round(seconds * rate))]
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(struct.pack(f"<{len(samples)}h", *samples))


def read_samples(path: Path) -> tuple[list[int], int]:
    """Samples of a mono 16-bit WAV and its rate, also where its writer did not live to fix the length."""
    data = path.read_bytes()
    if data[:4] != b"RIFF" or b"fmt " not in data[:64] or b"data" not in data[:512]:
        return [], 8000
    fmt = data.index(b"fmt ") + 8
    channels, rate = struct.unpack_from("<HI", data, fmt + 2)
    assert channels == 1, f"{path} has {channels} channels"
    start = data.index(b"data") + 8
    count = (len(data) - start) // 2
    return list(struct.unpack_from(f"<{count}h", data, start)), rate


def power_at(samples: list[int], rate: int, frequency_hz: float) -> float:
    """Mean power of one frequency (Goertzel), in the unit of the samples squared."""
    coefficient = 2 * math.cos(2 * math.pi * frequency_hz / rate)
    before = before_that = 0.0
    for sample in samples:
        before, before_that = sample + coefficient * before - before_that, before
    squared = before**2 + before_that**2 - coefficient * before * before_that
    return 2 * squared / len(samples) ** 2


def tone_of(samples: list[int], rate: int) -> float | None:
    """Frequency in Hz of the tone that the last full second holds; None where no tone stands out of it.

    A tone is one frequency that carries at least half of the power of a sound above -50 dB of full scale.
    """
    second = samples[-rate:]
    if len(second) < rate:
        return None
    power = sum(sample * sample for sample in second) / len(second)
    if power < (32768 * 10 ** (-50 / 20)) ** 2 / 2:
        return None
    coarse = max(range(100, rate // 2 - 100, 20), key=lambda hz: power_at(second[: rate // 20], rate, hz))
    fine = max(range(coarse - 24, coarse + 25, 2), key=lambda hz: power_at(second, rate, hz))
    return float(fine) if power_at(second, rate, fine) > power / 2 else None
