"""A decision in words: made from its trail when somebody asks, never while a call is being routed."""

from __future__ import annotations

from collections.abc import Iterator

from appliance.config.patch import LEADING_ON, Target
from appliance.router.decision import Decision, Found, Listing, Turn
from appliance.router.question import Question
from appliance.router.rule import Rule, share


def line_of(decision: Decision) -> str:
    """The decision in one line."""
    question = decision.question
    steps = [_step(question, *step) for step in decision.trail]
    if decision.target is None or decision.alternatives:
        steps += _end(decision)
    if not steps:  # a guest's call is not routed
        steps.append(f"{decision.target} by itself, without a route")
    return f"{question.caller} called {question.number}: {'; '.join(steps)}"


def steps_of(decision: Decision) -> tuple[str, ...]:
    """Each rule that was looked at, and the end."""
    found = []
    for rule, what, number in decision.trail:
        table = "" if rule.last or rule.table == "main" else f"table {rule.table}: "
        step = _step(decision.question, rule, what, number)
        if rule.wanted:  # why it was looked at
            step = step.replace(str(rule), f"{rule} ({', '.join(map(str, rule.wanted))})", 1)
        found.append(table + step)
    return (*found, *_end(decision))


def _end(decision: Decision) -> Iterator[str]:
    if decision.target is None:
        # What refused stands in the trail already.
        yield "no route admits this caller" if decision.forbidden else _nothing(decision.question)
    for target, number in decision.alternatives:
        yield f"if that cannot be reached, {_towards(target, number, decision.called)}"


def _nothing(question: Question) -> str:
    if question.foreign:
        return f"{question.host} is not a host of this box, and no route for such hosts matches"
    return "no route matches"


def _step(question: Question, rule: Rule, found: Found, number: str) -> str:
    if found is rule.target and rule.plain and number == question.number:
        return rule.leads
    if isinstance(found, Target):
        shared = ""
        if rule.split:
            shared = (
                f" (this Call-ID stands at {share(question.request.call_id, rule.name):.1f} of 100: {_shares(rule)})"
            )
        if found.kind in LEADING_ON:
            return f"{rule} leads to {found}" + (f" as {number}" if number != question.number else "") + shared
        return f"{rule} leads to {_towards(found, number, question.number)}{shared}"
    if isinstance(found, Turn):
        return f"{rule} matches, but {found.value}" if found is Turn.REFUSED else f"{rule} goes on: {found.value}"
    if isinstance(found, Listing):
        if not found.rows:
            return f"numbers {found.name} does not hold {number}"
        row = found.rows[0]
        return f"numbers {found.name}: {number} falls to {row.written} ({found.file}:{row.line})"
    return f"{rule} is passed over: {found.failed(question)}"


def _shares(rule: Rule) -> str:
    before = 0
    parts = []
    for bound, target in rule.split:
        parts.append(f"{bound - before}% {target}")
        before = bound
    if before < 100:
        parts.append(f"{100 - before}% {rule.target}")
    return ", ".join(parts)


def _towards(target: Target, number: str, called: str) -> str:
    return str(target) + (f" as {number}" if number != called else "")
