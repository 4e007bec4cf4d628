"""Stateless forwarding: nothing is kept, and what belongs together goes the same way all the same (RFC 3261 §16.11)."""

from __future__ import annotations

from collections import Counter

import attrs
import pytest

from appliance.config.dialplan import TrunkSettings
from appliance.config.groups import Algorithm
from appliance.config.patch import gateway, match, target
from appliance.config.routes import RouteSettings
from appliance.config.sections import ListenerSettings, Transport
from appliance.config.settings import Settings
from appliance.sip.message import Request
from tests.proxy.pretend_net import Box, Peer, PretendNet

GATEWAYS = [f"192.0.2.{last}" for last in (61, 62, 63)]


def settings(*, by_route: bool = False, record_route: bool = True) -> Settings:
    usual = Box().settings
    listeners = {
        name: ListenerSettings(
            name=name, transport=Transport(name), port=5060, stateless=not by_route, record_route=record_route
        )
        for name in ("udp", "tcp")
    }
    farm = TrunkSettings(
        name="farm",
        gateways=tuple(gateway().read(f"{host}:5060;transport=udp") for host in GATEWAYS),
        algorithm=Algorithm.ROUND_ROBIN,
    )
    route = RouteSettings(
        name="05-farm",
        match=(match().read("prefix:7"),),
        target=target().read("trunk:farm"),
        callers=("anyone",),
        stateless=by_route,
    )
    return attrs.evolve(
        usual,
        listeners=listeners,
        trunks={**usual.trunks, "farm": farm},
        routes={**usual.routes, route.name: route},
    )


class Front:
    """A box in front of three servers, and a client."""

    def __init__(self, *, transport: str = "UDP", net: PretendNet | None = None, **more: bool) -> None:
        self.box = Box(settings(**more), net)
        self.client = self.box.peer("192.0.2.99", transport=transport)
        self.servers = {host: self.box.peer(host) for host in GATEWAYS}

    def invite(self, call_id: str = "one@example.net") -> Request:
        invite = self.client.request("INVITE", "sip:7001@example.com", call_id=call_id)
        self.client.send(invite)
        return invite

    def reached(self) -> tuple[Peer, Request]:
        """The one server that got a request, and the request."""
        found = [(server, message) for server in self.servers.values() for message in server.take()]
        assert len(found) == 1, found
        server, message = found[0]
        assert isinstance(message, Request)
        return server, message

    def keeps_nothing(self) -> None:
        core = self.box.core
        assert not core.layer.servers
        assert not core.layer.clients
        assert not core.calls.active


@pytest.mark.parametrize("transport", ["UDP", "TCP"])
@pytest.mark.parametrize("by_route", [False, True])
def test_a_whole_call_passes_and_nothing_is_kept(transport: str, by_route: bool) -> None:
    front = Front(transport=transport, by_route=by_route)
    front.invite()
    server, invite = front.reached()
    server.answer(invite, 180)
    server.answer(invite, 200)
    ok = next(m for m in front.client.take() if not isinstance(m, Request) and m.status == 200)
    assert len(ok.get_all("via")) == 1
    front.client.send(front.client.in_dialog("ACK", ok, cseq=1))
    again, ack = front.reached()
    assert (again, ack.method) == (server, "ACK")
    front.client.send(front.client.in_dialog("INVITE", ok, cseq=2))
    again, hold = front.reached()
    assert again is server
    server.answer(hold, 200)
    front.client.take_response(200)
    server.send(server.back("BYE", invite))
    bye = front.client.take_request("BYE")
    front.client.answer(bye, 200)
    server.take_response(200)
    front.keeps_nothing()


def test_calls_are_spread_and_each_stays_where_it_began() -> None:
    front = Front()
    reached: Counter[str] = Counter()
    for number in range(300):
        invite = front.invite(f"{number}@example.net")
        server, seen = front.reached()
        reached[server.address[0]] += 1
        front.client.send(invite)  # once more
        again, repeated = front.reached()
        assert (again, repeated.via.branch) == (server, seen.via.branch)
        front.client.cancel(invite)
        again, cancel = front.reached()
        assert (again, cancel.method, cancel.via.branch) == (server, "CANCEL", seen.via.branch)
        server.answer(seen, 487)
        refused = front.client.take_response(487)
        ack = invite.copy()
        ack.method = "ACK"
        ack.set("cseq", "1 ACK")
        ack.set("to", refused.require("to"))
        front.client.send(ack)
        again, acknowledged = front.reached()
        assert (again, acknowledged.via.branch) == (server, seen.via.branch)
    assert set(reached) == set(GATEWAYS)
    assert min(reached.values()) > 60
    front.keeps_nothing()


