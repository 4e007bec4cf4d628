"""The compiled tables decide as the plainest reading of the same rules does, over random tables and numbers."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.config.dialplan import UserSettings
from appliance.config.numbers import NumberList, read_numbers
from appliance.config.patch import Match, MatchKind, Target, TargetKind, match, target
from appliance.config.routes import RouteSettings, TableSettings
from appliance.config.settings import Settings

from .plans import USER, Plan, trunk

DIGITS = st.text("0123", min_size=1, max_size=4)
NUMBERS = st.one_of(DIGITS, DIGITS.map(lambda digits: "+" + digits), st.sampled_from(["1001", "a1", ""]))


@st.composite
def ranges(draw: st.DrawFn) -> str:
    low = draw(DIGITS)
    high = draw(st.text("0123", min_size=len(low), max_size=len(low)))
    return "-".join(sorted((low, high)))


MATCHES = st.one_of(
    NUMBERS.filter(bool).map(lambda number: f"exact:{number}"),
    NUMBERS.filter(bool).map(lambda number: f"prefix:{number}"),
    ranges().map(lambda text: f"range:{text}"),
    st.sampled_from(["aor", "any", "regex:[01]+", "regex:0.*", "numbers:dn"]),
)


def fits(one: Match, number: str, lists: Mapping[str, NumberList]) -> bool:
    """Whether a number matches, read off the words."""
    match one.kind:
        case MatchKind.EXACT:
            return number == one.value
        case MatchKind.PREFIX:
            return number.startswith(one.value)
        case MatchKind.RANGE:
            low, high = one.bounds
            return len(number) == len(low) and number.isdigit() and int(low) <= int(number) <= int(high)
        case MatchKind.REGEX:
            return one.pattern is not None and one.pattern.matches(number)
        case MatchKind.NUMBERS:
            return lists[one.value].row_of(number) >= 0
        case MatchKind.AOR:
            return number == "1001"
        case _:
            return True


def walk(box: Settings, table: str, number: str, caller: str) -> str | None:
    """What a table decides, route by route in the order of names."""
    for name in sorted(box.routes):
        route = box.routes[name]
        if route.table != table or not any(fits(one, number, box.number_lists) for one in route.match):
            continue
        admitted = route.callers or (("users",) if table == "main" else ("anyone",))
        if "anyone" not in admitted and caller not in admitted:
            continue
        rewritten = route.add + number[route.strip :]
        if route.target.kind is TargetKind.TABLE:
            found = walk(box, route.target.name, rewritten, caller)
            if found is not None:
                return found
            continue
        return f"{route.target} as {rewritten}"
    end = box.tables[table].otherwise if table in box.tables else None
    return None if end is None else f"{end} as {number}"


@st.composite
def boxes(draw: st.DrawFn) -> Settings:
    routes = {}
    for position in range(draw(st.integers(1, 7))):
        name = f"{position:02}"
        inner = draw(st.booleans())
        leads = draw(st.sampled_from(["trunk:a", "trunk:b", "aor", "reject:404"] + ([] if inner else ["table:inner"])))
        routes[name] = RouteSettings(
            name=name,
            match=tuple(match().read(text) for text in draw(st.lists(MATCHES, min_size=1, max_size=3, unique=True))),
            target=target().read(leads),
            callers=draw(st.sampled_from([None, ("users",), ("trunks",), ("anyone",)])),
            table="inner" if inner else "main",
            strip=draw(st.integers(0, 2)),
            add=draw(st.sampled_from(["", "0", "3"])),
        )
    end = draw(st.sampled_from([None, Target(TargetKind.REJECT, status=410)]))
    lines = "\n".join(draw(st.lists(DIGITS, max_size=4, unique=True)))
    return Settings(
        users={"1001": UserSettings(name="1001")},
        routes=routes,
        tables={"inner": TableSettings(name="inner", otherwise=end)},
        number_lists={"dn": read_numbers(lines.encode(), "dn", "dn")[0]},
    )


@settings(max_examples=150, deadline=None)
@given(box=boxes(), numbers=st.lists(NUMBERS, min_size=1, max_size=8))
def test_a_plan_decides_as_its_routes_read(box: Settings, numbers: list[str]) -> None:
    plan = Plan(box)
    for number in numbers:
        for caller, kind in ((USER, "users"), (trunk("a"), "trunks")):
            decision = plan.ask(number, caller)
            got = None if decision.target is None else f"{decision.target} as {decision.number}"
            assert got == walk(box, "main", number, kind)
            assert decision.explanation


def closest(lines: list[str], number: str) -> str | None:
    """The line of a number table that a number falls to: itself, the narrowest range, the longest prefix."""
    if number in lines:
        return number
    spans = []
    for line in lines:
        low, dash, high = line.partition("-")
        if dash and len(low) == len(number) and number.isdigit() and int(low) <= int(number) <= int(high):
            spans.append((int(high) - int(low), line))
    if spans:
        return min(spans)[1]
    prefixes = [line for line in lines if line.endswith("*") and number.startswith(line[:-1])]
    return max(prefixes, key=len, default=None)


@settings(max_examples=150, deadline=None)
@given(
    written=st.lists(st.one_of(NUMBERS.filter(bool), NUMBERS.map(lambda text: text + "*"), ranges()), unique=True),
    numbers=st.lists(NUMBERS, min_size=1, max_size=8),
)
def test_a_number_falls_to_the_closest_line(written: list[str], numbers: list[str]) -> None:
    table, wrong = read_numbers("\n".join(written).encode(), "dn", "dn")
    refused = {one.place.line for one in wrong}  # ranges that cross
    lines = [line for number, line in enumerate(written, 1) if number not in refused]
    for number in numbers:
        row = table.row_of(number)
        found = None if row < 0 else table.rows(row, number)[0].written
        assert found == closest(lines, number)
