"""The target set of an initial request (RFC 3261 §16.5): from the dial plan's decision to groups of destinations.

Bindings of equal q are tried at once, lower ones after them; the gateways of a trunk one after the other. Nothing
here waits: names stay names until a branch is opened.
"""

from __future__ import annotations

from itertools import groupby
from typing import Protocol
from urllib.parse import quote

import attrs

from appliance.config.dialplan import Profile, TrunkSettings, UserSettings
from appliance.config.patch import Gateway
from appliance.config.settings import Settings
from appliance.proxy.destination import Destination, Hop
from appliance.proxy.location import Binding, Location
from appliance.sip.errors import BadMessage, Rejected
from appliance.sip.flow import Flow
from appliance.sip.uri import Uri, parse_uri_untrusted

#: What may stand in the user part of a URI as it is (RFC 3261 §25.1), and '#', which is dialled everywhere.
_USER_SAFE = "-_.!~*'()&=+$,;?/#"

Groups = list[list[Destination]]


class Flows(Protocol):
    """Where flows are looked up by their id."""

    def flow(self, flow_id: str) -> Flow | None: ...


@attrs.frozen
class TargetSets:
    """Makes target sets from what is registered and what is configured."""

    settings: Settings
    location: Location
    flows: Flows
    domain: str
    """The canonical domain of our address-of-records."""

    def aor(self, user: str) -> str:
        return f"sip:{user}@{self.domain}"

    def of_user(self, user: str, wall: float) -> Groups:
        """The user's phones. Raises `Rejected` 404 for nobody of ours, 480 where none is registered."""
        known = self.settings.users.get(user)
        if known is None:
            raise Rejected(404, "Not Found", f"{user} is not a user of this box")
        bindings = self.location.bindings(self.aor(user), wall)
        groups = [
            [found for found in (self._phone(known, binding) for binding in same_q) if found is not None]
            for _, same_q in groupby(bindings, key=lambda binding: binding.q)
        ]
        groups = [group for group in groups if group]
        if not groups:
            raise Rejected(480, "Temporarily Unavailable", f"no phone of {user} is registered")
        return groups

    def of_gruu(self, uri: Uri, wall: float) -> Groups:
        """The one phone that a GRUU names (RFC 5627). Raises `Rejected` 480 where it is not registered."""
        for binding in self.location.by_gruu(uri, wall):
            user = self.settings.users.get(parse_uri_untrusted(binding.aor).username)
            phone = self._phone(user, binding) if user is not None else None
            if phone is not None:
                return [[phone]]
        raise Rejected(480, "Temporarily Unavailable", "the phone of this GRUU is not registered")

    def _phone(self, user: UserSettings, binding: Binding) -> Destination | None:
        hidden = binding.uri.bare_host != binding.received[1]
        flow = self.flows.flow(binding.flow_id) if not binding.path else None
        if flow is not None and binding.transport == "UDP" and not hidden and not binding.by_flow_only:
            flow = None  # §10: a Contact that no NAT stands before says itself where the phone listens
        hop = None
        if flow is None:
            try:
                uri = parse_uri_untrusted(binding.path[0].strip("<>")) if binding.path else binding.uri
            except BadMessage:
                return None
            if uri.host.endswith(".invalid"):
                return None  # RFC 7118 §5: a WebSocket phone is reachable by its flow or not at all
            hop = Hop.of(uri)
        profile = user.profile
        if profile is Profile.AUTO:
            profile = Profile.WEBRTC if binding.transport in ("WS", "WSS") else Profile.RTP
        return Destination(
            uri=binding.contact,
            label=f"{user.name} at {binding.received[1]}:{binding.received[2]} over {binding.transport}",
            routes=tuple(binding.path),
            flow=flow,
            hop=hop,
            hidden=hidden,
            profile=profile,
            anchor=user.anchor,
            user=user.name,
        )

    def of_trunk(self, name: str, number: str) -> Groups:
        """The trunk's gateways in order. Raises `Rejected` 503 for a trunk that has none."""
        trunk = self.settings.trunks[name]
        if not trunk.gateways:
            raise Rejected(503, "Service Unavailable", f"trunk {name} has no gateways: calls only come in from it")
        return [[self._gateway(trunk, gateway, number)] for gateway in trunk.gateways]

    def _gateway(self, trunk: TrunkSettings, gateway: Gateway, number: str) -> Destination:
        return Destination(
            uri=f"sip:{quote(number, safe=_USER_SAFE, errors='surrogateescape')}@{gateway}",
            label=f"trunk {trunk.name}, gateway {gateway}",
            hop=Hop(gateway.host, gateway.port, gateway.transport.upper() if gateway.transport else None),
            by_contact=True,
            profile=trunk.profile,
            anchor=trunk.anchor,
            failover=trunk.failover,
            attempt_timeout_s=trunk.attempt_timeout_s,
            answer_timeout_s=trunk.answer_timeout_s,
            trunk=trunk.name,
        )
