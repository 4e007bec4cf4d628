"""Guards of the box itself: which share of new requests is refused so that those that pass come through well.

CPU time of our thread and the lag of its loop are watched by `LoadGuard`: it begins at the high mark and ends under the
low one. In between it does not refuse everything, which would swing between too much and nothing, but finds the rate
that keeps the processor just under the high mark. `MemoryGuard` refuses a share that rises between its marks, and all
above. Pure: what was measured comes in, a share goes out.
"""

from __future__ import annotations

import attrs

from appliance.config.admission import GuardSettings

_TWICE = 2
"""One bad sample is no overload."""
_CALM_SAMPLES = 8
_SMOOTH = 0.3
_STEEPEST, _GENTLE, _MOST = 0.8, 0.95, 1.3
"""How much less, or more, the next interval may admit."""
_LEAST_RATE = 1.0
_LEAST_SHARE = 0.5
"""Of what is carried now."""
_FILLING, _FULL = 0.1, 0.5


@attrs.define
class LoadGuard:
    """Fed four times a second or so by `sample`."""

    settings: GuardSettings
    share: float = 0.0
    """Of new requests, to be refused now: 0 to 1."""
    cpu: float = 0.0
    lag_s: float = 0.0
    _rate: float | None = None
    """What may be admitted each second, None while all is well."""
    _offered: float = 0.0
    _carried: float = 0.0
    _bad: int = 0
    _calm: int = 0

    def sample(self, seconds: float, cpu_s: float, lag_s: float, offered: int, begun: int) -> None:
        """What one interval brought: CPU time used, the worst lag of the loop, new requests offered and begun with."""
        settings = self.settings
        self.cpu = cpu = cpu_s / seconds
        self.lag_s = lag_s
        self._offered += _SMOOTH * (offered / seconds - self._offered)
        high = settings.shed and (cpu >= settings.cpu_high or lag_s >= settings.lag_high_ms / 1000)
        self._bad = self._bad + 1 if high else 0
        if self._rate is None:
            if self._bad < _TWICE:
                return
            self._rate = self._carried = max(_LEAST_RATE, begun / seconds)
            self._offered = max(self._offered, offered / seconds)
        self._carried += _SMOOTH * (begun / seconds - self._carried)
        target = (settings.cpu_low + 3 * settings.cpu_high) / 4
        factor = min(_MOST, max(_STEEPEST, target / max(cpu, 0.01)))
        if lag_s >= settings.lag_high_ms / 1000:
            factor = min(factor, _STEEPEST)
        elif lag_s >= settings.lag_low_ms / 1000:
            factor = min(factor, _GENTLE)
        # What waits already takes its time; to admit hardly anything meanwhile would leave a hole behind it.
        self._rate = max(_LEAST_RATE, self._carried * _LEAST_SHARE, self._rate * factor)
        low = not settings.shed or (cpu < settings.cpu_low and lag_s < settings.lag_low_ms / 1000)
        self._calm = self._calm + 1 if low and self._rate >= self._offered else 0
        if self._calm >= _CALM_SAMPLES or not settings.shed:
            self._rate, self.share, self._calm = None, 0.0, 0
            return
        # Nothing is learned from a rate that nobody asks for.
        self._rate = min(self._rate, max(_LEAST_RATE, self._offered * 1.5))
        self.share = max(0.0, 1.0 - self._rate / max(self._offered, _LEAST_RATE))

    def lag_of_backlog(self, full: float, lag_s: float) -> float:
        """A buffer of the kernel that fills up is a lag as well, whose length nobody knows."""
        if full >= _FULL:
            return max(lag_s, self.settings.lag_high_ms / 1000)
        return max(lag_s, self.settings.lag_low_ms / 1000) if full >= _FILLING else lag_s

    @property
    def sentence(self) -> str:
        return (
            f"overload: {self.cpu:.0%} of a core used, the loop {self.lag_s * 1000:.0f} ms late, "
            f"{self.share:.0%} of new requests refused"
        )


@attrs.define
class MemoryGuard:
    """Once above the high mark it refuses all until memory is under the low one."""

    settings: GuardSettings
    share: float = 0.0
    used: float = 0.0
    """A share of what there is."""
    _shut: bool = False

    def sample(self, used: float) -> None:
        settings = self.settings
        self.used = used
        low, high = settings.memory_low, settings.memory_high
        if used >= high:
            self._shut = True
        elif used < low:
            self._shut = False
        self.share = 1.0 if self._shut else min(1.0, max(0.0, (used - low) / (high - low)))

    @property
    def sentence(self) -> str:
        return f"memory: {self.used:.0%} of what there is, {self.share:.0%} of new requests refused"
