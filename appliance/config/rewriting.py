"""The sections [rules NAME] and [numberplan NAME], and the settings by which trunks, listeners and users take them.

The language of a rule is in rule.py; what rules and plans do to a message is the router's.
"""

from __future__ import annotations

import re
from enum import StrEnum

import attrs

from .kinds import Span, flag, listed, one_of, optional, span, text
from .rewriting_rule import Rule, rule
from .setting import REQUIRED, Kind, numbered, setting


@attrs.frozen(kw_only=True)
class RulesSettings:
    """A set of rewriting rules, tried in the order of their numbers; trunks and listeners name it.

    An action is `add HEADER VALUE`, `set FIELD VALUE`, `replace FIELD PATTERN TEMPLATE`, `remove FIELD`,
    `remove HEADER PATTERN`, `copy HEADER HEADER` or `stop`. A FIELD is a header, or a part of one: `from.user`,
    `from.host`, `from.port`, `from.display`, `from.uri;PARAMETER`, `diversion;PARAMETER`; `uri.user`, `uri.host`,
    `uri.port` and `uri;PARAMETER` are those of the request URI. A VALUE may hold fields in braces: `{from.user}`. A
    PATTERN is a regular expression in RE2's syntax, whose groups a TEMPLATE calls \\1 to \\9. Words with blanks in
    them stand in double quotes, a quote among them is doubled.

    Behind `when` stand conditions with `and` between them: `method = INVITE, MESSAGE`, `has HEADER`, `no HEADER`,
    `FIELD = VALUE`, `FIELD != VALUE`, `FIELD ~ PATTERN`, `FIELD !~ PATTERN`, `status = 180, 4xx`; and one word for the
    messages that are meant: `initial` (requests outside a dialog, as without a word), `in-dialog`, `requests`,
    `responses`, `any`. From, To and the request URI are changed in initial requests; their dialog follows by itself.

    On the way in rules-in come first, then numbers-in, then routing. On the way out, for each attempt anew from the
    request as it was routed: identity and privacy, numbers-out, rules-out. `jackfield route explain` shows each step.
    """

    name: str
    rules: tuple[tuple[int, Rule], ...] = numbered(rule(), "One rule; the key is its place, any number to 99999.")


class NumberField(StrEnum):
    """Where a message holds numbers."""

    URI = "uri"
    FROM = "from"
    TO = "to"
    P_ASSERTED_IDENTITY = "p-asserted-identity"
    P_PREFERRED_IDENTITY = "p-preferred-identity"
    DIVERSION = "diversion"


class NumberFormat(StrEnum):
    """How a number is written."""

    E164 = "e164"
    PLAIN = "plain"
    INTERNATIONAL = "international"
    NATIONAL = "national"
    LOCAL = "local"


@attrs.frozen
class NumbersOut:
    """A plan's name, and the form in which numbers are written by it."""

    plan: str
    form: NumberFormat

    def __str__(self) -> str:
        return f"{self.plan}:{self.form}"


@attrs.frozen
class NumberRange:
    """Numbers of one length from `first` to `last`, as they are dialled."""

    first: str
    last: str

    def __contains__(self, number: str) -> bool:
        return len(number) == len(self.first) and self.first <= number <= self.last

    def __str__(self) -> str:
        return self.first if self.first == self.last else f"{self.first}-{self.last}"


def number_range() -> Kind[NumberRange]:
    """A number, or a range of numbers of one length."""

    def read(value: str) -> NumberRange:
        found = re.fullmatch(r"(\d{1,15})(?:\s*-\s*(\d{1,15}))?", value, re.ASCII)
        if found is None:
            raise ValueError(f"{value!r} is no number")
        first, last = found[1], found[2] or found[1]
        if len(first) != len(last):
            raise ValueError(f"the ends of {value!r} differ in length")
        if first > last:
            raise ValueError(f"{value!r} runs backwards")
        return NumberRange(first, last)

    return Kind("a number such as 112 or a range such as 2000-2999", read)


def lengths(low: int, high: int) -> Kind[Span]:
    """How many digits: one figure, or a range."""
    of_range = span(low, high)
    return Kind(
        f"a number of digits such as {high - 4} or a range such as {low}-{high}, within {low} to {high}",
        lambda value: of_range.read(f"{value}-{value}" if value.isdecimal() else value),
    )


