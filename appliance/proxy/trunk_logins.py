"""Trunks that ask for a password: their challenges answered by us, with the CSeq of the dialog kept right.

Hooks of the branches: `begin` before an attempt's request is made, `sign` when it is, `challenged` when it was refused
with 401 or 407. What must be known later is in the dialog's extras; only what ACK and PRACK say of the INVITE just
before them is remembered here. RFC 3261 §22.2, §22.3.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

import attrs

from appliance.config.dialplan import TrunkSettings
from appliance.proxy.destination import Hop
from appliance.proxy.dialog_changes import change, read_extras
from appliance.proxy.dialog_shift import CseqShift, mentioned
from appliance.proxy.trunk_login import Account, Signing, TrunkLogin, sign
from appliance.sip.headers import CSeq
from appliance.sip.message import Request, Response
from appliance.transport.options import Target

if TYPE_CHECKING:
    from appliance.proxy.branch import Branch
    from appliance.proxy.response_context import ResponseContext
    from appliance.sip.flow import Flow

_REMEMBERED = 4096


class TrunkLogins:
    """Those of all trunks. `any` is False where no trunk has a password, and then nothing else need be asked."""

    def __init__(self, unique: Callable[[], str]) -> None:
        self.any = False
        self._unique = unique
        self._logins: dict[str, TrunkLogin] = {}
        self._tries: OrderedDict[tuple[str, str, int], int] = OrderedDict()
        """Tries of an INVITE or REFER by Call-ID, leg that it went to and CSeq number as the sender wrote it."""

    def configure(self, trunks: Mapping[str, TrunkSettings]) -> None:
        """Other trunks from now on; the nonces of accounts that did not change are kept."""
        before, self._logins = self._logins, {}
        for name, trunk in trunks.items():
            account = Account.of(trunk)
            if account is None:
                continue
            old = before.get(name)
            if old is not None and old.account == account:
                old.trunk = trunk
                old.learn(*(gateway.host for gateway in (*trunk.gateways, *trunk.registrar)))
                self._logins[name] = old
            else:
                self._logins[name] = TrunkLogin(name, account, trunk)
        self.any = bool(self._logins)

    def of(self, trunk: str) -> TrunkLogin | None:
        return self._logins.get(trunk)

    def look_up(self, resolve: Callable[[Hop, Callable[[list[Target]], None]], None]) -> None:
        """Learn the addresses of gateways that have names, so that calls from before a restart are known by them."""
        for login in self._logins.values():
            for gateway in (*login.trunk.gateways, *login.trunk.registrar):
                transport = gateway.transport.upper() if gateway.transport else None
                resolve(Hop(gateway.host, gateway.port, transport), partial(_learn, login))

    def signing(self, extras: str, to_leg: str, flow: Flow) -> Signing | None:
        """For a request inside a dialog that goes over `flow`: who signs it, None where the trunk is not there."""
        shift = _shift_of(extras, to_leg)
        return None if shift is None else self.signing_at(shift.trunk, flow)

    def signing_at(self, trunk: str, flow: Flow) -> Signing | None:
        """For a request to the trunk over `flow`, None where that leads elsewhere or the trunk has no password."""
        login = self._logins.get(trunk)
        return Signing(login) if login is not None and login.owns(flow.remote[0]) else None

    # One attempt of a branch

    def begin(self, context: ResponseContext, branch: Branch, flow: Flow, now: float) -> None:
        """Before the request of an attempt is made: what will be changed in its dialog, and who signs it."""
        signing = branch.signing
        extras = context.extras
        if extras:
            if signing is None:
                signing = self.signing(extras, context.to_leg, flow)
        else:
            login = self._logins.get(branch.destination.trunk)
            if login is not None and not self._leads_to(login, branch, flow):
                login = None
            if login is None:
                signing = None
            elif signing is None:
                signing = Signing(login)
        branch.signing = signing
        if signing is not None:
            signing.begin(flow.remote, now)
        if context.record and context.spread:
            ahead = back = None
            if signing is not None:
                ahead = CseqShift(context.request.cseq.number, signing.tries, signing.login.name)
            source = "" if context.call is None else context.call.from_trunk
            if source in self._logins:
                back = CseqShift(0, trunk=source)
            branch.changes = attrs.evolve(branch.changes, towards_callee=ahead, towards_caller=back)

    def _leads_to(self, login: TrunkLogin, branch: Branch, flow: Flow) -> bool:
        """Whether the flow goes to a gateway of the trunk itself, whose address is known from now on."""
        hop = branch.destination.hop
        if hop is not None and any(gateway.host == hop.host for gateway in login.trunk.gateways):
            login.learn(flow.remote[0])
        return login.owns(flow.remote[0])

    def sign(self, context: ResponseContext, branch: Branch, request: Request) -> None:
        """The request is made, but for credentials and its own number."""
        signing = branch.signing
        assert signing is not None
        if signing.tries and not context.extras:
            cseq = context.request.cseq
            request.set("cseq", str(CSeq(cseq.number + signing.tries, cseq.method)))
        if signing.signatures:
            sign(request, signing.signatures, self._unique())
        if signing.tries and request.method in ("INVITE", "REFER"):
            key = request.call_id, branch.leg or context.to_leg, context.request.cseq.number
            self._tries[key] = signing.tries
            self._tries.move_to_end(key)
            if len(self._tries) > _REMEMBERED:
                self._tries.popitem(last=False)

    def challenged(self, branch: Branch, response: Response, now: float) -> bool:
        """Whether a 401 or 407 is ours to answer: then the branch tries again, signed.

        Raises `LoginRefused` where it is ours and no answer will do.
        """
        signing = branch.signing
        if signing is None or branch.cancelled or branch.timed_out:
            return False
        context = branch.context
        number = context.request.cseq.number
        shift = _shift_of(context.extras, context.to_leg) or CseqShift(number)
        return signing.challenged(response, now, room=shift.has_room(number))

    # Inside a dialog

    def change(self, request: Request, extras: str, to_leg: str, tries: int = 0) -> None:
        """`dialog_changes.change`, with what is remembered of the request that this one speaks of."""
        known = None
        if self._tries:
            number = mentioned(request)
            if number is not None:
                known = self._tries.get((request.call_id, to_leg, number))
        change(request, extras, to_leg, tries=tries, invite_tries=known)


def _learn(login: TrunkLogin, targets: list[Target]) -> None:
    login.learn(*(target.host for target in targets))


def _shift_of(extras: str, to_leg: str) -> CseqShift | None:
    """The shift of requests that go to `to_leg` in a dialog."""
    if not extras:
        return None
    changes = read_extras(extras)
    return changes.towards_caller if to_leg == "a" else changes.towards_callee
