"""A 3xx of a gateway: passed, or followed within what the trunk allows, and never further."""

from __future__ import annotations

import pytest

from appliance.config.groups import Redirects
from appliance.config.kinds import network
from appliance.router.gateway import Hold
from appliance.sip.build import response_to
from appliance.sip.message import Request

from .pretend_net import Box
from .test_groups import A1, A2, B1, Calling, offered, settings_with, trunk

ELSEWHERE = "192.0.2.99"


def box_with(redirects: Redirects = Redirects.FOLLOW) -> Box:
    trusted = (network().read("192.0.2.96/29"),)
    return Box(settings_with(None, trunk("a", A1, A2, redirects=redirects, trusted=trusted, tries=1), trunk("b", B1)))


def redirect(box: Box, host: str, *contacts: str) -> None:
    peer = box.peer(host)
    [invite] = [one for one in peer.take() if isinstance(one, Request) and one.method == "INVITE"]
    peer.send(response_to(invite, 302, to_tag="there", headers=[("contact", contact) for contact in contacts]))


def test_a_redirection_is_passed_unless_the_trunk_says_otherwise() -> None:
    box = box_with(Redirects.BACK)
    calling = Calling(box)
    calling.call("8001")
    redirect(box, A1, f"<sip:8002@{A2}>")
    assert offered(box, A2) == []
    assert "302" in calling.caller.take_kinds()


def test_it_is_followed_to_another_gateway_and_into_trusted_networks_best_first() -> None:
    box = box_with()
    calling = Calling(box)
    calling.call("8001")
    redirect(box, A1, f"<sip:8003@{ELSEWHERE}:5070;user=phone>;q=0.2", f"<sip:8002@{A2}>;q=0.9")
    invite = box.peer(A2).take_request("INVITE")
    assert invite.uri == f"sip:8002@{A2}"
    box.peer(A2).answer(invite, 503)
    invite = box.peer(ELSEWHERE, 5070).take_request("INVITE")
    assert invite.uri == f"sip:8003@{ELSEWHERE}:5070;user=phone"
    box.peer(ELSEWHERE, 5070).answer(invite, 200)
    assert "200" in calling.caller.take_kinds()
    [call] = box.core.calls
    assert "redirects it to trunk a, gateway 192.0.2.62 by redirection" in call.route


@pytest.mark.parametrize(
    "contact",
    [
        "<sip:8002@198.51.100.1>",
        "<sip:8002@evil.example.net>",
        f"<sip:8002@{B1}>",
        f"<sip:8002@{A2}:5099>",
        f"<sip:{A2}>",
        "<tel:+15550100>",
        "<mailto:a@example.com>",
        "nonsense",
    ],
)
def test_elsewhere_it_is_passed(contact: str) -> None:
    box = box_with()
    calling = Calling(box)
    calling.call("8001")
    redirect(box, A1, contact)
    assert "302" in calling.caller.take_kinds()
    assert set(box.net.sent) <= {("192.0.2.1", 5060), (A1, 5060)}


def test_neither_maddr_nor_headers_nor_transport_lead_it_astray() -> None:
    box = box_with()
    Calling(box).call("8001")
    redirect(
        box,
        A1,
        f"<sip:8002@{A2};maddr=198.51.100.1;transport=tcp?Route=%3Csip:198.51.100.1%3E>",
        f"<sip:8002@{ELSEWHERE};maddr=198.51.100.1>",
    )
    invite = box.peer(A2).take_request("INVITE")
    assert invite.uri == f"sip:8002@{A2}"
    assert "route" not in invite
    box.peer(A2).answer(invite, 503)
    assert box.peer(ELSEWHERE).take_request("INVITE").uri == f"sip:8002@{ELSEWHERE}"


def test_a_drained_gateway_is_not_redirected_to() -> None:
    box = box_with()
    box.core.hunts.hold("a", A2, Hold.DRAINED)
    calling = Calling(box)
    calling.call("8001")
    redirect(box, A1, f"<sip:8002@{A2}>")
    assert "302" in calling.caller.take_kinds()


def test_redirections_end() -> None:
    box = box_with()
    calling = Calling(box)
    calling.call("8001")
    hosts = [A1, A2]
    for number in range(5):
        redirect(box, hosts[number % 2], f"<sip:9{number}@{hosts[(number + 1) % 2]}>")
    redirect(box, hosts[1], f"<sip:99@{A1}>")
    assert offered(box, A1) == []
    assert "302" in calling.caller.take_kinds()
