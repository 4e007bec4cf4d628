"""How a trunk or a group would choose, in words and from the settings alone: what `route explain` can know of it."""

from __future__ import annotations

from collections.abc import Iterator

from appliance.config.groups import Algorithm, ChoiceSettings, WhenDown
from appliance.config.settings import Settings
from appliance.config.terms import Terms

_WEIGHED = (Algorithm.WEIGHTED, Algorithm.HASH, Algorithm.LEAST_CALLS)


def trunk_in_words(settings: Settings, name: str) -> list[str]:
    """The gateways of a trunk by tier and terms, how they are watched and measured."""
    trunk = settings.trunks[name]
    lines = [
        *_tiers(f"gateways of trunk {name}", trunk, [(str(gateway), gateway.terms) for gateway in trunk.gateways]),
        *_limits(trunk),
    ]
    if trunk.health is not None:
        lines.append(f"watched as [health {trunk.health}] says; {_when_down(trunk)}")
    if trunk.quality is not None:
        lines.append(f"put back where their calls go worse than [quality {trunk.quality}] allows")
    return lines


def group_in_words(settings: Settings, name: str) -> list[str]:
    """The trunks of a group by tier and terms, and each of them in turn."""
    group = settings.groups[name]
    lines = [*_tiers(f"trunks of group {name}", group, [(one.trunk, one.terms) for one in group.members])]
    lines += _limits(group)
    for member in group.members:
        lines += [f"  {line}" for line in trunk_in_words(settings, member.trunk)]
    return lines


def _tiers(what: str, choice: ChoiceSettings, named: list[tuple[str, Terms]]) -> Iterator[str]:
    tiers: dict[int, list[str]] = {}
    for one, terms in named:
        tiers.setdefault(terms.priority, []).append(one + _terms(choice.algorithm, terms))
    order = [
        " and ".join(tiers[priority]) if len(tiers) > 1 else ", ".join(tiers[priority]) for priority in sorted(tiers)
    ]
    how = f"{choice.algorithm} on {choice.hash_on}" if choice.algorithm is Algorithm.HASH else str(choice.algorithm)
    yield f"{what}, {how}: {'; when these fail '.join(order) or 'none'}"


def _terms(algorithm: Algorithm, terms: Terms) -> str:
    if algorithm in _WEIGHED and terms.weight != 1:
        return f" (weight {terms.weight})"
    if algorithm is Algorithm.PERCENTAGE:
        return f" ({terms.share} %)" if terms.share is not None else " (of the rest)"
    if algorithm is Algorithm.MOST_FREE and terms.capacity is not None:
        return f" (capacity {terms.capacity})"
    return ""


def _limits(choice: ChoiceSettings) -> Iterator[str]:
    if choice.tries:
        yield f"at most {choice.tries} are tried"
    if choice.total_time_s is not None:
        yield f"nobody further is tried after {choice.total_time_s:g} s"


def _when_down(choice: ChoiceSettings) -> str:
    if choice.when_down is WhenDown.LAST:
        return "who is out of service is tried last"
    return "who is out of service is not tried, and with nobody left the call gets 503"
