"""Which trunk a source address belongs to, by the networks that each trunk trusts; the narrowest network wins."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

from appliance.config.dialplan import TrunkSettings


class TrustedSources:
    """Answers are remembered for a bounded number of addresses, since one carrier sends every packet from a few."""

    def __init__(self, trunks: Mapping[str, TrunkSettings]) -> None:
        networks = [(network, name) for name, trunk in trunks.items() for network in trunk.trusted]
        self._networks = sorted(networks, key=lambda pair: -pair[0].prefixlen)
        self._known: dict[str, str | None] = {}

    def trunk_of(self, address: str) -> str | None:
        """The name of the trunk that trusts this IP literal, or None."""
        try:
            return self._known[address]
        except KeyError:
            pass
        found = None
        if self._networks:
            ip = ipaddress.ip_address(address.partition("%")[0])
            mapped = getattr(ip, "ipv4_mapped", None)
            ip = mapped or ip
            found = next((name for network, name in self._networks if ip in network), None)
        if len(self._known) >= 4096:
            self._known.clear()
        self._known[address] = found
        return found
