"""What the core costs for each proxied call, transports left out; run `python -m tests.proxy.call_cost [--profile]`.

A call is INVITE, 180, 200, ACK, BYE, 200 over UDP, from a trunk to a trunk, its media not anchored: what
`scripts/bench call` offers. The datagrams of the peers are recorded beforehand from a twin of the box, so that the
clock sees the core alone, from bytes to bytes, its timers and the ends of all transactions included.
"""

from __future__ import annotations

import cProfile
import gc
import pstats
import sys
import time
from collections.abc import Callable

import attrs

from appliance.config.kinds import network
from appliance.config.sections import Anchor
from appliance.logs import log
from appliance.sip.flow import Address
from appliance.transport.options import Target
from tests.proxy.pretend_net import BOX, Box, PretendFlow, PretendNet, with_carrier_at

CALLS_A_SECOND = 1300
CALLER, ANSWERER = ("192.0.2.50", 5060), ("192.0.2.60", 5060)
SDP = (
    "v=0\r\no=load 1 1 IN IP4 192.0.2.50\r\ns=-\r\nc=IN IP4 192.0.2.50\r\nt=0 0\r\n"
    "m=audio 6000 RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n"
    "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=sendrecv\r\n"
)

Tape = list[tuple[bytes, Address]]
"""Datagrams in order, each with its sender."""


class DeafFlow(PretendFlow):
    """Keeps the last bytes as they are."""

    __slots__ = ("last",)

    def send(self, data: bytes) -> None:
        self.last = data


def new_box() -> tuple[Box, dict[Address, DeafFlow]]:
    """A box that answers the same datagrams with the same bytes each time, and the flows to its two peers."""
    net = PretendNet(names={ANSWERER[0]: [Target("UDP", *ANSWERER)]})
    settings = with_carrier_at(Box().settings, f"{ANSWERER[0]}:{ANSWERER[1]}")
    trusted = tuple(network().read(host) for host, _ in (CALLER, ANSWERER))
    carrier = attrs.evolve(settings.trunks["carrier"], anchor=Anchor.NEVER, trusted=trusted)
    box = Box(attrs.evolve(settings, trunks={**settings.trunks, "carrier": carrier}), net)
    box.core.calls._prefix = "0-"
    box.core.sender._drawn = [f"{n:016x}" for n in range(100_000)]
    flows = {address: DeafFlow(net, "UDP", address) for address in (CALLER, ANSWERER)}
    net.flows.update({flow.id: flow for flow in flows.values()})
    return box, flows


def record(calls: int) -> Tape:
    """What the peers of so many calls send to a box that `new_box` made."""
    box, flows = new_box()
    tape: Tape = []

    def say(data: bytes, sender: Address) -> bytes:
        """What the other peer gets of it."""
        tape.append((data, sender))
        box.core.receive(data, flows[sender])
        box.core.work()
        return flows[ANSWERER if sender is CALLER else CALLER].last

    for n in range(calls):
        box.now += 1 / CALLS_A_SECOND
        invite = say(_invite(n), CALLER)
        say(_response(invite, "180 Ringing"), ANSWERER)
        answer = say(_response(invite, "200 OK", SDP), ANSWERER)
        say(_in_dialog(n, "ACK", 1, answer), CALLER)
        bye = say(_in_dialog(n, "BYE", 2, answer), CALLER)
        say(_response(bye, "200 OK"), ANSWERER)
    assert box.core.calls.answered == calls
    assert not box.core.calls.active
    return tape


def play(tape: Tape, box: Box, flows: dict[Address, DeafFlow]) -> None:
    """The part that is measured."""
    receive, work, run_due = box.core.receive, box.core.work, box.timers.run_due
    for data, sender in tape:
        if data.startswith(b"INVITE"):
            box.now += 1 / CALLS_A_SECOND
            run_due(box.now)
            work()
        receive(data, flows[sender])
    box.run(60)
    assert box.core.calls.answered == len(tape) // 6
    assert not box.core.calls.active
    assert not box.core.layer.clients
    assert not box.core.layer.servers


