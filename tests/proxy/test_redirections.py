"""Where a call goes besides the first place: further flows of a phone, and redirections."""

from __future__ import annotations

import attrs
import pytest

from appliance.config.dialplan import RouteSettings, UserSettings
from appliance.config.patch import match, target
from appliance.config.secret import Secret
from appliance.sip.message import Request

from .pretend_net import Box, Peer, _settings

INSTANCE = '+sip.instance="<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>"'


@pytest.fixture
def box() -> Box:
    settings = _settings()
    users = {**settings.users, "1003": UserSettings(name="1003", password=Secret("secret1003"))}
    routes = {
        **settings.routes,
        "60-trunks-only": RouteSettings(
            name="60-trunks-only",
            match=(match().read("prefix:8"),),
            target=target().read("trunk:two"),
            callers=("trunks",),
        ),
    }
    return Box(attrs.evolve(settings, users=users, routes=routes))


def register_flow(box: Box, port: int, reg_id: int, *, transport: str = "TCP", q: str = "") -> Peer:
    """One flow of the phone of 1002."""
    phone = box.peer("192.0.2.7", port, transport)
    request = phone.request(
        "REGISTER",
        "sip:example.com",
        user="1002",
        to="<sip:1002@example.com>",
        call_id=f"reg{reg_id}",
        headers=(("supported", "outbound, path"),),
    )
    request.set("contact", f"<sip:1002@192.0.2.7:5060>;{INSTANCE};reg-id={reg_id}{q}")
    phone.send(request)
    phone.send(phone.authorized(phone.take_response(401), request, "1002"))
    assert phone.take_kinds() == ["200"]
    box.now += 1
    return phone


def redirect(peer: Peer, invite: Request, *contacts: str) -> None:
    response = peer.answer(invite, 180)
    response.status, response.reason = 302, "Moved Temporarily"
    response.remove("contact")
    for contact in contacts:
        response.append("contact", contact)
    peer.send(response)


def test_one_flow_of_an_instance_is_rung_the_latest_first(box: Box) -> None:
    old, new = register_flow(box, 40001, 1), register_flow(box, 40002, 2)
    caller = box.peer("192.0.2.50")
    caller.send(caller.request("INVITE", "sip:1002@example.com"))
    invite = new.take_request("INVITE")
    assert old.take() == []
    new.answer(invite, 486)
    assert old.take() == []
    assert caller.take_kinds()[-1] == "486"


@pytest.mark.parametrize("how", ["430", "closed", "silent"])
def test_the_other_flow_is_tried_when_one_fails(box: Box, how: str) -> None:
    old, new = register_flow(box, 40001, 1), register_flow(box, 40002, 2)
    caller = box.peer("192.0.2.50")
    if how == "closed":
        new.flow.closed = True  # and the registrar has not heard of it yet
    caller.send(caller.request("INVITE", "sip:1002@example.com"))
    if how == "430":
        new.answer(new.take_request("INVITE"), 430)
    elif how == "silent":
        box.run(33)
        new.take()
    old.answer(old.take_request("INVITE"), 200)
    assert caller.take_kinds()[-1] == "200"


def test_no_flow_left_is_480(box: Box) -> None:
    phone, caller = register_flow(box, 40001, 1), box.peer("192.0.2.50")
    caller.send(caller.request("INVITE", "sip:1002@example.com"))
    invite = phone.take_request("INVITE")
    assert invite
    phone.flow.closed = True
    box.core.flow_closed(phone.flow)
    assert caller.take_kinds()[-1] == "480"


def test_a_contact_that_is_ourselves_is_not_called(box: Box) -> None:
    phone, caller = box.peer("192.0.2.2", 5060, "TCP"), box.peer("192.0.2.50")
    request = phone.request("REGISTER", "sip:example.com", user="1002", to="<sip:1002@example.com>")
    request.set("contact", "<sip:1002@example.com;x=1>, <sip:1002@example.com:5060>")
    phone.send(request)
    phone.send(phone.authorized(phone.take_response(401), request, "1002"))
    assert phone.take_kinds() == ["200"]
    phone.flow.closed = True
    box.core.flow_closed(phone.flow)
    caller.send(caller.request("INVITE", "sip:1002@example.com"))
    assert caller.take_kinds() == ["480"]


