"""The language of rewriting rules: one line, one action, and when it applies.

    add X-Line reception
    replace from.user ^0(\\d+)$ +44\\1 when method = INVITE and no Privacy

Read into facts here, with every mistake in words; what they do to a message is the router's. What would break SIP or a
dialog cannot be written down at all.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

import attrs

from .pattern import Pattern
from .setting import Kind

LONGEST_VALUE: Final = 1024
"""Characters of a value that a rule makes; a longer one is not put in."""

_TOKEN = re.compile(r"[A-Za-z0-9.!%*_+`'~-]+")
_WORD = re.compile(r'"((?:[^"]|"")*)"(?=\s|$)|(\S+)')
_HOLE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_STATUS = re.compile(r"[1-6]xx|[1-6]\d\d(?:-[1-6]\d\d)?", re.IGNORECASE)

_DIALOG = "it belongs to the transaction or the dialog, which would break"
_BODY = "it describes the body as it is"
_CREDENTIALS = "credentials are for whom they were made"
UNTOUCHABLE: Final = {
    **dict.fromkeys(("via", "call-id", "cseq", "rack", "rseq", "replaces", "event", "subscription-state"), _DIALOG),
    **dict.fromkeys(("route", "record-route", "path", "service-route"), "it is the way of the messages"),
    **dict.fromkeys(("max-forwards", "max-breadth"), "it keeps requests from going round for ever"),
    **dict.fromkeys(("content-length", "content-type", "content-encoding", "mime-version"), _BODY),
    **dict.fromkeys(("contact",), "requests inside the dialog go there"),
    **dict.fromkeys(("require", "proxy-require", "unsupported"), "both ends have agreed on it"),
    **dict.fromkeys(("identity",), "a signature, which any change would break"),
    **dict.fromkeys(
        (
            "authorization",
            "proxy-authorization",
            "www-authenticate",
            "proxy-authenticate",
            "authentication-info",
            "proxy-authentication-info",
        ),
        _CREDENTIALS,
    ),
}
"""Headers that no rule may change, and why."""

DIALOG_ENDS: Final = frozenset({"from", "to"})


class Verb(StrEnum):
    ADD = "add"
    SET = "set"
    REPLACE = "replace"
    REMOVE = "remove"
    COPY = "copy"
    STOP = "stop"


class Part(StrEnum):
    """What of a header (or of the request URI) is meant."""

    WHOLE = "whole"
    USER = "user"
    HOST = "host"
    PORT = "port"
    DISPLAY = "display"
    URI_PARAM = "parameter of the URI"
    PARAM = "parameter"


class Scope(StrEnum):
    """Which messages a rule looks at."""

    INITIAL = "initial"
    IN_DIALOG = "in-dialog"
    RESPONSES = "responses"


_SCOPES: Final = {
    "initial": frozenset({Scope.INITIAL}),
    "in-dialog": frozenset({Scope.IN_DIALOG}),
    "requests": frozenset({Scope.INITIAL, Scope.IN_DIALOG}),
    "responses": frozenset({Scope.RESPONSES}),
    "any": frozenset(Scope),
}


@attrs.frozen
class Field:
    """A header by its key (small letters) or "uri", the request URI; and a part of it, `name` being a parameter's."""

    key: str
    part: Part = Part.WHOLE
    name: str = ""

    def __str__(self) -> str:
        match self.part:
            case Part.WHOLE:
                return self.key
            case Part.PARAM:
                return f"{self.key};{self.name}"
            case Part.URI_PARAM:
                return f"uri;{self.name}" if self.key == "uri" else f"{self.key}.uri;{self.name}"
            case _:
                return f"{self.key}.{self.part}"


class Test(StrEnum):
    HAS = "has"
    NO = "no"
    EQUALS = "="
    DIFFERS = "!="
    MATCHES = "~"
    MATCHES_NOT = "!~"
    METHOD = "method"
    STATUS = "status"


@attrs.frozen
class Condition:
    """One test. `field` for those of headers; `value` or `pattern` is compared; `among` holds methods or statuses."""

    test: Test
    field: Field | None = None
    value: str = ""
    pattern: Pattern | None = None
    among: frozenset[str] | frozenset[int] = frozenset()
    negated: bool = False


@attrs.frozen
class Rule:
    """One rule. `value` is text and fields that are filled in; `template` the right side of a replacement."""

    text: str
    verb: Verb
    field: Field | None = None
    source: str = ""
    pattern: Pattern | None = None
    template: str = ""
    value: tuple[str | Field, ...] = ()
    scope: frozenset[Scope] = _SCOPES["initial"]
    conditions: tuple[Condition, ...] = ()

    @property
    def changes_end(self) -> bool:
        """Whether From or To of a dialog become another."""
        return self.field is not None and self.field.key in DIALOG_ENDS

    def __str__(self) -> str:
        return self.text


def rule() -> Kind[Rule | None]:
    """One rule; nothing at all takes away a rule that an earlier file brought."""
    return Kind(
        "add HEADER VALUE, set FIELD VALUE, replace FIELD PATTERN TEMPLATE, remove FIELD [PATTERN], copy HEADER HEADER "
        "or stop, each with when CONDITION and CONDITION ... behind it or without",
        lambda text: _read(text) if text else None,
    )


