"""Whatever the peers do or leave undone, in whatever order: in the end nothing of any call is left in the box."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.proxy.branch import Attempt, Branch
from appliance.proxy.call import Call, CallState
from appliance.proxy.response_context import ResponseContext
from appliance.sip.build import response_to
from appliance.sip.message import Request, Response
from tests.rtc.sdp_samples import PHONE, crlf

from .pretend_net import Box, Peer, _settings, anchored

SDP = crlf(PHONE)
BODIES = (b"", SDP, b"v=0\r\nnonsense")
NUMBERS = ("1002", "9123", "0123", "5000", "4000", "7777")
STATUSES = (100, 180, 183, 183, 200, 200, 200, 302, 401, 408, 430, 481, 486, 487, 491, 500, 503, 603)
METHODS = ("ACK", "ACK", "BYE", "BYE", "INVITE", "UPDATE", "PRACK", "INFO", "REFER", "OPTIONS")
CALLEES = (("192.0.2.2", 5060, "UDP"), ("192.0.2.3", 40000, "TCP"), ("192.0.2.51", 5060, "UDP"))
CALLEES += (("192.0.2.52", 5060, "UDP"), ("192.0.2.50", 5060, "UDP"))
PAUSES = (0.05, 0.3, 0.6, 4.5, 33.0, 130.0, 190.0)

_kinds = st.sampled_from(
    ("call", *["answer"] * 4, *["follow"] * 2, *["wait"] * 2, "back", "cancel", "repeat", "close", "hang up", "restart")
)
_numbers = st.integers(0, 1 << 16)
_steps = st.lists(st.tuples(_kinds, _numbers, _numbers, _numbers), max_size=25)


class World:
    """The box, two callers and five callees who do as they are told."""

    def __init__(self, anchor: bool) -> None:
        self.settings = anchored(_settings()) if anchor else _settings()
        self.box = Box(self.settings)
        self.calls = 0
        self.invites: list[tuple[Peer, Request]] = []
        self.answers: list[tuple[Peer, Response]] = []
        self.received: list[tuple[Peer, Request]] = []
        self.sent: list[tuple[Peer, Request | Response]] = []
        self.meet()

    def meet(self) -> None:
        self.callers = [self.box.peer("192.0.2.1"), self.box.peer("192.0.2.6", 40006, "TCP")]
        self.callees = [self.box.peer(host, port, transport) for host, port, transport in CALLEES]
        for phone in self.callees[:2]:
            phone.register("1002")

    def send(self, peer: Peer, message: Request | Response) -> None:
        if not peer.flow.closed:
            self.sent.append((peer, message))
            peer.send(message)

    def read(self) -> None:
        """Everybody looks at what has come."""
        for peer in (*self.callers, *self.callees):
            for message in peer.take():
                if isinstance(message, Request):
                    if message.method != "ACK":
                        self.received.append((peer, message))
                elif message.cseq.method == "INVITE" and message.status < 300 and "contact" in message:
                    self.answers.append((peer, message))

    def call(self, a: int, b: int, c: int) -> None:
        caller = self.callers[a % 2]
        if caller.flow.closed:
            return
        self.calls += 1
        number = NUMBERS[b % len(NUMBERS)]
        request = caller.request(
            "INVITE", f"sip:{number}@example.com", call_id=f"call{self.calls}", body=BODIES[c % len(BODIES)]
        )
        self.send(caller, request)
        challenges = [m for m in caller.take() if isinstance(m, Response) and m.status == 407]
        if challenges:
            again = caller.authorized(challenges[0], request)
            self.send(caller, again)
            self.invites.append((caller, again))

    def answer(self, a: int, b: int, c: int) -> None:
        self.read()
        if not self.received:
            return
        peer, request = self.received[a % len(self.received)]
        status = STATUSES[b % len(STATUSES)]
        body = BODIES[c % len(BODIES)] if status in (183, 200) else b""
        headers = [("contact", peer.contact)] if status < 300 else []
        if status == 302:
            headers = [("contact", "<sip:9123@example.com>")]
        tag = "calleetag" if c % 5 else "othertag"
        content_type = "application/sdp" if body else None
        self.send(peer, response_to(request, status, to_tag=tag, headers=headers, body=body, content_type=content_type))

    def follow(self, a: int, b: int, c: int) -> None:
        self.read()
        if self.answers:
            peer, answer = self.answers[a % len(self.answers)]
            method = METHODS[b % len(METHODS)]
            body = BODIES[c % len(BODIES)] if method in ("INVITE", "UPDATE", "ACK", "PRACK") else b""
            self.send(peer, peer.in_dialog(method, answer, cseq=3 + c % 7, body=body))

    def back(self, a: int, b: int, c: int) -> None:
        self.read()
        invites = [(peer, one) for peer, one in self.received if one.method == "INVITE" and "record-route" in one]
        if invites:
            peer, invite = invites[a % len(invites)]
            method = METHODS[b % len(METHODS)]
            body = BODIES[c % len(BODIES)] if method in ("INVITE", "UPDATE", "ACK", "PRACK") else b""
            self.send(peer, peer.back(method, invite, cseq=3 + c % 7, body=body))

    def cancel(self, a: int, b: int, c: int) -> None:
        if self.invites:
            peer, invite = self.invites[a % len(self.invites)]
            if not peer.flow.closed:
                peer.cancel(invite)

    def repeat(self, a: int, b: int, c: int) -> None:
        if self.sent:
            peer, message = self.sent[a % len(self.sent)]
            self.send(peer, message)

    def close(self, a: int, b: int, c: int) -> None:
        peer = (self.callers[1], self.callees[1])[a % 2]
        if not peer.flow.closed:
            peer.flow.closed = True
            self.box.core.flow_closed(peer.flow)

    def wait(self, a: int, b: int, c: int) -> None:
        self.box.run(PAUSES[a % len(PAUSES)])

    def hang_up(self, a: int, b: int, c: int) -> None:
        calls = list(self.box.core.calls)
        if calls:
            calls[a % len(calls)].hang_up("somebody at the page")

    def restart(self, a: int, b: int, c: int) -> None:
        """As after a kill: another core, the same peers; connections are gone."""
        net = self.box.net
        net.flows.clear()
        self.box = Box(self.settings, net)
        for one in self.sent, self.invites, self.answers, self.received:
            one[:] = [(self.box.peer(*peer.address, peer.transport), what) for peer, what in one]  # type: ignore[misc]
        self.meet()
        gc.collect()  # the old core is not what is looked at here

    def step(self, kind: str, a: int, b: int, c: int) -> None:
        getattr(self, kind.replace(" ", "_"))(a, b, c)

    def end(self) -> None:
        """All timers run out; then what only stands because nobody hangs up is swept away."""
        box = self.box
        core = box.core
        box.run(1000)
        assert {call.state for call in core.calls.active.values()} <= {CallState.ANSWERED}
        assert core._pending == {}
        assert len(core.deadlines) == 0
        box.now += core.settings.sip.longest_call_s + 1
        core.sweep()
        box.run(100)
        assert core.calls.active == {}
        assert core.calls.anchored == set()
        assert core.calls._by_call_id == {}
        assert box.backend.open() == []
        assert core.layer.clients == {}
        assert core.layer.servers == {}
        assert core.layer.unanswered == 0
        assert core.layer._by_flow == {}
        assert core.lines._calls == {}
        assert core.waiting == 0
        assert len(box.timers) == 0
        core.calls.ended.clear()
        box.backend.endpoints.clear()  # the fake keeps even those that are closed


@pytest.fixture(autouse=True)
def _no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def parts_of_calls() -> list[object]:
    """All that there are in this process, those of boxes that other tests keep included."""
    return [one for one in gc.get_objects() if isinstance(one, ResponseContext | Branch | Attempt | Call)]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(anchor=st.booleans(), steps=_steps)
def test_every_call_ends_and_leaves_nothing(anchor: bool, steps: list[tuple[str, int, int, int]]) -> None:
    others = parts_of_calls()
    world = World(anchor)
    world.step("call", 0, 0, 1)
    for step in steps:
        world.step(*step)
    world.end()
    # What has not gone by itself: nothing may wait for the collector.
    assert [one for one in parts_of_calls() if not any(one is other for other in others)] == []
