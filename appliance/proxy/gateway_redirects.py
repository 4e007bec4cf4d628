"""Where a 3xx of a gateway leads (RFC 3261 §8.1.3.4): to the trunk's own gateways and the networks it trusts, or back.

What the Contact says beyond user, host and port is not believed: no maddr, no headers, no transport of its own for a
gateway that is configured. Anything else would let a carrier make the box call whomever it likes.
"""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import ip_address

import attrs

from appliance.config.dialplan import TrunkSettings
from appliance.config.groups import Redirects
from appliance.proxy.contact import parse_contact_untrusted
from appliance.proxy.destination import Destination, Hop
from appliance.router.gateway import Hold
from appliance.router.hunting import Hunts
from appliance.sip.errors import BadMessage
from appliance.sip.message import Response
from appliance.sip.uri import Uri

_MOST = 5
"""One redirection after the other, and places to try of each."""


def followed_untrusted(
    trunk: TrunkSettings, hunts: Hunts, redirecting: Destination, response: Response, tried: Collection[str]
) -> list[list[Destination]]:
    """The places to try in the gateway's stead, one after the other; none where the 3xx is to be passed back."""
    if trunk.redirects is not Redirects.FOLLOW or redirecting.redirects >= _MOST:
        return []
    try:
        contacts = [parse_contact_untrusted(value) for value in response.values("contact")[:_MOST]]
    except BadMessage:
        return []
    found: list[list[Destination]] = []
    for contact in sorted(contacts, key=lambda contact: -contact.q):
        one = _place(trunk, hunts, redirecting, contact.uri)
        if one is not None and one.uri not in tried and all(one.uri != other.uri for [other] in found):
            found.append([one])
    return found


def _place(trunk: TrunkSettings, hunts: Hunts, redirecting: Destination, uri: Uri) -> Destination | None:
    """The same call to another place, None where the trunk does not allow it."""
    if uri.scheme not in ("sip", "sips") or not uri.user:
        return None
    for at, gateway in enumerate(trunk.gateways):
        if gateway.host == uri.bare_host and (gateway.port or 5060) == (uri.port or 5060):
            living = hunts.trunks[trunk.name].places[at].living
            if living.hold is not Hold.NONE:
                return None
            hop = Hop(gateway.host, gateway.port, gateway.transport.upper() if gateway.transport else None)
            return attrs.evolve(
                redirecting,
                uri=f"sip:{uri.user}@{gateway}",
                label=f"trunk {trunk.name}, gateway {gateway} by redirection",
                hop=hop,
                gateway=str(gateway),
                living=living if redirecting.living is not None else None,
                redirects=redirecting.redirects + 1,
            )
    try:
        address = ip_address(uri.bare_host)
    except ValueError:
        return None
    if not any(address in network for network in trunk.trusted):
        return None
    hop = Hop(uri.bare_host, uri.port, None, uri.scheme == "sips")
    plain = attrs.evolve(uri, headers=None, password=None).without_params("maddr", "ttl", "method", "transport", "gr")
    return attrs.evolve(
        redirecting,
        uri=str(plain),
        label=f"trunk {trunk.name}, {hop} by redirection",
        hop=hop,
        gateway="",
        living=None,
        redirects=redirecting.redirects + 1,
    )
