"""Refusing under overload from bytes to bytes: as a parser would have, or not at all."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import pytest

from appliance.config.admission import GuardSettings, RefusalKind
from appliance.router.guards import LoadGuard, MemoryGuard
from appliance.sip.message import Request
from appliance.trace.ring import Ring

from .pretend_net import Box, Peer, _settings


def shedding(share: float = 1.0, **more: object) -> Box:
    box = Box(attrs.evolve(_settings(), **more))
    box.core.shedder.refuse(share, RefusalKind.OVERLOAD, box.now)
    return box


def invite(peer: Peer, number: str = "1002", **more: object) -> Request:
    return peer.request("INVITE", f"sip:{number}@example.com", **more)  # type: ignore[arg-type]


def test_a_new_call_is_refused_without_a_transaction_and_its_ack_is_absorbed() -> None:
    box = shedding()
    caller = box.peer("192.0.2.1")
    asked = invite(caller)
    caller.send(asked)
    refused = caller.take_response(503)
    assert refused.get("reason") == 'Q.850;cause=42;text="Switching equipment congestion"'
    assert 2 <= int(refused.require("retry-after")) <= 10
    assert refused.via.param("received") == "192.0.2.1"
    assert refused.via.param("rport") == "5060"
    assert refused.get("from") == asked.get("from")
    assert refused.get("call-id") == asked.get("call-id")
    assert refused.get("cseq") == asked.get("cseq")
    assert refused.to_tag
    assert len(box.core.layer.servers) == 0
    caller.send(asked)
    assert caller.take_response(503).to_tag == refused.to_tag
    ack = caller.request("ACK", asked.uri, to=refused.require("to"), cseq=asked.cseq.number)
    ack.set("via", asked.require("via"))
    box.core.shedder.refuse(0.0, RefusalKind.OVERLOAD, box.now + 10)
    before = box.core.counters.rejected
    caller.send(ack)
    assert caller.take_kinds() == []
    assert box.core.counters.rejected == before
    assert len(box.timers) == 0


def test_the_answer_can_be_read_where_the_request_is_compact() -> None:
    box = shedding()
    caller = box.peer("192.0.2.1")
    data = (
        invite(caller)
        .to_bytes()
        .replace(b"Via:", b"v:")
        .replace(b"From:", b"f:")
        .replace(b"To:", b"t:")
        .replace(b"Contact:", b"m:")
    )
    box.core.receive(data, caller.flow)
    assert caller.take_response(503).require("to").startswith("<sip:1002@example.com>;tag=")


@pytest.mark.parametrize("blank", [" ", "\t"])
@pytest.mark.parametrize("name", ["From", "To", "Call-ID", "CSeq"])
def test_a_request_whose_answer_would_be_folded_is_left_to_the_parser(name: str, blank: str) -> None:
    box = shedding()
    caller = box.peer("192.0.2.1")
    asked = invite(caller)
    value = asked.require(name.lower())
    folded = f"\r\n{name}: {value}".encode()
    data = asked.to_bytes()
    assert folded in data
    box.core.receive(data.replace(folded, f"\r\n{name}:\r\n{blank}{value}".encode()), caller.flow)
    assert caller.take_kinds() == ["407"]


def _teach(box: Box, peer: Peer, written: Callable[[int], bytes]) -> None:
    """Let it meet requests written alike so often that it knows them at a glance."""
    for n in range(1, 66):
        box.core.receive(written(n), peer.flow)
    assert [len(known) for known in box.core.shedder._forms.known.values()] == [1]
    peer.take()


RFC = "Via Max-Forwards To From Call-ID CSeq Contact Content-Length"
TOP = "SIP/2.0/UDP 192.0.2.1:5060"


@pytest.mark.parametrize("uri", ["sip:1002@example.com", "sips:1002@example.com;transport=tcp", "sip:example.com"])
@pytest.mark.parametrize(
    "via",
    [
        f"{TOP};branch=z9hG4bKa1;rport",
        f"{TOP};rport;branch=z9hG4bKa1",
        f"{TOP};branch=z9hG4bKa1",
        "SIP/2.0/UDP phone.example.com:5060;branch=z9hG4bKa1",
        "SIP/2.0/UDP phone.example.com;branch=z9hG4bKa1",
        "SIP/2.0/UDP [2001:db8::1]:5060;branch=z9hG4bKa1;rport",
        "SIP/2.0/UDP [2001:db8::1];branch=z9hG4bKa1",
        f"{TOP};branch=z9hG4bKa1;rport\r\nVia: SIP/2.0/UDP 192.0.2.8, SIP/2.0/TCP 192.0.2.7\r\nVia: SIP/2.0/UDP a.b",
    ],
)
@pytest.mark.parametrize(
    "names",
    [RFC, "Via From To CSeq Call-ID Contact Max-Forwards Content-Length", RFC.replace("From", "f").replace("Via", "v")],
)
def test_what_it_has_learned_to_read_at_a_glance_it_answers_like_the_first_of_them(
    uri: str, via: str, names: str
) -> None:
    box = shedding()
    caller = box.peer("192.0.2.1")
    values = {"via": via, "max-forwards": "70", "to": f"<{uri}>", "from": "<sip:1001@example.com>;tag=a"}
    values |= {"call-id": "abc@192.0.2.1", "cseq": "1 INVITE", "contact": "<sip:1001@192.0.2.1>", "content-length": "0"}
    values |= {"v": via, "f": values["from"]}

    def written(n: int) -> bytes:
        lines = [f"INVITE {uri} SIP/2.0", *(f"{name}: {values[name.lower()]}" for name in names.split()), "", ""]
        return "\r\n".join(lines).replace("abc", f"abc{n}").replace("z9hG4bKa", f"z9hG4bKa{n}").encode()

    def answer() -> dict[str, list[str]]:
        box.core.receive(written(0), caller.flow)
        response = caller.take_response(503)
        return {key: response.get_all(key) for key in response.kinds}

    at_first = answer()
    _teach(box, caller, written)
    known = answer()
    assert known.pop("retry-after")
    assert at_first.pop("retry-after")
    assert known == at_first


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("header", ["From", "To", "Call-ID", "CSeq", "Via"])
def test_a_line_break_that_hides_in_a_line_is_never_repeated(header: str, known: bool) -> None:
    box = shedding()
    caller = box.peer("192.0.2.1")
    if known:
        _teach(box, caller, lambda n: invite(caller, call_id=f"learn{n}").to_bytes())
    data = invite(caller).to_bytes()
    hidden = data.replace(f"\r\n{header}: ".encode(), f"\r\n{header}: a\nX-Evil: 1".encode(), 1)
    assert hidden != data
    box.core.receive(hidden, caller.flow)
    assert caller.take_kinds() in ([], ["400"])


@pytest.mark.parametrize("known", [False, True])
def test_a_branch_that_is_no_text_comes_back_as_it_is(known: bool) -> None:
    box = shedding()
    caller = box.peer("192.0.2.1")
    if known:
        _teach(box, caller, lambda n: invite(caller, call_id=f"learn{n}").to_bytes())
    box.core.receive(invite(caller).to_bytes().replace(b"branch=z9hG4bK", b"branch=z9hG4bK\xff"), caller.flow)
    assert caller.take_response(503).branch.startswith("z9hG4bK\udcff")


def test_a_line_without_a_name_is_never_learned_since_it_would_stand_for_any_other() -> None:
    box = shedding()
    caller = box.peer("192.0.2.1")
    for n in range(100):
        data = invite(caller, call_id=f"learn{n}").to_bytes()
        box.core.receive(data.replace(b"\r\nCSeq", b"\r\nnonsense\r\nCSeq"), caller.flow)
    assert caller.take_kinds() == ["503"] * 100
    assert box.core.shedder._forms.known == {}


@pytest.mark.parametrize("known", [False, True])
def test_an_answer_that_would_go_to_another_port_is_not_given(known: bool) -> None:
    box = shedding()
    caller = box.peer("192.0.2.1")

    def written(sent_by: str, n: int = 0) -> bytes:
        asked = invite(caller, call_id=f"l{n}")
        asked.set("via", f"SIP/2.0/UDP {sent_by};branch=z9hG4bK{n}")
        return asked.to_bytes()

    if known:
        _teach(box, caller, lambda n: written("192.0.2.1:5060", n))
    for sent_by in ("192.0.2.1:0", "192.0.2.1:5061"):
        box.core.receive(written(sent_by), caller.flow)
        assert "503" not in caller.take_kinds()
    box.core.receive(written("192.0.2.1"), caller.flow)
    assert caller.take_kinds() == ["503"]


def test_what_is_learned_is_bounded() -> None:
    box = shedding()
    caller = box.peer("192.0.2.1")
    for n in range(20):
        for m in range(64):
            box.core.receive(invite(caller, headers=((f"x-{n}", str(m)),)).to_bytes(), caller.flow)
    assert [len(known) for known in box.core.shedder._forms.known.values()] == [8]


def test_what_is_folded_elsewhere_is_refused_like_any_other() -> None:
    box = shedding()
    caller = box.peer("192.0.2.1")
    data = invite(caller, headers=(("subject", "@"),)).to_bytes()
    assert b": @\r\n" in data
    box.core.receive(data.replace(b": @\r\n", b": a\r\n b\r\n"), caller.flow)
    assert caller.take_response(503).call_id


def test_what_is_refused_is_not_traced() -> None:
    box = shedding()
    box.core.arrivals.tap = ring = Ring(1 << 20, 60.0)
    caller = box.peer("192.0.2.1")
    caller.send(invite(caller))
    assert caller.take_response(503).to_tag
    caller.send(invite(caller, "112"))
    assert caller.take_kinds() == ["407"]
    ring.close_chunk()
    assert [entry[2].split(b" ")[1] for _, entry in ring.entries()] == [b"sip:112@example.com"]


def test_every_via_comes_back() -> None:
    box = shedding()
    caller = box.peer("192.0.2.1")
    caller.send(invite(caller, headers=(("via", "SIP/2.0/UDP 192.0.2.8;branch=z9hG4bKx"),)))
    vias = caller.take_response(503).values("via")
    assert [via.split()[1].split(";")[0] for via in vias] == ["192.0.2.1:5060", "192.0.2.8"]


def test_what_is_inside_a_call_and_what_repeats_an_admitted_call_goes_on() -> None:
    box = Box()
    caller, callee = box.peer("192.0.2.1"), box.peer("192.0.2.2")
    callee.register("1002")
    asked = caller.invite("sip:1002@example.com")
    box.core.shedder.refuse(1.0, RefusalKind.OVERLOAD, box.now)
    caller.send(asked)
    assert "503" not in caller.take_kinds()
    callee.answer(callee.take_request("INVITE"), 200)
    ok = caller.take_response(200)
    caller.send(caller.in_dialog("ACK", ok, cseq=2))
    assert callee.take_kinds() == ["ACK"]
    caller.send(caller.in_dialog("INVITE", ok, cseq=3))
    assert callee.take_kinds() == ["INVITE"]
    caller.send(caller.in_dialog("BYE", ok, cseq=4))
    callee.answer(callee.take_request("BYE"), 200)
    assert "200" in caller.take_kinds()


@pytest.mark.parametrize("uri", ["sip:112@example.com", "sip:112:x@example.com", "tel:112", "urn:service:sos.fire"])
def test_emergency_calls_are_never_shed(uri: str) -> None:
    box = shedding()
    caller = box.peer("192.0.2.1")
    caller.send(caller.request("INVITE", uri))
    assert "503" not in caller.take_kinds()


@pytest.mark.parametrize(("host", "passes"), [("192.0.2.50", True), ("192.0.2.1", False)])
def test_resource_priority_passes_from_trusted_sources_only(host: str, passes: bool) -> None:
    box = shedding()
    caller = box.peer(host)
    caller.send(invite(caller, headers=(("resource-priority", "ets.0"),)))
    assert ("503" in caller.take_kinds()) is not passes


def test_half_of_all_calls_are_refused_each_of_them_always() -> None:
    box = shedding(0.5)
    carrier = box.peer("192.0.2.50")
    fates = []
    for number in range(200):
        kinds = []
        for _ in range(2):
            carrier.send(invite(carrier, call_id=f"call{number}"))
            kinds.append("503" in carrier.take_kinds())
        assert kinds[0] is kinds[1]
        fates.append(kinds[0])
    assert 60 < sum(fates) < 140


def test_the_answer_may_be_another_by_configuration() -> None:
    from appliance.config.admission import RefusalSettings
    from appliance.config.kinds import Span

    own = RefusalSettings(name="overload", status=480, phrase="Later", cause=0, retry_after=Span(7, 7))
    box = shedding(refusals={"overload": own})
    caller = box.peer("192.0.2.1")
    caller.send(invite(caller))
    refused = caller.take_response(480)
    assert (refused.reason, refused.get("retry-after"), refused.get("reason")) == ("Later", "7", None)


class Plant:
    """A processor that is offered `offered` calls a second and can carry `capacity`; refusing costs `refusal` each."""

    def __init__(self, capacity: float, refusal: float = 0.05) -> None:
        self.guard = LoadGuard(GuardSettings())
        self.capacity = capacity
        self.refusal = refusal
        self.backlog = 0.0
        self.done = 0.0

    def run(self, offered: float, seconds: float) -> float:
        """Calls carried a second, on the average of the second half."""
        step, carried = 0.25, []
        for _ in range(int(seconds / step)):
            came = offered * step
            passed = came * (1 - self.guard.share)
            work = self.backlog + passed / self.capacity + (came - passed) * self.refusal / self.capacity
            used = min(work, step)
            self.backlog = min(work - used, 2.0)
            goodput = passed * used / work if work else 0.0
            carried.append(goodput / step)
            self.guard.sample(step, used, min(self.backlog, 1.0) * 0.5, int(came), int(passed))
        half = carried[len(carried) // 2 :]
        return sum(half) / len(half)


@pytest.mark.parametrize("times", [1.2, 3.0, 6.0])
def test_the_guard_finds_the_rate_that_keeps_the_processor_just_busy(times: float) -> None:
    plant = Plant(1000.0)
    carried = plant.run(1000.0 * times, 60)
    best = (1 - times * plant.refusal) / (1 - plant.refusal) * 1000
    assert carried > 0.9 * min(best, 1000)
    assert plant.guard.share > 0
    plant.run(300.0, 30)
    assert plant.guard.share == 0


def test_a_busy_moment_is_no_overload() -> None:
    guard = LoadGuard(GuardSettings())
    for cpu in (0.2, 1.0, 0.3, 0.9, 1.0, 0.5):
        guard.sample(0.25, cpu * 0.25, 0.0, 100, 100)
        assert guard.share == 0


def test_memory_is_guarded_between_its_marks_and_shut_above() -> None:
    guard = MemoryGuard(GuardSettings())
    shares = []
    for used in (0.5, 0.85, 0.91, 0.85, 0.79, 0.85):
        guard.sample(used)
        shares.append(round(guard.share, 2))
    assert shares == [0.0, 0.5, 1.0, 1.0, 0.0, 0.5]
