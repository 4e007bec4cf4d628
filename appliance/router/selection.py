"""The order in which several gateways, or trunks of a group, are tried: tiers by priority, the algorithm within a tier.

Pure: who takes part comes in with its figures of this moment, the order comes out. What must be remembered from one
call to the next, whose turn it is, is a `Turn`; it is keyed by name and outlives a reload. Whoever is out of service
is left out by the caller before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from math import inf, log

import attrs

from appliance.config.groups import Algorithm
from appliance.config.terms import Terms

_SLACK = 1.25
_SLACK_S = 0.002
"""Who answers this little later than the quickest counts as quick."""


@attrs.define(eq=False)
class Candidate:
    """One that may be chosen. `weight` is its part of the turns, `calls` what it carries, `latency_s` None where it is
    not known; `position` is its place among those of its owner."""

    name: str
    position: int = 0
    priority: int = 1
    weight: float = 1
    capacity: int | None = None
    calls: int = 0
    latency_s: float | None = None


@attrs.define(eq=False)
class Turn:
    """Whose turn it is: what each has in credit, so that turns of unequal weight come evenly spread."""

    credit: dict[str, float] = attrs.field(factory=dict)

    def take(self, tier: Sequence[Candidate]) -> list[Candidate]:
        """All of the tier, the one whose turn it is first; the next ones are those whose turn comes soonest."""
        credit = self.credit
        total = 0.0
        first = None
        most = -inf
        for one in tier:
            weight = one.weight
            if weight:
                total += weight
                credit[one.name] = own = credit.get(one.name, 0.0) + weight
                if own > most + 1e-9:
                    first, most = one, own
        if first is None:
            return list(tier)  # nobody has any weight: all only stand by
        credit[first.name] -= total
        rest = [one for one in tier if one is not first]
        rest.sort(key=lambda one: -credit.get(one.name, 0.0) if one.weight else inf)
        return [first, *rest]

    def keep(self, names: Iterable[str]) -> None:
        """Forget all others."""
        kept = set(names)
        self.credit = {name: credit for name, credit in self.credit.items() if name in kept}


def candidates(algorithm: Algorithm, terms: Sequence[tuple[str, Terms]]) -> list[Candidate]:
    """Those who take part, by name, as `arrange` wants them: weights according to the algorithm, best tier first."""
    made = []
    for position, (name, given) in enumerate(terms):
        weight: float = given.weight
        if algorithm is Algorithm.ROUND_ROBIN:
            weight = 1
        elif algorithm is Algorithm.PERCENTAGE:
            weight = given.share if given.share is not None else _part_of_the_rest(given.priority, terms)
        made.append(Candidate(name, position, given.priority, weight, given.capacity))
    return sorted(made, key=lambda one: one.priority)


def _part_of_the_rest(priority: int, terms: Sequence[tuple[str, Terms]]) -> float:
    shares = [given.share for _, given in terms if given.priority == priority]
    return max(0, 100 - sum(share for share in shares if share is not None)) / shares.count(None)


def arrange(algorithm: Algorithm, among: Sequence[Candidate], turn: Turn, key: Callable[[], bytes]) -> list[Candidate]:
    """`among` (best tier first) in the order in which they are to be tried; `key` gives what a hash is made of."""
    if algorithm is Algorithm.PRIORITY or len(among) < 2:
        return list(among)
    order: list[Candidate] = []
    start = 0
    while start < len(among):
        priority = among[start].priority
        end = start + 1
        while end < len(among) and among[end].priority == priority:
            end += 1
        order += _ARRANGED[algorithm](among[start:end], turn, key)
        start = end
    return order


def _by_turn(tier: Sequence[Candidate], turn: Turn, key: Callable[[], bytes]) -> list[Candidate]:
    return turn.take(tier)


def _by_hash(tier: Sequence[Candidate], turn: Turn, key: Callable[[], bytes]) -> list[Candidate]:
    """Rendezvous hashing with weights: each name draws its own lot for the key, so that taking one away moves only
    what it had."""
    drawn = key()
    return sorted(tier, key=lambda one: _lot(drawn, one), reverse=True)


def _lot(drawn: bytes, one: Candidate) -> float:
    if not one.weight:
        return 0.0
    number = int.from_bytes(blake2b(drawn, digest_size=8, key=one.name.encode()[:64]).digest(), "big")
    return -one.weight / log((number + 0.5) / 2**64)


def _by_calls(tier: Sequence[Candidate], turn: Turn, key: Callable[[], bytes]) -> list[Candidate]:
    return sorted(turn.take(tier), key=lambda one: one.calls / one.weight if one.weight else inf)


def _by_room(tier: Sequence[Candidate], turn: Turn, key: Callable[[], bytes]) -> list[Candidate]:
    return sorted(turn.take(tier), key=lambda one: one.calls - (one.capacity or 0))


def _by_latency(tier: Sequence[Candidate], turn: Turn, key: Callable[[], bytes]) -> list[Candidate]:
    """Who is not known yet is tried, so that it becomes known."""
    quick = min((one.latency_s for one in tier if one.latency_s is not None), default=0.0) * _SLACK + _SLACK_S
    late = {one.name: one.latency_s for one in tier if one.latency_s is not None and one.latency_s > quick}
    return sorted(turn.take(tier), key=lambda one: late.get(one.name, 0.0))


_ARRANGED = {
    Algorithm.ROUND_ROBIN: _by_turn,
    Algorithm.WEIGHTED: _by_turn,
    Algorithm.PERCENTAGE: _by_turn,
    Algorithm.HASH: _by_hash,
    Algorithm.LEAST_CALLS: _by_calls,
    Algorithm.MOST_FREE: _by_room,
    Algorithm.LATENCY: _by_latency,
}
