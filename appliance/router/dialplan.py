"""The dial plan: which way a request goes, decided at once and explained.

Routes of a table are tried in the order of their names; the first that matches the called number, whose conditions
hold and who admits the caller decides. Tables lead to tables; what one does not decide goes back to the table before.
Looking up bindings, resolving names and sending are for others. Settings are read once, when the plan is made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from weakref import ref

from appliance.config.dialplan import TrunkSettings, UserSettings
from appliance.config.patch import LEADING_ON, REACHED, Target, TargetKind
from appliance.config.routes import DEEPEST, MAIN, RouteSettings, TableSettings
from appliance.config.settings import Settings
from appliance.router.calendar import Calendar
from appliance.router.conditions import (
    WORDS,
    CallerNumber,
    Condition,
    FromNetwork,
    Header,
    InLocation,
    InSchedule,
    OfHost,
    OneOf,
    Registered,
)
from appliance.router.decision import Decision, Listing, Trail, Turn
from appliance.router.matching import MatchIndex
from appliance.router.question import Question
from appliance.router.rule import Rule

_DEEPEST = DEEPEST + 1
"""`jackfield check` refuses circles, and more tables behind one another, before."""


def _nowhere(user: str) -> Iterable[str]:
    return ()


def _nobody(host: str) -> bool:
    return False


class _Table:
    """The rules of one table in order, and where to find those that fit a number."""

    def __init__(self, rules: list[Rule], index: MatchIndex) -> None:
        self.rules = rules
        self.find = index.find
        self.end: Rule | None = None


class DialPlan:
    """The compiled tables.

    `owned` says whether a host is ours, `registered` from where a user's phones are registered (IP addresses).
    """

    def __init__(
        self, settings: Settings, *, owned: Callable[[str], bool] = _nobody, registered: Registered = _nowhere
    ) -> None:
        self._settings = settings
        self._owned = owned
        self._registered = registered
        self._lists = settings.number_lists
        self._indexes: list[MatchIndex] = []
        self._calendars = {name: Calendar(one) for name, one in settings.schedules.items()}
        rows: dict[str, list[RouteSettings]] = {MAIN: []}
        for route in settings.routes.values():
            rows.setdefault(route.table, []).append(route)
        self._tables = {name: self._table(rows.get(name, [])) for name in {*rows, *settings.tables}}
        for name, table in settings.tables.items():
            if table.otherwise is not None:
                self._tables[name].end = _end_of(table, table.otherwise)
        self._main = self._tables[MAIN]
        self.takes_foreign = any(rule.foreign for rule in self._main.rules)
        """Whether any route could take a request for a host that is not ours."""

    def decide(self, question: Question) -> Decision:
        """The way of a request."""
        trail: Trail = []
        found = self._walk(self._main, question.number, question, trail, 0)
        if found is not None:
            return found
        forbidden = any(what is Turn.REFUSED for _, what, _ in trail)
        return Decision(question, None, question.number, None, trail, (), forbidden)

    def _walk(self, table: _Table, number: str, question: Question, trail: Trail, depth: int) -> Decision | None:
        """What the table decides, None where it goes back."""
        pending: Decision | None = None
        rules = table.rules
        refused = False
        before = -1
        for rank in table.find(number):
            if rank == before:
                continue
            before = rank
            rule = rules[rank]
            if question.foreign and not rule.foreign:
                continue
            if rule.conditions:
                failing = rule.failing(question)
                if failing is not None:
                    trail.append((rule, failing, number))
                    continue
            if not rule.open and not rule.admits(question.caller):
                trail.append((rule, Turn.REFUSED, number))
                refused = True
                continue
            found: Decision | None
            if rule.plain:
                onward = rule.add + number[rule.strip :] if rule.strip or rule.add else number
                trail.append((rule, rule.target, onward))
                found = Decision(question, rule.target, onward, rule, trail)
            else:
                found = self._follow(rule, number, question, trail, depth)
                if found is None:
                    continue
            if pending is not None:
                pending.alternatives += _after(found)
                if not rule.then_next:
                    return pending
            elif not rule.then_next:
                return found
            else:
                pending = found
        if pending is not None:
            return pending
        end = table.end
        if end is None or (refused and table is self._main) or (question.foreign and table is self._main):
            return None
        return self._follow(end, number, question, trail, depth)

    def _follow(self, rule: Rule, number: str, question: Question, trail: Trail, depth: int) -> Decision | None:
        """Where a rule that takes the request leads."""
        target = rule.target if not rule.split else rule.share_of(question.request.call_id)
        if rule.strip or rule.add:
            number = rule.add + number[rule.strip :]
        trail.append((rule, target, number))
        if target.kind in LEADING_ON:
            found = self._lead_on(rule, target, number, question, trail, depth)
            if found is not None and rule.then:
                found.alternatives += _with_number(rule.then, number)
            return found
        alternatives = _with_number(rule.then, number) if rule.then else ()
        if target.kind is TargetKind.AOR and target.name:
            number = target.name
        return Decision(question, target, number, rule, trail, alternatives)

    def _lead_on(
        self, rule: Rule, target: Target, number: str, question: Question, trail: Trail, depth: int
    ) -> Decision | None:
        if depth >= _DEEPEST:
            return None
        if target.kind is TargetKind.TABLE:
            return self._walk(self._tables[target.name], number, question, trail, depth + 1)
        numbers = self._lists[target.name]
        row = numbers.row_of(number)
        if row < 0:
            trail.append((rule, Listing(target.name, numbers.file), number))
            return None
        rows = numbers.rows(row, number)
        trail.append((rule, Listing(target.name, numbers.file, tuple(rows)), number))
        decided: Decision | None = None
        for one in rows:
            if one.lead.target is None:
                continue
            further = trail if decided is None else []
            found = self._follow(rule.step(one.lead), number, question, further, depth + 1)
            if found is not None and decided is None:
                decided = found
            elif found is not None and decided is not None:
                decided.alternatives += _after(found)
        return decided

    def _table(self, routes: list[RouteSettings]) -> _Table:
        users = frozenset(self._settings.users)
        index = MatchIndex((route.match for route in routes), users, self._lists)
        return _Table([self._rule(route) for route in routes], index)

    def _rule(self, route: RouteSettings) -> Rule:
        callers = route.callers if route.callers is not None else (("users",) if route.table == MAIN else ("anyone",))
        split: list[tuple[int, Target]] = []
        for share in route.split:
            split.append(((split[-1][0] if split else 0) + share.percent, share.target))
        return Rule(
            name=route.name,
            table=route.table,
            target=route.target,
            conditions=tuple(self._conditions(route)),
            foreign=bool(route.host) or route.table != MAIN,
            open="anyone" in callers,
            users="users" in callers,
            trunks="trunks" in callers,
            named_users=self._named(callers, "user", self._settings.users),
            named_trunks=self._named(callers, "trunk", self._settings.trunks),
            wanted=route.match,
            strip=route.strip,
            add=route.add,
            split=tuple(split),
            then=tuple(one for one in route.then if one.kind is not TargetKind.NEXT),
            then_next=any(one.kind is TargetKind.NEXT for one in route.then),
            reason=route.reason,
            q850=route.q850,
        )

    def _named(
        self, callers: Iterable[str], heading: str, known: Mapping[str, UserSettings] | Mapping[str, TrunkSettings]
    ) -> frozenset[str]:
        """Those that are named by themselves, and those of a tenant that is."""
        said = [one.partition(":")[::2] for one in callers]
        tenants = {name for kind, name in said if kind == "tenant"}
        named = {name for kind, name in said if kind == heading}
        if tenants:
            named |= {one.name for one in known.values() if one.tenant in tenants}
        return frozenset(named)

    def _conditions(self, route: RouteSettings) -> Iterable[Condition]:
        """Those that cost least come first."""
        words = {
            "listener": frozenset(route.listener),
            "transport": frozenset(one.value.upper() for one in route.transport),
            "method": frozenset(route.method),
        }
        for key, allowed in words.items():
            if allowed:
                yield OneOf(key, allowed, WORDS[key])
        if route.host:
            yield OfHost("host", route.host, self._owned)
        if route.caller_number:
            index = MatchIndex([route.caller_number], frozenset(self._settings.users), self._lists)
            self._indexes.append(index)
            yield CallerNumber(route.caller_number, ref(index))
        if route.caller_host:
            yield OfHost("caller-host", route.caller_host, self._owned)
        if route.source:
            yield FromNetwork(route.source)
        for test in route.header:
            yield Header(test)
        if route.schedule:
            schedules = (_negated(word) for word in route.schedule)
            yield InSchedule(tuple((wanted, self._calendars[name]) for wanted, name in schedules))
        if route.location:
            places = (_negated(word) for word in route.location)
            known = self._settings.locations
            yield InLocation(tuple((wanted, known[name]) for wanted, name in places), self._registered)


def _negated(word: str) -> tuple[bool, str]:
    """'not x' → (False, 'x'), 'x' → (True, 'x')."""
    first, _, rest = word.partition(" ")
    return (False, rest.strip()) if first == "not" and rest else (True, word)


def _with_number(targets: tuple[Target, ...], number: str) -> tuple[tuple[Target, str], ...]:
    """Each with the number that goes there."""
    return tuple((one, one.name if one.kind is TargetKind.AOR and one.name else number) for one in targets)


def _after(decision: Decision) -> tuple[tuple[Target, str], ...]:
    """What a decision adds to one that comes before it."""
    if decision.target is None or decision.target.kind not in REACHED:
        return ()
    return ((decision.target, decision.number), *decision.alternatives)


def _end_of(table: TableSettings, target: Target) -> Rule:
    return Rule("", table.name, target, reason=table.reason, q850=table.q850, foreign=True, last=True)
