"""A `Rule`: one route made ready to decide, and what it left in the trail of a decision."""

from __future__ import annotations

import hashlib

import attrs

from appliance.config.numbers import Lead
from appliance.config.patch import LEADING_ON, Match, Target, TargetKind
from appliance.router.conditions import Condition
from appliance.router.question import Caller, CallerKind, Question

_USER, _TRUNK = CallerKind.USER, CallerKind.TRUNK
"""By themselves, since looking a member up costs as much as a dozen comparisons."""
_REMEMBERED_STEPS = 1024
"""A table whose lines all differ makes no more rules than this at a time."""


@attrs.define(eq=False)
class Rule:
    """One row of a table.

    `foreign`: it takes requests for hosts that are not ours. `open`: whoever is led here may use it. `last`: it stands
    for the end of its table.
    """

    name: str
    table: str
    target: Target
    conditions: tuple[Condition, ...] = ()
    foreign: bool = False
    open: bool = True
    users: bool = False
    trunks: bool = False
    named_users: frozenset[str] = frozenset()
    named_trunks: frozenset[str] = frozenset()
    wanted: tuple[Match, ...] = ()
    """The matches as written."""
    strip: int = 0
    add: str = ""
    split: tuple[tuple[int, Target], ...] = ()
    """Upper bounds of 100, growing, and where what lies below goes."""
    then: tuple[Target, ...] = ()
    then_next: bool = False
    reason: str = ""
    q850: int = 0
    last: bool = False
    plain: bool = attrs.field(init=False)
    """It leads to one target and nowhere else, with the number as it is or rewritten: the usual case."""
    leads: str = attrs.field(init=False, default="")
    """That it does so with the number as it is, in words; '' for a rule that is not plain."""
    steps: dict[int, Rule] = attrs.field(factory=dict)
    """For the lines of number tables that it leads to: what each lead does, by the lead's id."""

    def __attrs_post_init__(self) -> None:
        named = self.target.kind is TargetKind.AOR and bool(self.target.name)
        self.plain = not (self.split or self.then or self.target.kind in LEADING_ON or named)
        if self.plain:
            self.leads = f"{self} leads to {self.target}"

    def __str__(self) -> str:
        return f"the end of table {self.table}" if self.last else f"route {self.name}"

    def admits(self, caller: Caller) -> bool:
        if self.open:
            return True
        kind = caller.kind
        if kind is _USER:
            return self.users or caller.name in self.named_users
        if kind is _TRUNK:
            return self.trunks or caller.name in self.named_trunks
        return False

    def step(self, lead: Lead) -> Rule:
        """The rule that a line of a number table is, when this one led there."""
        found = self.steps.get(id(lead))
        if found is None:
            assert lead.target is not None
            if len(self.steps) >= _REMEMBERED_STEPS:
                self.steps.clear()
            found = self.steps[id(lead)] = Rule(
                self.name, self.table, lead.target, strip=lead.strip, add=lead.add, reason=self.reason, q850=self.q850
            )
        return found

    def failing(self, question: Question) -> Condition | None:
        """The first condition that does not hold."""
        for condition in self.conditions:
            if not condition.holds(question):
                return condition
        return None

    def share_of(self, call_id: str) -> Target:
        """Where this call goes among the shares; always the same for one Call-ID, and independent of other routes."""
        place = share(call_id, self.name)
        for bound, target in self.split:
            if place < bound:
                return target
        return self.target


def share(call_id: str, route: str) -> float:
    """A number from 0 to 100 that follows from the Call-ID."""
    # A key of its own for each route, lest all of a share of one route fall into one share of the next.
    key = hashlib.blake2b(route.encode("utf-8", "surrogateescape"), digest_size=16).digest()
    digest = hashlib.blake2b(call_id.encode("utf-8", "surrogateescape"), digest_size=8, key=key).digest()
    return int.from_bytes(digest, "big") / 2**64 * 100
