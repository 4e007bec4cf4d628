"""Transfers that the box carries out itself, for trunks that cannot: REFER (RFC 3515), with Replaces too (RFC 3891).

Who sends REFER is told 202 and kept informed; in his name the box calls the target by the dial plan, or takes over his
second call, moves the other party's session there, and stays as the common end of both calls (`splice`).
A restart forgets it: the parties must then dial again.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import unquote

from appliance.config.dialplan import Refer
from appliance.proxy.call import Call, CallState
from appliance.proxy.hang_up import reason_header, request_towards
from appliance.proxy.inner_flow import InnerFlow
from appliance.proxy.own_request import OwnRequest
from appliance.proxy.splice import End, Splice, payload
from appliance.proxy.stand_in import StandIn
from appliance.router.causes import Cause
from appliance.router.question import Caller, CallerKind
from appliance.sip.build import reason_of, response_to
from appliance.sip.dialog import Dialog
from appliance.sip.errors import BadMessage, Rejected
from appliance.sip.headers import parse_name_addr_untrusted
from appliance.sip.message import Request, Response
from appliance.sip.uri import Uri

if TYPE_CHECKING:
    from appliance.config.settings import Settings
    from appliance.proxy.core import SipCore
    from appliance.proxy.record_route import RecordRoutes
    from appliance.sip.server_transaction import ServerTransaction

_GLARE_S = 2.5
"""After a 491 to a re-INVITE of ours (RFC 3261 §14.1)."""
_LEAVE_S = 8.0
"""How long the referrer may take to hang up once the transfer has succeeded."""
_LINGER_S = 35.0
"""Longer than any transaction (64*T1)."""
_NOTIFIES = 3
"""As many fit between two numbers of the other party (`dialog_shift`)."""


class Transfers:
    """Which REFERs the box carries out. One transfer of a call at a time."""

    def __init__(self, core: SipCore, record_routes: RecordRoutes) -> None:
        self.core = core
        self.record_routes = record_routes
        self.done = 0
        self.failed = 0

    def configure(self, settings: Settings) -> None:
        self.trunks = frozenset(name for name, trunk in settings.trunks.items() if trunk.refer is Refer.CARRY_OUT)
        """The trunks for which it is done."""

    def concern(self, call: Call, towards_caller: bool) -> bool:
        """Whether a REFER in this direction goes to a trunk that cannot."""
        return (call.from_trunk if towards_caller else call.trunk) in self.trunks

    def begin(self, transaction: ServerTransaction, call: Call, towards_caller: bool, now: float) -> None:
        """Take a REFER. Raises `Rejected` and `BadMessage`."""
        request = transaction.request
        targets = request.values("refer-to")
        if len(targets) != 1:
            raise BadMessage("Refer-To is missing or stands twice")
        target = parse_name_addr_untrusted(targets[0], "Refer-To").uri
        if target.scheme not in ("sip", "sips", "tel") or (target.param("method") or "INVITE").upper() != "INVITE":
            raise Rejected(603, "Decline", f"cannot refer to {target}")
        if call.stand_in is not None or call.state is not CallState.ANSWERED:
            raise Rejected(491, "Request Pending", "a transfer of this call is under way")
        if call.callee_side is None or call.caller_side.hop is None or call.callee_side.hop is None:
            raise Rejected(603, "Decline", "an end of the call has no Contact")
        if call.notifies >= _NOTIFIES:
            raise Rejected(603, "Decline", "this call was referred in vain too often")
        Transfer(self, transaction, call, target, not towards_caller, now)


class Transfer:
    """One REFER from 202 to the end of the joined calls. `caller`: the referrer is the caller of `call`."""

    def __init__(
        self, transfers: Transfers, transaction: ServerTransaction, call: Call, target: Uri, caller: bool, now: float
    ) -> None:
        self.core = transfers.core
        self.record_routes = transfers.record_routes
        self._transfers = transfers
        self._call = call
        self._target_end: End
        self._refer = request = transaction.request
        self._silent = (request.get("refer-sub") or "").strip().lower() == "false"  # RFC 4488
        self._asked: Request | None = None
        self._over = False
        self._splice: Splice | None = None
        self._moved: StandIn | None = None
        """In the referrer's place in his second call."""
        self._inner: InnerFlow | None = None
        """Over which the box calls the target, where that is a new call."""
        self.rights = _rights(call, caller)
        self._stand_in = StandIn(self, call, caller)
        headers = [("refer-sub", "false")] if self._silent else []
        transaction.respond(response_to(request, 202, headers=[*headers, ("contact", f"<{self._here}>")]), now)
        self._notify(100, final=False)
        second = self._second_call(target)
        if second is None:
            self._dial(target)
        else:
            self._moved = StandIn(self, second[0], second[1])
            self._moved.sit_down()
            self._moved.end.ask("INVITE", partial(self._found, self._moved.end))

    @property
    def _here(self) -> str:
        return f"sip:{self._stand_in.flow.sent_by};transport=tcp"

    # The target

    def _dial(self, target: Uri) -> None:
        """Call the target as the party that is being transferred, with the referrer's rights; C makes the offer."""
        party, referrer = self._stand_in.peer, self._stand_in.own
        self._inner = flow = InnerFlow(self.core, self.rights, self._stand_in.flow.local, self._receive_from_target)
        origin = parse_name_addr_untrusted(party.address)
        name = f"{origin.display} " if origin.display else ""
        headers = [
            ("via", flow.new_via()),
            ("max-forwards", "70"),
            ("from", f"{name}<{origin.uri}>;tag={self.core.unique()}"),
            ("to", f"<{_bare(target)}>"),
            ("call-id", f"{self.core.unique()}{self.core.unique()}"),
            ("cseq", "1 INVITE"),
            ("contact", f"<sip:{flow.sent_by};transport=tcp>"),
            ("referred-by", f"<{parse_name_addr_untrusted(referrer.address).uri}>"),
            ("allow", "INVITE, ACK, CANCEL, BYE, UPDATE, INFO, MESSAGE, OPTIONS"),
        ]
        replaces = _header_of(target, "replaces")
        if replaces:
            headers.append(("replaces", replaces))
        self._asked = invite = Request.make("INVITE", _bare(target), headers)
        flow.ask(invite, self._on_dialled)

    def _on_dialled(self, response: Response) -> None:
        if response.status < 200:
            return
        asked, flow = self._asked, self._inner
        if asked is None or flow is None:
            return  # repeated, or a second answer of a fork: the core ends the latter
        self._asked = None
        if response.status >= 300:
            self._fail(response.status, f"the target answered {response.status} {response.reason}")
            return
        try:
            dialog = Dialog.as_uac_untrusted(asked, response)
        except BadMessage as bad:
            self._fail(500, f"the target's answer: {bad.reason}")
            return
        address = parse_name_addr_untrusted(dialog.remote).uri
        end = End(flow, dialog, address.username or address.host)
        self._found(end, response)

    def _receive_from_target(self, request: Request) -> None:
        if self._splice is not None and self._inner is not None:
            self._splice.receive(self._target_end, request)

    def _second_call(self, target: Uri) -> tuple[Call, bool] | None:
        """The call that Replaces names, if it stands, goes through here, and the referrer is in it.

        With it, whether he is its caller.
        """
        replaces = _header_of(target, "replaces")
        if not replaces:
            return None
        call_id, *params = (part.strip() for part in replaces.split(";"))
        tags = {part.partition("=")[2] for part in params if part.startswith(("to-tag=", "from-tag="))}
        call = self.core.calls.of_dialog(call_id)
        if call is None or call is self._call or call.callee_side is None or call.stand_in is not None:
            return None
        if call.state is not CallState.ANSWERED or tags != {call.caller_side.address_tag, call.callee_side.address_tag}:
            return None
        if call.caller_side.hop is None or call.callee_side.hop is None:
            return None
        own = self._stand_in.own.flow
        for caller, side in ((True, call.caller_side), (False, call.callee_side)):
            if own is not None and side.flow is not None and side.flow.remote == own.remote:
                return call, caller
        return None

    # Joining

    def _found(self, target: End, response: Response) -> None:
        """The target has answered with its offer: it goes to the party."""
        if response.status >= 300:
            self._fail(response.status, f"the target answered {response.status} {response.reason}")
            return
        if self._over:
            target.acknowledge()
            target.hang_up("the transferred party is gone")
            return
        self._target_end = target
        self._move(response, last=False)

    def _move(self, offer: Response, *, last: bool) -> None:
        if self._over:
            return
        self._stand_in.sit_down()
        headers = payload(offer)
        self._stand_in.end.ask("INVITE", partial(self._moved_over, offer, last), headers, offer.body)

    def _moved_over(self, offer: Response, last: bool, response: Response) -> None:
        party, target = self._stand_in.end, self._target_end
        if response.status == 491 and not last and not self._over:
            self.core.schedule(self.core.clock() + _GLARE_S, lambda _: self._move(offer, last=True))
            return
        if response.status >= 300 or self._over:
            if response.status < 300:
                party.acknowledge()
            target.acknowledge()
            target.hang_up("the transferred party could not follow")
            if not self._over:
                self._fail(response.status, f"{party.label} answered {response.status} to the new session")
            return
        party.acknowledge()
        target.acknowledge(payload(response), response.body)
        self._splice = Splice(party, target, lambda sentence: self._ended())
        self._transfers.done += 1
        self._call.detours += f"; transferred to {target.label}"
        self._notify(200, final=True)
        self.core.schedule(self.core.clock() + _LEAVE_S, self._show_out)

    def _show_out(self, now: float) -> None:
        """The referrer has not hung up by himself."""
        for stand_in in (self._stand_in, self._moved):
            if stand_in is not None and not stand_in.gone and not self._over:
                stand_in.gone = True
                self._say_bye(stand_in)

    # What happens meanwhile

    def receive(self, stand_in: StandIn, request: Request) -> None:
        """A request that the party, or the target of a second call, sends to the referrer's place."""
        if self._splice is not None:
            self._splice.receive(stand_in.end, request)
        elif request.method == "BYE":
            stand_in.flow.reply(response_to(request, 200))
        elif request.method not in ("ACK", "CANCEL"):
            stand_in.flow.reply(response_to(request, 491))

    def lost(self, stand_in: StandIn, sentence: str) -> None:
        """One of the calls has ended."""
        if self._splice is not None:
            self._ended()
        elif stand_in is self._moved:
            self._fail(480, sentence)
        elif not self._over:
            self._over = True
            self._close_later()
            if self._inner is not None and self._asked is not None:
                self._inner.cancel(self._asked)

    def _fail(self, status: int, sentence: str) -> None:
        if self._over:
            return
        self._over = True
        self._transfers.failed += 1
        self._notify(status, final=True)
        self._call.detours += f"; a transfer failed: {sentence}"
        if self._moved is not None and not self._moved.gone:
            self._moved.release()
        self._close_later()
        stand_in = self._stand_in
        if stand_in.gone:
            self._call.hang_up_for(Cause.TRANSFER, f"the transfer failed: {sentence}")
        else:
            stand_in.release()

    def _ended(self) -> None:
        """The joined calls are over, or one of them is and takes the other with it."""
        if self._over:
            return
        self._over = True
        self._close_later()
        for end in (self._stand_in.end, self._target_end):
            end.hang_up("the other party of the transferred call hung up")

    def _close_later(self) -> None:
        """When the last answers have crossed."""
        flows = [self._stand_in.flow]
        if self._moved is not None:
            flows.append(self._moved.flow)
        if self._inner is not None:
            flows.append(self._inner)

        def close(now: float) -> None:
            for flow in flows:
                flow.close()

        self.core.schedule(self.core.clock() + _LINGER_S, close)

    # Telling the referrer

    def _notify(self, status: int, *, final: bool) -> None:
        stand_in = self._stand_in
        if self._silent or stand_in.gone:
            return
        self._call.notifies += 1
        headers = [
            ("event", f"refer;id={self._refer.cseq.number}"),
            ("subscription-state", "terminated;reason=noresource" if final else "active;expires=180"),
            ("contact", f"<{self._here}>"),
            ("content-type", "message/sipfrag;version=2.0"),
        ]
        fragment = f"SIP/2.0 {status} {reason_of(status)}\r\n".encode()
        self._towards_referrer(stand_in, "NOTIFY", headers, fragment)

    def _say_bye(self, stand_in: StandIn) -> None:
        self._towards_referrer(stand_in, "BYE", [reason_header("the call was transferred")], b"")

    def _towards_referrer(self, stand_in: StandIn, method: str, headers: list[tuple[str, str]], body: bytes) -> None:
        call, own, peer = stand_in.call, stand_in.own, stand_in.peer
        changes = call.changes
        shift = changes.towards_caller if stand_in.caller else changes.towards_callee
        place = call.notifies + (method == "BYE")
        number = peer.cseq + place if shift is None else peer.cseq
        hop = own.hop
        if hop is None:
            return
        make = partial(request_towards, call, own, peer, method, number, headers, body)
        leg = "a" if stand_in.caller else call.leg
        OwnRequest(self.core, make, changes.extras, leg, own.hiding, place=place).send(own.open_flow, hop)


def _rights(call: Call, caller: bool) -> Caller:
    """In whose name the target is called."""
    if caller:
        return call.decision.caller
    if call.trunk:
        return Caller(CallerKind.TRUNK, call.trunk)
    return Caller(CallerKind.USER, call.callee_user) if call.callee_user else Caller(CallerKind.ANYONE)


def _bare(uri: Uri) -> str:
    """The URI without what only a Refer-To may carry."""
    return str(uri.without_params("method")).partition("?")[0]


def _header_of(uri: Uri, name: str) -> str:
    """A header that the URI asks for (RFC 3261 §19.1.1), escapes undone; '' for none."""
    for part in (uri.headers or "").split("&"):
        key, _, value = part.partition("=")
        if key.lower() == name:
            return unquote(value)
    return ""
