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


@attrs.frozen
class Decision:
    """Where the request goes. `target` is None where no route matched; `number` is the called number rewritten.

    `forbidden` says that a route matched but does not admit this caller: 403 or a challenge, not 404.
    `explanation` tells the decision in one line, for the call's page and the log.
    """

    target: Target | None
    number: str
    route: str
    explanation: str
    forbidden: bool = False
    reason: str = ""


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
        self._longest_prefix = max(map(len, self._prefixes), default=0)

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
            return Decision(
                route.target,
                rewritten,
                route.name,
                f"{caller} called {number}: route {route.name} leads to {route.target}"
                + (f" as {rewritten}" if rewritten != number else ""),
                reason=route.reason,
            )
        if refused:
            why = f"{caller} called {number}: route {refused} matches, but does not admit this caller"
            return Decision(None, number, refused, why, forbidden=True)
        return Decision(None, number, "", f"{caller} called {number}: no route matches")

    def _candidates(self, number: str) -> list[int]:
        ranks = set(self._any)
        ranks.update(self._exact.get(number, ()))
        if number in self._users:
            ranks.update(self._aor)
        for length in range(1, min(len(number), self._longest_prefix) + 1):
            ranks.update(self._prefixes.get(number[:length], ()))
        return sorted(ranks)


def _admits(route: RouteSettings, caller: Caller) -> bool:
    for admitted in route.callers:
        if admitted == "anyone":
            return True
        if admitted == "users" and caller.kind is CallerKind.USER:
            return True
        if caller.kind is CallerKind.TRUNK and admitted in ("trunks", f"trunk:{caller.name}"):
            return True
    return False
