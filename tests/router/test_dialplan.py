"""Which way a request goes: numbers, conditions, tables, shares, what comes after a target."""

from __future__ import annotations

import gc
import weakref
from collections import Counter
from pathlib import Path

import pytest

from .plans import ANYONE, Plan, settings_of, trunk


def plan(directory: Path, text: str, **files: str) -> Plan:
    return Plan(settings_of(directory, text, **files))


@pytest.mark.parametrize(
    ("match", "fits", "fails"),
    [
        ("exact:9196", ["9196"], ["919", "91960", "+9196"]),
        ("prefix:0", ["0", "0123"], ["1", "", "+0"]),
        ("range:2000-2999", ["2000", "2500", "2999"], ["1999", "3000", "20000", "200", "2a00", "+2000", "２０００"]),
        ("range:+15550100-+15550199", ["+15550100", "+15550199"], ["15550100", "+15550200", "+1555a100"]),
        (r"regex:0[1-9]\d{2,4}", ["0123", "012345"], ["0012", "01", "0123456", "x0123"]),
        ("aor", ["1001", "1002"], ["1003", ""]),
        ("any", ["", "1", "alice"], []),
        ("numbers:few", ["77", "7812", "8005"], ["7", "8010", "9"]),
        (r"exact:5, prefix:6, regex:7\d{1,2}", ["5", "66", "71", "711"], ["55", "7", "7111"]),
    ],
)
def test_a_number_matches_as_the_route_says(tmp_path: Path, match: str, fits: list[str], fails: list[str]) -> None:
    text = f"[numbers few]\nfile = few.dn\n[route 1]\nmatch = {match}\ntarget = trunk:a\n"
    routes = plan(tmp_path, text, few="77\n78*\n8000-8009\n")
    assert {number: routes.way(number) for number in fits} == dict.fromkeys(fits, "trunk:a")
    assert {number: routes.way(number) for number in fails} == dict.fromkeys(fails, "nothing")


@pytest.mark.parametrize(
    ("condition", "fits", "fails"),
    [
        ("method = MESSAGE", {"method": "MESSAGE"}, {}),
        ("transport = tls, ws", {"transport": "TLS"}, {"transport": "UDP"}),
        ("listener = inside", {"listener": "inside"}, {"listener": "udp"}),
        ("source = 198.51.100.0/24, 2001:db8::/32", {"source": "198.51.100.7"}, {"source": "192.0.2.1"}),
        ("source = 2001:db8::/32", {"source": "2001:db8::1"}, {"source": "198.51.100.7"}),
        ("source = 198.51.100.0/24", {"source": "::ffff:198.51.100.7"}, {}),
        ("caller-number = prefix:10", {}, {"caller": trunk("a"), "sender": "<sip:2001@example.com>"}),
        ("caller-host = *.example.net", {"sender": "<sip:x@a.example.net>"}, {"sender": "<sip:x@example.net>"}),
        ("caller-host = ours", {}, {"sender": "<sip:x@example.net>"}),
        ("header = X-Class is gold", {"headers": (("x-class", "Gold"),)}, {"headers": (("x-class", "golden"),)}),
        ('header = Subject contains "two words"', {"headers": (("subject", "of Two Words"),)}, {}),
        (r"header = X-Id matches ^a\d{1,2}$", {"headers": (("x-id", "a12"),)}, {"headers": (("x-id", "a123"),)}),
        (
            "header = s present and X-B absent",
            {"headers": (("subject", "x"),)},
            {"headers": (("subject", "x"), ("x-b", ""))},
        ),
        ("location = home", {"source": "203.0.113.7"}, {}),
        ("location = not home", {}, {"source": "203.0.113.7"}),
        (
            "location = finland",
            {"caller": trunk("a"), "sender": "<sip:+358401@x>"},
            {"caller": trunk("a"), "sender": "<sip:+4930@x>"},
        ),
    ],
)
def test_a_condition_narrows_a_route(tmp_path: Path, condition: str, fits: object, fails: object) -> None:
    text = f"""
[location home]
networks = 203.0.113.0/24
[location finland]
prefixes = +358
[route 1]
match = any
target = trunk:a
callers = anyone
{condition}
[route 2]
match = any
target = trunk:b
callers = anyone
"""
    routes = plan(tmp_path, text)
    assert routes.way("5", **fits) == "trunk:a"  # type: ignore[arg-type]
    failed = routes.ask("5", **fails)  # type: ignore[arg-type]
    assert str(failed.target) == "trunk:b"
    assert failed.steps[0].startswith("route 1 (any) is passed over: ")


