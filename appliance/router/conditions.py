"""Conditions of a route besides the number: each is a test of a question, and says afterwards why it did not hold.

They are made once, when the plan is made; what a route does not ask for has none and costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Protocol
from weakref import ref

import attrs

from appliance.config.header_test import HeaderTest, HeaderWord
from appliance.config.kinds import Network
from appliance.config.patch import Match
from appliance.config.schedule import LocationSettings
from appliance.router.calendar import Calendar, local_time
from appliance.router.matching import MatchIndex
from appliance.router.question import CallerKind, Question
from appliance.sip.headers import COMPACT

Registered = Callable[[str], Iterable[str]]
"""A user's name to the addresses that the user's phones are registered from."""


class Condition(Protocol):
    """`key` is the setting that it comes from."""

    @property
    def key(self) -> str: ...

    def holds(self, question: Question) -> bool: ...

    def failed(self, question: Question) -> str:
        """Why it does not hold, as the end of a sentence about the route."""


@attrs.frozen(eq=False)
class OneOf:
    """A word of the request or of the way that it came: method, transport, listener."""

    key: str
    allowed: frozenset[str]
    read: Callable[[Question], str]

    def holds(self, question: Question) -> bool:
        return self.read(question) in self.allowed

    def failed(self, question: Question) -> str:
        return f"{self.key} is {self.read(question)}, not {' or '.join(sorted(self.allowed))}"


WORDS: dict[str, Callable[[Question], str]] = {
    "method": lambda question: question.request.method,
    "transport": lambda question: question.flow.transport,
    "listener": lambda question: question.flow.listener,
}


@lru_cache(maxsize=4096)
def _address(text: str) -> IPv4Address | IPv6Address:
    found = ip_address(text.partition("%")[0])
    return getattr(found, "ipv4_mapped", None) or found


def _within(address: str, networks: Sequence[Network]) -> bool:
    found = _address(address)
    return any(found in network for network in networks)


@attrs.frozen(eq=False)
class FromNetwork:
    networks: tuple[Network, ...]
    key: str = "source"

    def holds(self, question: Question) -> bool:
        return _within(question.source, self.networks)

    def failed(self, question: Question) -> str:
        return f"source {question.source} is not in {', '.join(map(str, self.networks))}"


@attrs.frozen(eq=False)
class OfHost:
    """`owned` says whether a host is ours; the request URI's is known already."""

    key: str
    written: tuple[str, ...]
    owned: Callable[[str], bool]
    _any: bool = attrs.field(init=False)
    _ours: bool = attrs.field(init=False)
    _names: frozenset[str] = attrs.field(init=False)
    _suffixes: tuple[str, ...] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        names = {name.lower() for name in self.written}
        object.__setattr__(self, "_any", "*" in names)
        object.__setattr__(self, "_ours", "ours" in names)
        object.__setattr__(self, "_suffixes", tuple(name[1:] for name in names if name.startswith("*.")))
        object.__setattr__(self, "_names", frozenset(names))

    def holds(self, question: Question) -> bool:
        if self._any:
            return True
        host = self._host(question)
        if host in self._names or host.endswith(self._suffixes):
            return True
        return self._ours and (not question.foreign if self.key == "host" else self.owned(host))

    def _host(self, question: Question) -> str:
        return question.host if self.key == "host" else question.caller_host

    def failed(self, question: Question) -> str:
        return f"{self.key} {self._host(question) or '(none)'} is not {' or '.join(self.written)}"


@attrs.frozen(eq=False)
class CallerNumber:
    """The plan owns the index, which may hold whole number tables; what calls remember must not keep it alive."""

    written: tuple[Match, ...]
    index: ref[MatchIndex]
    key: str = "caller-number"

    def holds(self, question: Question) -> bool:
        index = self.index()
        assert index is not None, "the plan that decides is gone"
        return bool(index.find(question.caller_number))

    def failed(self, question: Question) -> str:
        return f"caller-number {question.caller_number or '(none)'} is not {' or '.join(map(str, self.written))}"


@attrs.frozen(eq=False)
class Header:
    test: HeaderTest
    key: str = "header"
    _name: str = attrs.field(init=False)
    _wanted: str = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "_name", canonical(self.test.name))
        object.__setattr__(self, "_wanted", self.test.value.lower())

    def holds(self, question: Question) -> bool:
        values = question.header(self._name)
        match self.test.word:
            case HeaderWord.PRESENT:
                return bool(values)
            case HeaderWord.ABSENT:
                return not values
            case HeaderWord.IS:
                return any(value.lower() == self._wanted for value in values)
            case HeaderWord.CONTAINS:
                return any(self._wanted in value.lower() for value in values)
            case _:
                pattern = self.test.pattern
                return pattern is not None and any(pattern.found_in(value) for value in values)

    def failed(self, question: Question) -> str:
        values = ", ".join(question.header(self._name))
        return f"header {self.test} does not hold: " + (f"it is {values[:120]}" if values else "there is none")


@attrs.frozen(eq=False)
class InSchedule:
    """Open while one of the schedules is, or one of those with `not` is closed."""

    schedules: tuple[tuple[bool, Calendar], ...]
    key: str = "schedule"

    def holds(self, question: Question) -> bool:
        wall = question.wall
        return any(calendar.is_open(wall) is wanted for wanted, calendar in self.schedules)

    def failed(self, question: Question) -> str:
        parts = []
        for _, calendar in self.schedules:
            state = calendar.state(question.wall)
            parts.append(f"schedule {calendar.name} is {state} at {local_time(question.wall, calendar.zone)}")
        return " and ".join(parts)


@attrs.frozen(eq=False)
class InLocation:
    locations: tuple[tuple[bool, LocationSettings], ...]
    registered: Registered
    key: str = "location"

    def holds(self, question: Question) -> bool:
        return any(self._is_in(question, location) is wanted for wanted, location in self.locations)

    def _is_in(self, question: Question, location: LocationSettings) -> bool:
        if location.networks:
            if _within(question.source, location.networks):
                return True
            if question.caller.kind is CallerKind.USER:
                phones = question.fact("registered at") or question.keep(
                    "registered at", tuple(self.registered(question.caller.name))
                )
                if any(_within(phone, location.networks) for phone in phones):
                    return True
        return bool(location.prefixes) and question.caller_number.startswith(location.prefixes)

    def failed(self, question: Question) -> str:
        phones = question.fact("registered at")
        where = f"from {question.source}" + (f", registered at {', '.join(phones)}" if phones else "")
        names = " and ".join(f"{'not ' * wanted}in {location.name}" for wanted, location in self.locations)
        return f"location: the caller {question.caller_number} ({where}) is {names}"


def canonical(name: str) -> str:
    """The key of a header's name: lower case, long form."""
    lower = name.lower()
    return COMPACT.get(lower, lower)
