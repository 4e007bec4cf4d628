"""The test lines: numbers at which the box itself answers, with an echo or a tone.

Here the box is a user agent server (RFC 3261 §13.3): it repeats its 200 until the ACK, takes re-INVITEs, and hangs up
when a line's time is over. What is heard on the line is the media bridge's work.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from appliance.config.admission import RefusalKind
from appliance.media.backend import Line, PortsExhausted
from appliance.media.bridge import Bridge, MediaCall
from appliance.proxy.call import Call, CallState, Side
from appliance.proxy.destination import Hop
from appliance.proxy.extensions import refuse_body, refuse_unknown
from appliance.proxy.guests import LINES
from appliance.proxy.hang_up import reason_header
from appliance.proxy.media_path import MediaPath
from appliance.proxy.overload import overloaded
from appliance.proxy.own_request import OwnRequest
from appliance.proxy.record_route import uri_transport
from appliance.proxy.sdp_body import sdp_of, unacceptable
from appliance.router.causes import Cause
from appliance.router.decision import Decision
from appliance.router.question import Caller
from appliance.rtc.errors import BadMedia
from appliance.sip.build import response_to
from appliance.sip.dialog import Dialog, DialogId, RepeatedOk, dialog_id_of
from appliance.sip.errors import BadMessage, Rejected
from appliance.sip.flow import Flow
from appliance.sip.headers import parse_name_addr_untrusted
from appliance.sip.message import Request
from appliance.sip.timers import Timer
from appliance.sip.uri import parse_uri_untrusted

if TYPE_CHECKING:
    from appliance.config.settings import Settings
    from appliance.proxy.core import SipCore
    from appliance.sip.server_transaction import ServerTransaction

_KINDS = {"echo": Line.ECHO, "tone": Line.TONE}
_ALLOW = "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO"


@attrs.define(eq=False)
class LineCall:
    """One call to a line, alive between our 200 and a BYE."""

    call: Call
    media: MediaCall
    line: Line
    dialog: Dialog
    flow: Flow
    contact: str
    offered: bool = False
    """Our 200 carried the offer: the ACK answers it."""
    ok: RepeatedOk | None = None
    longest: Timer | None = None


class Lines:
    """All calls to test lines, by dialog."""

    def __init__(self, core: SipCore, bridge: Bridge) -> None:
        self._core = core
        self._bridge = bridge
        self._calls: dict[DialogId, LineCall] = {}

    def configure(self, settings: Settings) -> None:
        self._settings = settings

    def receive(
        self, transaction: ServerTransaction, name: str, caller: Caller, decision: Decision, now: float
    ) -> None:
        """A request outside a dialog for the line `name`. Raises `Rejected` and `BadMessage`."""
        request = transaction.request
        refuse_unknown(request)
        if request.method == "OPTIONS":
            headers = [("allow", _ALLOW), ("accept", "application/sdp")]
            transaction.respond(response_to(request, 200, to_tag=self._core.unique(), headers=headers), now)
            return
        if request.method != "INVITE":
            raise Rejected(405, "Method Not Allowed", f"line {name} takes calls only", (("Allow", _ALLOW),))
        core = self._core
        settings = self._settings.lines.get(name) or LINES[name]
        flow = transaction.flow
        dialog = Dialog.as_uas_untrusted(request, core.unique(), secure=flow.secure)
        call = core.follower.open(transaction, caller, decision, now)
        try:
            core.follower.admit_media(call)
        except Rejected as rejected:
            core.calls.end(call, rejected.cause, core.wall(), rejected.status, Cause(rejected.why))
            raise
        media = self._bridge.open_call(call.call_id, call.silent)
        call.media = MediaPath(media)
        transport = "" if flow.transport == "UDP" else f";transport={uri_transport(flow)}"
        contact = f"<sip:{name}@{flow.sent_by}{transport}>"
        line_call = LineCall(call, media, _KINDS[settings.kind], dialog, flow, contact)
        try:
            profile = core.anchoring.leg(core.anchoring.offered(request, flow), flow, call.from_trunk)
            call.media.add_leg("a", profile)
            self._answer(line_call, transaction, now)
        except Rejected as rejected:
            core.calls.end(call, rejected.cause, core.wall(), rejected.status, Cause(rejected.why))
            raise
        except BadMessage as bad:
            core.calls.end(call, bad.reason, core.wall(), bad.status)
            raise
        dialog.confirm()
        call.state = CallState.ANSWERED
        call.answered_at = core.wall()
        call.status = 200
        call.callee = f"line {name}"
        core.calls.answered += 1
        call.callee_side = Side(request, "to", tag=dialog.local_tag)
        call.hang_up = lambda sentence: self._hang_up(line_call, sentence)
        self._calls[dialog.id] = line_call
        over = f"line {name} ends after {settings.longest_s:g} s"
        line_call.longest = core.schedule(now + settings.longest_s, lambda _: self._hang_up(line_call, over))

    def _answer(self, line_call: LineCall, transaction: ServerTransaction, now: float) -> None:
        request = transaction.request
        sdp = sdp_of(request)
        refuse_body(request, sdp)
        try:
            if sdp is None:
                body = line_call.media.offer_line(leg="a", line=line_call.line)
            else:
                body = line_call.media.answer_line(sdp, leg="a", line=line_call.line)
        except BadMedia as bad:
            raise unacceptable(bad, request.method) from None
        except PortsExhausted as none:
            raise overloaded(self._settings, str(none) or "no media port is free", RefusalKind.MEDIA_FULL) from None
        line_call.offered = sdp is None
        response = response_to(
            request,
            200,
            to_tag=line_call.dialog.local_tag,
            headers=[("contact", line_call.contact), ("allow", _ALLOW)],
            body=body,
            content_type="application/sdp",
        )
        if request.method != "INVITE":
            transaction.respond(response, now)
            return
        self._settle(line_call)
        line_call.ok = RepeatedOk(
            transaction,
            response,
            self._core.timers,
            lambda _: self._hang_up(line_call, "the caller never acknowledged our answer"),
            now,
            t1=self._settings.sip.t1_s,
            t2=self._settings.sip.t2_s,
        )

    def _settle(self, line_call: LineCall) -> None:
        if line_call.ok is not None:
            line_call.ok.acknowledged()
            line_call.ok = None

    def acknowledge(self, request: Request, now: float) -> None:
        """An ACK that no Route leads on; it may be for a line."""
        line_call = self._calls.get(dialog_id_of(request))
        if line_call is None:
            return
        self._settle(line_call)
        line_call.call.heard_at = now
        sdp = sdp_of(request)
        if line_call.offered and sdp is not None:
            line_call.offered = False
            try:
                line_call.media.accept_line(sdp, leg="a")
            except BadMedia as bad:
                self._hang_up(line_call, f"SDP of ACK: {bad}")

    def receive_in_dialog(self, transaction: ServerTransaction, now: float) -> bool:
        """A request inside a line's dialog; False where it belongs to none. Raises `Rejected` and `BadMessage`."""
        request = transaction.request
        line_call = self._calls.get(dialog_id_of(request))
        if line_call is None:
            return False
        line_call.dialog.receive_request_untrusted(request)
        line_call.dialog.refresh_target_untrusted(request)
        line_call.flow = transaction.flow
        line_call.call.heard_at = now
        match request.method:
            case "INVITE":
                self._answer(line_call, transaction, now)
            case "UPDATE" if request.body:
                self._answer(line_call, transaction, now)
            case "BYE":
                transaction.respond(response_to(request, 200), now)
                line_call.call.ended_by = "caller"
                line_call.call.cause = Cause.CALLER
                line_call.call.reason = request.get("reason") or ""
                self._forget(line_call, "the caller hung up")
            case "INFO" | "OPTIONS" | "UPDATE":
                transaction.respond(response_to(request, 200, headers=[("allow", _ALLOW)]), now)
            case _:
                raise Rejected(405, "Method Not Allowed", "on a test line", (("Allow", _ALLOW),))
        return True

    def _forget(self, line_call: LineCall, sentence: str) -> None:
        self._settle(line_call)
        if line_call.longest is not None:
            line_call.longest.cancel()
        self._calls.pop(line_call.dialog.id, None)
        line_call.dialog.end()
        self._core.calls.end(line_call.call, sentence, self._core.wall())

    def _hang_up(self, line_call: LineCall, sentence: str) -> None:
        dialog = line_call.dialog
        if dialog.id not in self._calls:
            return
        flow = None if line_call.flow.closed else line_call.flow
        target = parse_name_addr_untrusted(dialog.route_set[0]).uri if dialog.route_set else None
        hop = Hop.of(target or parse_uri_untrusted(dialog.remote_target))
        hiding = line_call.call.caller_side.hiding
        self._forget(line_call, sentence)
        headers = [reason_header(sentence)]

        def make(via: str) -> Request:
            return dialog.make_request("BYE", via=via, headers=headers)

        OwnRequest(self._core, make, hiding=hiding, trunk=line_call.call.from_trunk).send(flow, hop)
