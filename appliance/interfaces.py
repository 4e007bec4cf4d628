"""The addresses of this machine: for certificates, and to know which SIP domains are ours.

Read from the kernel's own tables in /proc, so that nothing is resolved and nothing waits.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from pathlib import Path
from typing import Final

_LEAF: Final = re.compile(r"\|-- (\d+\.\d+\.\d+\.\d+)\n\s+/32 host LOCAL")


def local_addresses(
    fib_trie: Path = Path("/proc/net/fib_trie"), if_inet6: Path = Path("/proc/net/if_inet6")
) -> tuple[str, ...]:
    """Every IPv4 and IPv6 address of this machine, loopback included, link-local ones left out."""
    found = {"127.0.0.1"}
    try:
        found |= set(_LEAF.findall(fib_trie.read_text()))
    except OSError:
        pass
    try:
        for line in if_inet6.read_text().splitlines():
            found.add(str(ipaddress.IPv6Address(bytes.fromhex(line.split()[0]))))
    except (OSError, ValueError, IndexError):
        pass
    addresses = [ipaddress.ip_address(address) for address in found]
    usable = [one for one in addresses if not one.is_link_local]
    return tuple(str(one) for one in sorted(usable, key=lambda one: (one.version, not one.is_loopback, int(one))))


def local_names() -> tuple[str, ...]:
    """localhost and the host name, in small letters."""
    name = socket.gethostname().lower()
    return ("localhost",) if name in ("", "localhost") else ("localhost", name)


def own_domains(domains: tuple[str, ...] | None, advertise: tuple[str, ...]) -> tuple[str, ...]:
    """The SIP domains that are ours: the configured ones first, then our names and addresses.

    domains is [appliance] domains, None for auto.
    """
    return tuple(dict.fromkeys([*(domains or ()), *advertise, *local_names(), *local_addresses()]))


def primary_address() -> str:
    """The address to show to people: the first that is not loopback, IPv4 before IPv6."""
    for address in local_addresses():
        if not ipaddress.ip_address(address).is_loopback:
            return address
    return "127.0.0.1"
