"""Contradictions within admission control: limits for nothing or of nothing, buckets smaller than their rate."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from .admission import EACH, Direction, LimitSettings, RefusalKind, ScopeKind
from .mistakes import Mistake
from .places import Places
from .settings import Settings

_SECTIONS = {ScopeKind.TRUNK: "trunk", ScopeKind.USER: "user", ScopeKind.ROUTE: "route", ScopeKind.GROUP: "group"}
_ONE_WAY = frozenset({ScopeKind.BOX, ScopeKind.SOURCE, ScopeKind.ROUTE})
_SIZES = ("calls", "rate", "spike", "audio-bandwidth", "video-bandwidth", "register-rate", "message-rate")


def limit_contradictions(settings: Settings, places: Places) -> Iterator[Mistake]:
    for limit in settings.limits.values():
        if places.sound("limit", limit.name):
            yield from _limit(limit, settings, places)
    guards = settings.guards
    for low_key, low, high_key, high in (
        ("cpu-low", guards.cpu_low, "cpu-high", guards.cpu_high),
        ("lag-low", guards.lag_low_ms, "lag-high", guards.lag_high_ms),
        ("memory-low", guards.memory_low, "memory-high", guards.memory_high),
    ):
        if low >= high and places.sound("guards"):
            place = max(places.of("guards", "", low_key), places.of("guards", "", high_key))
            yield Mistake(place, "[guards]", low_key, f"is not below {high_key}", f"Make {low_key} the lower one")
    named = {limit.refusal for limit in settings.limits.values()} | set(RefusalKind)
    for name in settings.refusals:
        if name not in named:
            near = difflib.get_close_matches(name, list(RefusalKind), 1)
            remedy = f"Did you mean {near[0]}" if near else f"Kinds are {', '.join(RefusalKind)}"
            yield Mistake(
                places.of("refusal", name), f"[refusal {name}]", "", "is no kind, and no limit names it", remedy
            )


def _limit(limit: LimitSettings, settings: Settings, places: Places) -> Iterator[Mistake]:
    title = f"[limit {limit.name}]"

    def mistake(key: str, what: str, remedy: str) -> Mistake:
        return Mistake(places.of("limit", limit.name, key), title, key, what, remedy)

    kind, name = limit.scope.kind, limit.scope.name
    known = _known(kind, settings, places)
    if known is not None and name != EACH and name not in known:
        near = difflib.get_close_matches(name, known, 1)
        listed = f"Known are {', '.join(sorted(known)[:20])}" if known else f"There is no {kind} at all"
        yield mistake("scope", f"there is no {kind} {name}", f"Did you mean {near[0]}" if near else listed)
    if kind in _ONE_WAY and limit.direction is Direction.OUT:
        yield mistake("direction", f"a {kind} knows no calls that go out", "Leave it away, or limit a trunk or user")
    sizes = (limit.calls, limit.rate, limit.spike, limit.audio_bandwidth, limit.video_bandwidth)
    others = (limit.registrations, limit.register_rate, limit.message_rate)
    if all(one is None for one in (*sizes, *others)):
        yield mistake("", "limits nothing", f"Give {', '.join(_SIZES)} or registrations")
    if limit.burst is not None and limit.rate is None:
        yield mistake("burst", "stands without rate", "Give the rate as well")
    elif limit.burst is not None and limit.rate is not None and limit.burst < limit.rate:
        what = f"{limit.burst} is less than a second's rate ({limit.rate:g})"
        yield mistake("burst", what, "Give a bucket of one second's calls at least, or leave burst away")
    if limit.registrations is not None and kind not in (ScopeKind.BOX, ScopeKind.TENANT, ScopeKind.SOURCE):
        yield mistake("registrations", f"a {kind} has none to count", "Limit the box, a tenant or a source")
    if limit.refusal and limit.refusal not in {*settings.refusals, *RefusalKind}:
        yield mistake(
            "refusal", f"there is no [refusal {limit.refusal}]", f"Add it, or name one of {', '.join(RefusalKind)}"
        )


def _known(kind: ScopeKind, settings: Settings, places: Places) -> set[str] | None:
    """What a scope of this kind may name; None where anything."""
    if kind in _SECTIONS:
        return places.written(_SECTIONS[kind])
    if kind is ScopeKind.TENANT:
        users, trunks = settings.users.values(), settings.trunks.values()
        return ({user.tenant for user in users} | {trunk.tenant for trunk in trunks}) - {""}
    if kind is ScopeKind.GATEWAY:
        return {str(gateway) for trunk in settings.trunks.values() for gateway in trunk.gateways}
    return None
