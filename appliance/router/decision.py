"""A `Decision`: where a request goes, and the trail that led there, which is put into words when somebody asks."""

from __future__ import annotations

from enum import Enum

import attrs

from appliance.config.numbers import Row
from appliance.config.patch import Target
from appliance.router.conditions import Condition
from appliance.router.question import Caller, Question
from appliance.router.rule import Rule


class Turn(Enum):
    """What else became of a rule than a condition that failed or a target."""

    REFUSED = "does not admit this caller"
    BACK = "decided nothing"


@attrs.define(eq=False)
class Listing:
    """A look into a number table: what was found for the number, nothing where `rows` is empty."""

    name: str
    file: str
    rows: tuple[Row, ...] = ()


Found = Condition | Turn | Listing | Target
Trail = list[tuple[Rule, Found, str]]
"""Rules in the order in which they were looked at, what came of each, and the number it was asked about."""


@attrs.define(eq=False)
class Decision:
    """Where the request goes. `target` is None where no route took it; `number` is the called number rewritten.

    `rule` is the one that decided. `alternatives` are further targets with their numbers, to be tried in order when
    the target cannot be reached. `forbidden` says that routes fit but none admits this caller: 403 or a challenge,
    not 404.
    """

    question: Question
    target: Target | None
    number: str
    rule: Rule | None
    trail: Trail
    alternatives: tuple[tuple[Target, str], ...] = ()
    forbidden: bool = False

    @property
    def caller(self) -> Caller:
        return self.question.caller

    @property
    def called(self) -> str:
        """The number as it was asked for."""
        return self.question.number

    @property
    def route(self) -> str:
        """The name of the route that decided, '' for none."""
        return "" if self.rule is None else self.rule.name

    @property
    def routes(self) -> tuple[str, ...]:
        """The names of the routes that led to the target, the first one of the table main first."""
        return tuple(rule.name for rule, found, _ in self.trail if isinstance(found, Target) and rule.name)

    @property
    def reason(self) -> str:
        """The reason phrase of a refusal or redirection, '' for the usual one."""
        return "" if self.rule is None else self.rule.reason

    @property
    def q850(self) -> int:
        """The cause of a refusal by Q.850, 0 for none."""
        return 0 if self.rule is None else self.rule.q850

    @property
    def steps(self) -> tuple[str, ...]:
        """How it came about, a sentence a step."""
        from appliance.router.explanation import steps_of

        return steps_of(self)

    @property
    def explanation(self) -> str:
        """The decision in one line, for the call's page and the log."""
        from appliance.router.explanation import line_of

        return line_of(self)
