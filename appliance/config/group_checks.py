"""Contradictions of groups and of the terms on which gateways and trunks take part in a choice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .groups import Algorithm, ChoiceSettings
from .mistakes import Mistake, nearest
from .places import Places
from .settings import Settings
from .terms import USUAL, Terms

_WEIGHED = (Algorithm.WEIGHTED, Algorithm.HASH, Algorithm.LEAST_CALLS)


def find_in_groups(settings: Settings, places: Places) -> Iterator[Mistake]:
    """Unknown or repeated members, shares that do not add up, terms that mean nothing."""
    for trunk in settings.trunks.values():
        for heading, wanted in (("health", trunk.health), ("quality", trunk.quality)):
            known = places.written(heading)
            if wanted is not None and wanted not in known:
                place = places.of("trunk", trunk.name, heading)
                mistake = f"there is no [{heading} {wanted}]"
                yield Mistake(place, f"[trunk {trunk.name}]", heading, mistake, nearest(wanted, heading, known))
        if places.sound("trunk", trunk.name):
            gateways = [(str(gateway), gateway.terms) for gateway in trunk.gateways]
            yield from _terms(trunk, "trunk", trunk.name, "gateways", gateways, places)
    for group in settings.groups.values():
        place = places.of("group", group.name, "members")
        title = f"[group {group.name}]"
        known = places.written("trunk")
        for member in group.members:
            if member.trunk not in known:
                mistake = f"there is no [trunk {member.trunk}]"
                yield Mistake(place, title, "members", mistake, nearest(member.trunk, "trunk", known))
                continue
            whole = settings.trunks.get(member.trunk)
            if whole is not None and not whole.gateways and places.sound("trunk", member.trunk):
                mistake = f"[trunk {member.trunk}] has no gateways"
                yield Mistake(place, title, "members", mistake, "Give the trunk gateways, or take it out of the group")
        if places.sound("group", group.name):
            named = [(member.trunk, _with_capacity(member.trunk, member.terms, settings)) for member in group.members]
            yield from _terms(group, "group", group.name, "members", named, places)
    for quality in settings.qualities.values():
        if quality.prefixes and quality.prefix_length and places.sound("quality", quality.name):
            place = places.of("quality", quality.name, "prefix-length")
            mistake = "counts for nothing beside prefixes"
            yield Mistake(place, f"[quality {quality.name}]", "prefix-length", mistake, "Take one of them away")
    for health in settings.health.values():
        if health.stand_down_s > health.longest_stand_down_s and places.sound("health", health.name):
            place = places.of("health", health.name, "longest-stand-down")
            mistake = f"stand-down ({health.stand_down_s:g} s) is longer than {health.longest_stand_down_s:g} s"
            remedy = "Make stand-down shorter or longest-stand-down longer"
            yield Mistake(place, f"[health {health.name}]", "longest-stand-down", mistake, remedy)


def _with_capacity(trunk: str, terms: Terms, settings: Settings) -> Terms:
    """The terms of a member, its capacity from its gateways where it has none of its own."""
    gateways = settings.trunks[trunk].gateways if trunk in settings.trunks else ()
    if terms.capacity is not None or not gateways or any(one.terms.capacity is None for one in gateways):
        return terms
    return Terms(terms.priority, terms.weight, terms.share, sum(one.terms.capacity or 0 for one in gateways))


def _terms(
    choice: ChoiceSettings, heading: str, name: str, key: str, named: Sequence[tuple[str, Terms]], places: Places
) -> Iterator[Mistake]:
    place, title = places.of(heading, name, key), f"[{heading} {name}]"
    algorithm = choice.algorithm
    seen: set[str] = set()
    for one, terms in named:
        if one in seen:
            yield Mistake(place, title, key, f"{one} stands twice", "Take one of them away")
        seen.add(one)
        if terms.share is not None and algorithm is not Algorithm.PERCENTAGE:
            mistake = f"the share of {one} counts for nothing with algorithm = {algorithm}"
            yield Mistake(place, title, key, mistake, "Write algorithm = percentage, or take the share away")
        if terms.weight != USUAL.weight and algorithm not in _WEIGHED:
            mistake = f"the weight of {one} counts for nothing with algorithm = {algorithm}"
            remedy = f"Write algorithm = {', '.join(_WEIGHED[:-1])} or {_WEIGHED[-1]}, or take the weight away"
            yield Mistake(place, title, key, mistake, remedy)
        if terms.capacity is None and algorithm is Algorithm.MOST_FREE:
            mistake = f"{one} has no capacity, which algorithm = most-free goes by"
            yield Mistake(place, title, key, mistake, f"Write {one};capacity=N, N calls at a time")
    if algorithm is Algorithm.PERCENTAGE:
        yield from _shares(heading, name, key, named, places)


def _shares(heading: str, name: str, key: str, named: Sequence[tuple[str, Terms]], places: Places) -> Iterator[Mistake]:
    place, title = places.of(heading, name, key), f"[{heading} {name}]"
    for priority in sorted({terms.priority for _, terms in named}):
        shares = [terms.share for _, terms in named if terms.priority == priority]
        total = sum(share for share in shares if share is not None)
        which = f" of priority {priority}" if len({terms.priority for _, terms in named}) > 1 else ""
        if total > 100 or (total < 100 and None not in shares):
            mistake = f"the shares{which} add up to {total} per cent"
            yield Mistake(place, title, key, mistake, "Make them 100, or leave one without a share: it gets the rest")
        elif total == 100 and None in shares:
            mistake = f"the shares{which} leave nothing for who has none"
            yield Mistake(place, title, key, mistake, "Give it share=0 if it is only to stand by")
