"""Contradictions in rewriting: rule sets and number plans that are not there, rules that can never do anything."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from .mistakes import Mistake
from .places import Places
from .rewriting import NumberPlanSettings, RulesSettings
from .rewriting_rule import Part, Rule, Scope, Test, Verb
from .settings import Settings


def find_rewriting_contradictions(settings: Settings, places: Places) -> Iterator[Mistake]:
    for rules in settings.rules.values():
        if places.sound("rules", rules.name):
            yield from _unreachable(rules, places)
    for plan in settings.numberplans.values():
        if places.sound("numberplan", plan.name):
            yield from _ambiguous(plan, places)
    for trunk in settings.trunks.values():
        for key, sets in (("rules-in", trunk.rules_in), ("rules-out", trunk.rules_out)):
            for name in sets:
                yield from _named("rules", name, "trunk", trunk.name, key, places)
        yield from _plan(trunk.numbers_in, "trunk", trunk.name, "numbers-in", places)
        yield from _plan(
            trunk.numbers_out.plan if trunk.numbers_out else None, "trunk", trunk.name, "numbers-out", places
        )
    for listener in settings.listeners.values():
        for name in listener.rules_in:
            yield from _named("rules", name, "listener", listener.name, "rules-in", places)
        yield from _plan(listener.numbers_in, "listener", listener.name, "numbers-in", places)
    for user in settings.users.values():
        yield from _plan(user.numbers_in, "user", user.name, "numbers-in", places)
        yield from _plan(user.numbers_out.plan if user.numbers_out else None, "user", user.name, "numbers-out", places)


def _plan(name: str | None, heading: str, owner: str, key: str, places: Places) -> Iterator[Mistake]:
    if name is not None:
        yield from _named("numberplan", name, heading, owner, key, places)


def _named(what: str, name: str, heading: str, owner: str, key: str, places: Places) -> Iterator[Mistake]:
    known = places.written(what)
    if name in known:
        return
    near = difflib.get_close_matches(name, known, 1)
    if near:
        remedy = f"Did you mean {near[0]}"
    else:
        remedy = f"Known are {', '.join(sorted(known))}" if known else f"Add a section [{what} {name}]"
    place = places.of(heading, owner, key)
    yield Mistake(place, f"[{heading} {owner}]", key, f"there is no [{what} {name}]", remedy)


def _unreachable(rules: RulesSettings, places: Places) -> Iterator[Mistake]:
    """Rules behind an unconditional stop, said twice, or about a header that is gone by then."""
    stopped: dict[Scope, int] = {}
    gone: dict[tuple[str, Scope], int] = {}
    seen: dict[Rule, int] = {}
    for number, rule in rules.rules:

        def wrong(mistake: str, number: int = number) -> Mistake:
            place = places.of("rules", rules.name, str(number))
            return Mistake(place, f"[rules {rules.name}]", str(number), mistake, "Take it away, or move it up")

        if all(scope in stopped for scope in rule.scope):
            yield wrong(f"never gets its turn: rule {max(stopped[scope] for scope in rule.scope)} stops before")
            continue
        before = seen.setdefault(rule, number)
        if before != number and rule.verb in (Verb.SET, Verb.STOP):
            yield wrong(f"does what rule {before} has done already")
        needed = _needed(rule)
        missing = [key for key in sorted(needed) if all((key, scope) in gone for scope in rule.scope)]
        if missing:
            taken = max(gone[missing[0], scope] for scope in rule.scope)
            yield wrong(f"never finds {missing[0]}: rule {taken} has removed it")
        if rule.verb is Verb.STOP and not rule.conditions:
            stopped |= dict.fromkeys(rule.scope, number)
        field = rule.field
        if field is None:
            continue
        for scope in rule.scope:
            if rule.verb is Verb.REMOVE and field.part is Part.WHOLE and not rule.conditions and rule.pattern is None:
                gone[field.key, scope] = number
            elif rule.verb in (Verb.ADD, Verb.SET, Verb.COPY):
                gone.pop((field.key, scope), None)


def _needed(rule: Rule) -> set[str]:
    """Headers without which the rule does nothing."""
    needed = {one.key for one in rule.value if not isinstance(one, str)} | ({rule.source} if rule.source else set())
    if rule.field is not None and (rule.verb in (Verb.REPLACE, Verb.REMOVE) or rule.field.part is not Part.WHOLE):
        needed.add(rule.field.key)
    for condition in rule.conditions:
        if condition.field is not None and condition.test in (Test.HAS, Test.EQUALS, Test.MATCHES):
            needed.add(condition.field.key)
    return needed


def _ambiguous(plan: NumberPlanSettings, places: Places) -> Iterator[Mistake]:
    title = f"[numberplan {plan.name}]"
    local, national = plan.local_lengths, plan.national_lengths
    bare = plan.bare_national or not plan.national_prefix
    if local is not None and not plan.area_code:
        place = places.of("numberplan", plan.name, "local-lengths")
        yield Mistake(place, title, "local-lengths", "stands without area-code", "Give the area code of this place")
    if plan.area_code and local is None:
        place = places.of("numberplan", plan.name, "area-code")
        yield Mistake(place, title, "area-code", "stands without local-lengths", "Say how long local numbers are")
    if bare and local is not None and local.low <= national.high and national.low <= local.high:
        place = places.of("numberplan", plan.name, "local-lengths")
        mistake = f"{local.low}-{local.high} and national-lengths {national.low}-{national.high} cannot be told apart"
        remedy = "Narrow one of them, or give a national-prefix and bare-national = no"
        yield Mistake(place, title, "local-lengths", mistake, remedy)
    if local is not None and plan.area_code:
        low, high = local.low + len(plan.area_code), local.high + len(plan.area_code)
        if low < national.low or high > national.high:
            place = places.of("numberplan", plan.name, "local-lengths")
            mistake = f"with the area code a local number has {low} to {high} digits, national-lengths says otherwise"
            yield Mistake(place, title, "local-lengths", mistake, "Make the lengths agree")
