"""A request of our own in somebody's dialog: sent to whoever is there, signed where a trunk challenges it.

Nobody waits for what it is answered. It is made in the numbers of the end that it speaks for, and changed like any
other request of that end (`dialog_changes`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from appliance.logs import log
from appliance.proxy.destination import Hop
from appliance.proxy.forwarding import new_via
from appliance.proxy.trunk_login import LoginRefused, Signing, sign
from appliance.proxy.veil import Hiding
from appliance.sip.client_transaction import Cause, ClientTransaction
from appliance.sip.flow import Flow, FlowClosed
from appliance.sip.message import Request, Response

if TYPE_CHECKING:
    from appliance.proxy.core import SipCore

Make = Callable[[str], Request]
"""Makes a request of the value of our Via."""


class OwnRequest:
    """One of them. `extras` and `to_leg` say what is changed on its way, `hiding` what its reader may not see.

    `place` is which of the numbers between two of the sender's it takes (`dialog_shift`). `trunk` is the one that it
    goes to in a dialog of our own, where each making has a number of its own.
    """

    def __init__(
        self,
        core: SipCore,
        make: Make,
        extras: str = "",
        to_leg: str = "",
        hiding: Hiding | None = None,
        *,
        place: int = 0,
        trunk: str = "",
    ) -> None:
        self._core = core
        self._make = make
        self._extras = extras
        self._to_leg = to_leg
        self._hiding = hiding
        self._place = place
        self._trunk = trunk
        self._signing: Signing | None = None

    def send(self, flow: Flow | None, hop: Hop) -> None:
        """Over `flow`, or to `hop`."""
        if self._core.trunk_tls.any:
            hop = self._core.trunk_tls.hop(hop, self._extras, self._to_leg)
        self._core.sender.reach(flow, hop, self._send)

    def _send(self, flow: Flow) -> None:
        core = self._core
        via, branch = new_via(flow, core.unique())
        request = self._make(via)
        signing = self._signing = self._signing or self._signing_over(flow)
        if self._extras:
            tries = self._place + (0 if signing is None else signing.tries)
            core.logins.change(request, self._extras, self._to_leg, tries)
        if signing is not None and request.method != "ACK":
            signing.begin(flow.remote, core.clock())
            sign(request, signing.signatures, core.unique())
        if self._hiding is not None:
            core.hide(request, flow, self._hiding)
        if request.method != "ACK":
            core.layer.open_client(request, flow, self, core.clock(), branch=branch)
            return
        core.sender.acks_out += 1
        try:
            flow.send(request.to_bytes())
        except FlowClosed:
            core.counters.flow_errors += 1

    def _signing_over(self, flow: Flow) -> Signing | None:
        logins = self._core.logins
        if not logins.any:
            return None
        if self._extras:
            return logins.signing(self._extras, self._to_leg, flow)
        return logins.signing_at(self._trunk, flow)

    def on_response(self, client: ClientTransaction, response: Response, now: float) -> None:
        signing = self._signing
        if signing is None or response.status == 100:
            return
        signing.heard(response.status)
        if response.status in (401, 407):
            try:
                again = signing.challenged(response, now, room=True)
            except LoginRefused as refused:
                log.info("request.refused", call_id=response.call_id, status=response.status, cause=str(refused))
                return
            if again:
                self._send(client.flow)

    def on_failure(self, client: ClientTransaction, cause: Cause, now: float) -> None:
        """The dialog is over for us all the same."""
