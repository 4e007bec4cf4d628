"""Follows the calls: what each request and response of a dialog means for its record, its media and its page."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from appliance.config.admission import RefusalKind
from appliance.config.dialplan import Refer
from appliance.config.settings import Settings
from appliance.media.backend import PortsExhausted
from appliance.proxy.anchoring import Anchoring
from appliance.proxy.branch import Attempt, Branch
from appliance.proxy.call import ANSWERED, ENDED, RINGING, TRYING, Call, Calls, Side
from appliance.proxy.call_bandwidth import CallBandwidth
from appliance.proxy.codec_path import CodecPath, filter_request, filter_response
from appliance.proxy.dialog_changes import UNCHANGED
from appliance.proxy.dialog_shift import CseqShift
from appliance.proxy.overload import overloaded
from appliance.proxy.record_route import RecordRoutes
from appliance.proxy.response_context import ResponseContext
from appliance.proxy.rewriting import Rewriting
from appliance.proxy.session_timers import REFRESHING, SessionTimers
from appliance.proxy.topology import noted
from appliance.proxy.trunk_logins import TrunkLogins
from appliance.proxy.veil import hiding_of
from appliance.router.admission import Admission
from appliance.router.causes import Cause
from appliance.router.decision import Decision
from appliance.router.priority import Priorities
from appliance.router.question import Caller, CallerKind
from appliance.sip.errors import BadMessage, Rejected
from appliance.sip.flow import Flow
from appliance.sip.message import Request, Response
from appliance.sip.server_transaction import ServerTransaction

#: Answers to a re-INVITE or UPDATE that end the call (RFC 5057 §5.1).
_GONE = frozenset({404, 408, 410, 416, 481, 482, 483, 484, 485, 604})
_UNANSWERED = (TRYING, RINGING)
_TRUNK, _CALLER, _CALLEE = CallerKind.TRUNK, Cause.CALLER, Cause.CALLEE
"""By themselves, since looking a member up costs as much as a dozen comparisons."""


class CallFollower:
    """`hang_up` ends a call that stands from our side; `wall` gives the time of day in seconds."""

    def __init__(
        self,
        calls: Calls,
        record_routes: RecordRoutes,
        logins: TrunkLogins,
        wall: Callable[[], float],
        hang_up: Callable[[Call, str], None],
        admission: Admission,
    ) -> None:
        self.calls = calls
        self.admission = admission
        self._bandwidth = CallBandwidth(admission)
        self.session_timers = SessionTimers()
        self._record_routes = record_routes
        self._logins = logins
        self._wall = wall
        self._hang_up = hang_up

    def configure(self, settings: Settings, anchoring: Anchoring, rewriting: Rewriting) -> None:
        self.settings = settings
        self.anchoring = anchoring
        self.rewriting = rewriting
        self._codecs = CodecPath(settings)
        self._room = frozenset(name for name, trunk in settings.trunks.items() if trunk.refer is Refer.CARRY_OUT)
        self.calls.limit = settings.sip.max_calls
        self.session_timers.configure(settings)
        self._priorities = Priorities(settings.priority)

    def adopt(self, now: float) -> None:
        """Calls from before there were any limits count in those that a reload has brought."""
        for call in self.calls if self.admission.limited else ():
            if call.lease is None and call.caller_side.flow is not None:
                source = call.caller_side.flow.remote[0]
                decision = call.decision
                call.lease = self.admission.adopt(decision.caller, source, decision.route, call.trunk, now)
                call.lease.owner = call

    def open(self, transaction: ServerTransaction, caller: Caller, decision: Decision, now: float) -> Call:
        if self.calls.full and not self._priorities.emergency(decision.called):
            raise overloaded(self.settings, f"{self.calls.limit} calls are in progress", RefusalKind.BOX_FULL)
        request = transaction.request
        lease = None
        if self.admission.limited:
            source = transaction.flow.remote[0]
            urgency = self._priorities.urgency(request, caller, decision.called)
            lease = self.admission.admit(caller, source, decision.route, self._bandwidth.offered(request), now, urgency)
        hiding = hiding_of(request.veil)
        side = Side(request, "from", transaction.flow, cseq=request.cseq.number, hiding=hiding)
        call = self.calls.open(
            call_id=request.call_id,
            decision=decision,
            caller_side=side,
            wall=self._wall(),
            now=now,
        )
        if lease is not None:
            call.lease, lease.owner = lease, call
        if caller.kind is _TRUNK:
            call.from_trunk = caller.name
        return call

    def admit(self, branch: Branch, now: float) -> None:
        """The branch's share of the limits. Raises `Rejected` where one of them is full."""
        context = branch.context
        call = context.call
        if call is not None and call.lease is not None and context.record:
            to = branch.destination
            subjects = self.admission.outgoing(user=to.user, trunk=to.trunk, group=to.group, gateway=to.gateway)
            branch.hold = self.admission.attempt(call.lease, subjects, now)

    def prepare(self, context: ResponseContext, attempt: Attempt, request: Request) -> None:
        call = context.call
        branch = attempt.branch
        flow = attempt.flow
        if context.spread:
            self.rewriting.leave(context, attempt, request)
        if call is not None and call.state is not ENDED:
            if call.lease is not None and not context.record:
                self._bandwidth.asked(call, request)
            if context.record and context.invites:
                branch.leg = branch.leg or call.next_leg()
                self._anchor(call, context, branch, flow)
                if self._codecs:
                    self._note_codecs(call, context, branch)
            if call.codecs is not None:
                filter_request(request, call.codecs, context.from_leg, branch.leg or context.to_leg)
            if call.media is not None:
                from_leg, to_leg = context.from_leg, branch.leg or context.to_leg
                try:
                    if branch.challenged is None:
                        attempt.exchange = call.media.request(request, from_leg, to_leg)
                    else:  # the same offer once more
                        attempt.exchange = branch.challenged.exchange
                        request.set_body(branch.challenged.client.request.body)
                except PortsExhausted as none:
                    raise overloaded(
                        self.settings, str(none) or "no media port is free", RefusalKind.MEDIA_FULL
                    ) from None
        if self._room and context.invites and context.record and call is not None:
            self._make_room(call, branch, request)
        if context.record and context.spread:
            veil, hiding = context.request.veil, branch.destination.hiding
            if veil is not None or hiding is not None:
                branch.changes = attrs.evolve(branch.changes, veils=noted(hiding_of(veil), hiding))
        changes = branch.changes
        extras = context.extras if changes is UNCHANGED else changes.extras
        if context.extras:
            signing = branch.signing
            self._logins.change(request, extras, context.to_leg, 0 if signing is None else signing.tries)
            attempt.changed = True
        if context.record:
            upstream = context.transaction.flow
            serial = call.serial if call is not None else ""
            call_id = request.call_id
            by_contact = branch.destination.by_contact
            make = self._record_routes.entry
            request.put_above(
                "record-route",
                "Record-Route: " + make(flow, call_id, serial, branch.leg or context.to_leg, by_contact, extras),
                "Record-Route: "
                + make(upstream, call_id, serial, context.from_leg, context.upstream_by_contact, extras),
            )

    def _note_codecs(self, call: Call, context: ResponseContext, branch: Branch) -> None:
        """Which codecs may pass on the caller's leg and on that of a branch."""
        mine = self._codecs.of_caller(context.caller)
        theirs = self._codecs.of_callee(branch.destination.trunk, branch.destination.user)
        for leg, codecs in (("a", mine), (branch.leg, theirs)):
            if codecs is not None:
                if call.codecs is None:
                    call.codecs = {}
                call.codecs[leg] = codecs

    def _make_room(self, call: Call, branch: Branch, request: Request) -> None:
        """Numbers for our NOTIFYs, in the name of a trunk that cannot carry out transfers."""
        if branch.destination.trunk in self._room:
            branch.changes = attrs.evolve(branch.changes, towards_caller=CseqShift(0))
        elif call.from_trunk in self._room and branch.changes.towards_callee is None:
            branch.changes = attrs.evolve(branch.changes, towards_callee=CseqShift(request.cseq.number))

    def _anchor(self, call: Call, context: ResponseContext, branch: Branch, flow: Flow) -> None:
        upstream = context.transaction.flow
        destination = branch.destination
        profile = self.anchoring.offered(context.request, upstream)
        if self.anchoring.wanted(context.caller_anchor, profile, destination, context.request, upstream, flow):
            if call.media is None:
                self.admit_media(call)
            self.anchoring.place(call, profile, upstream, branch.leg, destination, flow)

    def admit_media(self, call: Call) -> None:
        """Count a call whose media goes through us. Raises `Rejected` 503 beyond the limit."""
        most = self.settings.media.max_sessions
        if len(self.calls.anchored) >= most:
            raise overloaded(self.settings, f"{most} calls with media are in progress", RefusalKind.MEDIA_FULL)
        self.calls.anchored.add(call.serial)

    def arrived(self, context: ResponseContext, attempt: Attempt, response: Response, now: float) -> None:
        call = context.call
        if call is None or call.state is ENDED:
            return
        call.heard_at = now
        method = context.request.method
        status = response.status
        starts = method == "INVITE" and context.record
        if 200 <= status < 300 and method in REFRESHING:
            self.session_timers.answered(context.outgoing, response)
        if starts:
            call.tags.add(response.to_tag)
        if starts and status < 200 and call.state is TRYING:
            call.state = RINGING
            call.ringing_at = self._wall()
            call.callee = attempt.branch.destination.label
        if call.codecs is not None and response.body:
            leg = attempt.branch.leg or context.to_leg
            filter_response(response, context.request, call.codecs, leg, context.from_leg)
        if call.media is not None and attempt.exchange is not None:
            if starts and call.state is ANSWERED:
                # The caller has but one set of ports here, and they lead to whoever answered first.
                raise Rejected(487, "Request Terminated", "the call was answered elsewhere before")
            call.media.response(response, attempt.exchange, method)
        if starts and status >= 200 and call.state in _UNANSWERED:
            self._answered(call, attempt, response)

    def lost(self, context: ResponseContext, branch: Branch, attempt: Attempt | None) -> None:
        call = context.call
        if call is None or call.media is None:
            return
        if context.record:
            call.media.drop(branch.leg)
        elif attempt is not None and attempt.exchange is not None:
            call.media.refused(attempt.exchange)

    def _answered(self, call: Call, attempt: Attempt, response: Response) -> None:
        branch = attempt.branch
        call.state = ANSWERED
        call.answered_at = self._wall()
        call.status = response.status
        call.callee = branch.destination.label
        call.trunk = branch.destination.trunk
        call.gateway_name = branch.destination.gateway
        call.callee_user = branch.destination.user
        call.gateway = living = branch.destination.living
        if living is not None:
            living.carried.add(call)
        call.number = branch.destination.number
        call.leg = branch.leg
        call.changes = branch.changes
        destination = branch.destination
        call.callee_side = Side(response, "to", attempt.flow, destination.by_contact, hiding=destination.hiding)
        branch.hold = None  # it ends with the call
        self.calls.answered += 1
        if call.media is not None:
            if attempt.exchange is None:
                call.media.close()  # the branch that won is not anchored
                call.media = None
                self.calls.anchored.discard(call.serial)
            else:
                call.media.select(branch.leg)
        call.hang_up = lambda sentence: self._hang_up(call, sentence)

    def acknowledged(self, call: Call, request: Request, to_leg: str) -> str:
        """The ACK passes; where its answer cannot cross it goes on without. Why the call must end then, else ''."""
        if request.body and call.lease is not None:
            self._bandwidth.settled(call, request, "ACK", 0)
        if request.body and (call.media is not None or call.codecs is not None):
            from_leg = "a" if to_leg != "a" else call.leg
            try:
                if call.codecs is not None:
                    filter_request(request, call.codecs, from_leg, to_leg)
                if call.media is not None:
                    call.media.request(request, from_leg, to_leg)
            except (Rejected, BadMessage) as refused:
                request.set_body(b"")
                return f"in the ACK: {refused}"
        return ""

    def finished(self, context: ResponseContext, response: Response, now: float) -> None:
        call = context.call
        if call is None:
            return
        method = context.request.method
        status = response.status
        if call.lease is not None:
            self._bandwidth.settled(call, response, method, status)
        if 200 <= status < 300 and method in REFRESHING:
            self.session_timers.agreed(call, response, now)
        if method == "INVITE" and context.record:
            if status >= 300:
                why = context.ending or context.best.sentence or f"{status} {response.reason}"
                call.reason = response.get("reason") or ""
                call.ended_by = "caller" if context.cancelled else context.best.by
                cause = Cause.CANCELLED if context.ending else context.best.cause
                self.calls.end(call, why, self._wall(), status, cause)
        else:
            self.answered_within(call, context.request, context.to_leg, response)

    def answered_within(self, call: Call, request: Request, to_leg: str, response: Response) -> None:
        """The final response to a request inside a dialog has gone back."""
        if call.callee_side is None:
            return  # one early dialog among several: the INVITE's own end tells the story
        if call.callee_side.address_tag != (request.to_tag if to_leg != "a" else request.from_tag):
            return  # the dialog of a second 2xx of the fork, which the caller ends at once (§13.2.2.4)
        method, status = request.method, response.status
        if method == "BYE":
            if status not in (401, 407):  # it comes again with a password
                call.ended_by = who = "caller" if to_leg != "a" else "callee"
                if "reason" in request.kinds:
                    call.reason = request.get("reason") or ""
                cause = _CALLER if to_leg != "a" else _CALLEE
                self.calls.end(call, f"the {who} hung up", self._wall(), cause=cause)
        elif (method in ("INVITE", "UPDATE") and status in _GONE) or (method == "INFO" and status == 481):
            other = "callee" if to_leg != "a" else "caller"
            why = f"the {other} answered {method} with {status} {response.reason}: it knows the call no more"
            self.calls.end(call, why, self._wall(), cause=Cause.FORGOTTEN)
