"""The dial plan: which way a request goes, decided at once and explained.

Routes are tried in the order of their names; the first that matches the called number and admits the caller decides.
Looking up bindings, resolving names and sending are for others. Settings are read once, when the plan is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

import attrs

from appliance.config.dialplan import RouteSettings
from appliance.config.patch import MatchKind, Target


class CallerKind(Enum):
    USER = "user"
    """Gave the password of one of our users."""
    TRUNK = "trunk"
    """Came from an address that a trunk trusts."""
    ANYONE = "anyone"
    """Nobody we know."""


@attrs.frozen
class Caller:
    """Who asks: the kind, and the user's or trunk's name ('' for anyone)."""

    kind: CallerKind
    name: str = ""

    def __str__(self) -> str:
        return self.kind.value if not self.name else f"{self.kind.value} {self.name}"


@attrs.define(eq=False)  # not frozen: one is made for every call, and frozen costs four times as much to make
class Decision:
    """Where the request goes. `target` is None where no route matched; `number` is the called number rewritten.

    `forbidden` says that a route matched but does not admit this caller: 403 or a challenge, not 404.
    """

    caller: Caller
    called: str
    target: Target | None
    number: str
    route: str
    forbidden: bool = False
    reason: str = ""

    @property
    def explanation(self) -> str:
        """The decision in one line, for the call's page and the log."""
        if self.target is not None:
            rewritten = f" as {self.number}" if self.number != self.called else ""
            end = f"route {self.route} leads to {self.target}{rewritten}"
        elif self.forbidden:
            end = f"route {self.route} matches, but does not admit this caller"
        else:
            end = "no route matches"
        return f"{self.caller} called {self.called}: {end}"


class DialPlan:
    """The compiled routes. `decide` costs one dictionary look-up and a walk over the prefixes that could match."""

    def __init__(self, routes: Mapping[str, RouteSettings], users: frozenset[str]) -> None:
        self._users = users
        self._exact: dict[str, list[int]] = {}
        self._prefixes: dict[str, list[int]] = {}
        self._aor: list[int] = []
        self._any: list[int] = []
        self._routes = [routes[name] for name in sorted(routes)]
        for rank, route in enumerate(self._routes):
            for match in route.match:
                match match.kind:
                    case MatchKind.EXACT:
                        self._exact.setdefault(match.value, []).append(rank)
                    case MatchKind.PREFIX:
                        self._prefixes.setdefault(match.value, []).append(rank)
                    case MatchKind.AOR:
                        self._aor.append(rank)
                    case MatchKind.ANY:
                        self._any.append(rank)
        self._prefix_lengths = sorted(set(map(len, self._prefixes)))

    def decide(self, number: str, caller: Caller) -> Decision:
        """The way of a request for `number` (the user part of its request URI, escapes undone)."""
        ranks = self._candidates(number)
        refused = ""
        for rank in ranks:
            route = self._routes[rank]
            if not _admits(route, caller):
                refused = refused or route.name
                continue
            rewritten = route.add + number[route.strip :]
            return Decision(caller, number, route.target, rewritten, route.name, reason=route.reason)
        return Decision(caller, number, None, number, refused, forbidden=bool(refused))

    def _candidates(self, number: str) -> list[int]:
        ranks = self._any + self._exact.get(number, [])
        if number in self._users:
            ranks += self._aor
        for length in self._prefix_lengths:
            ranks += self._prefixes.get(number[:length], ())
        ranks.sort()
        return ranks


def _admits(route: RouteSettings, caller: Caller) -> bool:
    for admitted in route.callers:
        if admitted == "anyone":
            return True
        if admitted == "users" and caller.kind is CallerKind.USER:
            return True
        if caller.kind is CallerKind.TRUNK and admitted in ("trunks", f"trunk:{caller.name}"):
            return True
    return False
