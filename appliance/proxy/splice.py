"""Two dialogs joined by the box as their common end: what one party asks goes on to the other, answers come back.

The parties keep talking although whoever brought them together has left (RFC 3725's third party). Offers and answers
pass unread: whether media goes through the box is each call's own business.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from appliance.proxy.hang_up import reason_header
from appliance.proxy.inner_flow import InnerFlow
from appliance.sip.build import response_to
from appliance.sip.dialog import Dialog
from appliance.sip.errors import BadMessage, Rejected
from appliance.sip.message import Message, Request, Response

_CARRIED = frozenset({"INVITE", "UPDATE", "INFO", "MESSAGE", "OPTIONS"})
_ALLOW = "INVITE, ACK, CANCEL, BYE, UPDATE, INFO, MESSAGE, OPTIONS"
_PAYLOAD = ("content-type", "content-disposition", "content-encoding", "info-package", "session-expires", "reason")


def payload(message: Message) -> list[tuple[str, str]]:
    """The headers that speak of the body or of the session, as pairs for a message of our own."""
    return [(key, value) for key in _PAYLOAD for value in message.get_all(key)]


@attrs.define(eq=False)
class End:
    """One party, reached in `dialog` over `flow`; `label` says who it is."""

    flow: InnerFlow
    dialog: Dialog
    label: str
    over: bool = False
    _acknowledged: Request | None = None
    """The ACK to the last 2xx, for when that is repeated."""

    @property
    def contact(self) -> str:
        return f"<sip:{self.flow.sent_by};transport=tcp>"

    def ask(
        self,
        method: str,
        on_final: Callable[[Response], None],
        headers: list[tuple[str, str]] | None = None,
        body: bytes = b"",
    ) -> None:
        """Send a request inside the dialog; `on_final` gets its final response once."""
        contact = self.contact if method in ("INVITE", "UPDATE") else None
        more = [("allow", _ALLOW), *(headers or [])] if method == "INVITE" else headers or []
        request = self.dialog.make_request(method, via=self.flow.new_via(), contact=contact, headers=more, body=body)
        if method == "INVITE":
            self._acknowledged = None
        done = False

        def on_response(response: Response) -> None:
            nonlocal done
            if response.status < 200:
                return
            if done:
                if self._acknowledged is not None:
                    self.flow.say(self._acknowledged)
                return
            done = True
            if response.status < 300:
                self.dialog.refresh_target_untrusted(response)
            on_final(response)

        self.flow.ask(request, on_response)

    def acknowledge(self, headers: list[tuple[str, str]] | None = None, body: bytes = b"") -> None:
        """The ACK to the 2xx of our last INVITE."""
        self._acknowledged = self.dialog.make_ack(via=self.flow.new_via(), headers=headers or (), body=body)
        self.flow.say(self._acknowledged)

    def hang_up(self, sentence: str) -> None:
        """BYE, once, with the reason."""
        if not self.over:
            self.over = True
            self.ask("BYE", lambda response: None, [reason_header(sentence)])


class Splice:
    """`one` and `other` are joined until either hangs up; `on_end` is called then with who did, in words."""

    def __init__(self, one: End, other: End, on_end: Callable[[str], None]) -> None:
        self._ends = (one, other)
        self._on_end = on_end
        self._open: dict[tuple[str, int], End] = {}
        """INVITEs answered with a 2xx, by their end's Call-ID and CSeq: whose ACK goes on, and to whom."""

    def receive(self, end: End, request: Request) -> None:
        """A request of the party behind `end`."""
        method = request.method
        other = self._ends[0] if end is self._ends[1] else self._ends[1]
        if method == "ACK":
            waiting = self._open.pop((request.call_id, request.cseq.number), None)
            if waiting is not None:
                waiting.acknowledge(payload(request), request.body)
            return
        try:
            end.dialog.receive_request_untrusted(request)
            end.dialog.refresh_target_untrusted(request)
        except (Rejected, BadMessage) as refused:
            end.flow.reply(response_to(request, refused.status, refused.reason))
            return
        if method == "BYE":
            end.flow.reply(response_to(request, 200))
            self._over(end, other)
        elif method == "CANCEL":
            end.flow.reply(response_to(request, 200))  # its INVITE is answered by the other party all the same
        elif method not in _CARRIED:
            end.flow.reply(response_to(request, 405, headers=[("allow", _ALLOW)]))
        else:
            self._carry(end, other, request)

    def _carry(self, end: End, other: End, request: Request) -> None:
        def answer(response: Response) -> None:
            status = response.status
            headers = payload(response)
            accepted = status < 300
            if request.method in ("INVITE", "UPDATE") and accepted:
                headers = [("contact", end.contact), ("allow", _ALLOW), *headers]
            reply = response_to(request, status, response.reason, headers=headers, body=response.body)
            if request.method != "INVITE" or not accepted:
                end.flow.reply(reply)
                return
            self._open[request.call_id, request.cseq.number] = other
            end.flow.reply(reply, lambda: self._unacknowledged(end, other, request))

        other.ask(request.method, answer, payload(request), request.body)

    def _unacknowledged(self, end: End, other: End, request: Request) -> None:
        if self._open.pop((request.call_id, request.cseq.number), None) is not None:
            other.acknowledge()
        sentence = f"{end.label} never acknowledged an answer"
        end.hang_up(sentence)
        other.hang_up(sentence)
        self._on_end(sentence)

    def _over(self, end: End, other: End) -> None:
        sentence = f"{end.label} hung up"
        end.over = True
        other.hang_up(sentence)
        self._on_end(sentence)