def measure(tape: Tape, run: Callable[..., None]) -> float:
    """Seconds of CPU that `run(play, …)` took, with a fresh box and without the garbage collector."""
    box, flows = new_box()
    gc.collect()
    gc.freeze()
    gc.disable()
    started = time.process_time()
    run(play, tape, box, flows)
    spent = time.process_time() - started
    gc.enable()
    gc.unfreeze()
    return spent


def _invite(n: int) -> bytes:
    return (
        f"INVITE sip:0123@{BOX}:5060 SIP/2.0\r\n"
        f"{_top(n, 1)}"
        f'From: "Load" <sip:load@192.0.2.50:5060>;tag=f{n:x}\r\n'
        f"To: <sip:0123@{BOX}:5060>\r\n"
        "CSeq: 1 INVITE\r\n"
        "Contact: <sip:load@192.0.2.50:5060>\r\n"
        "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO, REFER, NOTIFY\r\n"
        "Supported: replaces, timer, 100rel\r\n"
        "User-Agent: load\r\n"
        "Content-Type: application/sdp\r\n"
        f"Content-Length: {len(SDP)}\r\n\r\n{SDP}"
    ).encode()


def _top(n: int, part: int) -> str:
    via = f"Via: SIP/2.0/UDP 192.0.2.50:5060;branch=z9hG4bK{n:x}-{part};rport\r\n"
    return f"{via}Max-Forwards: 70\r\nCall-ID: {n:x}@192.0.2.50\r\n"


def _lines(message: bytes, *names: str) -> list[str]:
    lines = message.decode().partition("\r\n\r\n")[0].split("\r\n")
    return [f"{line}\r\n" for line in lines if line.partition(":")[0] in names]


def _in_dialog(n: int, method: str, number: int, answer: bytes) -> bytes:
    routes = [line.replace("Record-Route", "Route") for line in reversed(_lines(answer, "Record-Route"))]
    return (
        f"{method} sip:answer@192.0.2.60:5060 SIP/2.0\r\n"
        f"{_top(n, number + 10 * (method == 'ACK'))}"
        f"{''.join(routes)}"
        f'From: "Load" <sip:load@192.0.2.50:5060>;tag=f{n:x}\r\n'
        f"{_lines(answer, 'To')[0]}"
        f"CSeq: {number} {method}\r\n"
        "User-Agent: load\r\n"
        "Content-Length: 0\r\n\r\n"
    ).encode()


def _response(request: bytes, status: str, body: str = "") -> bytes:
    copied = "".join(_lines(request, "Via", "Record-Route", "From", "To", "Call-ID", "CSeq"))
    if b"To: <sip:answer" not in request and ";tag=a" not in copied:
        copied = copied.replace(f"To: <sip:0123@{BOX}:5060>", f"To: <sip:0123@{BOX}:5060>;tag=a")
    kind = "Content-Type: application/sdp\r\n" if body else ""
    return (
        f"SIP/2.0 {status}\r\n{copied}Contact: <sip:answer@192.0.2.60:5060>\r\n{kind}"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


if __name__ == "__main__":
    log.set_level("warning")
    recorded = record(1000)
    count = len(recorded) // 6
    if "--profile" in sys.argv:
        profile = cProfile.Profile()
        measure(recorded, profile.runcall)
        figures = pstats.Stats(profile)
        figures.sort_stats("tottime").print_stats(60)
        print(f"{figures.total_calls / count:.0f} function calls a call")  # type: ignore[attr-defined]
    else:
        best = min(measure(recorded, lambda run, *rest: run(*rest)) for _ in range(20)) / count * 1e6
        print(f"{best:.1f} us a call, {best / 12:.2f} us a message (12 of them)")
