"""Any story of a dialog, told twice: with hiding and without. The inside sees no difference, the carrier no inside."""

from __future__ import annotations

import re

import attrs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.config.settings import Settings
from appliance.sip.build import response_to
from appliance.sip.message import Request, Response
from tests.rtc.sdp_samples import PHONE, crlf

from .pretend_net import Box, Peer, _settings, anchored
from .test_topology import CALL_ID, CALLER, CARRIER, PROXY, called, hiding, shown, through

SDP = crlf(PHONE)
_RANDOM = re.compile(
    r'jf-[A-Za-z0-9_-]+|z9hG4bK[A-Za-z0-9.]+|\b[0-9a-f]{16}\b|o=\S+ \d+ \d+|Content-Length: \d+|(?:nonce|opaque)="\w+"'
)
"""What is drawn anew each time."""

METHODS = ("INVITE", "UPDATE", "INFO", "REFER", "NOTIFY", "MESSAGE", "SUBSCRIBE", "OPTIONS", "PRACK")
steps = st.tuples(
    st.booleans(), st.sampled_from(METHODS), st.sampled_from((200, 202, 183, 302, 404, 488)), st.booleans()
)
stories = st.fixed_dictionaries(
    {
        "out": st.booleans(),
        "proxied": st.booleans(),
        "strange": st.booleans(),
        "early": st.lists(st.sampled_from((180, 183)), max_size=2),
        "tags": st.integers(1, 2),
        "steps": st.lists(steps, max_size=4),
        "restart_before": st.integers(-1, 4),
        "ends": st.sampled_from(("caller", "callee", "box")),
    }
)


@attrs.define
class Teller:
    """Plays a story and notes what each end gets."""

    box: Box
    inside: Peer
    carrier: Peer
    proxied: bool
    hidden: bool
    seen: list[tuple[str, str]] = attrs.field(factory=list)

    def take(self, peer: Peer) -> list[Request | Response]:
        messages = peer.take()
        for message in messages:
            if peer is self.carrier and self.hidden:
                shown(message)
            self.seen.append(("carrier" if peer is self.carrier else "inside", self.view(peer, message)))
        return messages

    def view(self, peer: Peer, message: Request | Response) -> str:
        if peer is self.carrier:
            start = message.method if isinstance(message, Request) else str(message.status)
            tags = f"{message.from_tag} {message.to_tag}"
            return _RANDOM.sub("*", f"{start} {message.require('cseq')} {tags}\n{message.body.decode()}")
        return _RANDOM.sub("*", message.to_bytes().decode())

    def both(self) -> list[Request | Response]:
        return [*self.take(self.inside), *self.take(self.carrier)]

    def restart(self) -> None:
        self.box = Box(self.box.settings, self.box.net)
        for peer in (self.inside, self.carrier):
            peer.box = self.box

    def exchange(self, sender: Peer, receiver: Peer, request: Request, status: int, body: bytes) -> Response | None:
        """Send it; the other end answers; what came back."""
        sender.send(through(PROXY, request) if sender is self.inside else request)
        arrived = [m for m in self.take(receiver) if isinstance(m, Request)]
        if arrived:
            final = status if status >= 200 else 200
            if status < 200 and request.method == "INVITE":
                receiver.answer(arrived[-1], status)
            receiver.answer(arrived[-1], final, body=body if final < 300 and arrived[-1].body else b"")
        responses = [m for m in self.take(sender) if isinstance(m, Response) and m.status >= 200]
        self.take(receiver)
        return responses[-1] if responses else None


