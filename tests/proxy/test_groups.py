"""Trunks and groups with a choice: who is tried, in which order, for how long, and what the call says of it."""

from __future__ import annotations

from collections import Counter

import attrs
import pytest

from appliance.config.dialplan import RouteSettings, TrunkSettings
from appliance.config.groups import Algorithm, GroupSettings, member
from appliance.config.kinds import network
from appliance.config.patch import gateway, match, target
from appliance.config.settings import Settings
from appliance.sip.message import Request

from .pretend_net import Box, _settings

CALLER = "192.0.2.1"


def trunk(name: str, *gateways: str, **more: object) -> TrunkSettings:
    return TrunkSettings(name=name, gateways=tuple(map(gateway().read, gateways)), **more)  # type: ignore[arg-type]


def group(*members: str, **more: object) -> GroupSettings:
    return GroupSettings(name="out", members=tuple(map(member().read, members)), **more)  # type: ignore[arg-type]


def settings_with(out: GroupSettings | None, *trunks: TrunkSettings) -> Settings:
    """The caller is a trusted PBX; 7… goes to the group, 8… to the first trunk."""
    plain = _settings()
    pbx = TrunkSettings(name="pbx", trusted=(network().read(CALLER),))
    routes = {}
    for name, prefix, leads in (("70-out", "7", "group:out"), ("80-first", "8", f"trunk:{trunks[0].name}")):
        if out is not None or prefix == "8":
            routes[name] = RouteSettings(
                name=name, match=(match().read(f"prefix:{prefix}"),), target=target().read(leads), callers=("trunks",)
            )
    return attrs.evolve(
        plain,
        trunks={one.name: one for one in (pbx, *trunks)},
        groups={} if out is None else {"out": out},
        routes=routes,
    )


class Calling:
    """A PBX that calls, and gateways that see what comes."""

    def __init__(self, box: Box) -> None:
        self.box = box
        self.caller = box.peer(CALLER)
        self.made = 0

    def call(self, number: str) -> str:
        """Places a call; gives its Call-ID."""
        self.made += 1
        call_id = f"call{self.made}@example.net"
        self.caller.send(self.caller.request("INVITE", f"sip:{number}@example.com", call_id=call_id))
        return call_id

    def firsts(self, number: str, count: int, *hosts: str, refuse: bool = True) -> Counter[str]:
        """Who of `hosts` is offered the calls first; each call is then ended by a 486."""
        seen: Counter[str] = Counter()
        for _ in range(count):
            call_id = self.call(number)
            for host in hosts:
                peer = self.box.peer(host)
                for message in peer.take():
                    if getattr(message, "method", "") == "INVITE" and message.call_id == call_id:
                        seen[host] += 1
                        if refuse:
                            peer.answer(message, 486)  # type: ignore[arg-type]
                        peer.take()
            self.caller.take()
        return seen


def offered(box: Box, *hosts: str) -> list[str]:
    """Which of `hosts` has an INVITE waiting."""
    return [host for host in hosts if any(kind == "INVITE" for kind in box.peer(host).take_kinds())]


A1, A2, B1, B2 = "192.0.2.61", "192.0.2.62", "192.0.2.71", "192.0.2.72"


def test_a_group_shares_calls_among_its_trunks_and_each_trunk_among_its_gateways() -> None:
    out = group("a;weight=3", "b;weight=1", algorithm=Algorithm.WEIGHTED)
    box = Box(settings_with(out, trunk("a", A1, A2, algorithm=Algorithm.ROUND_ROBIN), trunk("b", B1)))
    assert Calling(box).firsts("7001", 16, A1, A2, B1) == {A1: 6, A2: 6, B1: 4}


def test_a_call_goes_on_to_the_next_trunk_with_that_trunks_own_clock() -> None:
    a = trunk("a", A1, attempt_timeout_s=2.0)
    b = trunk("b", B1, attempt_timeout_s=5.0, failover=frozenset({486}))
    box = Box(settings_with(group("a", "b"), a, b))
    calling = Calling(box)
    calling.call("7001")
    assert offered(box, A1, B1) == [A1]
    box.run(1.4)
    assert offered(box, B1) == []
    box.run(1.2)
    assert offered(box, B1) == [B1]
    box.run(4)
    assert "500" not in calling.caller.take_kinds()
    box.run(1.6)
    calling.caller.take()
    [ended] = box.core.calls.ended
    assert ended.status == 408
    assert "group out by priority: a 192.0.2.61, then b 192.0.2.71" in ended.route
    assert "trunk a, gateway 192.0.2.61: 408 Request Timeout, so the next" in ended.route


def test_each_trunk_has_its_own_answers_that_call_for_the_next_and_the_group_may_overrule_them() -> None:
    a, b = trunk("a", A1, failover=frozenset({486})), trunk("b", B1)
    for out, expected in ((group("a", "b"), [B1]), (group("a", "b", failover=frozenset({503})), [])):
        box = Box(settings_with(out, a, b))
        calling = Calling(box)
        calling.call("7001")
        peer = box.peer(A1)
        peer.answer(peer.take_request("INVITE"), 486)
        assert offered(box, B1) == expected


def test_only_so_many_are_tried() -> None:
    box = Box(settings_with(group("a", "b", tries=2), trunk("a", A1, A2), trunk("b", B1)))
    calling = Calling(box)
    calling.call("7001")
    for host in (A1, A2):
        peer = box.peer(host)
        peer.answer(peer.take_request("INVITE"), 503)
    assert offered(box, B1) == []
    assert "500" in calling.caller.take_kinds()


