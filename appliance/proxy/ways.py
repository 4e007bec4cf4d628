"""Where decisions lead: the target set of a request, of its alternatives, of ENUM and of redirections (§16.5).

Nothing here waits: what DNS is to be asked for was looked up before.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from appliance.config.patch import Target, TargetKind
from appliance.config.settings import Settings
from appliance.proxy.asking import Asking
from appliance.proxy.branch import Branch
from appliance.proxy.contact import parse_contact_untrusted
from appliance.proxy.destination import Destination
from appliance.proxy.enum_lookup import EnumLookup, LookedUp
from appliance.proxy.gateway_redirects import followed_untrusted
from appliance.proxy.ownership import Ownership
from appliance.proxy.response_context import ResponseContext
from appliance.proxy.target_set import Groups, TargetSets
from appliance.router.causes import Cause
from appliance.router.decision import Decision
from appliance.router.dialplan import DialPlan
from appliance.router.question import Caller, CallerKind, Question
from appliance.sip.errors import BadMessage, Rejected
from appliance.sip.message import Response
from appliance.sip.server_transaction import ServerTransaction
from appliance.sip.uri import Uri

if TYPE_CHECKING:
    from appliance.proxy.core import SipCore

_ENUM, _TRUNK = TargetKind.ENUM, TargetKind.TRUNK
"""By themselves, since looking a member up costs as much as a dozen comparisons."""
_MOST_REDIRECTS = 5
_MOST_CONTACTS = 10
_FOLLOWED = frozenset({TargetKind.AOR, TargetKind.TRUNK, TargetKind.GROUP})
"""Where a redirection of a phone may lead."""


class Ways:
    """By the settings of one moment."""

    def __init__(
        self,
        core: SipCore,
        settings: Settings,
        ownership: Ownership,
        plan: DialPlan,
        target_sets: TargetSets,
        asking: Asking,
    ) -> None:
        self._core = core
        self._settings = settings
        self._ownership = ownership
        self._plan = plan
        self._target_sets = target_sets
        self._asking = asking
        self.enum = EnumLookup(settings, core.sender.names, ownership, plan)

    def of(
        self,
        decision: Decision,
        uri: Uri,
        transaction: ServerTransaction,
        now: float,
        looked_up: LookedUp | None = None,
    ) -> Groups:
        assert decision.target is not None
        if uri.param("gr") is not None and not decision.question.foreign:
            return self._target_sets.of_gruu(uri, self._core.wall())
        if not decision.alternatives and decision.target.kind is not _ENUM:
            return self._way(decision.target, decision.number, uri, transaction, now)
        groups: Groups | None = None
        refused: Rejected | None = None
        for target, number in ((decision.target, decision.number), *decision.alternatives):
            try:
                if target.kind is _ENUM:
                    found = self._by_enum(target, number, decision, transaction, now, looked_up or {})
                else:
                    found = self._way(target, number, uri, transaction, now)
            except Rejected as rejected:
                refused = refused or rejected
                continue
            if groups is None:
                groups = found  # with the selection that it came from
            else:
                groups += found
        if groups is None:
            assert refused is not None
            raise refused
        return groups

    def _way(self, target: Target, number: str, uri: Uri, transaction: ServerTransaction, now: float) -> Groups:
        """Where one target leads. Raises `Rejected` where it leads nowhere now."""
        if target.kind is _TRUNK:
            return self._target_sets.of_trunk(target.name, number, transaction, now)
        match target.kind:
            case TargetKind.GROUP:
                return self._target_sets.of_group(target.name, number, transaction, now)
            case TargetKind.DNS:
                return self._target_sets.of_uri(uri)
            case _:
                return self._target_sets.of_user(number, self._core.wall())

    def _by_enum(
        self,
        target: Target,
        number: str,
        decision: Decision,
        transaction: ServerTransaction,
        now: float,
        looked_up: LookedUp,
    ) -> Groups:
        """Where the URIs of a number lead. Raises `Rejected` 404 where it has none."""
        groups: Groups = []
        for lead in self.enum.leads(looked_up.get((target.name, number), []), decision.question):
            if lead.decision is None:
                groups += self._target_sets.of_uri(lead.uri)
            else:
                groups += self.of(lead.decision, lead.uri, transaction, now)
        if not groups:
            raise Rejected(404, "Not Found", f"ENUM {target.name} leads nowhere for {number}: {decision.explanation}")
        return groups

    def steady_destination(self, decision: Decision, now: float) -> Destination:
        """The one place that such a request and all that belongs to it goes to. Raises `Rejected` where there is none.

        Of several phones the first, of several gateways the one that a hash gives.
        """
        question = decision.question
        assert decision.target is not None
        for target, number in ((decision.target, decision.number), *decision.alternatives):
            match target.kind:
                case TargetKind.TRUNK | TargetKind.GROUP:
                    found = self._target_sets.steady(target, number, question, now)
                case TargetKind.AOR:
                    found = self._target_sets.of_user(number, self._core.wall())[0][0]
                case TargetKind.DNS:
                    found = self._target_sets.of_uri(question.request.request_uri)[0][0]
                case _:
                    raise Rejected(501, "Not Implemented", f"{target} needs state: {decision.explanation}")
            if found is not None:
                return found
        cause = f"no gateway is in service: {decision.explanation}"
        raise Rejected(503, "Service Unavailable", cause, why=Cause.NO_GATEWAY)

    def redirected(self, context: ResponseContext, branch: Branch, response: Response) -> Groups:
        """Where a 3xx of one of our users' phones leads (RFC 3261 §16.5), by the dial plan and with that user's rights.

        Nothing where not every Contact of it is ours to route, where all were tried before, or where one redirection
        follows another for too long: then it goes back to the caller.
        """
        destination = branch.destination
        if destination.trunk and context.spread:
            return self._redirected_by_gateway(context, destination, response)
        user = destination.user
        depth = branch.destination.redirects + 1
        if not user or depth > _MOST_REDIRECTS or not context.spread:
            return []
        groups: Groups = []
        try:
            contacts = [parse_contact_untrusted(value) for value in response.values("contact")[: _MOST_CONTACTS + 1]]
            if len(contacts) > _MOST_CONTACTS or not all(self._ownership.owns(contact.uri) for contact in contacts):
                return []
            for contact in sorted(contacts, key=lambda contact: -contact.q):
                decision = self._plan.decide(
                    Question(
                        self._asking.number(contact.uri),
                        Caller(CallerKind.USER, user),
                        contact.uri.host,
                        False,
                        context.request,
                        context.transaction.flow,
                        self._core.wall(),
                    )
                )
                if decision.target is None or decision.target.kind not in _FOLLOWED:
                    return []
                groups += self.of(decision, contact.uri, context.transaction, self._core.clock())
        except (Rejected, BadMessage):
            return []
        tried = {one.destination.uri for one in context.branches}
        groups = [[one for one in group if one.uri not in tried] for group in groups]
        for one in chain.from_iterable(groups):
            one.redirects = depth
        if context.call is not None and any(groups):
            to = ", ".join(contact.uri.username for contact in contacts)
            context.call.detours += f"; {user} redirects it to {to}"
        return [group for group in groups if group]

    def _redirected_by_gateway(self, context: ResponseContext, destination: Destination, response: Response) -> Groups:
        """As its trunk allows."""
        trunk = self._settings.trunks.get(destination.trunk)
        if trunk is None:
            return []
        tried = {one.destination.uri for one in context.branches}
        groups = followed_untrusted(trunk, self._core.hunts, destination, response, tried)
        if context.call is not None and groups:
            to = ", ".join(one.label for [one] in groups)
            context.call.detours += f"; {destination.label} redirects it to {to}"
        return groups