def field_of(text: str) -> Field:
    """'From', 'from.user', 'uri.host', 'uri;transport', 'diversion;reason'. Raises ValueError with the mistake."""
    front, semicolon, name = text.partition(";")
    header, dot, part = front.partition(".")
    key = header.lower()
    if not _TOKEN.fullmatch(key) or (semicolon and not _TOKEN.fullmatch(name)):
        raise ValueError(f"{text!r} is neither a header nor a part of one")
    if len(key) == 1:
        raise ValueError(f"{text!r} is a compact form: write the long name")
    name = name.lower()
    if key == "uri" and not dot:
        if not semicolon:
            raise ValueError("the request URI is changed by its parts: uri.user, uri.host, uri;PARAMETER")
        return Field(key, Part.URI_PARAM, name)
    if not dot:
        return Field(key, Part.PARAM, name) if semicolon else Field(key)
    part = part.lower()
    if part == "uri" and semicolon and key != "uri":
        return Field(key, Part.URI_PARAM, name)
    if (
        semicolon
        or part not in (Part.USER, Part.HOST, Part.PORT, Part.DISPLAY)
        or (key == "uri" and part == Part.DISPLAY)
    ):
        raise ValueError(f"{text!r} is no part: there are .user, .host, .port, .display, .uri;PARAMETER and ;PARAMETER")
    return Field(key, Part(part))


def _read(text: str) -> Rule:
    words = _words(text)
    cut = words.index(("when", False)) if ("when", False) in words else len(words)
    (verb_word, _), *arguments = [*words[:cut]] or [("", False)]
    arguments_text = [word for word, _ in arguments]
    try:
        verb = Verb(verb_word.lower())
    except ValueError:
        raise ValueError(f"{verb_word!r} is no action") from None
    if cut == len(words) - 1:
        raise ValueError("nothing stands behind when")
    scope, conditions = _conditions(words[cut + 1 :]) if cut < len(words) else (None, ())
    made = Rule(text, verb, scope=scope or _SCOPES["initial"], conditions=conditions)
    wanted = {Verb.ADD: (2, 2), Verb.SET: (2, 2), Verb.REPLACE: (3, 3), Verb.REMOVE: (1, 2), Verb.COPY: (2, 2)}
    least, most = wanted.get(verb, (0, 0))
    if not least <= len(arguments) <= most:
        how = str(least) if least == most else f"{least} or {most}"
        many = "too many" if len(arguments) > most else "too few"
        raise ValueError(f"{verb} takes {how} words, here are {many} (a value with blanks stands in double quotes)")
    if verb is Verb.STOP:
        return made
    if verb is Verb.COPY:
        source, field = field_of(arguments_text[0]), field_of(arguments_text[1])
        if source.part is not Part.WHOLE or field.part is not Part.WHOLE:
            raise ValueError(f"copy takes whole headers; for a part write: set {field} {{{source}}}")
        if UNTOUCHABLE.get(source.key) == _CREDENTIALS:
            raise ValueError(f"{source.key} cannot be copied: {_CREDENTIALS}")
        made = attrs.evolve(made, source=source.key, field=field)
    else:
        field = field_of(arguments_text[0])
        if verb is Verb.ADD and field.part is not Part.WHOLE:
            raise ValueError(f"add takes a whole header; for a part write: set {field} ...")
        if verb in (Verb.ADD, Verb.SET):
            made = attrs.evolve(made, field=field, value=value_of(arguments_text[1]))
        elif verb is Verb.REPLACE:
            pattern = Pattern(arguments_text[1])
            pattern.check_template(arguments_text[2])
            _check_text(arguments_text[2])
            made = attrs.evolve(made, field=field, pattern=pattern, template=arguments_text[2])
        else:
            pattern_text = arguments_text[1] if len(arguments) == 2 else None
            made = attrs.evolve(made, field=field, pattern=None if pattern_text is None else Pattern(pattern_text))
    _check_target(made)
    return made


def _words(text: str) -> list[tuple[str, bool]]:
    """Each word and whether it stood in quotes; "" inside quotes is one quote."""
    found = []
    position = 0
    while position < len(text):
        if text[position].isspace():
            position += 1
            continue
        word = _WORD.match(text, position)
        assert word is not None
        if word[1] is None and word[2].startswith('"'):
            raise ValueError("a quote is not closed, or something stands right behind it")
        found.append((word[2] if word[1] is None else word[1].replace('""', '"'), word[1] is not None))
        position = word.end()
    return found


def _check_text(text: str) -> None:
    if len(text) > LONGEST_VALUE:
        raise ValueError(f"the value is longer than {LONGEST_VALUE} characters")
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in text):
        raise ValueError("the value holds a control character")


