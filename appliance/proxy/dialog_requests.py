"""Requests inside a dialog: forwarded at once, by our own Route entries (RFC 3261 §16.4, §16.11 for the ACK)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appliance.config.settings import Settings
from appliance.proxy.call import Call
from appliance.proxy.call_follower import CallFollower
from appliance.proxy.credentials import Authenticator
from appliance.proxy.dialog_exchange import DialogExchange
from appliance.proxy.dialog_path import DialogPath, Entry
from appliance.proxy.forwarding import spend_hop
from appliance.proxy.leftover import Leftover
from appliance.proxy.lines import Lines
from appliance.proxy.session_timers import REFRESHING
from appliance.proxy.stateless import SERIAL
from appliance.proxy.transfer import Transfers
from appliance.sip.errors import Rejected
from appliance.sip.flow import Flow
from appliance.sip.message import Request
from appliance.sip.server_transaction import ServerTransaction

if TYPE_CHECKING:
    from appliance.proxy.core import SipCore


class DialogRequests:
    """Whatever has a To tag."""

    def __init__(
        self, core: SipCore, path: DialogPath, follower: CallFollower, lines: Lines, transfers: Transfers
    ) -> None:
        self._core = core
        self._transfers = transfers
        self._path = path
        self._follower = follower
        self._lines = lines

    def configure(self, settings: Settings, authenticator: Authenticator) -> None:
        self._settings = settings
        self._authenticator = authenticator

    def forward(self, transaction: ServerTransaction, entry: Entry | None, mark: str, now: float) -> None:
        """Send it on along `entry`; without one it is for us. Raises `Rejected` and `BadMessage`."""
        request = transaction.request
        if entry is None:
            self._receive(transaction, now)
            return
        spend_hop(request, self._settings.sip.max_forwards)
        self._authenticator.strip(request)
        call = self._call_of(entry, request)
        flow = hop = None
        if call is not None:
            if call.stand_in is not None:
                flow = call.stand_in.flow_instead(transaction.flow, entry.leg == "a")
                if flow is None and call.stand_in.absorbs(transaction, entry.leg == "a", now):
                    return
            if request.method == "REFER" and self._transfers.concern(call, entry.leg == "a"):
                self._transfers.begin(transaction, call, entry.leg == "a", now)
                return
        elif request.method == "BYE" and self._core.record_leftover is not None and entry.serial:
            self._leave(request, transaction.flow, entry)
        if request.method in REFRESHING:
            self._follower.session_timers.asked(request)
        if flow is None:
            flow, hop = self._path.way(request, entry)
        if call is not None:
            call.heard_at = now
            side = call.caller_side if entry.leg != "a" else call.callee_side
            if side is not None:
                side.cseq = max(side.cseq, request.cseq.number)
        exchange = DialogExchange(self._core, transaction, mark, call, entry, flow, hop)
        if exchange.start(now):
            return
        hiding = None
        if entry.extras:
            hiding = self._core.hiding.pass_on(request, transaction.flow, entry.extras, entry.leg)
        context = transaction.context = exchange.context()
        if self._core.rewriting.within:
            self._core.rewriting.follow(context, transaction.flow.listener)
        context.start([[exchange.destination(hiding)]], now)

    def _leave(self, request: Request, flow: Flow, entry: Entry) -> None:
        """The end of a call that began before the box was started again: its record tells what is left to tell."""
        record = self._core.record_leftover
        if record is not None and self._core.calls.made_before(entry.serial) and entry.serial != SERIAL:
            record(Leftover(entry.serial, request, flow.remote, self._core.wall(), by_caller=entry.leg != "a"))

    def acknowledge(self, request: Request, flow: Flow, now: float) -> None:
        """The ACK to a 2xx: it has no transaction. Raises `Rejected` and `BadMessage`."""
        entry = self._path.entry_of(request, flow)
        if entry is None:
            self._lines.acknowledge(request, now)
            return
        spend_hop(request, self._settings.sip.max_forwards)
        self._authenticator.strip(request)
        call = self._call_of(entry, request)
        onward = hop = None
        if call is not None and call.stand_in is not None:
            onward = call.stand_in.flow_instead(flow, entry.leg == "a")
        if onward is None:
            onward, hop = self._path.way(request, entry)
        fault = ""
        if call is not None:
            call.heard_at = now
            self._core.gate.took_part(flow, now)
            fault = self._follower.acknowledged(call, request, entry.leg)
        hiding = None
        if entry.extras:
            self._core.logins.change(request, entry.extras, entry.leg)
            hiding = self._core.hiding.pass_on(request, flow, entry.extras, entry.leg)
        if self._core.rewriting.within:
            self._core.rewriting.inside(request, flow.listener, entry.extras, entry.leg)
        self._core.sender.send_once(request, onward, hop, hiding)
        if call is not None and fault:
            call.hang_up(fault)

    def _receive(self, transaction: ServerTransaction, now: float) -> None:
        request = transaction.request
        if self._lines.receive_in_dialog(transaction, now):  # §12.2.2: known by its tags, whatever name it has for us
            return
        uri = request.request_uri
        if not self._path.ownership.owns(uri):
            raise Rejected(404, "Not Here", "a request inside a dialog, without a Route entry of ours")
        if request.method == "OPTIONS" and not uri.user:
            transaction.respond(self._core.initial.capabilities(request), now)
            return
        raise Rejected(481, "Call/Transaction Does Not Exist", "no such dialog of ours")

    def _call_of(self, entry: Entry, request: Request) -> Call | None:
        """The call of a request. Raises `Rejected` 481 where it would start something in a dialog that is not there."""
        calls = self._core.calls
        call = calls.find(entry.serial, request.call_id) if entry.serial else None
        if call is not None:
            to_tag, from_tag = request.to_tag, request.from_tag
            callee, caller = (to_tag, from_tag) if entry.leg != "a" else (from_tag, to_tag)
            if callee in call.tags and caller == call.caller_side.address_tag:
                return call
        if entry.serial == SERIAL:
            return None  # of a dialog without state, met on a listener that keeps some
        if request.method in ("INVITE", "UPDATE") and (call is not None or not calls.made_before(entry.serial)):
            # Else whoever was once given a Route of ours could call past the dial plan with it.
            raise Rejected(481, "Call/Transaction Does Not Exist", "a Route entry of a call that is over, or another's")
        return None
