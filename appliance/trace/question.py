"""What somebody wants to see of the trace: a call, a user, addresses, a method, a time. All that is given must fit."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_address

import attrs

from .message import TracedMessage

Network = IPv4Network | IPv6Network


@attrs.frozen(kw_only=True)
class Question:
    """`calls` are all the Call-IDs of one call; `networks` None for all. Times are wall-clock seconds."""

    calls: frozenset[str] = frozenset()
    user: str = ""
    networks: tuple[Network, ...] | None = None
    method: str = ""
    since: float = 0.0
    until: float = float("inf")

    def fits(self, message: TracedMessage) -> bool:
        """Cheap questions first: few messages are read."""
        if not self.since <= message.at <= self.until:
            return False
        if self.networks is not None and not within(self.networks, message.remote[0]):
            return False
        if self.calls and message.call_id not in self.calls:
            return False
        if self.method and message.method != self.method:
            return False
        return not self.user or self.user in message.users


def within(networks: Collection[Network], host: str) -> bool:
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return any(address in network for network in networks)


@attrs.frozen
class Filter:
    """Which messages are kept at all: empty collections keep everything, '!OPTIONS' among `methods` all but these."""

    methods: Mapping[str, bool]
    users: frozenset[str]
    networks: tuple[Network, ...]

    def keeps(self, message: TracedMessage) -> bool:
        if self.networks and not within(self.networks, message.remote[0]):
            return False
        if self.methods and not self.methods.get(message.method, not any(self.methods.values())):
            return False
        return not self.users or not self.users.isdisjoint(message.users)
