"""The gate of the SIP core: what is dropped, delayed or relieved of headers before anybody else looks at a message.

The rules and the memory are the router's (guard.py, acl.py, trust.py); here they meet flows, timers and the log.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from ipaddress import ip_network
from typing import TYPE_CHECKING

from appliance.config.kinds import Network
from appliance.config.settings import Settings
from appliance.logs import log
from appliance.proxy.steady_answers import SteadyAnswers
from appliance.router.acl import AccessList, ip_of
from appliance.router.bans import Ban
from appliance.router.guard import Source, SourceGuard, Verdict
from appliance.router.trust import TrustHeaders
from appliance.sip.errors import BadMessage, Rejected
from appliance.sip.flow import Flow, FlowClosed
from appliance.sip.headers import parse_name_addr_untrusted, value_of
from appliance.sip.message import Message, Response
from appliance.sip.server_transaction import ServerTransaction
from appliance.sip.timers import TimerHeap

if TYPE_CHECKING:
    from appliance.proxy.branch import Branch

_OPTIONAL = ("server", "supported", "accept", "allow")
_MOST_DELAYED = 2000
_MOST_DELAYED_EACH = 100
_LINES_A_MINUTE = 30


class Gate:
    """`deliver` takes the messages that were only delayed."""

    def __init__(self, timers: TimerHeap, deliver: Callable[[bytes, Flow], None]) -> None:
        self.guard = SourceGuard(self._tell)
        self.sources = self.guard.known
        self.on_ban: list[Callable[[str, str], None]] = []
        """Told of each ban of the guard's, with its source and why; must not wait."""
        self._timers = timers
        self._deliver = deliver
        self._delayed: dict[str, int] = {}
        self._waiting = 0
        self._minute = 0
        self._lines = 0
        self._now = 0.0

    def configure(self, settings: Settings) -> None:
        """Take new settings; bans stay."""
        security = settings.security
        acls = {name: AccessList(acl) for name, acl in settings.acls.items()}
        self.guard.configure(
            security,
            [network for trunk in settings.trunks.values() for network in trunk.trusted],
            gateways_by_address(settings),
            {one.name: acls[one.acl] for one in settings.listeners.values() if one.acl is not None},
        )
        self._trunk_acls = {one.name: acls[one.acl] for one in settings.trunks.values() if one.acl is not None}
        self._trust = TrustHeaders(security.trust_headers)
        self.bears_trust = self._trust.in_message  # asked of nearly every message
        self._scanners = tuple(name.lower() for name in security.scanners)
        self._suspect = security.scanner_numbers
        self._delay_s = security.delay_s
        self._challenges_pass = security.foreign_challenges

    # Before a message is read

    def admits(self, source: Source, data: bytes, flow: Flow, now: float) -> bool:
        """Whether a message of a source that has nothing left goes on now; it may be delivered later instead."""
        self._now = now
        if flow.inside:
            return True
        verdict = self.guard.judge(source, flow.listener, now, proved=flow.reliable)
        if verdict is Verdict.PASS:
            return True
        if verdict is Verdict.DROP:
            if flow.reliable and source.ban is not None:
                flow.close()
            return False
        mine = self._delayed.get(source.key, 0)
        if mine >= _MOST_DELAYED_EACH or self._waiting >= _MOST_DELAYED:
            self.guard.drop("delayed too many")
            return False
        self._delayed[source.key] = mine + 1
        self._waiting += 1

        def later(now: float) -> None:
            self._waiting -= 1
            left = self._delayed.pop(source.key) - 1
            if left:
                self._delayed[source.key] = left
            if not flow.closed:
                self._deliver(data, flow)

        self._timers.schedule(now + self._delay_s, later)
        return False

    def takes_connection(self, listener: str, address: str) -> bool:
        """Whether `address` may open a connection to a listener."""
        return self.guard.takes_connection(listener, address, self._now)

    # Once it is read

    def welcomes(self, transaction: ServerTransaction, now: float) -> bool:
        """Whether a request outside of any dialog is dealt with; otherwise its transaction ends without an answer."""
        flow = transaction.flow
        source = self.sources.get(flow.remote[0]) or self.guard.meet(flow.remote[0], now)
        if source.exempt or flow.inside:
            return True
        self._now = now
        if self.guard.begins(source, now, proved=flow.reliable):
            if not source.stranger:
                return True
            if not self.scans(transaction.request, source, flow, now):
                if not flow.reliable:
                    transaction.allowance = source
                return True
        transaction.abandon()
        return False

    def hushes(self, request: Message, flow: Flow, now: float) -> bool:
        """Whether a request that is forwarded without state is a scanner's.

        New requests are not counted there: without state a repeated one looks like another.
        """
        source = self.sources.get(flow.remote[0]) or self.guard.meet(flow.remote[0], now)
        self._now = now
        return source.stranger and not flow.inside and self.scans(request, source, flow, now)

    def scans(self, request: Message, source: Source, flow: Flow, now: float) -> bool:
        """Whether the request of a stranger bears the marks of a scanner: it gets no answer, and the source a ban."""
        agent = request.get("user-agent")
        if agent is not None:
            lower = agent.lower()
            for name in self._scanners:
                if name in lower:
                    self.guard.scans(source, f"scanner {name}", now, proved=flow.reliable)
                    return True
        suspect = self._suspect
        if suspect is not None:
            for key in ("from", "to"):
                user = _user_of(request, key)
                if user and suspect.matches(user):
                    self.guard.scans(source, f"scanner: {key.capitalize()} is {user[:40]!a}", now, proved=flow.reliable)
                    return True
        return False

    def relieve(self, message: Message) -> None:
        """Take out of a message from somebody who is no trunk what only a trunk may send."""
        if self._trust.in_message(message):
            self._trust.remove(message)

    def relieve_answer(self, response: Response, branch: Branch, flow: Flow) -> None:
        """The same for the answer to a request that went to `branch`, where it bears any."""
        if not self._of_trunk(branch, flow):
            self._trust.remove(response)

    def admit_to_trunk(self, name: str, address: str) -> None:
        """Raises `Rejected` 403 where the ACL of a trunk does not take this address, however it was recognised."""
        acl = self._trunk_acls.get(name) if self._trunk_acls else None
        if acl is not None:
            ip = ip_of(address)
            if ip is None or not acl.admits(ip):
                self.guard.drop("trunk acl")
                raise Rejected(403, "Forbidden", f"[acl {acl.name}] does not take {address} for [trunk {name}]")

    # What a stranger is told

    def challenges_steadily(
        self, transaction: ServerTransaction, headers: Sequence[tuple[str, str]], steady: SteadyAnswers
    ) -> bool:
        """Challenge a datagram's sender whom nobody has verified, and forget the request; False: it is verified."""
        allowance = transaction.allowance
        if allowance is None:
            return False
        request, flow = transaction.request, transaction.reply_flow
        status = 407 if headers and headers[0][0] == "proxy-authenticate" else 401
        transaction.abandon()
        for offered in (headers, headers[:1]):  # all algorithms, or the preferred one where the question was so short
            data = steady.response(request, status, "", offered).to_bytes()
            if allowance.spend(len(data), final=True):
                with suppress(FlowClosed):
                    flow.send(data)
                return True
        self.guard.drop("answer too long")
        return True

    def took_part(self, flow: Flow, now: float) -> None:
        """The ACK of a call, with the tag that only the other end could tell: who sent it receives what we send."""
        source = self.sources.get(flow.remote[0])
        if source is not None and source.stranger:
            self.guard.verified(source, now)

    def fitted(self, transaction: ServerTransaction, response: Response) -> Response:
        """An answer, without what it need not say where it would be too long for the sender of a short question."""
        source = self.sources.get(transaction.flow.remote[0])
        if transaction.allowance is not None and source is not None and len(response.to_bytes()) > source.credit:
            for key in _OPTIONAL:
                response.remove(key)
        return response

    def may_be_told(self, flow: Flow, response: Response) -> bool:
        """Whether an answer without a transaction may go to this sender; it is then counted."""
        source = self.sources.get(flow.remote[0])
        if source is None or not source.stranger or flow.reliable:
            return True
        if source.spend(len(response.to_bytes()), final=True):
            return True
        return self.guard.drop("answer too long")

    def muffled(self, response: Response, branch: Branch, flow: Flow) -> Response:
        """A challenge as the other end may see it: not at all where it comes from anybody but a trunk.

        Phones answer challenges of any realm, and whoever is called could gather digests of the callers' passwords.
        """
        if self._challenges_pass:
            return response
        if not self._of_trunk(branch, flow):
            self.guard.drop("challenge")
            response.status, response.reason = 403, "Challenge Not Passed On"
            response.remove("www-authenticate")
            response.remove("proxy-authenticate")
        return response

    def _of_trunk(self, branch: Branch, flow: Flow) -> bool:
        """Whether what answers on a branch is a trunk, known by its address, by the dial plan, or by the call."""
        if branch.destination.trunk or flow.inside or self.guard.source(flow.remote[0], self._now).trusted:
            return True
        context = branch.context
        call = context.call
        if call is None or not context.to_leg:
            return False
        return bool(call.from_trunk if context.to_leg == "a" else call.trunk)

    def sweep(self, now: float) -> None:
        """Once a second."""
        self._now = now
        if int(now) % 10 == 0:
            self.guard.sweep(now)

    # The log

    def _tell(self, source: Source, ban: Ban | None, cause: str) -> None:
        if ban is not None:
            for tell in self.on_ban:
                tell(source.key, f"{cause}: {ban.grade.value} for {round(ban.until - self._now)} s")
        minute = int(self._now // 60)
        if minute != self._minute:
            if self._lines > _LINES_A_MINUTE:
                log.warning("sources.left_out", lines=self._lines - _LINES_A_MINUTE)
            self._minute, self._lines = minute, 0
        self._lines += 1
        if self._lines > _LINES_A_MINUTE:
            return
        if ban is None:
            log.warning("source.suspect", source=source.key, cause=cause)
        else:
            for_s = round(ban.until - self._now)
            log.warning("source.banned", source=source.key, grade=ban.grade.value, cause=cause, for_s=for_s)


def gateways_by_address(settings: Settings) -> list[Network]:
    """The gateways and registrars of trunks as far as they are given by address."""
    found: list[Network] = []
    for trunk in settings.trunks.values():
        for gateway in (*trunk.gateways, *trunk.registrar):
            try:
                found.append(ip_network(gateway.host.strip("[]")))
            except ValueError:
                continue  # a name
    return found


def _user_of(message: Message, key: str) -> str:
    line = message.line(key)
    try:
        return "" if line is None else parse_name_addr_untrusted(value_of(line)).uri.username
    except BadMessage:
        return ""
