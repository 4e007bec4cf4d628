"""What is known of a gateway while the box runs: whom it carries, how quickly it answers, whether it is in service.

Keyed by trunk and the gateway's text, so that it outlives a reload. A call is counted by standing in a set, not by
plus and minus one: it cannot be counted twice, nor taken away twice.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from enum import Enum

import attrs

_LATENCY_AGE_S = 60.0
"""What was not measured for this long is not known any more."""
_LATENCY_GAIN = 0.25


class Standing(Enum):
    """What a gateway may be given just now."""

    IN = "in service"
    SPARE = "in service, tried after the others"
    OUT = "out of service"
    HELD = "taken out by hand"


@attrs.define(eq=False)
class LivingGateway:
    """One gateway of one trunk. Times are monotonic seconds."""

    trunk: str
    name: str
    carried: set[object] = attrs.field(factory=set)
    """The calls that are tried there or stand."""
    _latency_s: float | None = None
    _latency_at: float = 0.0

    @property
    def calls(self) -> int:
        return len(self.carried)

    def answered_after(self, seconds: float, now: float) -> None:
        """Its first answer to a request came after `seconds`, or it gave none in that time."""
        known = self.latency_s(now)
        self._latency_s = seconds if known is None else known + _LATENCY_GAIN * (seconds - known)
        self._latency_at = now

    def latency_s(self, now: float) -> float | None:
        """Smoothed; None where it is not known, or not of late."""
        return self._latency_s if now - self._latency_at < _LATENCY_AGE_S else None

    def standing(self, now: float) -> Standing:
        return Standing.IN

    def why(self, now: float) -> str:
        """The standing in words."""
        return self.standing(now).value


class Gateways:
    """All gateways that were ever configured and are still worth remembering."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], LivingGateway] = {}

    def __iter__(self) -> Iterator[LivingGateway]:
        return iter(list(self._known.values()))

    def of(self, trunk: str, name: str) -> LivingGateway:
        living = self._known.get((trunk, name))
        if living is None:
            living = self._known[trunk, name] = LivingGateway(trunk, name)
        return living

    def keep(self, configured: Collection[tuple[str, str]]) -> None:
        """Forget those that are configured no more and carry nothing."""
        for key, living in list(self._known.items()):
            if key not in configured and not living.carried:
                del self._known[key]