def test_another_box_with_the_same_key_carries_on() -> None:
    """A restart, or the second node: nothing is kept, so nothing is missing."""
    net = PretendNet()
    front = Front(net=net)
    front.invite()
    server, invite = front.reached()
    other = Front(net=net)
    peer = other.servers[server.address[0]]
    peer.answer(invite, 200)
    ok = other.client.take_response(200)
    other.client.send(other.client.in_dialog("BYE", ok, cseq=2))
    again, bye = other.reached()
    assert (again.address, bye.method) == (server.address, "BYE")


def test_without_record_route_the_ends_talk_directly() -> None:
    front = Front(record_route=False)
    front.invite()
    _, invite = front.reached()
    assert "record-route" not in invite


def test_a_forged_response_goes_nowhere() -> None:
    front = Front()
    front.invite()
    server, invite = front.reached()
    for key, value in (
        ("call-id", "another@example.net"),
        ("cseq", "2 INVITE"),
        ("from", "<sip:1001@example.com>;tag=another"),
    ):
        forged = invite.copy()
        forged.set(key, value)
        server.answer(forged, 200)
    assert front.client.take() == []
    assert front.box.core.stateless.counts.strays == 3


def test_a_response_goes_nowhere_but_to_who_asked() -> None:
    front = Front()
    front.invite()
    server, invite = front.reached()
    invite.lines[:] = [line.replace("192.0.2.99", "192.0.2.200") for line in invite.lines]
    server.answer(invite, 200)
    assert front.client.take_kinds() == ["200"]
    assert front.box.net.sent.get(("192.0.2.200", 5060)) is None


def test_what_no_route_takes_is_refused_without_state() -> None:
    front = Front()
    invite = front.client.request("INVITE", "sip:1@example.com")
    front.client.send(invite)
    first = front.client.take_response(404)
    front.client.send(invite)
    assert front.client.take_response(404).to_tag == first.to_tag
    front.keeps_nothing()


def test_the_box_itself_answers_options() -> None:
    front = Front()
    front.client.send(front.client.request("OPTIONS", "sip:example.com"))
    front.client.take_response(200)
    front.keeps_nothing()


def test_other_routes_keep_their_state() -> None:
    front = Front(by_route=True)
    carrier = front.box.peer("192.0.2.50")
    carrier.send(carrier.request("INVITE", "sip:0123@example.com"))
    assert front.box.core.calls.active


def test_a_scanner_hears_nothing() -> None:
    front = Front()
    options = front.client.request("OPTIONS", "sip:100@example.com", headers=(("user-agent", "friendly-scanner"),))
    front.client.send(options)
    assert front.client.take() == []
    front.keeps_nothing()


def test_a_line_needs_state() -> None:
    front = Front()
    carrier = front.box.peer("192.0.2.50")
    carrier.send(carrier.request("INVITE", "sip:5000@example.com"))
    carrier.take_response(501)


def test_hops_are_counted() -> None:
    front = Front()
    invite = front.client.request("INVITE", "sip:7001@example.com")
    invite.set("max-forwards", "0")
    front.client.send(invite)
    front.client.take_response(483)


def test_a_request_that_reached_nobody_is_refused_where_it_is_quoted_whole_and_truly() -> None:
    front = Front()
    front.invite()
    server, invite = front.reached()
    quoted = invite.to_bytes()
    branch = quoted.index(b"z9hG4bKjfs") + 12
    forged = quoted[:branch] + b"x" + quoted[branch + 1 :]
    for untrue in (forged, quoted[:300], quoted.replace(b"one@", b"two@"), b""):
        front.box.core.unreachable_untrusted(untrue, server.address)
    assert front.client.take() == []
    front.box.core.unreachable_untrusted(quoted, server.address)
    assert front.client.take_response(503).call_id == invite.call_id
    front.keeps_nothing()
