"""A request inside a dialog that changes nothing of it, and its one answer: BYE, INFO, NOTIFY and their like.

There is one place for it to go and nearly always a 2xx, so it needs no branches. Whatever else comes of it makes it a
response context after all, which goes on as if it had been there from the beginning.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from appliance.proxy.branch import Attempt, Branch
from appliance.proxy.call import ENDED
from appliance.proxy.destination import Destination, Hop
from appliance.proxy.forwarding import push_via, set_next_hop, size_with_via
from appliance.proxy.response_context import ResponseContext
from appliance.sip.errors import BadMessage

if TYPE_CHECKING:
    from appliance.proxy.call import Call
    from appliance.proxy.core import SipCore
    from appliance.proxy.dialog_path import Entry
    from appliance.proxy.veil import Hiding
    from appliance.sip.client_transaction import Cause, ClientTransaction
    from appliance.sip.flow import Flow
    from appliance.sip.message import Request, Response
    from appliance.sip.server_transaction import ServerTransaction

_OTHERS = frozenset({"INVITE", "UPDATE", "SUBSCRIBE", "REFER"})
"""They change a session, or may make another dialog."""


class DialogExchange:
    """One such request; `flow`, else `hop`, is its way, by `entry` of ours. `call` is the one it belongs to, if any."""

    __slots__ = ("_call", "_core", "_entry", "_flow", "_hop", "_mark", "_request", "_transaction")

    def __init__(
        self,
        core: SipCore,
        transaction: ServerTransaction,
        mark: str,
        call: Call | None,
        entry: Entry,
        flow: Flow | None,
        hop: Hop | None,
    ) -> None:
        self._core = core
        self._transaction = transaction
        self._request: Request = transaction.request
        self._mark = mark
        self._call = call
        self._entry = entry
        self._flow = flow
        self._hop = hop

    def start(self, now: float) -> bool:
        """Send it on; False where that is not so simple, and nothing was done."""
        core = self._core
        call = self._call
        request = self._request
        if request.method in _OTHERS or self._entry.extras or core.rewriting.within:
            return False
        if call is not None and (call.media is not None or call.codecs is not None or call.lease is not None):
            return False
        flow = self._flow
        if flow is None:
            assert self._hop is not None
            targets = core.sender.known(self._hop)
            if targets is None or len(targets) != 1:
                return False
            flow = core.connect(targets[0])
            if flow.transport == "UDP" and size_with_via(request) > core.udp_threshold_bytes:
                return False
        elif flow.closed:
            return False
        outgoing = request.copy()
        if "route" in outgoing.kinds:
            try:
                set_next_hop(outgoing)
            except BadMessage:
                return False
        branch = push_via(outgoing, flow, core.unique(), self._mark)
        core.open_client(outgoing, flow, self, now, branch=branch)
        return True

    def on_response(self, client: ClientTransaction, response: Response, now: float) -> None:
        core = self._core
        call = self._call
        if (
            not 200 <= response.status < 300
            or response.body
            or core.rewriting.within
            or core.gate.bears_trust(response)
            or (call is not None and call.lease is not None)
        ):
            self._widen(client).on_response(client, response, now)
            return
        response.drop_top_via()
        if "via" not in response.kinds:
            return  # §16.7 step 3: it was meant for us, who asked nothing
        self._transaction.respond(response, now)
        if call is not None:
            if call.state is not ENDED:
                call.heard_at = now
            core.follower.answered_within(call, self._request, self._entry.leg, response)

    def on_failure(self, client: ClientTransaction, cause: Cause, now: float) -> None:
        self._widen(client).on_failure(client, cause, now)

    def _widen(self, client: ClientTransaction) -> Attempt:
        """Make it a response context whose first attempt is under way."""
        context = self.context()
        branch = Branch(context, self.destination(None), 1)
        context.branches = (branch,)
        client.listener = branch.attempt = attempt = Attempt(branch, client.flow)
        attempt.client = client
        return attempt

    def context(self) -> ResponseContext:
        """The same request for any number of tries and answers."""
        transaction, request, entry, call = self._transaction, self._request, self._entry, self._call
        context = ResponseContext(self._core, transaction, self._mark, 1, call)
        context.request = context.outgoing = request  # which the transaction may have let go
        context.record = request.method in ("SUBSCRIBE", "REFER")
        context.to_leg = entry.leg
        context.extras = entry.extras
        if entry.leg == "a":
            context.from_leg = "" if call is None else self._core.path.leg_of_sender(entry, request) or call.leg
        return context

    def destination(self, hiding: Hiding | None) -> Destination:
        return Destination(self._request.uri, "the other end of the dialog", (), self._flow, self._hop, hiding=hiding)
