"""The target set of an initial request (RFC 3261 §16.5): from the dial plan's decision to groups of destinations.

Bindings of equal q are tried at once, lower ones after them; the gateways of a trunk one after the other. Nothing
here waits: names stay names until a branch is opened.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol
from urllib.parse import quote

import attrs

from appliance.config.dialplan import Profile, TrunkSettings, UserSettings
from appliance.config.patch import Gateway, Target, TargetKind
from appliance.config.settings import Settings
from appliance.config.stir import Signing
from appliance.proxy.destination import Destination, Hop
from appliance.proxy.location import Binding, Location, canonical_instance
from appliance.proxy.ownership import Ownership
from appliance.proxy.trunk_registrations import TrunkRegistrations
from appliance.proxy.trunk_tls import tls_options
from appliance.proxy.veil import Hiding
from appliance.router.causes import Cause
from appliance.router.hunting import Hunts, Moment, Selection
from appliance.router.question import Question
from appliance.sip.errors import BadMessage, Rejected
from appliance.sip.flow import Flow
from appliance.sip.message import Request
from appliance.sip.server_transaction import ServerTransaction
from appliance.sip.uri import Uri, parse_uri_untrusted

#: What may stand in the user part of a URI as it is (RFC 3261 §25.1), and '#', which is dialled everywhere.
_USER_SAFE = "-_.!~*'()&=+$,;?/#"

Groups = list[list[Destination]]


class Targets(Groups):
    """A target set that was selected; `selection` says how, where there was a choice."""

    def __init__(self, groups: Groups | None = None, selection: Selection | None = None) -> None:
        super().__init__(groups or ())
        self.selection = selection


class Flows(Protocol):
    """Where flows are looked up by their id."""

    def flow(self, flow_id: str) -> Flow | None: ...


@attrs.frozen
class TargetSets:
    """Makes target sets from what is registered and what is configured."""

    settings: Settings
    location: Location
    flows: Flows
    ownership: Ownership
    hunts: Hunts
    registrations: TrunkRegistrations
    wall: Callable[[], float]
    _trunks: dict[str, list[Destination]] = attrs.field(init=False)
    """What is the same for every call to a gateway, in the order of each trunk's gateways."""

    def __attrs_post_init__(self) -> None:
        trunks = self.settings.trunks.values()
        prepared = {trunk.name: [_prepared(trunk, gateway) for gateway in trunk.gateways] for trunk in trunks}
        object.__setattr__(self, "_trunks", prepared)

    def aor(self, user: str) -> str:
        return f"sip:{user}@{self.ownership.domain}"

    def of_user(self, user: str, wall: float) -> Groups:
        """The user's phones. Raises `Rejected` 404 for nobody of ours, 480 where none is registered."""
        known = self.settings.users.get(user)
        if known is None:
            raise Rejected(404, "Not Found", f"{user} is not a user of this box", why=Cause.NO_ROUTE)
        groups: Groups = []
        rung: dict[str, Destination] = {}
        """The last flow of each instance so far."""
        q = None
        for binding in self.location.bindings(self.aor(user), wall):
            phone = self._phone(known, binding)
            if phone is None:
                continue
            if binding.instance is not None:
                # RFC 5626 §7: one flow of an instance at a time, the latest first; the others when it fails.
                instance = canonical_instance(binding.instance)
                before, rung[instance] = rung.get(instance), phone
                if before is not None:
                    before.otherwise = phone
                    continue
            if binding.q != q:
                q = binding.q
                groups.append([])
            groups[-1].append(phone)
        if not groups:
            cause = f"no phone of {user} is registered"
            raise Rejected(480, "Temporarily Unavailable", cause, why=Cause.UNREGISTERED)
        return groups

    def of_gruu(self, uri: Uri, wall: float) -> Groups:
        """The one phone that a GRUU names (RFC 5627). Raises `Rejected` 480 where it is not registered."""
        first = last = None
        for binding in self.location.by_gruu(uri, wall):
            user = self.settings.users.get(parse_uri_untrusted(binding.aor).username)
            phone = self._phone(user, binding) if user is not None else None
            if phone is not None:
                if last is not None:
                    last.otherwise = phone
                first, last = first or phone, phone
        if first is not None:
            return [[first]]
        cause = "the phone of this GRUU is not registered"
        raise Rejected(480, "Temporarily Unavailable", cause, why=Cause.UNREGISTERED)

    def of_uri(self, uri: Uri) -> Groups:
        """Where the request URI's own host leads (RFC 3263), the URI left as it is.

        Raises `Rejected` 403 for one that would go elsewhere than its host says, or to ourselves.
        """
        if uri.param("maddr") is not None:
            raise Rejected(403, "Relaying Denied", f"maddr leads past the host {uri.host}")
        if uri.scheme == "tel" or self.ownership.owns(uri):
            raise Rejected(404, "Not Found", f"{uri} names this box, which DNS does not lead on from")
        return [[Destination(uri=str(uri), label=f"{uri.host} by DNS", hop=Hop.of(uri), by_contact=True)]]

    def _phone(self, user: UserSettings, binding: Binding) -> Destination | None:
        hidden = binding.hidden
        flow = self.flows.flow(binding.flow_id) if not binding.path else None
        if flow is not None and binding.transport == "UDP" and not hidden and not binding.by_flow_only:
            flow = None  # §10: a Contact that no NAT stands before says itself where the phone listens
        hop = None
        if flow is None:
            try:
                uri = parse_uri_untrusted(binding.path[0].strip("<>")) if binding.path else binding.uri
            except BadMessage:
                return None
            if binding.by_flow_only or uri.host.endswith(".invalid"):
                return None  # RFC 7118 §5, RFC 5626 §5.3: reachable by its flow or not at all
            if self.ownership.owns(uri):
                return None  # its Contact is ourselves: that is how RFC 5393's storms begin
            hop = Hop.of(uri)
        profile = user.profile
        if profile is Profile.AUTO:
            profile = Profile.WEBRTC if binding.transport in ("WS", "WSS") else Profile.RTP
        return Destination(
            uri=_target_of(binding.contact),
            label=f"{user.name} at {binding.received[1]}:{binding.received[2]} over {binding.transport}",
            routes=tuple(binding.path),
            flow=flow,
            hop=hop,
            hidden=hidden,
            profile=profile,
            anchor=user.anchor,
            user=user.name,
        )

    def of_trunk(self, name: str, number: str, transaction: ServerTransaction, now: float) -> Groups:
        """The trunk's gateways in order. Raises `Rejected` 503 for a trunk that has none, or none in service."""
        hunt = self.hunts.trunks[name]
        if not hunt.places:
            cause = f"trunk {name} has no gateways: calls only come in from it"
            raise Rejected(503, "Service Unavailable", cause, why=Cause.NO_GATEWAY)
        if hunt.plain:
            user = _user_part(number)
            return [[self._destination(name, at, user, number)] for at in hunt.order]
        return self._selected(
            hunt.hunt(Moment(now, self.wall(), number), _Hashed(transaction.request, transaction.flow).of), "", number
        )

    def of_group(self, name: str, number: str, transaction: ServerTransaction, now: float) -> Targets:
        """The gateways of the group's trunks in order. Raises `Rejected` 503 where there is none in service."""
        moment = Moment(now, self.wall(), number)
        return self._selected(
            self.hunts.groups[name].hunt(moment, _Hashed(transaction.request, transaction.flow).of), name, number
        )

    def steady(self, target: Target, number: str, question: Question, now: float) -> Destination | None:
        """The one gateway of a trunk or group that all of a dialog's requests come to, while it is in service."""
        key = _Hashed(question.request, question.flow).steady
        hunts = self.hunts.trunks if target.kind is TargetKind.TRUNK else self.hunts.groups
        place = hunts[target.name].steady(now, key)
        return None if place is None else self._destination(place.trunk, place.position, _user_part(number), number)

    def _selected(self, selection: Selection, group: str, number: str) -> Targets:
        if not selection.places:
            raise Rejected(503, "Service Unavailable", selection.explanation, why=Cause.NO_GATEWAY)
        failover = self.settings.groups[group].failover if group else None
        user = _user_part(number)
        found = Targets(selection=selection)
        for place in selection.places:
            one = self._destination(place.trunk, place.position, user, number)
            one.group = group
            one.living = place.living
            one.give_up_at = selection.give_up_at
            if failover is not None:
                one.failover = failover
            found.append([one])
        return found

    def _destination(self, name: str, position: int, user: str, number: str) -> Destination:
        prepared = self._trunks[name][position]
        made = prepared.again(f"sip:{user}@{prepared.gateway}", number)
        if self.registrations.any:
            made.routes = self.registrations.service_route(name)
        return made