def value_of(text: str) -> tuple[str | Field, ...]:
    """Text with {FIELD} in it, {{ and }} for braces. Raises ValueError."""
    _check_text(text)
    found: list[str | Field] = []
    position = 0
    for hole in _HOLE.finditer(text):
        found.append(text[position : hole.start()])
        position = hole.end()
        if hole[0] in ("{{", "}}"):
            found.append(hole[0][0])
        elif hole[1] is None:
            raise ValueError(f"a brace in {text!r} stands alone: {{{{ and }}}} are the signs themselves")
        else:
            field = field_of(hole[1].strip())
            if UNTOUCHABLE.get(field.key) == _CREDENTIALS:
                raise ValueError(f"{field.key} cannot be copied: {_CREDENTIALS}")
            found.append(field)
    found.append(text[position:])
    return tuple(piece for piece in found if piece != "")


def _check_target(made: Rule) -> None:
    field = made.field
    assert field is not None
    if field.key in UNTOUCHABLE:
        raise ValueError(f"{field.key} cannot be changed: {UNTOUCHABLE[field.key]}")
    if field.key in (*DIALOG_ENDS, "uri"):
        if made.scope != _SCOPES["initial"]:
            follows = "inside a dialog it names the other end" if field.key == "uri" else "its dialog follows by itself"
            raise ValueError(f"{field} is changed in initial requests only: {follows}")
        if field.part is Part.WHOLE:
            raise ValueError(
                f"{field} cannot be changed as a whole, its tag names the dialog: take {field}.user, {field}.host, "
                f"{field}.port, {field}.display or {field}.uri;PARAMETER"
            )
        if field.part is Part.PARAM:
            raise ValueError(f"{field} cannot be changed: the tag there names the dialog")
        if made.verb is Verb.REMOVE and field.part in (Part.USER, Part.HOST):
            raise ValueError(f"{field} cannot be removed, an address needs it")
        if field.part is Part.URI_PARAM and field.key == "uri" and field.name in ("maddr", "lr", "method", "ttl"):
            raise ValueError(f"{field} cannot be changed: it decides where the request goes")
    elif field.part is Part.HOST and made.verb is Verb.REMOVE:
        raise ValueError(f"{field} cannot be removed, an address needs it")
    for condition in made.conditions:
        read = condition.field
        if read is not None and read.key == "uri" and Scope.RESPONSES in made.scope:
            raise ValueError("a response has no request URI")
    if Scope.RESPONSES in made.scope and any(isinstance(one, Field) and one.key == "uri" for one in made.value):
        raise ValueError("a response has no request URI")


def _conditions(words: list[tuple[str, bool]]) -> tuple[frozenset[Scope] | None, tuple[Condition, ...]]:
    scope: frozenset[Scope] | None = None
    found: list[Condition] = []
    group: list[str] = []
    for word, quoted in [*words, ("and", False)]:
        if word != "and" or quoted:
            group.append(word)
            continue
        if not group:
            raise ValueError("nothing stands before or behind and")
        if len(group) == 1:
            named = _SCOPES.get(group[0].lower())
            if named is None:
                raise ValueError(f"{group[0]!r} is no condition")
            if scope is not None:
                raise ValueError(f"{group[0]!r} is the second word for which messages are meant")
            scope = named
        else:
            found.append(_condition(group))
        group = []
    if any(one.test is Test.STATUS for one in found):
        if scope is None:
            scope = _SCOPES["responses"]
        elif scope != _SCOPES["responses"]:
            raise ValueError("only responses have a status")
    return scope, tuple(found)


def _condition(words: list[str]) -> Condition:
    first = words[0].lower()
    if first in (Test.HAS, Test.NO) and len(words) == 2:
        return Condition(Test(first), field_of(words[1]))
    sign = words[1]
    if first in (Test.METHOD, Test.STATUS) and sign in ("=", "!=") and len(words) > 2:
        items = [item for item in re.split(r"[\s,]+", " ".join(words[2:])) if item]
        among: frozenset[str] | frozenset[int]
        if first == Test.METHOD:
            wrong = [item for item in items if not _TOKEN.fullmatch(item) or item.upper() in ("ACK", "CANCEL")]
            if wrong:
                raise ValueError(f"{wrong[0]!r} is no method that rules see")
            among = frozenset(item.upper() for item in items)
        else:
            among = _statuses(items)
        if not among:
            raise ValueError(f"nothing stands behind {first} {sign}")
        return Condition(Test(first), among=among, negated=sign == "!=")
    if len(words) != 3 or sign not in (Test.EQUALS, Test.DIFFERS, Test.MATCHES, Test.MATCHES_NOT):
        raise ValueError(f"{' '.join(words)!r} is no condition")
    field = field_of(words[0])
    if sign in (Test.MATCHES, Test.MATCHES_NOT):
        return Condition(Test(sign), field, pattern=Pattern(words[2]))
    return Condition(Test(sign), field, value=words[2])


def _statuses(items: list[str]) -> frozenset[int]:
    found: set[int] = set()
    for item in items:
        if not _STATUS.fullmatch(item):
            raise ValueError(f"{item!r} is no status")
        if item[1:].lower() == "xx":
            found.update(range(int(item[0]) * 100, int(item[0]) * 100 + 100))
        else:
            first, last = int(item[:3]), int(item[-3:])
            if first > last:
                raise ValueError(f"{item!r} runs backwards")
            found.update(range(first, last + 1))
    return frozenset(found)
