"""What is known of a gateway while the box runs: whom it carries, how quickly it answers, whether it is in service.

Keyed by trunk and the gateway's text, so that it outlives a reload. A call is counted by standing in a set, not by
plus and minus one: it cannot be counted twice, nor taken away twice.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from enum import Enum, StrEnum

import attrs

from appliance.config.health import HealthSettings
from appliance.config.quality import QualitySettings
from appliance.router.health import Health, State
from appliance.router.outcome import AttemptOutcome, End
from appliance.router.quality import Quality, Score

_LATENCY_AGE_S = 60.0
"""What was not measured for this long is not known any more."""
_LATENCY_GAIN = 0.25


class Standing(Enum):
    """What a gateway may be given just now."""

    IN = "in service"
    SPARE = "in service, tried after the others"
    OUT = "out of service"
    HELD = "taken out by hand"


class Hold(StrEnum):
    """What an operator has said of a gateway."""

    NONE = "none"
    DRAINED = "drained"
    """No new calls; pings go on."""
    BLOCKED = "blocked"
    """Nothing of ours goes there that does not belong to a call in progress."""


@attrs.define(eq=False)
class LivingGateway:
    """One gateway of one trunk. Times are monotonic seconds."""

    trunk: str
    name: str
    carried: set[object] = attrs.field(factory=set)
    """The calls that are tried there or stand."""
    hold: Hold = Hold.NONE
    health: Health | None = None
    """None where nobody watches it."""
    quality: Quality | None = None
    """None where the figures of its calls do not matter."""
    ends: dict[End, int] = attrs.field(factory=lambda: dict.fromkeys(End, 0))
    """How many attempts came to what, since the start."""
    pings: dict[bool, int] = attrs.field(factory=lambda: {True: 0, False: 0})
    """How many pings were answered, and how many were not."""
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

    def tried(self, call: object, now: float) -> None:
        """A call is offered to it."""
        self.carried.add(call)
        if self.health is not None:
            self.health.tried(now)

    def attempt(self, outcome: AttemptOutcome) -> None:
        """And has come to something."""
        self.ends[outcome.end] += 1
        if self.health is not None:
            self.health.attempt(outcome)

    def standing(self, now: float) -> Standing:
        if self.hold is not Hold.NONE:
            return Standing.HELD
        health = self.health
        if health is None:
            return Standing.IN
        state = health.state if health.state is State.IN else health.at(now)
        if state is State.IN:
            return Standing.IN
        if state is State.PROBATION:
            return Standing.IN if health.may_try(now) else Standing.SPARE
        return Standing.OUT

    def told(self, now: float) -> tuple[str, str]:
        """The standing in a word or two, and how it came to it; "" where there is nothing to tell."""
        health = self.health
        if self.hold is not Hold.NONE:
            return str(self.hold), "by hand"
        if health is None:
            return "not watched", ""
        return health.at(now).value, health.why

    def why(self, now: float) -> str:
        """The same in one."""
        state, why = self.told(now)
        return f"{state}, {why}" if why else state


class Gateways:
    """All gateways that were ever configured and are still worth remembering.

    `changed` is told of each change of health: the gateway, the states before and after, and why.
    """

    def __init__(self) -> None:
        self.changed: Callable[[LivingGateway, State, State, str], None] = lambda living, old, new, why: None
        self.quality_changed: Callable[[LivingGateway, str, Score], None] = lambda living, prefix, score: None
        self._known: dict[tuple[str, str], LivingGateway] = {}

    def __iter__(self) -> Iterator[LivingGateway]:
        return iter(list(self._known.values()))

    def of(self, trunk: str, name: str) -> LivingGateway:
        living = self._known.get((trunk, name))
        if living is None:
            living = self._known[trunk, name] = LivingGateway(trunk, name)
        return living

    def watch(self, living: LivingGateway, settings: HealthSettings | None, now: float) -> None:
        """From now on by these settings; what is known of its health stays."""
        if settings is None:
            living.health = None
            return
        if living.health is None:
            living.health = Health(settings, lambda old, new, why: self.changed(living, old, new, why), since=now)
        living.health.settings = settings
        if settings.ping_interval_s is None:
            living.health.unwatched(now)

    def measure(self, living: LivingGateway, settings: QualitySettings | None, wall: float) -> None:
        """From now on by these settings; what was measured stays."""
        if settings is None:
            living.quality = None
        elif living.quality is None:
            living.quality = quality = Quality(settings)
            quality.changed = lambda prefix, score: self.quality_changed(living, prefix, score)
        elif living.quality.settings != settings:
            living.quality.configure(settings, wall)

    def keep(self, configured: Collection[tuple[str, str]]) -> None:
        """Forget those that are configured no more, unless they carry something or are held by hand."""
        for key, living in list(self._known.items()):
            if key not in configured and not living.carried and living.hold is Hold.NONE:
                del self._known[key]
