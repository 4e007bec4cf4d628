"""Dialogs of our own (RFC 3261 §12): what the box remembers where it is an end and not a proxy: test lines, agents.

A `Dialog` is made from the request and the response that establish it, checks what comes in it, and builds what goes
out in it. Transactions, Via and transport are the caller's. `RepeatedOk` is the UAS's share of a lossy way (§13.3.1.4).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum

import attrs

from appliance.sip.errors import BadMessage, Rejected
from appliance.sip.headers import parse_name_addr_untrusted
from appliance.sip.machines import State
from appliance.sip.message import Message, Request, Response
from appliance.sip.server_transaction import ServerTransaction
from appliance.sip.timers import Timer, TimerHeap

#: Requests whose Contact, and whose 2xx's Contact, is the new remote target (§12.2, RFC 3311, 6665, 3515).
TARGET_REFRESHING = frozenset({"INVITE", "UPDATE", "SUBSCRIBE", "NOTIFY", "REFER"})

#: Parameters that a Request-URI may not carry away from a Route (§19.1.1).
_NOT_IN_REQUEST_URI = ("method",)

DialogId = tuple[str, str, str]
"""Call-ID, our tag, their tag ('' for a peer of RFC 2543)."""


class DialogState(Enum):
    EARLY = "early"
    CONFIRMED = "confirmed"
    ENDED = "ended"


def dialog_id_of(request: Request) -> DialogId:
    """In which dialog of ours a received request belongs (§12.2.2)."""
    return (request.call_id, request.to_tag or "", request.from_tag or "")


@attrs.define(eq=False)
class Dialog:
    """One peer-to-peer relation, seen from our end.

    `local` and `remote` are whole From and To values with their tags; `remote_target` the URI that requests go to;
    `route_set` the values of Route, first hop first. CSeq numbers are None until one was used.
    """

    call_id: str
    local: str
    remote: str
    local_tag: str
    remote_tag: str
    remote_target: str
    route_set: tuple[str, ...]
    secure: bool
    state: DialogState
    local_cseq: int | None = None
    remote_cseq: int | None = None
    invite_cseq: int | None = None
    """The number of our last INVITE, which the ACK to its 2xx repeats."""

    @classmethod
    def as_uas_untrusted(cls, request: Request, local_tag: str, *, secure: bool = False, early: bool = False) -> Dialog:
        """The dialog that our response to `request` makes (§12.1.1); `local_tag` is the To tag of that response.

        `secure`: the request came over TLS; with a sips Request-URI the dialog is then bound to TLS.
        Raises `BadMessage` where Contact or a Record-Route cannot be read.
        """
        to = request.require("to")
        return cls(
            call_id=request.call_id,
            local=to if request.to_tag else f"{to};tag={local_tag}",
            remote=request.require("from"),
            local_tag=request.to_tag or local_tag,
            remote_tag=request.from_tag or "",
            remote_target=_contact_untrusted(request),
            route_set=_routes_untrusted(request),
            secure=secure and request.uri[:5].lower() == "sips:",
            state=DialogState.EARLY if early else DialogState.CONFIRMED,
            remote_cseq=request.cseq.number,
        )

    @classmethod
    def as_uac_untrusted(cls, request: Request, response: Response, *, secure: bool = False) -> Dialog:
        """The dialog that `response` to our `request` makes (§12.1.2): early before a 2xx.

        Each To tag of a forked INVITE is a dialog of its own. Raises `BadMessage` as above.
        """
        return cls(
            call_id=request.call_id,
            local=request.require("from"),
            remote=response.require("to"),
            local_tag=request.from_tag or "",
            remote_tag=response.to_tag or "",
            remote_target=_contact_untrusted(response),
            route_set=_routes_untrusted(response)[::-1],
            secure=secure and request.uri[:5].lower() == "sips:",
            state=DialogState.EARLY if response.status < 200 else DialogState.CONFIRMED,
            local_cseq=request.cseq.number,
            invite_cseq=request.cseq.number if request.method == "INVITE" else None,
        )

    @property
    def id(self) -> DialogId:
        return (self.call_id, self.local_tag, self.remote_tag)

    def confirm_untrusted(self, response: Response) -> None:
        """The 2xx to the INVITE whose provisional response made this dialog (§13.2.2.4): the route set is made anew."""
        if self.state is DialogState.EARLY:
            self.route_set = _routes_untrusted(response)[::-1]
            self.state = DialogState.CONFIRMED
        self.refresh_target_untrusted(response)

    def confirm(self) -> None:
        """Our own 2xx has been sent."""
        if self.state is DialogState.EARLY:
            self.state = DialogState.CONFIRMED

    def end(self) -> None:
        self.state = DialogState.ENDED

    # Coming in

    def receive_request_untrusted(self, request: Request) -> None:
        """Check the order of a request in this dialog (§12.2.2) and note its number.

        Raises `Rejected` 481 when the dialog has ended, 500 for a number that comes too late. ACK passes: its number
        is that of its INVITE. Call `refresh_target_untrusted` when the request is accepted.
        """
        if request.method == "ACK":
            return
        if self.state is DialogState.ENDED:
            raise Rejected(481, "Call/Transaction Does Not Exist", "the dialog has ended")
        number = request.cseq.number
        if self.remote_cseq is not None and number < self.remote_cseq:
            raise Rejected(500, "CSeq Out Of Order", f"CSeq {number} after {self.remote_cseq}")
        self.remote_cseq = number

    def refresh_target_untrusted(self, message: Message) -> None:
        """Take the Contact of an accepted target refresh request, or of the 2xx to ours (§12.2.1.2)."""
        if message.cseq.method in TARGET_REFRESHING and "contact" in message:
            self.remote_target = _contact_untrusted(message)

    # Going out

    def make_request(
        self,
        method: str,
        *,
        via: str,
        contact: str | None = None,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> Request:
        """A request in this dialog (§12.2.1.1), with the next CSeq number; `via` with its fresh branch is the caller's.

        `headers` are further (canonical key, value) pairs; `contact` is a whole Contact value.
        """
        self.local_cseq = number = 1 if self.local_cseq is None else self.local_cseq + 1
        if method == "INVITE":
            self.invite_cseq = number
        return self._make(method, number, via, contact, headers, body)

    def make_ack(self, *, via: str, headers: Iterable[tuple[str, str]] = (), body: bytes = b"") -> Request:
        """The ACK to the 2xx of our last INVITE (§13.2.2.4): a request of its own, with its own branch."""
        if self.invite_cseq is None:
            raise ValueError("no INVITE was sent in this dialog")
        return self._make("ACK", self.invite_cseq, via, None, headers, body)

    def _make(
        self,
        method: str,
        number: int,
        via: str,
        contact: str | None,
        headers: Iterable[tuple[str, str]],
        body: bytes,
    ) -> Request:
        uri, routes = self.remote_target, self.route_set
        if routes:
            first = parse_name_addr_untrusted(routes[0], "Route").uri
            if first.param("lr") is None:
                # A strict router (§12.2.1.1): it finds itself in the Request-URI, and the target last in Route.
                uri = str(first.without_params(*_NOT_IN_REQUEST_URI))
                routes = (*routes[1:], f"<{self.remote_target}>")
        pairs = [("via", via), ("max-forwards", "70"), *(("route", route) for route in routes)]
        pairs += [("from", self.local), ("to", self.remote), ("call-id", self.call_id), ("cseq", f"{number} {method}")]
        if contact is not None:
            pairs.append(("contact", contact))
        return Request.make(method, uri, [*pairs, *headers], body)


class RepeatedOk:
    """Our 2xx to an INVITE, said again until its ACK comes (§13.3.1.4), over every transport: other hops may be UDP.

    The first one is sent by the constructor. Call `acknowledged` from `on_ack`. After 64*T1 without an ACK
    `on_silence(now)` is called once: the dialog is confirmed, but should be ended with BYE.
    """

    __slots__ = ("_give_up_at", "_interval", "_on_silence", "_response", "_server", "_t2", "_timer", "_timers")

    def __init__(
        self,
        server: ServerTransaction,
        response: Response,
        timers: TimerHeap,
        on_silence: Callable[[float], None],
        now: float,
        *,
        t1: float = 0.5,
        t2: float = 4.0,
    ) -> None:
        self._server = server
        self._response = response
        self._timers = timers
        self._on_silence: Callable[[float], None] | None = on_silence
        self._interval = t1
        self._t2 = t2
        self._give_up_at = now + 64 * t1
        server.respond(response, now)
        self._timer: Timer | None = timers.schedule(now + t1, self._fall_due)

    def acknowledged(self) -> None:
        """The ACK has come, or the dialog has ended otherwise. May be called more than once."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._on_silence = None

    def _fall_due(self, now: float) -> None:
        if now >= self._give_up_at:
            on_silence = self._on_silence
            self.acknowledged()
            if on_silence is not None:
                on_silence(now)
            return
        if self._server.state is State.ACCEPTED:
            self._server.respond(self._response, now)
        self._interval = min(self._interval * 2, self._t2)
        self._timer = self._timers.schedule(min(now + self._interval, self._give_up_at), self._fall_due)


def _contact_untrusted(message: Message) -> str:
    """The URI of the one Contact that a dialog needs (§12.1)."""
    contacts = message.addresses("contact")
    if len(contacts) != 1 or contacts[0].uri.scheme not in ("sip", "sips"):
        raise BadMessage("Missing Contact" if not contacts else "Bad Contact")
    return str(contacts[0].uri)


def _routes_untrusted(message: Message) -> tuple[str, ...]:
    """The values of Record-Route as they came, once they have proved readable: they go back byte for byte."""
    for route in message.addresses("record-route"):
        if route.uri.scheme not in ("sip", "sips"):
            raise BadMessage("Bad Record-Route")
    return tuple(message.values("record-route"))
