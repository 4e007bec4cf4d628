"""Admission control: may this call, this attempt, this REGISTER pass, by all limits that it falls under?

All or nothing: every limit is asked before any is charged. What passes holds a `Lease` (lease.py). Limits live on
through a reload by their names, and calls in progress are entered anew, so that a new limit knows them. Synchronous;
`now` is monotonic seconds.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator

import attrs

from appliance.config.admission import EACH, Direction, LimitSettings, RefusalKind, ScopeKind
from appliance.config.settings import Settings
from appliance.router.lease import IN, OUT, Hold, Lease, Subject
from appliance.router.limit import ORDINARY, Full, Limit
from appliance.router.question import Caller, CallerKind
from appliance.router.refusals import Draw, refusal
from appliance.rtc.bandwidth import SILENT, Bitrate
from appliance.sip.errors import Rejected

_MOST_LIMITS = 100_000
_MOST_REMEMBERED = 100_000
_RANK = {kind: rank for rank, kind in enumerate(ScopeKind)}
_ONLY_IN = frozenset({ScopeKind.BOX, ScopeKind.SOURCE, ScopeKind.ROUTE})
_BOX: Subject = (ScopeKind.BOX, "")


@attrs.frozen
class LimitState:
    """One limit at one moment, for people and metrics; sizes None where it does not bound that. Bandwidth in bit/s."""

    name: str
    scope: str
    subject: str
    calls: int
    calls_size: int | None
    audio: int
    audio_size: int | None
    video: int
    video_size: int | None
    registrations: int
    registrations_size: int | None
    rate: float
    """New calls a second, 0 without a limit."""
    burst_used: float
    """Tokens that were taken and have not come back yet, of as many as there may be at once."""
    burst_size: float | None
    refused: int


class Admission:
    """One for the box. `draw` gives a random whole number between two, for Retry-After.

    `limited` is False where no limit is configured: then nothing here needs to be called.
    """

    def __init__(self, settings: Settings, draw: Draw, now: float) -> None:
        self._draw = draw
        self.leases: set[Lease] = set()
        """All that live."""
        self._limits: dict[tuple[str, str], Limit] = {}
        """By the limit's name and its subject, which is '' for a limit that has but one."""
        self._refusals: dict[str, int] = {}
        self.configure(settings, now)

    def configure(self, settings: Settings, now: float) -> None:
        """Take new limits; those that keep their name keep their state, and calls in progress count in new ones."""
        self._settings = settings
        self._of: dict[tuple[ScopeKind, str, str], list[LimitSettings]] = {}
        self._networks: list[LimitSettings] = []
        self._found: dict[tuple[str, tuple[Subject, ...]], tuple[Limit, ...]] = {}
        self._incoming: dict[tuple[CallerKind, str, str], tuple[Subject, ...]] = {}
        for one in settings.limits.values():
            if one.scope.network is not None:
                self._networks.append(one)
            for way in (IN, OUT):
                if one.direction in (Direction.BOTH, way):
                    self._of.setdefault((one.scope.kind, one.scope.name, way), []).append(one)
        self.limited = bool(settings.limits)
        self.counts_registrations = any(one.registrations is not None for one in settings.limits.values())
        self._registered: dict[str, set[Limit]] = {}
        self._groups_of: dict[str, list[Subject]] = {}
        for group in settings.groups.values():
            for member in group.members:
                self._groups_of.setdefault(member.trunk, []).append((ScopeKind.GROUP, group.name))
        self.measures = any(
            one.audio_bandwidth is not None or one.video_bandwidth is not None for one in settings.limits.values()
        )
        """Whether bandwidth is limited anywhere: else nobody needs to look at SDP."""
        self._by_source = any(one.scope.kind is ScopeKind.SOURCE for one in settings.limits.values())
        for key, limit in list(self._limits.items()):
            limit.forget_all()
            kept = settings.limits.get(key[0])
            if kept is None or (kept.scope.kind, kept.scope.name) != _scope_of(limit):
                del self._limits[key]
            else:
                limit.configure(kept, now)
        for lease in self.leases:
            for hold in lease.holds:
                self._enter(hold, self._limits_for(hold.way, hold.subjects, now))

    # Calls

    def admit(
        self, caller: Caller, source: str, route: str, bitrate: Bitrate, now: float, urgency: int = ORDINARY
    ) -> Lease:
        """A call that comes in from `source`, an IP literal. Raises `Rejected`; then nothing was charged."""
        lease = Lease(self.leases, urgency, bitrate)
        lease.incoming = self._acquire(lease, IN, self._subjects_of(caller, source, route), bitrate, now)
        self.leases.add(lease)
        return lease

    def adopt(self, caller: Caller, source: str, route: str, trunk: str, now: float) -> Lease:
        """A lease for a call that was there before any limit; nothing is asked."""
        lease = Lease(self.leases, ORDINARY, SILENT)
        ways = [(IN, self._subjects_of(caller, source, route))]
        if trunk:
            ways.append((OUT, self.outgoing(trunk=trunk)))
        for way, subjects in ways:
            hold = Hold(lease, way, subjects, 0, 0)
            if way == IN:
                lease.incoming = hold
            lease.holds.add(hold)
            self._enter(hold, self._limits_for(way, subjects, now))
        self.leases.add(lease)
        return lease

    def attempt(self, lease: Lease, subjects: tuple[Subject, ...], now: float) -> Hold:
        """One more way out of an admitted call, e.g. to a gateway. Raises `Rejected`; then nothing was charged."""
        return self._acquire(lease, OUT, subjects, lease.bitrate, now)

    def outgoing(self, *, user: str = "", trunk: str = "", group: str = "", gateway: str = "") -> tuple[Subject, ...]:
        """What an attempt falls under; names are '' where there is none."""
        names = ((ScopeKind.USER, user), (ScopeKind.GATEWAY, gateway), (ScopeKind.TRUNK, trunk))
        tenants = {self._tenant(ScopeKind.USER, user), self._tenant(ScopeKind.TRUNK, trunk)} - {""}
        groups = ((ScopeKind.GROUP, group),)
        return tuple(
            (kind, name)
            for kind, name in (*names, *groups, *((ScopeKind.TENANT, tenant) for tenant in sorted(tenants)))
            if name
        )

    def change(self, lease: Lease, bitrate: Bitrate) -> Rejected | None:
        """The call's media takes this much from now on; where it does not fit, why, and all stays as it was."""
        changed: list[tuple[Hold, int, int]] = []
        for hold in lease.holds:
            for limit in hold.limits:
                full = limit.blocks_bandwidth(hold.key_in(limit), bitrate.audio, bitrate.video, lease.urgency)
                if full is not None:
                    for other, audio, video in changed:
                        _set(other, audio, video)
                    return self._refused(limit, attrs.evolve(full, kind=RefusalKind.BANDWIDTH_CHANGE))
            changed.append((hold, hold.audio, hold.video))
            _set(hold, bitrate.audio, bitrate.video)
        return None

    def settle(self, lease: Lease, bitrate: Bitrate) -> None:
        """The same without asking: this is what was agreed on, and it is no more than what was asked for."""
        for hold in lease.holds:
            _set(hold, bitrate.audio, bitrate.video)

    def _acquire(self, lease: Lease, way: str, subjects: tuple[Subject, ...], bitrate: Bitrate, now: float) -> Hold:
        limits = self._limits_for(way, subjects, now)
        hold = Hold(lease, way, subjects, bitrate.audio, bitrate.video)
        for limit in limits:
            full = limit.blocks(hold.key_in(limit), bitrate.audio, bitrate.video, lease.urgency, now)
            if full is not None:
                raise self._refused(limit, full)
        for limit in limits:
            limit.spend(now)
        lease.holds.add(hold)
        self._enter(hold, limits)
        return hold

    def _enter(self, hold: Hold, limits: tuple[Limit, ...]) -> None:
        hold.limits = limits
        for limit in limits:
            limit.hold(hold)

    def _refused(self, limit: Limit, full: Full) -> Rejected:
        limit.refused += 1
        self._refusals[limit.settings.name] = self._refusals.get(limit.settings.name, 0) + 1
        return refusal(self._settings, full.kind, full.sentence, self._draw, limit.settings.refusal)

    # Registrations and messages

    def register(self, user: str, source: str, aor: str, now: float) -> None:
        """A REGISTER that gave the password of `user`. Raises `Rejected`."""
        for limit in self._limits_for(IN, self._subjects_of(Caller(CallerKind.USER, user), source, ""), now):
            full = limit.take_register(aor, now)
            if full is not None:
                raise self._refused(limit, full)

    def registered(self, user: str, sources: frozenset[str], aor: str, now: float) -> None:
        """The bindings of an AOR have changed; `sources` are the IP literals that those left came from."""
        for limit in self._registered.pop(aor, ()):
            limit.registered.discard(aor)
        caller = Caller(CallerKind.USER, user)
        found = {
            limit
            for source in sources
            for limit in self._limits_for(IN, self._subjects_of(caller, source, ""), now)
            if limit.settings.registrations is not None
        }
        if found:
            self._registered[aor] = found
        for limit in found:
            limit.registered.add(aor)

    def message(self, caller: Caller, source: str, route: str, now: float) -> None:
        """A request outside any call, neither INVITE nor REGISTER. Raises `Rejected`."""
        for limit in self._limits_for(IN, self._subjects_of(caller, source, route), now):
            full = limit.take_message(now)
            if full is not None:
                raise self._refused(limit, full)

    # What falls under what

    def _subjects_of(self, caller: Caller, source: str, route: str) -> tuple[Subject, ...]:
        key = (caller.kind, caller.name, route)
        subjects = self._incoming.get(key)
        if subjects is None:
            found: list[Subject] = []
            if caller.name:
                kind = ScopeKind.USER if caller.kind is CallerKind.USER else ScopeKind.TRUNK
                found.append((kind, caller.name))
                if kind is ScopeKind.TRUNK:
                    found += self._groups_of.get(caller.name, ())
                tenant = self._tenant(kind, caller.name)
                if tenant:
                    found.append((ScopeKind.TENANT, tenant))
            if route:
                found.append((ScopeKind.ROUTE, route))
            found.append(_BOX)
            if len(self._incoming) >= _MOST_REMEMBERED:
                self._incoming.clear()
            subjects = self._incoming[key] = tuple(found)
        return (*subjects, (ScopeKind.SOURCE, source)) if self._by_source else subjects

    def _tenant(self, kind: ScopeKind, name: str) -> str:
        owner = (self._settings.users if kind is ScopeKind.USER else self._settings.trunks).get(name)
        return "" if owner is None else owner.tenant

    def _limits_for(self, way: str, subjects: tuple[Subject, ...], now: float) -> tuple[Limit, ...]:
        """The limits of these subjects, the narrowest scope first."""
        if self._by_source and way == IN:
            return self._look_up(way, subjects, now)  # the addresses of the world are not to be remembered
        found = self._found.get((way, subjects))
        if found is None:
            if len(self._found) >= _MOST_REMEMBERED:
                self._found.clear()
            found = self._found[way, subjects] = self._look_up(way, subjects, now)
        return found

    def _look_up(self, way: str, subjects: Iterable[Subject], now: float) -> tuple[Limit, ...]:
        found: list[Limit] = []
        for kind, name in subjects:
            if way == OUT and kind in _ONLY_IN:
                continue
            for settings in self._of.get((kind, name, way), ()) if kind is not ScopeKind.SOURCE else ():
                found.append(self._limit(settings, "", now))
            if kind is ScopeKind.SOURCE:
                found += self._of_source(name, now)
            elif name:
                for settings in self._of.get((kind, EACH, way), ()):
                    found.append(self._limit(settings, name, now))
        found.sort(key=lambda limit: _RANK[limit.settings.scope.kind])
        return tuple(found)

    def _of_source(self, source: str, now: float) -> Iterator[Limit]:
        address = ipaddress.ip_address(source.partition("%")[0])
        mapped = getattr(address, "ipv4_mapped", None)
        address = mapped or address
        for settings in self._networks:
            network = settings.scope.network
            if network is not None and address in network:
                yield self._limit(settings, "", now)
        # Whoever has one IPv6 address has all of its network.
        whole = address if address.version == 4 else ipaddress.ip_network(f"{address}/64", strict=False)
        for settings in self._of.get((ScopeKind.SOURCE, EACH, IN), ()):
            yield self._limit(settings, str(whole), now)

    def _limit(self, settings: LimitSettings, subject: str, now: float) -> Limit:
        limit = self._limits.get((settings.name, subject))
        if limit is None:
            if len(self._limits) >= _MOST_LIMITS:
                subject = "others"  # what a flood of forged sources comes to
            limit = self._limits.setdefault((settings.name, subject), Limit(settings, subject, now))
        return limit

    # Looking after

    def sweep(self, now: float) -> int:
        """Forget what is idle of limits for sources; how many leases were found whose owner is gone (released now).

        None ever should be: it counts as a fault of ours.
        """
        lost = 0
        for lease in list(self.leases):
            if lease.owner is None or lease.owner.ended_at is not None:
                lost += 1
                lease.release()
        for key, limit in list(self._limits.items()):
            if key[1] and limit.settings.scope.kind is ScopeKind.SOURCE and limit.idle(now):
                del self._limits[key]
        return lost

    def states(self, now: float = 0.0) -> list[LimitState]:
        """Every limit with what it holds; those for each of something where they hold something or have refused."""
        shown = [limit for limit in self._limits.values() if not limit.subject or not limit.idle(0.0) or limit.refused]
        unused = [Limit(one, "", 0.0) for one in self._settings.limits.values() if self._untouched(one)]
        return [
            _state(limit, now)
            for limit in sorted([*shown, *unused], key=lambda limit: (limit.settings.name, limit.subject))
        ]

    def refusals(self) -> dict[tuple[str, ...], float]:
        """How often each limit refused, by its name."""
        return {(name,): self._refusals.get(name, 0) for name in self._settings.limits}

    def _untouched(self, settings: LimitSettings) -> bool:
        return settings.scope.name != EACH and (settings.name, "") not in self._limits


def _set(hold: Hold, audio: int, video: int) -> None:
    hold.audio, hold.video = audio, video
    for limit in hold.limits:
        limit.carry(hold)


def _scope_of(limit: Limit) -> tuple[ScopeKind, str]:
    return limit.settings.scope.kind, limit.settings.scope.name


def _state(limit: Limit, now: float) -> LimitState:
    settings = limit.settings
    return LimitState(
        name=settings.name,
        scope=str(settings.scope),
        subject=limit.subject,
        calls=limit.used,
        calls_size=settings.calls,
        audio=limit.audio,
        audio_size=None if settings.audio_bandwidth is None else settings.audio_bandwidth * 1000,
        video=limit.video,
        video_size=None if settings.video_bandwidth is None else settings.video_bandwidth * 1000,
        registrations=len(limit.registered),
        registrations_size=settings.registrations,
        rate=settings.rate or 0.0,
        burst_used=0.0 if limit.rate is None else limit.rate.burst - limit.rate.level(now),
        burst_size=None if limit.rate is None else limit.rate.burst,
        refused=limit.refused,
    )
