"""What a forged sender can have us send to somebody else: never more than three times what was sent to us."""

from __future__ import annotations

import attrs
import pytest

from appliance.config.sections import ApplianceSettings, DigestAlgorithm, ListenerSettings, SipSettings, Transport
from appliance.config.security import SecuritySettings
from appliance.config.settings import Settings
from appliance.sip.flow import Address

from .pretend_net import Box, PretendFlow, PretendNet, _settings

VICTIM = ("198.51.100.3", 5060)


class CountingNet(PretendNet):
    """Counts the bytes that go to each address."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes: dict[Address, int] = {}

    def flow_to(self, transport: str, remote: Address) -> PretendFlow:
        flow = super().flow_to(transport, remote)
        if not isinstance(flow, CountingFlow):
            flow = self.flows[flow.id] = CountingFlow(self, transport, remote)
        return flow


class CountingFlow(PretendFlow):
    __slots__ = ()

    def send(self, data: bytes) -> None:
        net = self.net
        assert isinstance(net, CountingNet)
        net.bytes[self.remote] = net.bytes.get(self.remote, 0) + len(data)
        super().send(data)


def smallest(method: str, uri: str, *, branch: str = "1", to: str = "sip:a", more: str = "") -> bytes:
    """As short as the grammar allows."""
    return (
        f"{method} {uri} SIP/2.0\r\nv:SIP/2.0/UDP h;branch=z9hG4bK{branch}\r\nf:sip:a;tag=1\r\nt:{to}\r\ni:1\r\n"
        f"CSeq:1 {method}\r\n{more}\r\n"
    ).encode()


def wordy(settings: Settings) -> Settings:
    """As long answers as can be configured."""
    return attrs.evolve(
        settings,
        appliance=ApplianceSettings(domains=("example.com",), server="Jackfield " + "x" * 100),
        sip=SipSettings(digest_algorithms=(DigestAlgorithm.SHA_256, DigestAlgorithm.MD5)),
    )


QUESTIONS = {
    "OPTIONS": smallest("OPTIONS", "sip:example.com"),
    "OPTIONS to a number": smallest("OPTIONS", "sip:1@example.com"),
    "REGISTER": smallest("REGISTER", "sip:example.com", to="sip:a@example.com"),
    "INVITE": smallest("INVITE", "sip:1002@example.com"),
    "INVITE elsewhere": smallest("INVITE", "sip:b@example.net"),
    "MESSAGE": smallest("MESSAGE", "sip:1002@example.com"),
    "CANCEL": smallest("CANCEL", "sip:1002@example.com"),
    "BYE": smallest("BYE", "sip:example.com", to="sip:a;tag=2"),
    "ACK": smallest("ACK", "sip:example.com", to="sip:a;tag=2"),
    "unknown method": smallest("FOO", "sip:1@example.com"),
    "unknown scheme": smallest("INVITE", "mailto:a"),
    "unreadable": smallest("INVITE", "sip:1002@example.com").replace(b"CSeq:1", b"CSeq:x"),
    "another version": smallest("INVITE", "sip:1002@example.com").replace(b"SIP/2.0\r", b"SIP/3.0\r", 1),
    "extension": smallest("INVITE", "sip:1@example.com", more="Proxy-Require:a\r\n"),
    "Route": smallest("INVITE", "sip:1@example.com", more="Route:<sip:b>\r\n"),
    "loop": smallest("INVITE", "sip:1@example.com", more="Max-Forwards:0\r\n"),
    "nothing": b"\r\n\r\n" + b"x" * 30,
}


@pytest.mark.parametrize("settings", [_settings(), wordy(_settings())], ids=["usual", "wordy"])
@pytest.mark.parametrize("kind", QUESTIONS)
def test_no_answer_is_longer_than_three_times_the_question(kind: str, settings: Settings) -> None:
    net = CountingNet()
    box = Box(settings, net)
    question = QUESTIONS[kind]
    box.core.receive(question, net.flow_to("UDP", VICTIM))
    box.core.work()
    box.run(60)
    assert net.bytes.get(VICTIM, 0) <= 3 * len(question)


@pytest.mark.parametrize("kind", QUESTIONS)
def test_nor_where_nothing_is_kept_of_the_question(kind: str) -> None:
    net = CountingNet()
    listener = ListenerSettings(name="udp", transport=Transport.UDP, port=5060, stateless=True)
    box = Box(attrs.evolve(wordy(_settings()), listeners={"udp": listener}), net)
    question = QUESTIONS[kind]
    box.core.receive(question, net.flow_to("UDP", VICTIM))
    box.core.work()
    box.run(60)
    assert net.bytes.get(VICTIM, 0) <= 3 * len(question)


@pytest.mark.parametrize("kind", ["OPTIONS", "REGISTER", "INVITE", "MESSAGE", "unreadable", "loop"])
def test_questions_of_the_usual_length_are_answered(kind: str) -> None:
    net = CountingNet()
    box = Box(_settings(), net)
    question = QUESTIONS[kind].replace(b"CSeq:", b"User-Agent: phone of the usual kind 1.0\r\nCSeq:", 1)
    box.core.receive(question, net.flow_to("UDP", VICTIM))
    box.core.work()
    assert net.bytes.get(VICTIM, 0) > 0


@pytest.mark.parametrize("kind", ["INVITE", "MESSAGE", "REGISTER", "OPTIONS"])
def test_repeating_a_question_buys_no_more(kind: str) -> None:
    net = CountingNet()
    box = Box(wordy(_settings()), net)
    question = QUESTIONS[kind]
    for _ in range(20):
        box.core.receive(question, net.flow_to("UDP", VICTIM))
        box.core.work()
        box.run(0.5)
    assert net.bytes.get(VICTIM, 0) <= 3 * 20 * len(question)


def test_a_challenge_to_a_stranger_is_said_once_and_leaves_nothing() -> None:
    box = Box()
    peer = box.peer(*VICTIM)
    request = peer.request("INVITE", "sip:1002@example.com")
    tags = []
    for _ in range(2):
        peer.send(request)
        tags.append(peer.take_response(407).to_tag)
    assert tags[0] == tags[1]
    box.run(40)
    assert peer.take() == []
    assert len(box.core.layer.servers) == 0
    ack = request.copy()
    ack.method = "ACK"
    ack.set("cseq", "1 ACK")
    ack.set("to", f"{request.require('to')};tag={tags[0]}")
    peer.send(ack)
    assert peer.take() == []


def test_a_challenge_to_a_phone_that_is_known_is_repeated_until_its_ack() -> None:
    box = Box()
    phone = box.peer("192.0.2.1")
    phone.register("1001")
    phone.send(phone.request("INVITE", "sip:1002@example.com"))
    box.run(10)
    assert set(phone.take_kinds()) == {"407"}
    assert [one.method for one in box.core.layer.servers.values()] == ["REGISTER", "INVITE"]


def test_an_answer_to_somebody_elses_challenge_makes_nobody_known() -> None:
    box = Box()
    attacker, victim = box.peer("203.0.113.66"), box.peer(*VICTIM)
    request = attacker.request("REGISTER", "sip:example.com", to="<sip:1001@example.com>")
    attacker.send(request)
    again = attacker.authorized(attacker.take_response(401), request)
    box.receive(again, victim.flow)
    assert box.core.gate.guard.source(VICTIM[0], box.now).stranger
    assert not box.core.gate.guard.source("192.0.2.50", box.now).stranger


def _public(settings: Settings) -> Settings:
    routes = {name: attrs.evolve(route, callers=("anyone",)) for name, route in settings.routes.items()}
    return attrs.evolve(settings, routes=routes)


def test_a_stranger_that_may_call_is_answered_once_and_then_in_proportion() -> None:
    net = CountingNet()
    box = Box(_public(_settings()), net)
    caller, callee = box.peer(*VICTIM), box.peer("192.0.2.2")
    callee.register("1002")
    invite = caller.request("INVITE", "sip:1002@example.com", body=b"v=0\r\n" + b"a=x\r\n" * 50)
    invite.set("from", "<sip:friend@elsewhere.example.net>;tag=1")
    caller.send(invite)
    seen = callee.take_request("INVITE")
    callee.answer(seen, 180)
    response = callee.answer(seen, 200, body=b"v=0\r\n" + b"a=x\r\n" * 50)
    assert caller.take_kinds()[-1] == "200"
    for _ in range(10):
        callee.send(response)
    assert net.bytes[VICTIM] <= 3 * len(invite.to_bytes())


def test_a_stranger_that_acknowledges_is_known() -> None:
    box = Box(_public(_settings()))
    caller, callee = box.peer(*VICTIM), box.peer("192.0.2.2")
    callee.register("1002")
    invite = caller.request("INVITE", "sip:1002@example.com")
    invite.set("from", "<sip:friend@elsewhere.example.net>;tag=1")
    caller.send(invite)
    callee.answer(callee.take_request("INVITE"), 200)
    caller.send(caller.in_dialog("ACK", caller.take_response(200), cseq=1))
    callee.take_request("ACK")
    assert not box.core.gate.guard.source(VICTIM[0], box.now).stranger


def test_over_a_connection_nothing_is_held_back() -> None:
    net = CountingNet()
    box = Box(wordy(_settings()), net)
    question = QUESTIONS["OPTIONS"].replace(b"UDP", b"TCP")
    box.core.receive(question, net.flow_to("TCP", VICTIM))
    box.core.work()
    assert net.bytes[VICTIM] > 3 * len(question)


def test_the_limit_can_be_turned_off() -> None:
    net = CountingNet()
    box = Box(attrs.evolve(wordy(_settings()), security=SecuritySettings(amplification=0)), net)
    box.core.receive(QUESTIONS["OPTIONS"], net.flow_to("UDP", VICTIM))
    box.core.work()
    assert net.bytes[VICTIM] > 3 * len(QUESTIONS["OPTIONS"])
