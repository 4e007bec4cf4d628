"""What is ours: the hosts, ports and domains that mean this box, and the canonical domain of our users."""

from __future__ import annotations

from collections.abc import Collection

from appliance.config.settings import Settings
from appliance.sip.uri import Uri


class Ownership:
    """`hosts` as URIs have them (IPv6 in brackets), `ports` of all listeners."""

    def __init__(self, settings: Settings, hosts: Collection[str], ports: Collection[int]) -> None:
        domains = settings.appliance.domains
        self.domain = domains[0] if domains else settings.appliance.name
        """The canonical one: whichever of our names a phone uses, its address-of-record has this domain."""
        self._hosts = frozenset(host.lower() for host in (*hosts, *(domains or ())))
        self._ports = frozenset(ports)

    def has_domain(self, host: str) -> bool:
        return host in self._hosts

    def owns(self, uri: Uri) -> bool:
        """Whether a URI names this box or a domain of it."""
        return uri.host in self._hosts and (uri.port is None or uri.port in self._ports)
