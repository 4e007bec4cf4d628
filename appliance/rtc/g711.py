"""G.711: linear samples to mu-law and A-law octets, and back. For tones and tests; calls are never
transcoded."""

from collections.abc import Iterable

MU_LAW_BIAS = 33
"""In 14-bit samples."""
MU_LAW_PEAK_DBM0 = 3.17
MU_LAW_FULL = 8159
A_LAW_PEAK_DBM0 = 3.14
A_LAW_FULL = 4096


def mu_law_octet(sample: int) -> int:
    """`sample` in 14 bits, -8159 to 8159 (clipped)."""
    sign = 0x80 if sample < 0 else 0
    magnitude = min(abs(sample), MU_LAW_FULL - 1) + MU_LAW_BIAS
    segment = max(0, magnitude.bit_length() - 6)
    return ~(sign | segment << 4 | (magnitude >> segment + 1) & 0x0F) & 0xFF


def mu_law_sample(octet: int) -> int:
    """In 14 bits."""
    octet = ~octet & 0xFF
    segment = octet >> 4 & 7
    magnitude = ((2 * (octet & 0x0F) + 33) << segment) - MU_LAW_BIAS
    return -magnitude if octet & 0x80 else magnitude


def a_law_octet(sample: int) -> int:
    """`sample` in 13 bits, -4096 to 4095 (clipped)."""
    sign = 0x80 if sample >= 0 else 0
    magnitude = min(sample if sample >= 0 else ~sample, A_LAW_FULL - 1)
    segment = max(0, magnitude.bit_length() - 5)
    mantissa = magnitude >> max(1, segment) & 0x0F
    return (sign | segment << 4 | mantissa) ^ 0x55


def a_law_sample(octet: int) -> int:
    """In 13 bits."""
    octet ^= 0x55
    segment, mantissa = octet >> 4 & 7, octet & 0x0F
    magnitude = 2 * mantissa + 1 if segment == 0 else (2 * mantissa + 33) << segment - 1
    return magnitude if octet & 0x80 else -magnitude


def encode_mu_law(samples: Iterable[int]) -> bytes:
    return bytes(mu_law_octet(sample) for sample in samples)


def encode_a_law(samples: Iterable[int]) -> bytes:
    return bytes(a_law_octet(sample) for sample in samples)
