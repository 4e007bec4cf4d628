"""Routes that lead to ENUM: what DNS knows of a number decides, and nobody else waits for it."""

from __future__ import annotations

import attrs
import pytest

from appliance.config.enum import EnumSettings
from appliance.config.patch import match, target
from appliance.config.routes import RouteSettings
from tests.proxy.pretend_net import Box, PretendNet

NUMBER = "+441632960083"
FOREIGN = "sip:sales@pbx.example.net"


def box_with(net: PretendNet, *, then: str = "") -> Box:
    settings = Box().settings
    route = RouteSettings(
        name="05-enum",
        match=(match().read("prefix:+"),),
        target=target().read("enum:public"),
        callers=("users", "trunks"),
        then=(target().read(then),) if then else (),
    )
    enums = {"public": EnumSettings(name="public", suffixes=("e164.example",))}
    return Box(attrs.evolve(settings, routes={**settings.routes, route.name: route}, enums=enums), net)


@pytest.fixture
def net() -> PretendNet:
    return PretendNet()


def test_a_foreign_uri_is_followed_by_dns(net: PretendNet) -> None:
    net.numbers[NUMBER] = [FOREIGN]
    box = box_with(net)
    caller = box.peer("192.0.2.50")
    caller.send(caller.request("INVITE", f"sip:{NUMBER}@example.com"))
    assert box.peer("pbx.example.net").take_request("INVITE").uri == FOREIGN


def test_a_uri_of_ours_goes_through_the_dial_plan(net: PretendNet) -> None:
    net.numbers[NUMBER] = ["sip:1002@example.com"]
    box = box_with(net)
    phone = box.peer("192.0.2.12")
    phone.register("1002")
    caller = box.peer("192.0.2.50")
    caller.send(caller.request("INVITE", f"sip:{NUMBER}@example.com"))
    assert phone.take_kinds() == ["INVITE"]


def test_a_uri_that_leads_back_to_enum_leads_nowhere(net: PretendNet) -> None:
    net.numbers[NUMBER] = [f"sip:{NUMBER}@example.com"]
    box = box_with(net)
    caller = box.peer("192.0.2.50")
    caller.send(caller.request("INVITE", f"sip:{NUMBER}@example.com"))
    assert caller.take_kinds()[-1] == "404"


def test_the_best_uri_is_tried_first_and_the_next_when_it_fails(net: PretendNet) -> None:
    net.numbers[NUMBER] = ["sip:a@one.example.net", "sip:b@two.example.net"]
    box = box_with(net)
    caller = box.peer("192.0.2.50")
    caller.send(caller.request("INVITE", f"sip:{NUMBER}@example.com"))
    one = box.peer("one.example.net")
    one.answer(one.take_request("INVITE"), 503)
    assert box.peer("two.example.net").take_request("INVITE").uri == "sip:b@two.example.net"


def test_an_unknown_number_goes_where_the_route_says_then(net: PretendNet) -> None:
    box = box_with(net, then="trunk:two")
    caller = box.peer("192.0.2.50")
    caller.send(caller.request("INVITE", f"sip:{NUMBER}@example.com"))
    assert box.peer("192.0.2.51").take_kinds() == ["INVITE"]


def test_a_call_waits_for_dns_and_others_do_not(net: PretendNet) -> None:
    net.unheard[NUMBER] = None
    box = box_with(net)
    caller = box.peer("192.0.2.50")
    caller.send(caller.request("INVITE", f"sip:{NUMBER}@example.com", call_id="waits@example.net"))
    caller.send(caller.request("INVITE", "sip:9123@example.com", call_id="other@example.net", user="1002"))
    heard = net.unheard.pop(NUMBER)
    assert heard is not None
    box.run(0.3)
    assert "100" in caller.take_kinds()
    net.numbers[NUMBER] = [FOREIGN]
    heard([FOREIGN])
    assert box.peer("pbx.example.net").take_kinds() == ["INVITE"]


def test_a_caller_that_gives_up_before_dns_answers_is_forgotten(net: PretendNet) -> None:
    net.unheard[NUMBER] = None
    box = box_with(net)
    caller = box.peer("192.0.2.50")
    invite = caller.request("INVITE", f"sip:{NUMBER}@example.com")
    caller.send(invite)
    caller.cancel(invite)
    assert sorted(caller.take_kinds()) == ["200", "487"]
    heard = net.unheard.pop(NUMBER)
    assert heard is not None
    heard([FOREIGN])
    assert box.peer("pbx.example.net").take_kinds() == []
    assert not box.core.calls.active


def test_a_dead_resolver_ends_in_404_with_the_reason(net: PretendNet) -> None:
    net.unheard[NUMBER] = None
    box = box_with(net)
    caller = box.peer("192.0.2.50")
    caller.send(caller.request("INVITE", f"sip:{NUMBER}@example.com"))
    heard = net.unheard.pop(NUMBER)
    assert heard is not None
    heard([])
    assert caller.take_kinds()[-1] == "404"
    assert "ENUM public" in box.core.refusals.latest[0].cause
