"""Random dialogs with a trunk that challenges when it likes: CSeq numbers at each end (RFC 3261 §12.2.1.1)."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.sip.message import Request, Response

from .pretend_net import Box, Peer, PretendNet, _settings
from .test_trunk_login import Challenger, with_login

METHODS = ("INVITE", "INFO", "UPDATE", "OPTIONS", "MESSAGE", "REFER")
STEPS = st.lists(
    st.tuples(
        st.sampled_from(("caller", "callee", "restart")),
        st.sampled_from(METHODS),
        st.integers(1, 40),  # how far the sender's number goes on
        st.integers(0, 3),  # how often the trunk challenges
        st.sampled_from((200, 486)),
    ),
    max_size=12,
)


class Line:
    """A standing call between a phone and the trunk, whichever of them called."""

    def __init__(self, outbound: bool, cseq: int, tries: int) -> None:
        self.box = Box(with_login(_settings()))
        self.trunk = Challenger(self.box)
        self.phone = self.box.peer("192.0.2.2")
        self.outbound = outbound
        self.numbers = {True: cseq, False: 50}
        """Of the caller's and the callee's last request."""
        self.seen: dict[bool, list[int]] = {True: [], False: []}
        """What the other end saw of the requests of the caller, and of the callee."""
        if outbound:
            request = self.phone.request("INVITE", "sip:0123@example.com", user="1002", cseq=cseq - 1)
            self.phone.send(request)
            again = self.phone.authorized(self.phone.take_response(407), request, "1002")
            self.phone.send(again)
            self.invite = self.pass_on(self.trunk.peer, "INVITE", tries, True)
            self.trunk.peer.answer(self.invite, 200)
            self.ok = self.phone.take_response(200)
        else:
            self.phone.register("1002")
            self.trunk.peer.send(self.trunk.peer.request("INVITE", "sip:1002@example.com", user="030", cseq=cseq))
            self.invite = self.phone.take_request("INVITE")
            self.seen[True].append(self.invite.cseq.number)
            self.phone.answer(self.invite, 200)
            self.ok = self.trunk.peer.take_response(200)
        self.acknowledge(self.invite.cseq.number, cseq)

    def end(self, caller: bool) -> Peer:
        return self.phone if caller == self.outbound else self.trunk.peer

    def acknowledge(self, number_there: int, number: int) -> None:
        """By the caller: the ACK has the INVITE's number at either end."""
        self.end(True).send(self.dialog_request("ACK", True, number))
        assert self.end(False).take_request("ACK").cseq.number == number_there

    def dialog_request(self, method: str, caller: bool, number: int) -> Request:
        if caller:
            user = "1002" if self.outbound else "030"
            return self.end(True).in_dialog(method, self.ok, cseq=number, user=user)
        return self.end(False).back(method, self.invite, cseq=number)

    def pass_on(self, peer: Peer, method: str, challenges: int, caller: bool) -> Request:
        """The request as the other end takes it at last."""
        while True:
            [request] = [m for m in peer.take() if isinstance(m, Request) and m.method == method]
            assert not self.seen[caller] or request.cseq.number > self.seen[caller][-1]
            self.seen[caller].append(request.cseq.number)
            if peer is not self.trunk.peer or not challenges:
                return request
            challenges -= 1
            self.trunk.refuse(request, stale=True)

    def step(self, caller: bool, method: str, ahead: int, challenges: int, status: int) -> None:
        self.numbers[caller] += ahead
        number = self.numbers[caller]
        sender, receiver = self.end(caller), self.end(not caller)
        sender.send(self.dialog_request(method, caller, number))
        request = self.pass_on(receiver, method, challenges, caller)
        assert receiver is self.trunk.peer or request.cseq.number == number
        receiver.answer(request, status)
        [answer] = [m for m in sender.take() if isinstance(m, Response) and m.status == status]
        assert (answer.cseq.number, answer.cseq.method) == (number, method)
        receiver.take()
        if method == "INVITE":
            ack = self.dialog_request("ACK", caller, number)
            ack.set("via", answer.require("via") if status >= 300 else ack.require("via"))
            sender.send(ack)
            if status == 200:
                assert receiver.take_request("ACK").cseq.number == request.cseq.number

    def restart(self) -> None:
        """The box starts again and knows of nothing; the phone registers anew."""
        self.box = Box(self.box.settings, PretendNet())
        for peer in (self.phone, self.trunk.peer):
            peer.box = self.box
            peer.flow = self.box.net.flow_to("UDP", peer.address)
        self.phone.register("1002")


@settings(max_examples=60, deadline=None)
@given(outbound=st.booleans(), cseq=st.integers(2, 2**31 - 2000), tries=st.integers(0, 3), steps=STEPS)
def test_numbers_of_either_end_rise_and_answers_carry_the_askers_own(
    outbound: bool, cseq: int, tries: int, steps: list[tuple[str, str, int, int, int]]
) -> None:
    line = Line(outbound, cseq, tries)
    for who, method, ahead, challenges, status in steps:
        if who == "restart":
            line.restart()
        else:
            line.step(who == "caller", method, ahead, challenges, status)
    line.step(True, "BYE", 1, 0, 200)