def test_a_redirection_to_another_user_is_followed(box: Box) -> None:
    caller, one, two = box.peer("192.0.2.1"), box.peer("192.0.2.2"), box.peer("192.0.2.3")
    one.register("1002")
    two.register("1003")
    caller.invite("sip:1002@example.com")
    redirect(one, one.take_request("INVITE"), "<sip:1003@example.com>")
    invite = two.take_request("INVITE")
    assert invite.uri == "sip:1003@192.0.2.3:5060"
    two.answer(invite, 200)
    assert caller.take_kinds() == ["180", "200"]
    [call] = box.core.calls
    assert call.route.endswith("1002 redirects it to 1003")


def test_a_redirection_may_go_where_its_user_may_call(box: Box) -> None:
    carrier, phone, gateway = box.peer("192.0.2.50"), box.peer("192.0.2.2"), box.peer("192.0.2.51")
    phone.register("1002")
    carrier.send(carrier.request("INVITE", "sip:1002@example.com", user="0301"))
    redirect(phone, phone.take_request("INVITE"), "<sip:9123@example.com>")
    assert gateway.take_request("INVITE").uri == "sip:9123@192.0.2.51:5060"


@pytest.mark.parametrize(
    "contacts",
    [
        ["<sip:1003@elsewhere.example.net>"],
        ["<sip:1003@example.com>", "<sip:x@198.51.100.7>"],
        ["<sip:8123@example.com>"],
        ["<sip:4000@example.com>"],
        ["<sip:5000@example.com>"],
        ["<sip:7777@example.com>"],
        ["<sip:1002@example.com>"],
        ["<tel:0123>"],
        ["<<<nonsense"],
        [],
        [f"<sip:1003@example.com;x={n}>" for n in range(300)],
    ],
    ids=str,
)
def test_other_redirections_go_back_to_the_caller(box: Box, contacts: list[str]) -> None:
    carrier, one, two = box.peer("192.0.2.50"), box.peer("192.0.2.2"), box.peer("192.0.2.3")
    one.register("1002")
    two.register("1003")
    carrier.send(carrier.request("INVITE", "sip:1002@example.com", user="0301"))
    redirect(one, one.take_request("INVITE"), ", ".join(contacts) or "<sip:x@198.51.100.7>")
    assert carrier.take_kinds()[-1] == "302"
    assert one.take_kinds() == ["ACK"]
    assert two.take() == []


def test_redirections_in_a_circle_end(box: Box) -> None:
    caller, one, two = box.peer("192.0.2.1"), box.peer("192.0.2.2"), box.peer("192.0.2.3")
    one.register("1002")
    two.register("1003")
    caller.invite("sip:1002@example.com")
    redirect(one, one.take_request("INVITE"), "<sip:1003@example.com>")
    redirect(two, two.take_request("INVITE"), "<sip:1002@example.com>")
    assert caller.take_kinds()[-1] == "302"
    assert list(box.core.calls) == []


def test_a_gateways_redirection_goes_back_and_no_further_gateway_is_tried(box: Box) -> None:
    caller, one, two = box.peer("192.0.2.1"), box.peer("192.0.2.51"), box.peer("192.0.2.52")
    caller.invite("sip:9123@example.com")
    redirect(one, one.take_request("INVITE"), "<sip:1002@example.com>")
    assert caller.take_kinds()[-1] == "302"
    assert two.take() == []


def test_a_redirection_beside_a_ringing_branch(box: Box) -> None:
    caller, one, other, two = (box.peer(f"192.0.2.{n}") for n in (1, 2, 4, 3))
    one.register("1002")
    other.register("1002")
    two.register("1003")
    caller.invite("sip:1002@example.com")
    other.answer(other.take_request("INVITE"), 180)
    redirect(one, one.take_request("INVITE"), "<sip:1003@example.com>")
    two.answer(two.take_request("INVITE"), 200)
    assert other.take_kinds() == ["CANCEL"]
    assert caller.take_kinds()[-1] == "200"
