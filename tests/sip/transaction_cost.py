"""What the transaction layer costs for each message of a proxied call; run `python -m tests.sip.transaction_cost`.

A call is INVITE, 180, 200, ACK, BYE, 200 on both sides: two server and two client transactions, 6 messages in and 6 out
(and one ACK that only passes). Messages are parsed and their hot headers read before the clock starts, and copied bytes
stand for the serialiser, so that the figure is the layer alone.
"""

from __future__ import annotations

import gc
import time

from appliance.sip.build import response_to
from appliance.sip.flow import Flow
from appliance.sip.layer import ClientTransaction, ServerTransaction, TransactionLayer
from appliance.sip.message import Request, Response
from appliance.sip.parser import check_untrusted, parse_message_untrusted
from appliance.sip.timers import TimerHeap
from tests.sip.pretend_wire import request

CALLS_A_SECOND = 2000


class DeafFlow(Flow):
    __slots__ = ()

    def send(self, data: bytes) -> None:
        pass


class QuickRequest(Request):
    """A request whose bytes are ready."""

    __slots__ = ()

    def to_bytes(self) -> bytes:
        return b"request"


class QuickResponse(Response):
    __slots__ = ()

    def to_bytes(self) -> bytes:
        return b"response"


class Passer:
    """Keeps the server transaction of the moment and does nothing."""

    __slots__ = ("server",)

    server: ServerTransaction

    def on_request(self, transaction: ServerTransaction, now: float) -> None:
        self.server = transaction

    def on_cancel(self, transaction: ServerTransaction, cancel: Request, now: float) -> None: ...
    def on_ack(self, request: Request, flow: Flow, now: float) -> None: ...
    def on_stray_response(self, response: Response, flow: Flow, now: float) -> None:
        raise AssertionError

    def on_response(self, client: ClientTransaction, response: Response, now: float) -> None: ...
    def on_failure(self, client: ClientTransaction, cause: str, now: float) -> None:
        raise AssertionError


def _parsed(message: Request | Response) -> Request | Response:
    out = parse_message_untrusted(message.to_bytes())
    check_untrusted(out)
    out.__class__ = QuickRequest if isinstance(out, Request) else QuickResponse
    return out


def measure(transport: str, calls: int) -> float:
    """Seconds of CPU for `calls` calls through one layer."""
    timers, user = TimerHeap(), Passer()
    layer = TransactionLayer(timers, user)
    flow = DeafFlow(
        transport=transport, listener="x", local=("192.0.2.9", 5060), remote=("192.0.2.1", 5060), id="x", sent_by="x"
    )
    work = []
    for i in range(calls):
        invite, ack, bye = (
            request(method, branch=f"z9hG4bK{method}{i}", to_tag=None if method == "INVITE" else "b")
            for method in ("INVITE", "ACK", "BYE")
        )
        out_invite, out_bye = (request(method, branch=f"z9hG4bKout{method}{i}") for method in ("INVITE", "BYE"))
        answers = [response_to(out_invite, 180), response_to(out_invite, 200), response_to(out_bye, 200)]
        work.append([_parsed(m) for m in (invite, out_invite, *answers[:2], ack, bye, out_bye, answers[2])])
    gc.collect()
    gc.freeze()
    gc.disable()
    now = 1000.0
    started = time.process_time()
    for invite, out_invite, ringing, ok, ack, bye, out_bye, bye_ok in work:
        now += 1 / CALLS_A_SECOND
        timers.run_due(now)
        layer.receive_request(invite, flow, now)
        server = user.server
        layer.open_client(out_invite, flow, user, now)
        layer.receive_response(ringing, flow, now)
        server.respond(ringing, now)
        layer.receive_response(ok, flow, now)
        server.respond(ok, now)
        layer.receive_request(ack, flow, now)
        layer.receive_request(bye, flow, now)
        server = user.server
        layer.open_client(out_bye, flow, user, now)
        layer.receive_response(bye_ok, flow, now)
        server.respond(bye_ok, now)
    for _ in range(50):
        now += 1
        timers.run_due(now)
    spent = time.process_time() - started
    gc.enable()
    assert not layer.clients
    assert not layer.servers
    return spent


if __name__ == "__main__":
    count = 1000
    for name in ("UDP", "TCP"):
        best = min(measure(name, count) for _ in range(30)) / count * 1e6
        print(f"{name}: {best:.1f} µs a call, {best / 12:.2f} µs a message (12 of them, timers and ends included)")