def numbers_out() -> Kind[NumbersOut]:
    """PLAN:FORMAT."""

    def read(value: str) -> NumbersOut:
        plan, colon, form = value.rpartition(":")
        if not colon or not plan:
            raise ValueError(f"{value!r} is not PLAN:FORMAT")
        return NumbersOut(plan, one_of(NumberFormat).read(form))

    return Kind("PLAN:FORMAT, a [numberplan PLAN] and e164, plain, international, national or local", read)


def name_of(what: str) -> Kind[str]:
    """The name of a section."""
    return text(what, pattern=r"\S+", longest=64)


@attrs.frozen
class Codecs:
    """Which codecs may pass, in the wanted order; names in small letters.

    `wanted` empty, or `others`: codecs that are not named may pass as well, behind those that are.
    """

    wanted: tuple[str, ...] = ()
    unwanted: frozenset[str] = frozenset()
    others: bool = False

    def __bool__(self) -> bool:
        return bool(self.wanted or self.unwanted)

    def __str__(self) -> str:
        return ", ".join((*self.wanted, *(["*"] if self.others else []), *(f"!{one}" for one in sorted(self.unwanted))))


def codecs() -> Kind[Codecs]:
    """Names of codecs in order, !NAME for one that may not pass, * for all the others."""

    def read(value: str) -> Codecs:
        wanted: list[str] = []
        unwanted: set[str] = set()
        others = False
        for item in (part.strip() for part in value.split(",")) if value else ():
            name = item.removeprefix("!").strip().lower()
            if item == "*":
                others = True
            elif not re.fullmatch(r"[a-z0-9][a-z0-9._+-]{0,31}", name):
                raise ValueError(f"{item!r} is not the name of a codec")
            elif name in wanted or name in unwanted:
                raise ValueError(f"{name} stands twice")
            elif item.startswith("!"):
                unwanted.add(name)
            else:
                wanted.append(name)
        return Codecs(tuple(wanted), frozenset(unwanted), others)

    return Kind("names as in SDP (PCMA, opus, G729), !NAME for one that may not pass, * for all the others", read)


@attrs.frozen(kw_only=True)
class NumberPlanSettings:
    """How numbers are dialled in a country, from one place: to turn them into E.164 (+442079460000) and back.

    Trunks, listeners and users name a plan by numbers-in and numbers-out. What the plan cannot tell, short numbers and
    names stay as they are.
    """

    name: str
    country_code: str = setting(
        text("one to three digits", pattern=r"[1-9]\d{0,2}"), REQUIRED, "Country code of E.164, without a plus."
    )
    national_prefix: str = setting(
        text("up to five digits", pattern=r"\d{0,5}"),
        "",
        "What is dialled before an area code (0 in most countries, 1 in North America). Empty: nothing.",
    )
    international_prefixes: tuple[str, ...] = setting(
        listed(text("digits", pattern=r"\d{1,6}"), least=1),
        "00",
        "What is dialled before a country code; the first of them is written.",
    )
    national_lengths: Span = setting(
        lengths(1, 14), "5-13", "Digits of a national number without prefix, area code included."
    )
    bare_national: bool = setting(
        flag(), "no", "Whether a number of such length without the national prefix is national as well."
    )
    bare_international: bool = setting(
        flag(),
        "no",
        "Whether a number that begins with this country's code is international without prefix or plus.",
    )
    area_code: str = setting(
        text("digits", pattern=r"\d{0,8}"), "", "The area code of this place, for numbers dialled without one."
    )
    local_lengths: Span | None = setting(
        optional(lengths(1, 13), "none", "no local dialling"),
        "none",
        "Digits of a number that is dialled without area code.",
    )
    untouched: tuple[NumberRange, ...] = setting(
        listed(number_range()),
        "110, 112, 911, 999",
        "Numbers that stay as they are: emergency calls, extensions, services.",
    )
    applies_to: tuple[NumberField, ...] = setting(
        listed(one_of(NumberField), least=1),
        "uri, from, to, p-asserted-identity, p-preferred-identity, diversion",
        "Where numbers are rewritten; uri is the request URI.",
    )
