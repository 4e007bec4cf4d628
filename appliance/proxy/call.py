"""A `Call` follows one INVITE and its dialog: who talks to whom, since when, how it ended, with which media.

It never decides where a message goes (the Record-Route entries do), so losing it at a restart hurts no dialog.
`Calls` is the register of those in progress and the last ones that ended.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from enum import Enum
from itertools import takewhile
from typing import TYPE_CHECKING

import attrs

from appliance.logs import LEVELS, log
from appliance.media.figures import CallMedia
from appliance.proxy.destination import Hop
from appliance.proxy.dialog_changes import UNCHANGED, DialogChanges
from appliance.proxy.media_history import MediaHistory
from appliance.proxy.media_path import MediaPath
from appliance.proxy.veil import Hiding
from appliance.router.causes import Cause
from appliance.router.decision import Decision
from appliance.router.explanation import line_of
from appliance.router.gateway import LivingGateway
from appliance.router.hunting import Selection
from appliance.router.lease import Lease
from appliance.router.question import CallerKind
from appliance.rtc.sdp_filter import CodecFilter
from appliance.sip.errors import BadMessage
from appliance.sip.flow import Flow
from appliance.sip.headers import parse_name_addr_untrusted
from appliance.sip.message import Message
from appliance.sip.uri import parse_uri_untrusted

if TYPE_CHECKING:
    from appliance.proxy.stand_in import StandIn
    from appliance.proxy.tried import Tried


class CallState(Enum):
    TRYING = "trying"
    RINGING = "ringing"
    ANSWERED = "answered"
    ENDED = "ended"


TRYING, RINGING, ANSWERED, ENDED = CallState
NONE = Cause.NONE
"""By themselves, since looking a member up costs as much as a dozen comparisons."""


@attrs.define(eq=False)
class Side:
    """One end of the dialog, as far as a request of our own to it needs to know (RFC 3261 §12.2.1.1).

    `message` is what it said of itself when the dialog was made: its INVITE, or its 2xx. Nothing is read out of it
    before somebody asks.
    """

    message: Message
    key: str
    """Which header of `message` names this end: "from" or "to"."""
    flow: Flow | None = None
    by_contact: bool = False
    tag: str = ""
    """To be added to the address, for an end of our own."""
    cseq: int = 0
    """The highest CSeq number that came from this end."""
    hiding: Hiding | None = None
    """What of the other end it may not see."""

    @property
    def address(self) -> str:
        """The From or To value, with its tag, as a request towards it says it."""
        value = self.message.require(self.key)
        return f"{value};tag={self.tag}" if self.tag else value

    @property
    def address_tag(self) -> str | None:
        return self.tag or (self.message.from_tag if self.key == "from" else self.message.to_tag)

    @property
    def contact(self) -> str:
        """The URI of its Contact, '' for none, or for one that cannot be read."""
        try:
            contacts = self.message.values("contact")
            return str(parse_name_addr_untrusted(contacts[0], "Contact").uri) if contacts else ""
        except BadMessage:
            return ""

    @property
    def hop(self) -> Hop | None:
        """Where a request towards it goes first; None where its Contact never became known."""
        contact = self.contact
        if not contact:
            return None
        routes = self.routes
        return Hop.of(parse_name_addr_untrusted(routes[0]).uri if routes else parse_uri_untrusted(contact))

    @property
    def open_flow(self) -> Flow | None:
        """The flow that a request towards it takes before `hop`; None where it goes by the Contact, or none is open."""
        return None if self.by_contact or self.flow is None or self.flow.closed else self.flow

    @property
    def routes(self) -> tuple[str, ...]:
        """Route values between us and it, nearest first: what others than we recorded; none where unreadable."""
        try:
            recorded = self.message.values("record-route")
            for value in recorded:
                parse_name_addr_untrusted(value, "Record-Route")
        except BadMessage:
            return ()
        if self.key == "from":
            return tuple(recorded)
        # The entries above ours are nearer to the callee (RFC 3261 §12.1.2).
        return tuple(reversed(list(takewhile(lambda value: "<sip:jf-" not in value, recorded))))


def _nothing(sentence: str) -> None:
    """Stands in until the call has ends to hang up on."""


@attrs.define(eq=False)
class Call:
    """One call. Times `…_at` are wall-clock seconds; `heard_at` is monotonic: the last message of the dialog."""

    serial: str
    call_id: str
    decision: Decision
    """The router's: who called whom, and where it leads."""
    started_at: float
    heard_at: float
    caller_side: Side
    state: CallState = TRYING
    callee_side: Side | None = None
    callee: str = ""
    """The destination that rings or answered, in words."""
    trunk: str = ""
    """The trunk that it went out by, '' for none."""
    from_trunk: str = ""
    """The trunk that it came in from."""
    tags: set[str | None] = attrs.field(factory=set)
    """The To tags of all who rang or answered: the dialogs of the call."""
    selection: Selection | None = None
    """How its gateway was chosen, where there was a choice."""
    gateway: LivingGateway | None = None
    """The gateway that answered, where its figures are kept."""
    gateway_name: str = ""
    """The gateway that answered, as its trunk names it; '' for none."""
    number: str = ""
    """The number as that gateway was given it."""
    detours: str = ""
    """Where phones redirected it to, in words."""
    leg: str = ""
    """The media leg of the branch that answered."""
    changes: DialogChanges = UNCHANGED
    """What we change in the messages of its dialog."""
    rewriting: list[str] | Callable[[], list[str]] = list
    """What the rules did to the INVITE, or what will say so."""
    codecs: dict[str, CodecFilter] | None = None
    """The codecs that may pass, by leg; None where all may."""
    media: MediaPath | None = None
    last_media: CallMedia | None = None
    """The media figures at the end."""
    ringing_at: float | None = None
    answered_at: float | None = None
    ended_at: float | None = None
    status: int = 0
    """The final response of the INVITE, 0 while there is none."""
    ending: str = ""
    """One sentence: who ended or refused it, and why."""
    ended_by: str = "box"
    """caller, callee or box."""
    reason: str = ""
    """The Reason of its BYE or of its failure (RFC 3326)."""
    tried: list[Tried] | None = None
    """The destinations that were tried in vain."""
    cause: Cause = Cause.NONE
    """The kind of that."""
    began: float = 0.0
    """Monotonic: when it was opened."""
    held: tuple[str, ...] = ()
    """The limits that it held at the end, with their counts."""
    history: MediaHistory | None = None
    """The figures of its media over time, None where its media passes us by."""
    refresh_by: float | None = None
    """Monotonic: when its session runs out unless somebody refreshes it (RFC 4028); None without a timer."""
    lease: Lease | None = None
    """What it holds of the limits, None where there are none."""
    callee_user: str = ""
    """The user of ours whose phone answered, '' for none."""
    stand_in: StandIn | None = None
    """The box in the place of one side, while and after it carries out a transfer."""
    notifies: int = 0
    """Requests of our own in this dialog about transfers."""
    legs_made: int = 0
    hang_up: Callable[[str], None] = _nothing
    """End it from our side, with the sentence why; set by whoever can."""

    @property
    def caller(self) -> str:
        """How the caller is called on our pages: the user, or what From says."""
        caller = self.decision.caller
        if caller.kind is CallerKind.USER:
            return caller.name
        return self.caller_side.message.from_name

    @property
    def called(self) -> str:
        """The number or name in the Request-URI, as it came."""
        return self.decision.called

    @property
    def route(self) -> str:
        """The router's explanation in one line."""
        selection = f"; {self.selection.explanation}" if self.selection is not None else ""
        steps = self.rewriting_steps
        rewritten = f"; rewritten: {'; '.join(steps)}" if steps else ""
        verdict = self.caller_side.message.get("x-identity-verdict")
        signature = f"; caller's number: {verdict}" if verdict else ""
        return line_of(self.decision) + selection + self.detours + rewritten + signature

    @property
    def rewriting_steps(self) -> list[str]:
        """What was done to the INVITE on its way in and out to the last destination tried; made when asked."""
        if callable(self.rewriting):
            self.rewriting = self.rewriting()
        return self.rewriting

    def silent(self, sentence: str) -> None:
        """The media has not been heard for too long."""
        self.hang_up_for(Cause.SILENCE, sentence)

    def hang_up_for(self, cause: Cause, sentence: str) -> None:
        """End it from our side where it stands, with the kind of cause as well."""
        if self.state is ANSWERED:
            self.cause = cause
            self.hang_up(sentence)

    def next_leg(self) -> str:
        """The name of the next branch's media leg: b1, b2 …"""
        self.legs_made += 1
        return f"b{self.legs_made}"


