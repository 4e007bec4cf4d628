"""A wire without sockets for transaction tests: flows that keep what is sent, users that keep what they are told."""

from __future__ import annotations

from appliance.sip.flow import Address, Flow, FlowClosed
from appliance.sip.layer import ClientTransaction, ServerTransaction, TransactionLayer, TransactionOptions
from appliance.sip.message import Request, Response
from appliance.sip.parser import check_untrusted, parse_message_untrusted
from appliance.sip.timers import TimerHeap

CALLER = ("192.0.2.1", 5060)
BOX = ("192.0.2.9", 5060)


class ListFlow(Flow):
    """Keeps what is sent in `sent`; raises `FlowClosed` while `broken`."""

    __slots__ = ("broken", "others", "sent")

    def __init__(self, transport: str = "UDP", remote: Address = CALLER, local: Address = BOX) -> None:
        super().__init__(
            transport=transport,
            listener="test",
            local=local,
            remote=remote,
            id=f"{transport} {remote}",
            sent_by=local[0],
        )
        self.sent: list[bytes] = []
        self.broken = False
        self.others: dict[Address, ListFlow] = {}

    def send(self, data: bytes) -> None:
        if self.broken:
            raise FlowClosed
        self.sent.append(data)

    def towards(self, remote: Address) -> Flow:
        return self.others.setdefault(remote, ListFlow(self.transport, remote, self.local))

    def take(self) -> list[Request | Response]:
        """What was sent since the last time, parsed."""
        messages = [parse_message_untrusted(data) for data in self.sent]
        self.sent.clear()
        return messages

    def take_kinds(self) -> list[str]:
        """The same as methods and status codes: ["INVITE"], ["100"]."""
        return [m.method if isinstance(m, Request) else str(m.status) for m in self.take()]


class User:
    """Keeps every call as a tuple in `told`; answers nothing by itself."""

    def __init__(self) -> None:
        self.told: list[tuple[str, object]] = []
        self.servers: list[ServerTransaction] = []

    def on_request(self, transaction: ServerTransaction, now: float) -> None:
        self.told.append(("request", transaction.method))
        self.servers.append(transaction)

    def on_cancel(self, transaction: ServerTransaction, cancel: Request, now: float) -> None:
        self.told.append(("cancel", transaction))

    def on_ack(self, request: Request, flow: Flow, now: float) -> None:
        self.told.append(("ack", request))

    def on_stray_response(self, response: Response, flow: Flow, now: float) -> None:
        self.told.append(("stray", response.status))

    def on_response(self, client: ClientTransaction, response: Response, now: float) -> None:
        self.told.append(("response", response.status))

    def on_failure(self, client: ClientTransaction, cause: str, now: float) -> None:
        self.told.append(("failure", cause))

    def take(self) -> list[tuple[str, object]]:
        told, self.told = self.told, []
        return told


class Bench:
    """One layer, one user and a clock that is moved by hand."""

    def __init__(self, transport: str = "UDP", options: TransactionOptions | None = None) -> None:
        self.now = 1000.0
        self.timers = TimerHeap()
        self.user = User()
        self.layer = TransactionLayer(self.timers, self.user, options)
        self.flow = ListFlow(transport)

    def receive(self, message: Request | Response | bytes) -> None:
        """As from the network, over the bench's flow."""
        data = message if isinstance(message, bytes) else message.to_bytes()
        parsed = parse_message_untrusted(data)
        check_untrusted(parsed)
        if isinstance(parsed, Request):
            self.layer.receive_request(parsed, self.flow, self.now)
        else:
            self.layer.receive_response(parsed, self.flow, self.now)

    def receive_new(self, request: Request) -> ServerTransaction:
        self.receive(request)
        return self.user.servers[-1]

    def open(self, request: Request, *, timeout_s: float | None = None) -> ClientTransaction:
        return self.layer.open_client(request, self.flow, self.user, self.now, timeout_s=timeout_s)

    def run_until(self, when: float) -> None:
        """Let every timer up to `when` fire at its own time."""
        for _ in range(100_000):
            due = self.timers.next_at
            if due is None or due > when:
                break
            self.now = max(self.now, due)
            self.timers.run_due(self.now)
        else:
            raise AssertionError("timers without end")
        self.now = when

    def run(self, seconds: float) -> None:
        self.run_until(self.now + seconds)

    def drain(self) -> None:
        """Let everything run out, an hour at most."""
        self.run(3600)


def request(
    method: str = "INVITE",
    *,
    branch: str = "z9hG4bKone",
    sent_by: str = "192.0.2.1:5060",
    transport: str = "UDP",
    to_tag: str | None = None,
    call_id: str = "call@example.com",
    cseq: int = 1,
    via_params: str = ";rport",
    headers: tuple[tuple[str, str], ...] = (),
) -> Request:
    to = "<sip:bob@example.com>" + (f";tag={to_tag}" if to_tag else "")
    return Request.make(
        method,
        "sip:bob@example.com",
        [
            ("via", f"SIP/2.0/{transport} {sent_by};branch={branch}{via_params}"),
            ("max-forwards", "70"),
            ("from", "<sip:alice@example.com>;tag=a1"),
            ("to", to),
            ("call-id", call_id),
            ("cseq", f"{cseq} {method}"),
            *headers,
        ],
    )