@attrs.frozen
class _Hashed:
    """What there is of a request to choose a gateway by."""

    request: Request
    flow: Flow

    def steady(self, what: str) -> bytes:
        """As `of`, but of what stands in the ACK and CANCEL of an INVITE as well."""
        return self.of("call-id" if what.startswith("header:") else what)

    def of(self, what: str) -> bytes:
        request = self.request
        if what == "source":
            return self.flow.remote[0].encode()
        if what == "from" or what == "to":
            uri = (request.from_ if what == "from" else request.to).uri
            text = f"{uri.user}@{uri.host}"
        elif what.startswith("header:"):
            text = request.get(what[7:].lower()) or request.call_id
        else:
            text = request.call_id
        return text.encode("utf-8", "surrogateescape")


def _user_part(number: str) -> str:
    plain = number.isalnum() and number.isascii()
    return number if plain else quote(number, _USER_SAFE, errors="surrogateescape")


def _prepared(trunk: TrunkSettings, gateway: Gateway) -> Destination:
    transport = gateway.transport.upper() if gateway.transport else None
    return Destination(
        uri="",
        label=f"trunk {trunk.name}, gateway {gateway}",
        hop=Hop(gateway.host, gateway.port, transport, tls=tls_options(trunk)),
        by_contact=True,
        profile=trunk.profile,
        anchor=trunk.media_anchor,
        failover=trunk.failover,
        attempt_timeout_s=trunk.attempt_timeout_s,
        progress_timeout_s=trunk.progress_timeout_s,
        answer_timeout_s=trunk.answer_timeout_s,
        trunk=trunk.name,
        gateway=str(gateway),
        dscp=trunk.qos_signalling,
        signs=trunk.sign is not Signing.NO,
        hiding=Hiding.CALL_ID if trunk.hide_topology else None,
    ).keep()


def _target_of(contact: str) -> str:
    """A Contact as a Request-URI may be: without the headers and the method that it may carry (RFC 3261 §19.1.1)."""
    if "?" not in contact and "method" not in contact.lower():
        return contact
    return str(attrs.evolve(parse_uri_untrusted(contact).without_params("method"), headers=None))
