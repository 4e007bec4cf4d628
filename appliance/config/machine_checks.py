"""Contradictions of [interface NAME]: gateways out of reach, and an address twice."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from .mistakes import Mistake
from .places import Places
from .settings import Settings


def machine_contradictions(settings: Settings, places: Places) -> Iterator[Mistake]:
    seen: dict[object, str] = {}
    for name, one in settings.interfaces.items():
        if not places.sound("interface", name):
            continue
        title = f"[interface {name}]"
        for interface in one.address:
            other = seen.setdefault(interface.ip, name)
            if other != name:
                place = places.of("interface", name, "address")
                mistake = f"{interface.ip} belongs to [interface {other}] already"
                yield Mistake(place, title, "address", mistake, "Give each card addresses of its own")
        place = places.of("interface", name, "gateway")
        families = [ipaddress.ip_address(gateway).version for gateway in one.gateway]
        if len(set(families)) < len(families):
            yield Mistake(
                place, title, "gateway", "holds two of one family", "Keep one IPv4 and one IPv6 gateway at most"
            )
        for gateway in map(ipaddress.ip_address, one.gateway):
            if not one.address:
                remedy = "Give address, or take gateway away: DHCP brings one"
                yield Mistake(place, title, "gateway", "is given, but the addresses come by DHCP", remedy)
                break
            if not gateway.is_link_local and not any(gateway in interface.network for interface in one.address):
                mistake = f"{gateway} lies in no network of address"
                yield Mistake(place, title, "gateway", mistake, "Mend the gateway, or the length of the network")