def test_a_phone_may_be_where_it_is_registered(tmp_path: Path) -> None:
    text = "[location home]\nnetworks = 203.0.113.0/24\n[route 1]\nmatch = any\ntarget = trunk:a\nlocation = home\n"
    settings = settings_of(tmp_path, text)
    assert Plan(settings, ["203.0.113.9"]).way("5") == "trunk:a"
    assert Plan(settings, ["198.51.100.9"]).way("5") == "nothing"


def test_callers_who_are_not_admitted_are_forbidden_not_lost(tmp_path: Path) -> None:
    text = """
[route 1]
match = prefix:1
target = trunk:a
[route 2]
match = prefix:2
target = trunk:a
callers = trunk:a, user:1002
"""
    routes = plan(tmp_path, text)
    assert [routes.way("1"), routes.way("2"), routes.way("3")] == ["trunk:a", "forbidden", "nothing"]
    assert [routes.way("1", ANYONE), routes.way("2", trunk("a")), routes.way("2", trunk("b"))] == [
        "forbidden",
        "trunk:a",
        "forbidden",
    ]


def test_tables_lead_on_and_back(tmp_path: Path) -> None:
    text = """
[table inner]
[table strict]
otherwise = reject:410
reason = Gone for good
[route 10]
match = prefix:9
target = table:inner
strip = 1
callers = users, trunks
[route 20]
match = prefix:9
target = trunk:b
[route 30]
match = prefix:8
target = table:strict
[route 11-of-inner]
table = inner
match = prefix:5
target = trunk:a
add = 00
"""
    routes = plan(tmp_path, text)
    assert routes.way("95") == "trunk:a as 005"
    assert routes.way("95", trunk("b")) == "trunk:a as 005", "who is led into a table may use its routes"
    assert routes.way("96") == "trunk:b"
    gone = routes.ask("85")
    assert (str(gone.target), gone.reason) == ("reject:410", "Gone for good")
    assert routes.ask("95").routes == ("10", "11-of-inner")


def test_a_number_table_decides_by_the_closest_line_and_goes_back_where_it_has_none(tmp_path: Path) -> None:
    text = """
[numbers dn]
file = dn.dn
[route 10]
match = any
target = numbers:dn
[route 20]
match = any
target = trunk:b
"""
    lines = """# written by a machine
2001        aor:1001
2000-2999   trunk:a
2100-2199   line:echo
2*          reject:404
+49*        trunk:a strip=1 add=00
+49*        trunk:b priority=1
"""
    routes = plan(tmp_path, text, dn=lines)
    assert routes.way("2001") == "aor:1001 as 1001"
    assert routes.way("2002") == "trunk:a"
    assert routes.way("2150") == "line:echo"
    assert routes.way("21500") == "reject:404"
    assert routes.way("+4930") == "trunk:a as 004930, then trunk:b as +4930"
    assert routes.way("5") == "trunk:b"
    assert "dn.dn:4" in routes.ask("2150").explanation


def test_what_comes_after_a_target_that_cannot_be_reached(tmp_path: Path) -> None:
    text = """
[route 10]
match = prefix:1
target = trunk:a
strip = 1
then = trunk:b, next
[route 20]
match = prefix:12
target = aor:1002
then = next
[route 30]
match = any
target = reject:503
"""
    routes = plan(tmp_path, text)
    assert routes.way("12") == "trunk:a as 2, then trunk:b as 2, then aor:1002 as 1002"
    assert routes.way("13") == "trunk:a as 3, then trunk:b as 3", "a refusal takes over from nobody"


