"""Rule sets compiled: what each rule does to a message, and in which words it says so.

One pass over the rules in order, each bounded: RE2 for patterns, values cut off where they grow too long. A rule whose
result could not stand in a message changes nothing. Synchronous; the message is changed in place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from appliance.config.rewriting import RulesSettings
from appliance.config.rewriting_rule import Condition, Field, Part, Rule, Scope, Test, Verb
from appliance.router.fields import Change, Fixed, Unfit, append, read, write
from appliance.sip.headers import value_of
from appliance.sip.message import Message, Request, Response

Steps = list[str]


@attrs.frozen
class _Numbered:
    """A rule and how it is called: 'rules NAME 20'."""

    label: str
    rule: Rule


@attrs.frozen
class _Replaced(Change):
    """The first match of a rule's pattern replaced by its template."""

    rule: Rule

    def of(self, value: str | None) -> str | None:
        if value is None:
            return None
        assert self.rule.pattern is not None
        replaced = self.rule.pattern.replaced(value, self.rule.template)
        return value if replaced is None else replaced


class Rules:
    """The rules of several sets in order, apart by the messages that they look at."""

    def __init__(self, sets: Iterable[RulesSettings]) -> None:
        parts: dict[Scope, list[list[_Numbered]]] = {scope: [] for scope in Scope}
        for one in sets:
            for scope, found in parts.items():
                found.append(
                    [_Numbered(f"rules {one.name} {number}", rule) for number, rule in one.rules if scope in rule.scope]
                )
        self.initial = [found for found in parts[Scope.INITIAL] if found]
        self.in_dialog = [found for found in parts[Scope.IN_DIALOG] if found]
        self.responses = [found for found in parts[Scope.RESPONSES] if found]

    def __bool__(self) -> bool:
        return bool(self.initial or self.in_dialog or self.responses)

    @property
    def changes_ends(self) -> bool:
        """Whether From or To may become another."""
        return any(one.rule.changes_end for found in self.initial for one in found)


def rules_of(names: Iterable[str], known: Mapping[str, RulesSettings]) -> Rules | None:
    """The sets of these names as one, None where there is no rule at all."""
    made = Rules(known[name] for name in names if name in known)
    return made if made else None


def apply(sets: list[list[_Numbered]], message: Message, method: str, steps: Steps | None = None) -> None:
    """Change the message as the rules say. `method` is the request's; what was done is told in `steps`, where given."""
    for rules in sets:
        for one in rules:
            rule = one.rule
            if rule.conditions and not all(_holds(condition, message, method) for condition in rule.conditions):
                continue
            if rule.verb is Verb.STOP:
                if steps is not None:
                    steps.append(f"{one.label}: the rest of the set is left out")
                break
            if steps is None:
                try:
                    _carry_out(rule, message)
                except Unfit:
                    continue
            else:
                _tell(one, message, steps)


def _tell(one: _Numbered, message: Message, steps: Steps) -> None:
    """Carry a rule out and say what became of it."""
    field = one.rule.field
    assert field is not None
    before = read(message, field)
    try:
        done = _carry_out(one.rule, message)
    except Unfit as unfit:
        steps.append(f"{one.label}: {one.rule} leaves {field} as it was, {unfit}")
        return
    if done:
        after = read(message, field)
        if after is None:
            became = f"{field} {before} is removed"
        elif one.rule.verb is Verb.ADD:
            became = f"{field} {message.get_all(field.key)[-1]} is added"
        else:
            became = f"{field} {before} became {after}" if before is not None else f"{field} is {after}"
        steps.append(f"{one.label}: {became}")


def _carry_out(rule: Rule, message: Message) -> bool:
    """Whether anything changed. Raises `Unfit`."""
    field = rule.field
    assert field is not None
    if field.key == "uri" and not isinstance(message, Request):
        return False
    match rule.verb:
        case Verb.ADD:
            value = _filled(rule, message)
            if value is None:
                return False
            append(message, field.key, value)
            return True
        case Verb.SET:
            value = _filled(rule, message)
            if value is None:
                return False
            return _set(message, field, value)
        case Verb.REPLACE:
            return write(message, field, _Replaced(rule))
        case Verb.COPY:
            return _copy(message, rule.source, field.key)
        case _:
            return _remove(message, rule)


def _filled(rule: Rule, message: Message) -> str | None:
    """The value with its fields filled in, None where one of them is not there."""
    assert rule.field is not None
    as_written = rule.field.part is Part.WHOLE
    pieces = []
    for piece in rule.value:
        found = piece if isinstance(piece, str) else read(message, piece, as_written=as_written)
        if found is None:
            return None
        pieces.append(found)
    return "".join(pieces)


def _set(message: Message, field: Field, value: str) -> bool:
    if field.part is not Part.WHOLE:
        return write(message, field, Fixed(value))
    if message.get_all(field.key) == [value]:
        return False
    if field.key not in message.kinds:
        append(message, field.key, value)
        return True
    kept = message.get_all(field.key)
    changed = write(message, field, Fixed(value))
    if len(kept) > 1:
        message.set(field.key, value)
    return changed or len(kept) > 1


def _copy(message: Message, source: str, key: str) -> bool:
    values = message.get_all(source)
    if not values or source == key:
        return False
    before = message.get_all(key)
    if values == before:
        return False
    message.remove(key)
    try:
        for value in values:
            append(message, key, value)
    except Unfit:
        message.remove(key)
        for value in before:
            message.append(key, value)
        raise
    return True


def _remove(message: Message, rule: Rule) -> bool:
    field = rule.field
    assert field is not None
    if field.part is not Part.WHOLE:
        if rule.pattern is None:
            return write(message, field, Fixed(None))
        value = read(message, field)
        return value is not None and rule.pattern.found_in(value) and write(message, field, Fixed(None))
    keys, lines = message.keys, message.lines
    doomed = [
        index
        for index, key in enumerate(keys)
        if key == field.key and (rule.pattern is None or rule.pattern.found_in(value_of(lines[index])))
    ]
    for index in reversed(doomed):
        message.drop_line(index)
    return bool(doomed)


def _holds(condition: Condition, message: Message, method: str) -> bool:
    match condition.test:
        case Test.METHOD:
            return (method in condition.among) is not condition.negated
        case Test.STATUS:
            return isinstance(message, Response) and (message.status in condition.among) is not condition.negated
    assert condition.field is not None
    value = read(message, condition.field)
    match condition.test:
        case Test.HAS:
            return value is not None
        case Test.NO:
            return value is None
        case Test.EQUALS:
            return value == condition.value
        case Test.DIFFERS:
            return value != condition.value
    assert condition.pattern is not None
    found = value is not None and condition.pattern.found_in(value)
    return found if condition.test is Test.MATCHES else not found
