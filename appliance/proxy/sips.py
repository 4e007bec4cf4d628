"""A sips URI is carried over TLS all the way, or not at all (RFC 3261 §26.2.2, RFC 5630 §4)."""

from __future__ import annotations

from appliance.proxy.destination import Destination
from appliance.sip.errors import Rejected

_SECURE = frozenset({"TLS", "WSS"})
_WARNING = ("Warning", '380 - "SIPS Not Allowed"')


def keep_secure(groups: list[list[Destination]]) -> None:
    """Take away whatever is not reached over TLS. Raises `Rejected` 480 where nothing is left."""
    for group in groups:
        group[:] = [kept for kept in map(_secure, group) if kept is not None]
    groups[:] = [group for group in groups if group]
    if not groups:
        cause = "the call is for a sips address, and nobody of those that it leads to is reached over TLS"
        raise Rejected(480, "Temporarily Unavailable", cause, (_WARNING,))


def _secure(destination: Destination) -> Destination | None:
    """The destination, or its next flow, that is secure; only such flows come after it."""
    one: Destination | None = destination
    while one is not None and not _is_secure(one):
        one = one.otherwise
    if one is not None and one.otherwise is not None:
        one.otherwise = _secure(one.otherwise)
    return one


def _is_secure(one: Destination) -> bool:
    if one.flow is not None:
        return one.flow.secure
    return one.hop is not None and (one.hop.secure or one.hop.transport in _SECURE)