def test_all_tries_together_have_their_time() -> None:
    box = Box(settings_with(group("a", "b", total_time_s=6.0), trunk("a", A1), trunk("b", B1)))
    calling = Calling(box)
    calling.call("7001")
    box.run(4.6)
    assert offered(box, B1) == [B1]
    box.run(2)
    assert "408" in calling.caller.take_kinds()


def test_the_callers_cancel_ends_the_hunt() -> None:
    box = Box(settings_with(group("a", "b"), trunk("a", A1), trunk("b", B1)))
    caller, a = box.peer(CALLER), box.peer(A1)
    invite = caller.request("INVITE", "sip:7001@example.com")
    caller.send(invite)
    seen = a.take_request("INVITE")
    a.answer(seen, 180)
    caller.cancel(invite)
    a.answer(seen, 487)
    assert offered(box, B1) == []
    assert caller.take_kinds()[-1] == "487"
    assert box.core.hunts.gateways.of("a", A1).calls == 0


@pytest.mark.parametrize("hash_on", ["call-id", "from", "to", "source", "header:X-Tenant"])
def test_what_is_hashed_decides_and_the_next_is_always_the_same(hash_on: str) -> None:
    box = Box(settings_with(None, trunk("a", A1, A2, B1, B2, algorithm=Algorithm.HASH, hash_on=hash_on)))
    caller = box.peer(CALLER)
    seen: dict[str, set[str]] = {"x": set(), "y": set()}
    for number in range(30):
        for tenant in seen:
            request = caller.request(
                "INVITE",
                f"sip:8{tenant}@example.com",
                user=f"user-{tenant}",
                call_id=f"{tenant}{number if hash_on == 'source' else ''}@example.net",
                headers=(("x-tenant", tenant),),
            )
            caller.send(request)
            for host in (A1, A2, B1, B2):
                peer = box.peer(host)
                for message in peer.take():
                    seen[tenant].add(host)
                    peer.answer(message, 486)  # type: ignore[arg-type]
                    peer.take()
    assert all(len(hosts) == 1 for hosts in seen.values())


def test_least_calls_counts_calls_that_stand_and_forgets_those_that_ended() -> None:
    box = Box(settings_with(None, trunk("a", A1, A2, algorithm=Algorithm.LEAST_CALLS)))
    calling = Calling(box)
    for _ in range(4):
        calling.call("8001")
        for host in (A1, A2):
            peer = box.peer(host)
            for message in peer.take():
                if getattr(message, "method", "") == "INVITE":
                    peer.answer(message, 200)  # type: ignore[arg-type]
    one, two = (box.core.hunts.gateways.of("a", host) for host in (A1, A2))
    assert (one.calls, two.calls) == (2, 2)
    for call in list(box.core.calls)[:3]:
        call.hang_up("the test is over")
        box.core.calls.end(call, "over", 0)
    assert one.calls + two.calls == 1
    less = A1 if one.calls == 0 else A2
    calling.call("8001")
    assert offered(box, A1, A2) == [less]


def test_a_trunk_with_one_gateway_is_not_hunted_for() -> None:
    box = Box(settings_with(None, trunk("a", A1)))
    calling = Calling(box)
    calling.call("8001")
    [call] = box.core.calls
    assert call.selection is None
    assert box.core.hunts.gateways.of("a", A1).calls == 0


def test_turns_and_figures_live_through_a_reload() -> None:
    settings = settings_with(None, trunk("a", A1, A2, algorithm=Algorithm.ROUND_ROBIN))
    box = Box(settings)
    calling = Calling(box)
    assert calling.firsts("8001", 1, A1, A2) == {A1: 1}
    living = box.core.hunts.gateways.of("a", A2)
    core = box.core
    core.hunts.configure(settings, box.now, box.core.wall())
    assert core.hunts.gateways.of("a", A2) is living
    assert calling.firsts("8001", 1, A1, A2) == {A2: 1}


def test_a_gateway_that_says_100_and_no_more_is_left_for_the_next() -> None:
    box = Box(settings_with(None, trunk("a", A1, A2, progress_timeout_s=6.0)))
    calling = Calling(box)
    calling.call("8001")
    first, second = box.peer(A1), box.peer(A2)
    invite = first.take_request("INVITE")
    first.answer(invite, 100)
    box.run(5)
    assert offered(box, A2) == []
    box.run(1.6)
    assert "CANCEL" in first.take_kinds()
    [invite, *_] = second.take()
    assert isinstance(invite, Request)
    second.answer(invite, 200)
    assert "200" in calling.caller.take_kinds()


def test_a_gateway_that_rings_is_given_its_whole_time() -> None:
    box = Box(settings_with(None, trunk("a", A1, A2, progress_timeout_s=6.0)))
    Calling(box).call("8001")
    peer = box.peer(A1)
    invite = peer.take_request("INVITE")
    peer.answer(invite, 100)
    box.run(4)
    peer.answer(invite, 180)
    box.run(100)
    assert offered(box, A2) == []


def test_the_gateway_that_answers_quickest_comes_first() -> None:
    box = Box(settings_with(None, trunk("a", A1, A2, algorithm=Algorithm.LATENCY)))
    calling = Calling(box)
    for pause in (0.3, 0.02):
        calling.call("8001")
        [host] = [host for host in (A1, A2) if (host, 5060) in box.net.sent]
        peer = box.peer(host)
        invite = peer.take_request("INVITE")
        box.run(pause)
        peer.answer(invite, 486)
        peer.take()
    assert calling.firsts("8001", 10, A1, A2) == {host: 10}
