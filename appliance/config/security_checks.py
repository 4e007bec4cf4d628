"""Contradictions in what [acl NAME] and [security] say: names that lead nowhere, trunks that lock themselves out."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from .kinds import Network
from .mistakes import Mistake
from .places import Places
from .security import AclDefault, AclSettings, Grade
from .settings import Settings


def find_security_contradictions(settings: Settings, places: Places) -> Iterator[Mistake]:
    """Every contradiction, in no order."""
    yield from _names(settings, places)
    yield from _locked_out(settings, places)
    yield from _lists(settings, places)
    yield from _times(settings, places)


def _names(settings: Settings, places: Places) -> Iterator[Mistake]:
    known = places.written("acl")
    users = [("listener", one.name, one.acl) for one in settings.listeners.values()]
    users += [("trunk", one.name, one.acl) for one in settings.trunks.values()]
    for heading, name, acl in users:
        if acl is not None and acl not in known:
            near = difflib.get_close_matches(acl, known, 1)
            remedy = f"Did you mean {near[0]}" if near else f"Add a section [acl {acl}], or give none"
            place = places.of(heading, name, "acl")
            yield Mistake(place, f"[{heading} {name}]", "acl", f"there is no [acl {acl}]", remedy)


def _locked_out(settings: Settings, places: Places) -> Iterator[Mistake]:
    for trunk in settings.trunks.values():
        acl = settings.acls.get(trunk.acl or "")
        if not places.sound("trunk", trunk.name):
            continue
        for network in trunk.trusted:
            if acl is not None and places.sound("acl", acl.name) and denies_all_of(acl, network):
                place = places.of("trunk", trunk.name, "acl")
                mistake = f"[acl {acl.name}] keeps out {network}, which the trunk trusts"
                remedy = f"Allow {network} there, or take it out of trusted"
                yield Mistake(place, f"[trunk {trunk.name}]", "acl", mistake, remedy)
            lists = [settings.acls.get(one.acl or "") for one in settings.listeners.values()]
            if lists and all(one is not None and denies_all_of(one, network) for one in lists):
                place = places.of("trunk", trunk.name, "trusted")
                mistake = f"{network} can reach no listener: the ACL of each keeps it out"
                remedy = f"Allow {network} in the ACL of the listener that the trunk uses"
                yield Mistake(place, f"[trunk {trunk.name}]", "trusted", mistake, remedy)


def denies_all_of(acl: AclSettings, network: Network) -> bool:
    """Whether no address of a network gets in, by the rules that hold all of it or lie within it."""
    rules = [(rule, False) for rule in acl.deny] + [(rule, True) for rule in acl.allow]
    for rule, admitted in sorted(rules, key=lambda pair: -pair[0].prefixlen):
        if rule.version == network.version and rule.overlaps(network):
            if admitted:
                return False
            if rule.prefixlen <= network.prefixlen:
                return True
    return bool(acl.allow) if acl.default is AclDefault.AUTO else acl.default is AclDefault.DENY


def _lists(settings: Settings, places: Places) -> Iterator[Mistake]:
    for acl in settings.acls.values():
        if not places.sound("acl", acl.name):
            continue
        for network in set(acl.allow) & set(acl.deny):
            place = max(places.of("acl", acl.name, "allow"), places.of("acl", acl.name, "deny"))
            mistake = f"{network} is allowed and denied"
            yield Mistake(place, f"[acl {acl.name}]", "deny", mistake, "Take it out of one of them")


def _times(settings: Settings, places: Places) -> Iterator[Mistake]:
    security = settings.security
    if not places.sound("security"):
        return
    if security.ban_s > security.longest_ban_s:
        place = max(places.of("security", "", "ban"), places.of("security", "", "longest-ban"))
        mistake = f"ban ({security.ban_s:g} s) is longer than longest-ban ({security.longest_ban_s:g} s)"
        yield Mistake(place, "[security]", "ban", mistake, "Make ban shorter or longest-ban longer")
    order = [list(Grade).index(grade) for grade in security.grades]
    if order != sorted(order):
        place = places.of("security", "", "grades")
        yield Mistake(place, "[security]", "grades", "run backwards", "Write them in the order log, delay, drop")