class Calls:
    """All calls. `limit` bounds those in progress; the last `remembered` ended ones are kept to be looked at."""

    def __init__(self, prefix: str, *, limit: int, remembered: int = 200) -> None:
        self._prefix = prefix
        self._made = self._refused = 0
        self.limit = limit
        self.active: dict[str, Call] = {}
        self.anchored: set[str] = set()
        """The serials of those whose media goes through us."""
        self._by_call_id: dict[str, Call] = {}
        self.ended: deque[Call] = deque(maxlen=remembered)
        self.left_gateway: Callable[[Call], None] = lambda call: None
        """Told of each call that has ended at a gateway whose figures are kept."""
        self.record: Callable[[Call], None] | None = None
        """Takes each call that has ended, for its record."""
        self.total = 0
        self.answered = 0

    @property
    def full(self) -> bool:
        return len(self.active) >= self.limit

    def __iter__(self) -> Iterator[Call]:
        return iter(list(self.active.values()))

    def open(
        self,
        *,
        call_id: str,
        decision: Decision,
        caller_side: Side,
        wall: float,
        now: float,
    ) -> Call:
        self._made += 1
        self.total += 1
        serial = f"{self._prefix}{self._made:x}"
        call = Call(serial, call_id, decision, wall, now, caller_side, began=now)
        self.active[serial] = self._by_call_id[call_id] = call
        return call

    def serial_of_refusal(self) -> str:
        """For an INVITE that made no call; none of these is a call's."""
        self._refused += 1
        return f"{self._prefix}x{self._refused:x}"

    def find(self, serial: str, call_id: str) -> Call | None:
        """The call behind one of our Record-Route entries, None after a restart or once it has ended."""
        call = self.active.get(serial)
        return call if call is not None and call.call_id == call_id else None

    def made_before(self, serial: str) -> bool:
        """Whether a call, not '', had this serial before the box was started again."""
        return serial != "" and not serial.startswith(self._prefix)

    def of_dialog(self, call_id: str) -> Call | None:
        """The latest call of this Call-ID."""
        return self._by_call_id.get(call_id)

    def end(self, call: Call, ending: str, wall: float, status: int | None = None, cause: Cause = Cause.NONE) -> None:
        """Close the call once; later reasons do not overwrite the first."""
        if call.state is ENDED:
            return
        call.state = ENDED
        call.ended_at = wall
        call.ending = ending
        if cause is not NONE:
            call.cause = cause
        if status is not None:
            call.status = status
        call.hang_up = _nothing
        if call.gateway is not None:
            call.gateway.carried.discard(call)
        if call.lease is not None:
            call.held = call.lease.told
            call.lease.release()
            call.lease = None
        if call.media is not None:
            call.last_media = call.media.media.snapshot()
            if call.history is not None:
                call.history.add(call.last_media, wall)
            call.media.close()
            call.media = None
        if call.stand_in is not None:
            call.stand_in.ended(ending)
        if call.gateway is not None:
            self.left_gateway(call)
        del self.active[call.serial]
        self.anchored.discard(call.serial)
        if self._by_call_id.get(call.call_id) is call:
            del self._by_call_id[call.call_id]
        self.ended.appendleft(call)
        if self.record is not None:
            self.record(call)
        if log.threshold <= LEVELS["info"]:
            talked = 0 if call.answered_at is None else round(wall - call.answered_at, 1)
            log.info(
                "call.ended",
                call_id=call.call_id,
                caller=call.caller,
                called=call.called,
                callee=call.callee,
                status=call.status,
                talked_s=talked,
                ending=ending,
            )