def test_shares_are_kept_and_a_call_id_keeps_its_own(tmp_path: Path) -> None:
    text = "[route 10]\nmatch = any\ntarget = trunk:a\nsplit = 20% trunk:b, 5% line:echo\n"
    routes = plan(tmp_path, text)
    ways = [routes.way("1", call_id=f"call-{n}@example.net") for n in range(10_000)]
    found = Counter(ways)
    assert abs(found["trunk:b"] - 2000) < 150
    assert abs(found["line:echo"] - 500) < 90
    assert sum(found.values()) == 10_000
    again = [routes.way("1", call_id=f"call-{n}@example.net") for n in range(100)]
    assert again == ways[:100]


def test_other_hosts_are_taken_by_none_but_a_route_that_names_them(tmp_path: Path) -> None:
    text = """
[route 10]
match = any
target = trunk:a
[route 20]
match = any
host = *.example.net, example.org
target = dns
"""
    routes = plan(tmp_path, text)
    assert routes.plan.takes_foreign
    assert routes.way("1") == "trunk:a"
    assert routes.way("1", host="a.example.net") == "dns"
    assert routes.way("1", host="example.org") == "dns"
    assert routes.way("1", host="example.net") == "nothing"
    assert routes.way("1", ANYONE, host="example.org") == "forbidden"


def test_schedules_follow_the_zone_the_week_and_the_holidays(tmp_path: Path) -> None:
    text = """
[schedule office]
zone = Europe/Berlin
times = mon-fri 08:00-18:00, sat 22:00-02:00
holidays = 12-25, 2026-12-31..2027-01-01
[route 10]
match = any
target = trunk:a
schedule = office
[route 20]
match = any
target = trunk:b
schedule = not office
"""
    routes = plan(tmp_path, text)
    moments = {
        "2026-07-01T06:00:00+00:00": "trunk:a",  # 08:00 in summer
        "2026-07-01T05:59:59+00:00": "trunk:b",
        "2026-11-23T06:30:00+00:00": "trunk:b",  # 07:30 in winter
        "2026-11-23T07:00:00+00:00": "trunk:a",
        "2026-11-23T17:00:00+00:00": "trunk:b",
        "2026-11-28T21:30:00+00:00": "trunk:a",  # Saturday night
        "2026-11-29T00:59:00+00:00": "trunk:a",  # goes on into Sunday
        "2026-11-29T01:00:00+00:00": "trunk:b",
        "2026-11-29T21:30:00+00:00": "trunk:b",
        "2026-12-25T10:00:00+00:00": "trunk:b",
        "2026-12-31T10:00:00+00:00": "trunk:b",
        "2027-01-04T10:00:00+00:00": "trunk:a",
    }
    assert {at: routes.way("1", at=at) for at in moments} == moments
    assert (
        "closed (holiday 12-25) at Fri 2026-12-25 11:00 CET" in routes.ask("1", at="2026-12-25T10:00:00Z").explanation
    )


def test_the_explanation_tells_what_was_decided_on_even_when_the_request_changed_later(tmp_path: Path) -> None:
    text = "[route 10]\nmatch = any\ntarget = trunk:a\nheader = X-Class is gold\n"
    decision = plan(tmp_path, text).ask("1", headers=(("x-class", "tin"),))
    decision.question.request.remove("x-class")
    assert decision.explanation == (
        "user 1001 called 1: route 10 is passed over: header X-Class is gold does not hold: it is tin; no route matches"
    )


def test_what_calls_remember_keeps_no_number_table_alive(tmp_path: Path) -> None:
    text = """
[numbers few]
file = few.dn
[route 1]
match = any
caller-number = numbers:few
target = trunk:a
[route 2]
match = any
target = numbers:few
"""
    settings = settings_of(tmp_path, text, few="5 trunk:b\n")
    table = weakref.ref(settings.number_lists["few"])
    routes = Plan(settings)
    decision = routes.ask("5")
    before = decision.explanation
    del routes, settings
    gc.collect()
    assert table() is None
    assert decision.explanation == before
    assert "few.dn:1" in before
