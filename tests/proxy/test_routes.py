"""What the core makes of a decision: refusals and redirections on the wire, other hosts, what comes after a target."""

from __future__ import annotations

import attrs
import pytest

from appliance.config.numbers import read_numbers
from appliance.config.patch import match, matches, target
from appliance.config.routes import RouteSettings, TableSettings
from appliance.sip.message import Response

from .pretend_net import Box, _settings


def route(name: str, matching: str, leads: str, **more: object) -> RouteSettings:
    callers = more.pop("callers", ("users", "trunks"))
    return RouteSettings(
        name=name,
        match=matches().read(matching),
        target=target().read(leads),
        callers=callers,  # type: ignore[arg-type]
        **more,  # type: ignore[arg-type]
    )


def box_with(*routes: RouteSettings, numbers: str = "", **more: object) -> Box:
    settings = attrs.evolve(_settings(), routes={one.name: one for one in routes}, **more)  # type: ignore[arg-type]
    lists = {"dn": read_numbers(numbers.encode(), "dn", "agents.dn")[0]}
    return Box(attrs.evolve(settings, number_lists=lists))


def answer_to(box: Box, uri: str, status: int, host: str = "192.0.2.50", user: str = "0301") -> Response:
    """The final answer of the box to an INVITE of the carrier."""
    caller = box.peer(host)
    caller.send(caller.request("INVITE", uri, user=user))
    return caller.take_response(status)


def test_a_redirection_has_the_number_in_its_contact() -> None:
    box = box_with(route("10", "prefix:4", "redirect:sip:{number}@pbx.example.net", strip=1, add="00", reason="Moved"))
    answer = answer_to(box, "sip:4123%23@example.com", 302)
    assert (answer.reason, answer.get_all("contact")) == ("Moved", ["<sip:00123#@pbx.example.net>"])


def test_a_refusal_has_its_reason_and_its_cause() -> None:
    box = box_with(route("10", "any", "reject:603", reason="Not today", q850=21))
    answer = answer_to(box, "sip:1@example.com", 603)
    assert (answer.reason, answer.get_all("reason")) == ("Not today", ["Q.850;cause=21"])
    assert "route 10 leads to reject:603" in box.core.refusals.latest[0].cause


def test_a_number_table_leads_the_call_and_explains_it() -> None:
    numbers = "5000-5099 trunk:two strip=1\n50* reject:404\n"
    box = box_with(route("10", "any", "numbers:dn"), numbers=numbers)
    caller, gateway = box.peer("192.0.2.50"), box.peer("192.0.2.51")
    caller.send(caller.request("INVITE", "sip:5042@example.com", user="0301"))
    assert gateway.take_request("INVITE").uri == "sip:042@192.0.2.51:5060"
    [call] = box.core.calls
    assert call.route == (
        "trunk carrier called 5042: route 10 leads to numbers:dn; numbers dn: 5042 falls to 5000-5099 (agents.dn:1); "
        "route 10 leads to trunk:two as 042"
    )
    assert call.decision.route == "10"


def test_another_host_is_reached_by_dns_and_only_where_a_route_says_so() -> None:
    box = box_with(route("10", "any", "dns", host=("198.51.100.7",), callers=("trunks",)), route("20", "any", "aor"))
    partner = box.peer("198.51.100.7")
    caller = box.peer("192.0.2.50")
    caller.send(caller.request("INVITE", "sip:bob@198.51.100.7", user="0301"))
    assert partner.take_request("INVITE").uri == "sip:bob@198.51.100.7"
    assert answer_to(box, "sip:bob@198.51.100.8", 403).reason == "Relaying Denied"
    assert answer_to(box, "sip:bob@198.51.100.7;maddr=10.0.0.1", 403).reason == "Relaying Denied"
    stranger = box.peer("203.0.113.1")
    stranger.send(stranger.request("INVITE", "sip:bob@198.51.100.7", user="eve"))
    assert partner.take() == []
    assert stranger.take_kinds() == ["407"]


@pytest.mark.parametrize("first", ["trunk:two", "aor:1002"])
def test_what_cannot_be_reached_is_followed_by_what_comes_then(first: str) -> None:
    box = box_with(route("10", "prefix:9", first, then=(target().read("trunk:carrier"),)))
    caller = box.peer("192.0.2.50")
    caller.send(caller.request("INVITE", "sip:9123@example.com", user="0301"))
    if first == "trunk:two":
        for host in ("192.0.2.51", "192.0.2.52"):
            gateway = box.peer(host)
            gateway.answer(gateway.take_request("INVITE"), 503)
    assert caller.take_request("INVITE").uri == "sip:9123@192.0.2.50:5060", "nobody of 1002 is registered"
    [call] = box.core.calls
    assert "if that cannot be reached, trunk:carrier" in call.route


def test_a_busy_gateway_is_an_answer_and_nothing_comes_then() -> None:
    box = box_with(route("10", "prefix:9", "trunk:two", then=(target().read("trunk:carrier"),)))
    caller, gateway = box.peer("192.0.2.50"), box.peer("192.0.2.51")
    caller.send(caller.request("INVITE", "sip:9123@example.com", user="0301"))
    gateway.answer(gateway.take_request("INVITE"), 486)
    assert caller.take_kinds() == ["486"]


def test_tables_are_entered_with_the_number_rewritten() -> None:
    inner = RouteSettings(
        name="x", match=(match().read("exact:1002"),), target=target().read("aor"), table="inner", add=""
    )
    tables = {"inner": TableSettings(name="inner")}
    box = box_with(route("10", "prefix:8", "table:inner", strip=1), inner, tables=tables)
    phone, caller = box.peer("192.0.2.2"), box.peer("192.0.2.50")
    phone.register("1002")
    caller.send(caller.request("INVITE", "sip:81002@example.com", user="0301"))
    assert phone.take_request("INVITE").uri == "sip:1002@192.0.2.2:5060"
    assert answer_to(box, "sip:81009@example.com", 404).status == 404


def test_a_reload_of_routes_leaves_calls_and_their_explanation() -> None:
    box = box_with(route("10", "any", "trunk:two"))
    caller, gateway = box.peer("192.0.2.50"), box.peer("192.0.2.51")
    caller.send(caller.request("INVITE", "sip:5@example.com", user="0301"))
    gateway.answer(gateway.take_request("INVITE"), 200)
    [call] = box.core.calls
    before = call.route
    box.core.initial.configure(
        attrs.evolve(box.settings, routes={}),
        box.core.path.ownership,
        box.core.initial._authenticator,
        box.core.rewriting,
    )
    assert answer_to(box, "sip:5@example.com", 404)
    assert call.route == before
    assert "route 10 leads to trunk:two" in before
