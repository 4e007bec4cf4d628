"""Access lists: which addresses a listener or a trunk takes; the narrowest network decides, and denies on a tie."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

from appliance.config.kinds import Network
from appliance.config.security import AclDefault, AclSettings

Ip = IPv4Address | IPv6Address


def ip_of(address: str) -> Ip | None:
    """An IP literal, with or without zone, IPv4 in IPv6 as IPv4; None for what is none."""
    try:
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return None
    return getattr(ip, "ipv4_mapped", None) or ip


class AccessList:
    """One `[acl NAME]`, compiled."""

    def __init__(self, settings: AclSettings) -> None:
        self.name = settings.name
        rules = [(network, False) for network in settings.deny] + [(network, True) for network in settings.allow]
        self._rules: list[tuple[Network, bool]] = sorted(rules, key=lambda rule: -rule[0].prefixlen)
        default = settings.default
        self._default = not settings.allow if default is AclDefault.AUTO else default is AclDefault.ALLOW

    def admits(self, ip: Ip) -> bool:
        """Whether this address may speak to us."""
        for network, admitted in self._rules:
            if ip in network:
                return admitted
        return self._default
