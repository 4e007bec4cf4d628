"""One limit and what it holds now: places, bandwidth, a token bucket, a sliding window.

What is used is the set of leases that hold it, never a figure counted up and down: a lease that is gone is gone from
all sums. Everything is synchronous; `now` is monotonic seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from appliance.config.admission import LimitSettings, Passing, RefusalKind, ScopeKind, Spike

if TYPE_CHECKING:
    from appliance.router.lease import Hold

Key = object
"""What occupies one place: a call, or one end of it."""

ORDINARY, PRIORITY, EMERGENCY = range(3)
"""How urgent a call is."""

_A_HAIR = 1e-6
"""What binary fractions may lack."""
_FULL = {
    ScopeKind.BOX: RefusalKind.BOX_FULL,
    ScopeKind.TENANT: RefusalKind.TENANT_FULL,
    ScopeKind.GROUP: RefusalKind.GROUP_FULL,
    ScopeKind.TRUNK: RefusalKind.TRUNK_FULL,
    ScopeKind.GATEWAY: RefusalKind.GATEWAY_FULL,
    ScopeKind.ROUTE: RefusalKind.ROUTE_FULL,
    ScopeKind.SOURCE: RefusalKind.SOURCE_FULL,
    ScopeKind.USER: RefusalKind.USER_FULL,
}


class Bucket:
    """`rate` tokens a second, `burst` at most. Emergency and priority may owe some."""

    __slots__ = ("_at", "_level", "burst", "rate")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self.rate = rate
        self.burst = self._level = burst
        self._at = now

    def level(self, now: float) -> float:
        """Tokens there are; below zero where priority has overdrawn it."""
        if now > self._at:
            self._level = min(self.burst, self._level + (now - self._at) * self.rate)
            self._at = now
        return self._level

    def take(self, now: float) -> None:
        self._level = max(self.level(now) - 1, -self.burst)

    def resize(self, rate: float, burst: float, now: float) -> None:
        self._level = min(self.level(now), burst)
        self.rate, self.burst = rate, burst


class Window:
    """Counts what came in the last `steps` steps of `step_s` seconds."""

    __slots__ = ("_counts", "_step", "spike")

    def __init__(self, spike: Spike) -> None:
        self.spike = spike
        self._counts: dict[int, int] = {}
        self._step = -1

    def count(self, now: float) -> int:
        step = int(now / self.spike.step_s)
        if step != self._step:
            self._step = step
            self._counts = {at: count for at, count in self._counts.items() if step - at < self.spike.steps}
        return sum(self._counts.values())

    def take(self, now: float) -> None:
        self.count(now)
        self._counts[self._step] = self._counts.get(self._step, 0) + 1


@attrs.frozen
class Full:
    """Why a limit refuses: the kind, and the sentence with its counts."""

    kind: RefusalKind
    sentence: str


class Limit:
    """A [limit …] for one subject, e.g. for one of all the users that `user:each` means."""

    __slots__ = (
        "_carried",
        "_messages",
        "_registers",
        "_window",
        "audio",
        "holders",
        "rate",
        "refused",
        "registered",
        "settings",
        "subject",
        "video",
    )

    def __init__(self, settings: LimitSettings, subject: str, now: float) -> None:
        self.subject = subject
        self.holders: dict[Key, set[Hold]] = {}
        """Who occupies each place."""
        self._carried: dict[Key, tuple[int, int]] = {}
        self.audio = self.video = 0
        """bit/s, the sums of what `_carried` says of each place."""
        self.registered: set[str] = set()
        """The AORs that count as registered here."""
        self.refused = 0
        self.rate: Bucket | None = None
        self._registers: Bucket | None = None
        self._messages: Bucket | None = None
        self._window: Window | None = None
        self.configure(settings, now)

    def configure(self, settings: LimitSettings, now: float) -> None:
        """Take new sizes; what is held stays held, and a bucket keeps its level."""
        self.settings = settings
        burst = float(settings.burst or max(1, round(settings.rate or 1)))
        self.rate = _resized(self.rate, settings.rate, burst, now)
        self._registers = _resized(self._registers, settings.register_rate, _twice(settings.register_rate), now)
        self._messages = _resized(self._messages, settings.message_rate, _twice(settings.message_rate), now)
        if settings.spike is None:
            self._window = None
        elif self._window is None or self._window.spike != settings.spike:
            self._window = Window(settings.spike)

    @property
    def used(self) -> int:
        return len(self.holders)

    @property
    def label(self) -> str:
        settings = self.settings
        each = f" ({settings.scope.kind} {self.subject})" if self.subject else f" ({settings.scope})"
        return f"limit {settings.name}{each}"

    @property
    def told(self) -> str:
        """What is used of it, in words."""
        size = self.settings.calls
        return f"{self.label}: {self.used}{'' if size is None else f' of {size}'} calls"

    def idle(self, now: float) -> bool:
        """Whether it could be made anew without a difference."""
        buckets = (self.rate, self._registers, self._messages)
        full = all(bucket is None or bucket.level(now) >= bucket.burst for bucket in buckets)
        return not (self.holders or self.registered) and full and (self._window is None or not self._window.count(now))

    # Places and bandwidth

    def blocks(self, key: Key, audio: int, video: int, urgency: int, now: float) -> Full | None:
        """Why a new call, or one more end of a call that is here already, may not pass; None where it may."""
        settings = self.settings
        sized = settings.calls is not None and key not in self.holders
        if sized and len(self.holders) + 1 > self._room(settings.calls, urgency):
            kind = _FULL[settings.scope.kind]
            return Full(kind, f"{self.label}: {len(self.holders)} of {settings.calls} calls")
        bucket = self.rate
        if bucket is not None and bucket.level(now) < min(bucket.burst, 1 - self._debt(bucket.burst, urgency)):
            return Full(RefusalKind.RATE, f"{self.label}: {bucket.rate:g} calls a second, {bucket.burst:g} at once")
        window = self._window
        if window is not None:
            count = window.count(now)
            if count + 1 > self._room(window.spike.calls, urgency):
                return Full(RefusalKind.SPIKE, f"{self.label}: {count} calls within {window.spike}")
        if settings.audio_bandwidth is not None or settings.video_bandwidth is not None:
            return self.blocks_bandwidth(key, audio, video, urgency)
        return None

    def blocks_bandwidth(self, key: Key, audio: int, video: int, urgency: int) -> Full | None:
        """Why this much of audio and video, in bit/s, does not fit at a place, with what the place has already."""
        settings = self.settings
        had_audio, had_video = self._carried.get(key, (0, 0))
        for what, size, used, had, wanted in (
            ("audio", settings.audio_bandwidth, self.audio, had_audio, audio),
            ("video", settings.video_bandwidth, self.video, had_video, video),
        ):
            if size is not None and wanted > had and used - had + wanted > self._room(size * 1000, urgency):
                counts = f"{used / 1000:g} of {size} kbit/s {what} used, {(wanted - had) / 1000:g} more wanted"
                return Full(RefusalKind.BANDWIDTH, f"{self.label}: {counts}")
        return None

    def spend(self, now: float) -> None:
        """A new call passes: its token and its place in the window."""
        if self.rate is not None:
            self.rate.take(now)
        if self._window is not None:
            self._window.take(now)

    def hold(self, hold: Hold) -> None:
        self.holders.setdefault(hold.key_in(self), set()).add(hold)
        self.carry(hold)

    def release(self, hold: Hold) -> None:
        """Nothing where it does not hold."""
        key = hold.key_in(self)
        holds = self.holders.get(key)
        if holds is None:
            return
        holds.discard(hold)
        if not holds:
            del self.holders[key]
        self.carry(hold)

    def carry(self, hold: Hold) -> None:
        """What a hold carries has changed: a place carries as much as the dearest of its holds."""
        if self.settings.audio_bandwidth is None and self.settings.video_bandwidth is None:
            return
        key = hold.key_in(self)
        holds = self.holders.get(key, ())
        audio = max((one.audio for one in holds), default=0)
        video = max((one.video for one in holds), default=0)
        before = self._carried.get(key, (0, 0))
        self.audio += audio - before[0]
        self.video += video - before[1]
        if holds:
            self._carried[key] = audio, video
        else:
            self._carried.pop(key, None)

    def forget_all(self) -> None:
        """Before those that hold it now are entered anew."""
        self.registered.clear()
        self.holders.clear()
        self._carried.clear()
        self.audio = self.video = 0

    # Registrations and messages

    def take_register(self, aor: str, now: float) -> Full | None:
        """A REGISTER for an AOR; it counts as registered once it is."""
        size = self.settings.registrations
        if size is not None and aor not in self.registered and len(self.registered) >= size:
            return Full(RefusalKind.REGISTRATIONS, f"{self.label}: {len(self.registered)} of {size} registrations")
        return self._take(self._registers, RefusalKind.REGISTRATIONS, "registrations", now)

    def take_message(self, now: float) -> Full | None:
        return self._take(self._messages, RefusalKind.MESSAGES, "messages", now)

    def _take(self, bucket: Bucket | None, kind: RefusalKind, what: str, now: float) -> Full | None:
        if bucket is None:
            return None
        if bucket.level(now) < 1:
            return Full(kind, f"{self.label}: {bucket.rate:g} {what} a second, {bucket.burst:g} at once")
        bucket.take(now)
        return None

    def _room(self, size: int | None, urgency: int) -> float:
        assert size is not None
        if urgency == ORDINARY:
            return size * (1 - self.settings.reserve) + _A_HAIR
        over = self._passing(urgency).over
        return float("inf") if over is None else size * (1 + over)

    def _debt(self, burst: float, urgency: int) -> float:
        if urgency == ORDINARY:
            return -burst * self.settings.reserve
        over = self._passing(urgency).over
        return float("inf") if over is None else burst * over

    def _passing(self, urgency: int) -> Passing:
        return self.settings.emergency if urgency == EMERGENCY else self.settings.priority


def _twice(rate: float | None) -> float:
    return max(1.0, 2 * (rate or 0))


def _resized(bucket: Bucket | None, rate: float | None, burst: float, now: float) -> Bucket | None:
    if rate is None:
        return None
    if bucket is None:
        return Bucket(rate, burst, now)
    bucket.resize(rate, burst, now)
    return bucket
