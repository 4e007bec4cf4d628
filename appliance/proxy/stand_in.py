"""The box in the place of one side of a call, while and after a transfer: it watches first, then it takes what comes.

To the core it is the agent behind an `InnerFlow`; the side's own BYE ends that side's part only.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from appliance.config.dialplan import Profile
from appliance.proxy.call import Call
from appliance.proxy.inner_flow import InnerFlow
from appliance.proxy.splice import End
from appliance.sip.build import response_to
from appliance.sip.dialog import Dialog, DialogState
from appliance.sip.errors import Rejected
from appliance.sip.flow import Flow
from appliance.sip.headers import parse_name_addr_untrusted

if TYPE_CHECKING:
    from appliance.proxy.transfer import Transfer
    from appliance.sip.server_transaction import ServerTransaction


class StandIn:
    """The box in the place of one side of a call: at first it only watches, then it takes what was meant for that side.

    `caller` says which side.
    """

    def __init__(self, transfer: Transfer, call: Call, caller: bool) -> None:
        core = transfer.core
        assert call.callee_side is not None
        self.call = call
        self.caller = caller
        self.taken = False
        self.gone = False
        """Whoever sat here has hung up."""
        self._transfer = transfer
        own, peer = (call.caller_side, call.callee_side) if caller else (call.callee_side, call.caller_side)
        facing = peer.flow
        assert facing is not None
        self.own, self.peer = own, peer
        leg = call.leg if caller else "a"
        entry = transfer.record_routes.entry(
            facing, call.call_id, call.serial, leg, peer.by_contact, call.changes.extras
        )
        self.flow = InnerFlow(core, transfer.rights, facing.local, partial(transfer.receive, self))
        dialog = Dialog(
            call_id=call.call_id,
            local=own.address,
            remote=peer.address,
            local_tag=own.address_tag or "",
            remote_tag=peer.address_tag or "",
            remote_target=peer.contact,
            route_set=(entry, *peer.routes),
            secure=False,
            state=DialogState.CONFIRMED,
            local_cseq=own.cseq,
        )
        address = parse_name_addr_untrusted(peer.address).uri
        self.end = End(self.flow, dialog, address.username or address.host)
        call.stand_in = self

    def flow_instead(self, flow: Flow, towards_caller: bool) -> Flow | None:
        """Where a request of the other party goes that was meant for the side that is stood in for."""
        return self.flow if self.taken and flow is not self.flow and towards_caller is self.caller else None

    def absorbs(self, transaction: ServerTransaction, towards_caller: bool, now: float) -> bool:
        """Whether a request of the side that is stood in for goes no further: its BYE ends its own part only."""
        if transaction.flow is self.flow or towards_caller is self.caller:
            return False
        request = transaction.request
        if request.method == "BYE":
            self.gone = self.taken = True
            transaction.respond(response_to(request, 200), now)
            return True
        if self.taken:
            raise Rejected(481, "Call/Transaction Does Not Exist", "this end of the call was transferred away")
        return False

    def sit_down(self) -> None:
        """From now on what the other party sends comes to the box; its media, if anchored, goes to plain RTP."""
        self.taken = True
        if self.call.media is not None:
            leg = "a" if self.caller else self.call.leg
            profile = self._transfer.core.anchoring.leg(Profile.RTP, self.flow)
            self.call.media.change_leg(leg, profile)

    def ended(self, sentence: str) -> None:
        """The call is over."""
        self.end.over = True
        self._transfer.lost(self, sentence)

    def release(self) -> None:
        """The transfer has failed: all as before."""
        self.call.stand_in = None