def tell(configuration: Settings, story: dict[str, object], *, hidden: bool) -> list[tuple[str, str]]:
    box = Box(configuration)
    carrier = box.peer(CARRIER)
    out, proxied = story["out"], bool(story["proxied"]) and bool(story["out"])
    strange = bool(story["strange"])
    inside = box.peer(PROXY, 5070) if proxied else box.peer(CALLER)
    if proxied:
        inside.contact = f"<sip:me@{CALLER}:5060>"
    if strange:
        inside.contact = f'"A <b> \\" c" <sips:me;x@{CALLER}:5061;transport=tcp;ob>;+sip.instance="<urn:uuid:1>";q=0.5'
    if not out:
        inside.register("1002")
    teller = Teller(box, inside, carrier, proxied, hidden)
    caller, callee = (inside, carrier) if out else (carrier, inside)
    if out and not proxied:
        caller.invite("sip:0123@example.com", call_id=CALL_ID, body=SDP)
    else:
        request = caller.request("INVITE", f"sip:{'0123' if out else '1002'}@example.com", call_id="x@y", body=SDP)
        if out:
            request.set("call-id", CALL_ID)
            request.put_below(0, [f"v: SIP/2.0/UDP\r\n {CALLER}:5060 ;branch=z9hG4bKphone;received={CALLER}"])
            request.append("record-route", f"<sip:{PROXY}:5070;lr;r2=on>")
        caller.send(request)
    invite = next(m for m in teller.take(callee) if isinstance(m, Request))
    for status in story["early"]:  # type: ignore[attr-defined]
        callee.answer(invite, status)
    for number in range(int(story["tags"]), 0, -1):  # type: ignore[call-overload]
        callee.answer(invite, 200 if number == 1 else 183, tag=f"tag{number}", body=SDP if number == 1 else b"")
    ok = next(m for m in teller.take(caller) if isinstance(m, Response) and m.status == 200)
    ack = caller.in_dialog("ACK", ok, cseq=2)
    caller.send(through(PROXY, ack) if caller is inside else ack)
    teller.take(callee)

    def request_of(from_caller: bool, method: str, cseq: int, body: bytes) -> Request:
        if from_caller:
            return caller.in_dialog(method, ok, cseq=cseq, body=body)
        return callee.back(method, invite, cseq=cseq, tag="tag1", body=body)

    for number, (from_caller, method, status, with_body) in enumerate(story["steps"]):  # type: ignore[arg-type,var-annotated]
        if story["restart_before"] == number:
            teller.restart()
        offers = method in ("INVITE", "UPDATE")
        body = SDP if offers and with_body else b""
        sender, receiver = (caller, callee) if from_caller else (callee, caller)
        request = request_of(from_caller, method, 10 + number, body)
        response = teller.exchange(sender, receiver, request, status, body)
        if response is not None and method == "INVITE" and response.status < 300:
            ack = request_of(from_caller, "ACK", 10 + number, b"")
            sender.send(through(PROXY, ack) if sender is inside else ack)
            teller.take(receiver)
    if story["ends"] == "box" and list(teller.box.core.calls):
        for call in teller.box.core.calls:
            call.hang_up("the operator said so")
        for message in teller.both():
            if isinstance(message, Request) and message.method == "BYE":
                (caller if message.to_tag == ok.from_tag else callee).answer(message, 200)
    else:
        ends = story["ends"] == "caller"
        sender, receiver = (caller, callee) if ends else (callee, caller)
        teller.exchange(sender, receiver, request_of(ends, "BYE", 99, b""), 200, b"")
    assert not teller.box.core.calls.active
    teller.box.run(100)
    teller.both()
    return teller.seen


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(stories)
def test_the_inside_sees_what_it_would_see_without_hiding(story: dict[str, object]) -> None:
    plain = anchored(hiding(_settings()))
    plain = attrs.evolve(plain, sip=attrs.evolve(plain.sip, udp_threshold_bytes=9000))  # masks are longer
    carrier = attrs.evolve(plain.trunks["carrier"], hide_topology=False)
    open_to_see = attrs.evolve(plain, trunks={**plain.trunks, "carrier": carrier})
    assert tell(plain, story, hidden=True) == tell(open_to_see, story, hidden=False)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.tuples(st.integers(0, 3000), st.binary(max_size=6), st.integers(0, 6)), min_size=1, max_size=4),
    st.data(),
)
def test_broken_masks_hurt_nobody(edits: list[tuple[int, bytes, int]], data: st.DataObject) -> None:
    box = Box(hiding(_settings()))
    caller, carrier, invite, seen = called(box)
    bye = carrier.back("BYE", invite)
    bye.append("replaces", f"{invite.call_id};to-tag=1;from-tag=2")
    bye.append("in-reply-to", f"{invite.call_id}, {invite.call_id}")
    bye.append("refer-to", f"<{bye.uri}?Replaces={invite.call_id}%3Bto-tag%3D1>")
    bye.append("contact", f"<{bye.uri}>;x=1, {bye.uri}")
    ok = response_to(invite, 200, to_tag="calleetag", headers=[("contact", f"<{bye.uri}>")])
    refer = caller.in_dialog("REFER", seen, cseq=7)
    for key in ("replaces", "in-reply-to", "refer-to", "join", "target-dialog", "record-route", "warning"):
        refer.append(key, f"<sip:a@{CALLER};lr?Replaces={CALL_ID}%3Bto-tag%3D1>;x, ;a={CALL_ID}")
    progress = response_to(invite, 183, to_tag="calleetag", headers=[("contact", f"<{bye.uri}>")])
    sender, whole = data.draw(st.sampled_from(((carrier, bye), (carrier, ok), (carrier, progress), (caller, refer))))
    message = whole.to_bytes()
    for at, put, cut in edits:
        at %= len(message)
        message = message[:at] + put + message[at + cut :]
    box.core.receive(message, sender.flow)
    while box.core.work():
        pass
    box.run(100)
