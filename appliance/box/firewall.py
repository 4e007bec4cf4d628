"""The packet filter of the image: nothing comes in but to ports that the configuration opens, made anew at a reload.

Media and SIP are let in before connection tracking, which would cost as much as their own handling.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from typing import Final

from ..config.sections import Transport
from ..config.settings import Settings
from .configuration import settings_of
from .machine import Machine
from .verb import Answer, Callers, Verb, Words

_RULES: Final = """\
table inet jackfield
delete table inet jackfield
table inet jackfield {{
  chain early {{
    type filter hook prerouting priority raw; policy accept;
{untracked}  }}
  chain late {{
    type filter hook output priority raw; policy accept;
{untracked_out}  }}
  chain input {{
    type filter hook input priority filter; policy drop;
    iif lo accept
{opened}    ct state established,related accept
    meta l4proto {{ icmp, ipv6-icmp }} accept
    udp sport 67 udp dport 68 accept
    udp dport 546 accept
    meta l4proto tcp reject with tcp reset
  }}
  chain forward {{
    type filter hook forward priority filter; policy drop;
  }}
}}
"""


def open_ports(settings: Settings) -> dict[str, list[str]]:
    """Ports and ranges that something of ours listens on, by udp and tcp; those on loopback only are left out."""
    found: dict[str, set[tuple[int, int]]] = {"udp": set(), "tcp": set()}
    for one in settings.listeners.values():
        if _outside(one.bind) and one.port:
            found["udp" if one.transport is Transport.UDP else "tcp"].add((one.port, one.port))
    if _outside(settings.web.bind) and settings.web.https_port:
        found["tcp"].add((settings.web.https_port, settings.web.https_port))
    if _outside(settings.media.bind):
        found["udp"].add((settings.media.ports.low, settings.media.ports.high))
    if settings.snmp.enabled:
        for protocol, port in _snmp(settings.snmp.addresses):
            found[protocol].add((port, port))
    return {
        protocol: [f"{low}" if low == high else f"{low}-{high}" for low, high in sorted(_merged(ports))]
        for protocol, ports in found.items()
    }


def rules_of(settings: Settings) -> str:
    """All of it, for `nft -f -`, which takes it up as a whole or not at all."""
    ports = open_ports(settings)
    opened = "".join(f"    {one} dport {{ {', '.join(found)} }} accept\n" for one, found in ports.items() if found)
    udp = ", ".join(ports["udp"])
    untracked = f"    udp dport {{ {udp} }} notrack\n" if udp else ""
    untracked_out = f"    udp sport {{ {udp} }} notrack\n" if udp else ""
    return _RULES.format(opened=opened, untracked=untracked, untracked_out=untracked_out)


async def take_up_firewall(machine: Machine) -> dict[str, list[str]]:
    """The ports that are open now. Raises `Refused`; then the filter is as it was."""
    settings = settings_of(machine)
    await machine.do("nft", "-f", "-", given=rules_of(settings).encode())
    return open_ports(settings)


async def _reload(machine: Machine, words: Words) -> Answer:
    return {protocol: list(ports) for protocol, ports in (await take_up_firewall(machine)).items()}


VERBS: Final = (
    Verb("firewall", "Open the ports of the configuration, and close all others.", Callers.SERVICE, _reload),
)


def _outside(bind: Sequence[str]) -> bool:
    return any(not ipaddress.ip_address(address).is_loopback for address in bind)


def _snmp(addresses: Sequence[str]) -> Iterator[tuple[str, int]]:
    for address in addresses:
        protocol, _, rest = address.partition(":")
        host, _, port = rest.rpartition(":")
        if host.strip("[]") not in ("127.0.0.1", "::1", "localhost") and port.isdecimal() and 0 < int(port) < 65536:
            yield protocol.removesuffix("6"), int(port)


def _merged(ports: set[tuple[int, int]]) -> list[tuple[int, int]]:
    """Without overlaps: nft refuses those in a set."""
    found: list[tuple[int, int]] = []
    for low, high in sorted(ports):
        if found and low <= found[-1][1]:
            found[-1] = (found[-1][0], max(high, found[-1][1]))
        else:
            found.append((low, high))
    return found
