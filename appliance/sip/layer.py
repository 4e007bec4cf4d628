"""The transaction layer: finds out whose a message is (RFC 3261 §17.1.3, §17.2.3) and keeps all transactions.

Requests and responses come in parsed, checked, and with `received` and `rport` filled in. New requests go to the user,
as do responses and ACKs that belong to no transaction; CANCEL is answered here. Sans-IO: `now` is an argument, output
goes to `Flow.send`, time passes in the `TimerHeap`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol
from zlib import crc32

from appliance.sip.build import response_to
from appliance.sip.client_transaction import (
    NOBODY,
    Cause,
    ClientKey,
    ClientTransaction,
    ClientUser,
    InviteClient,
    OtherClient,
)
from appliance.sip.flow import Flow, FlowClosed
from appliance.sip.message import Request, Response
from appliance.sip.server_transaction import InviteServer, OtherServer, ServerTransaction
from appliance.sip.tally import Tallies
from appliance.sip.timers import TimerHeap
from appliance.sip.transaction import Clockwork, TransactionCounts, TransactionOptions

ServerKey = tuple[str | int | None, ...]

__all__ = [
    "NOBODY",
    "Cause",
    "ClientTransaction",
    "ClientUser",
    "ServerTransaction",
    "TransactionLayer",
    "TransactionOptions",
    "TransactionUser",
]


class TransactionUser(Protocol):
    """Whoever stands above the layer: the proxy core."""

    def on_request(self, transaction: ServerTransaction, now: float) -> None:
        """A new request; never an ACK or a CANCEL."""

    def on_cancel(self, transaction: ServerTransaction, cancel: Request, now: float) -> None:
        """`transaction` is the INVITE to be given up, still without a final answer; the CANCEL has got its 200."""

    def on_ack(self, request: Request, flow: Flow, now: float) -> None:
        """The ACK to a 2xx, which has no transaction (§17) and is only to be passed on."""

    def on_stray_response(self, response: Response, flow: Flow, now: float) -> None:
        """A response that belongs to no client transaction."""


class TransactionLayer:
    """All transactions of one process.

    `clients` and `servers` hold them by key until they terminate; `unanswered` counts the server transactions that
    wait for a final response, and is what `TransactionOptions.limit` bounds.
    """

    def __init__(self, timers: TimerHeap, user: TransactionUser, options: TransactionOptions | None = None) -> None:
        self.options = options or TransactionOptions()
        self.clock = Clockwork(timers, self.options)
        self.user = user
        self.counts = TransactionCounts()
        self.tallies = Tallies()
        self.clients: dict[ClientKey, ClientTransaction] = {}
        self.servers: dict[ServerKey, ServerTransaction] = {}
        self.unanswered = 0
        self.refuse: Callable[[Request, str], Response] | None = None
        """Makes the answer to a request beyond the limit, with the To tag given, by which its ACK is known again;
        without it 503 with a Retry-After of 2 to 9 seconds."""
        self._by_flow: dict[Flow, dict[ClientTransaction, None]] = {}
        self._refusing_until = 0.0

    # From below

    def receive_request(self, request: Request, flow: Flow, now: float) -> None:
        """A request from the network, checked. Calls the user for a new one, before it returns."""
        method = request.method
        # What the parser has read is taken as it lies there: a property costs as much as the look-up that it is for.
        branch = request._branch
        if branch is None:
            branch = request.branch
        key: ServerKey
        if branch[:7] == "z9hG4bK":
            host, port = request._sent_by or request.sent_by
            key = (branch, host, port, "INVITE" if method == "ACK" else method)
        else:
            key = _key_without_cookie(request, method)
        transaction = self.servers.get(key)
        if transaction is not None:
            transaction.receive_again(request, flow, now)
        elif method == "ACK":
            self.tallies["ACK"].requests_in += 1
            if now >= self._refusing_until or request.to_tag != _refusal_tag(branch):
                self.user.on_ack(request, flow, now)
        elif method == "CANCEL":
            self._receive_cancel(request, key, flow, now)
        elif self.options.limit and self.unanswered >= self.options.limit:
            self._refuse(request, branch, flow, now)
        else:
            self.user.on_request(self._open_server(key, request, flow, now), now)

    def receive_response(self, response: Response, flow: Flow, now: float) -> None:
        """A response from the network, checked, its own top Via still in place."""
        method = (response._cseq or response.cseq).method
        self.tallies[method].responses_in[response.status] += 1
        client = self.clients.get((response._branch or response.branch, method))
        if client is None:
            self.counts.stray_responses += 1
            self.user.on_stray_response(response, flow, now)
        else:
            client.receive_response(response, now)

    def flow_closed(self, flow: Flow, now: float) -> None:
        """The connection is gone: client transactions on it that have no final response fail with "transport"."""
        for client in list(self._by_flow.pop(flow, ())):
            client.transport_failed(now)

    # From above

    def open_client(
        self,
        request: Request,
        flow: Flow,
        listener: ClientUser,
        now: float,
        *,
        timeout_s: float | None = None,
        branch: str | None = None,
    ) -> ClientTransaction:
        """Send `request`, whose top Via with a fresh branch the caller has put there, and wait for its answers.

        `branch` spares reading it from that Via. `timeout_s` is how long to wait for any response (INVITE) or the
        final one (others), 64*T1 without it.
        A flow that is closed already shows as `on_failure` ("transport") on the next `run_due`.
        """
        method = request.method
        key = (branch or request.branch, method)
        client: ClientTransaction
        if method == "INVITE":
            client = InviteClient(key, request, flow, listener, self)
        else:
            client = OtherClient(key, request, flow, listener, self)
        if self.clients.setdefault(key, client) is not client:
            raise ValueError(f"the branch {key[0]} is in use")
        self.counts.clients_opened += 1
        if flow.reliable:
            self._by_flow.setdefault(flow, {})[client] = None
        client.start(now, timeout_s)
        return client

    # From the transactions

    def forget_client(self, client: ClientTransaction) -> None:
        """It has terminated."""
        self.clients.pop(client.key, None)
        if client.flow.reliable:
            on_flow = self._by_flow.get(client.flow)
            if on_flow is not None:
                on_flow.pop(client, None)
                if not on_flow:
                    del self._by_flow[client.flow]

    # Inside

    def _open_server(self, key: ServerKey, request: Request, flow: Flow, now: float) -> ServerTransaction:
        transaction: ServerTransaction
        if request.method == "INVITE":
            transaction = InviteServer(key, request, flow, self)
        else:
            transaction = OtherServer(key, request, flow, self)
        if not flow.reliable:
            # §18.2.2: to the source's address (which is `received` where that differs from sent-by), but the port of
            # Via. maddr is left alone: it would let anybody point our answers at a third party.
            port = (request._sent_by or request.sent_by)[1] or 5060
            if flow.remote[1] != port and "rport" not in request.via.params:
                transaction.reply_flow = flow.towards((flow.remote[0], port))
        self.servers[key] = transaction
        self.counts.servers_opened += 1
        transaction.tally.requests_in += 1
        self.unanswered += 1
        transaction.start(now)
        return transaction

    def _receive_cancel(self, cancel: Request, key: ServerKey, flow: Flow, now: float) -> None:
        """§9.2: CANCEL has a transaction of its own, and is answered whatever becomes of the INVITE."""
        transaction = self._open_server(key, cancel, flow, now)
        if len(key) == 4:
            invite = self.servers.get((*key[:3], "INVITE"))
        else:
            invite = self.servers.get(_key_without_cookie(cancel, "INVITE"))
        tag = _local_tag(cancel)
        if invite is None:
            transaction.respond(response_to(cancel, 481, to_tag=tag), now)
            return
        transaction.respond(response_to(cancel, 200, to_tag=tag), now)
        if not invite.final_sent:
            self.user.on_cancel(invite, cancel, now)

    def _refuse(self, request: Request, branch: str, flow: Flow, now: float) -> None:
        """Over the limit: answer without a transaction."""
        self.counts.refused += 1
        tag = _refusal_tag(branch)
        if self.refuse is not None:
            response = self.refuse(request, tag)
        else:
            # Spread, so that those sent away do not come back together.
            retry_after = 2 + crc32(request.call_id.encode("utf-8", "surrogateescape")) % 8
            response = response_to(request, 503, to_tag=tag, headers=[("retry-after", str(retry_after))])
        self._refusing_until = now + self.clock.long.delay
        tally = self.tallies[request.method]
        tally.requests_in += 1
        tally.responses_out[response.status] += 1
        try:
            flow.send(response.to_bytes())
        except FlowClosed:
            self.counts.transport_errors += 1


def _key_without_cookie(request: Request, method: str) -> ServerKey:
    """§17.2.3 for clients of RFC 2543, whose branch says nothing.

    The To tag is left out: an ACK carries that of our response. Two requests that differ in nothing else do not occur.
    """
    via = request.via
    if method == "ACK":
        method = "INVITE"
    return (request.uri, request.from_tag, request.call_id, request.cseq.number, str(via), method)


def _refusal_tag(branch: str) -> str:
    return f"over.{crc32(branch.encode('utf-8', 'surrogateescape')):08x}"


def _local_tag(request: Request) -> str:
    """A To tag where no dialog comes of it; the same again for the same request."""
    text = f"{request.branch} {request.call_id}"
    return f"{crc32(text.encode('utf-8', 'surrogateescape')):08x}"
