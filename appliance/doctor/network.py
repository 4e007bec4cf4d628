"""The network: name servers, our domains and the gateways' names, NAT, and who listens on our ports."""

from __future__ import annotations

import ipaddress
import queue
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Final

import dns.exception
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import dns.resolver

from appliance.config import Settings
from appliance.interfaces import local_addresses
from appliance.ports import PortsRefused, holders, try_ports, user_of

from .finding import Finding, Grade

DNS_S: Final = 3.0
SLOW_S: Final = 0.2
Resolve = Callable[[str], Collection[str]]
"""Addresses of a name, none where it has none."""


def examine_network(settings: Settings, pid: int | None) -> Iterator[Finding]:
    """`pid` is that of the running box."""
    named = _names_of(settings)
    yield from examine_servers(name_servers(), needed=bool(named))
    yield from domain_findings(settings, addresses_of, local_addresses())
    yield from gateway_findings(settings, addresses_of)
    yield from nat_findings(settings, local_addresses())
    yield from examine_ports(settings, pid)


# DNS


def name_servers(file: Path = Path("/etc/resolv.conf")) -> list[str]:
    try:
        words = [line.split() for line in file.read_text().splitlines()]
    except OSError:
        return []
    return [each[1] for each in words if len(each) > 1 and each[0] == "nameserver"]


def examine_servers(servers: Sequence[str], *, needed: bool, port: int = 53) -> Iterator[Finding]:
    """Ask each for the root's name servers, and time it."""
    if not servers:
        grade = Grade.WARNING if needed else Grade.NOTE
        yield Finding(
            "dns", "servers", grade, "no name server is configured", "Name one in /etc/resolv.conf." if needed else ""
        )
    for server in servers:
        began = time.monotonic()
        try:
            answer = dns.query.udp(dns.message.make_query(".", dns.rdatatype.NS), server, timeout=DNS_S, port=port)
        except (dns.exception.DNSException, OSError, ValueError) as error:
            yield Finding(
                "dns",
                server,
                Grade.FAULT if needed and len(servers) == 1 else Grade.WARNING,
                f"the name server does not answer: {error or type(error).__name__}",
                "Look at /etc/resolv.conf and the way there; calls to gateways by name wait for it.",
            )
            continue
        took_s = time.monotonic() - began
        if answer.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN, dns.rcode.REFUSED):
            said = f"the name server answers {dns.rcode.to_text(answer.rcode())}"
            yield Finding("dns", server, Grade.WARNING, said, "Ask whoever runs it.")
        elif took_s > SLOW_S:
            said = f"the name server took {1000 * took_s:.0f} ms"
            yield Finding("dns", server, Grade.WARNING, said, "Put a caching name server closer to the box.")
        else:
            yield Finding("dns", server, Grade.OK, f"answers in {1000 * took_s:.0f} ms")


def addresses_of(name: str) -> Collection[str]:
    """By /etc/hosts and DNS, and by SRV as phones and proxies do (RFC 3263); within a bounded time."""
    found: queue.Queue[set[str]] = queue.Queue()

    def ask() -> None:
        addresses: set[str] = set()
        for host in (name, *_srv_targets(name)):
            try:
                addresses |= {str(one[4][0]) for one in socket.getaddrinfo(host, None)}
            except (OSError, UnicodeError):
                continue
        found.put(addresses)

    threading.Thread(target=ask, daemon=True).start()
    try:
        return found.get(timeout=2 * DNS_S)
    except queue.Empty:
        return ()


def _srv_targets(name: str) -> list[str]:
    targets = []
    for prefix in ("_sip._udp", "_sip._tcp", "_sips._tcp"):
        try:
            answer = dns.resolver.resolve(f"{prefix}.{name}", "SRV", lifetime=1.0)
            targets += [str(one.target).rstrip(".") for one in answer]
        except (dns.exception.DNSException, OSError, ValueError):
            continue
    return targets


def domain_findings(settings: Settings, resolve: Resolve, local: Collection[str]) -> Iterator[Finding]:
    """Whether our domains lead to this box, or to the address that it advertises."""
    ours = {*local, *settings.appliance.advertise}
    for one in settings.appliance.advertise:
        if not _is_address(one):
            ours |= set(resolve(one))
    for domain in settings.appliance.domains or ():
        if _is_address(domain):
            continue
        found = set(resolve(domain))
        if not found:
            yield Finding(
                "names",
                domain,
                Grade.WARNING,
                "our domain has no address in DNS: phones that are given it find nobody",
                f"Give {domain} an A, AAAA or SRV record, or give phones the address as their proxy.",
            )
        elif not found & ours:
            yield Finding(
                "names",
                domain,
                Grade.WARNING,
                f"our domain leads to {', '.join(sorted(found))}, which is not this box",
                "Mend the record; behind a NAT, name the outer address by advertise in [appliance].",
            )
        else:
            yield Finding("names", domain, Grade.OK, "leads to this box")


def gateway_findings(settings: Settings, resolve: Resolve) -> Iterator[Finding]:
    for trunk in settings.trunks.values():
        for host in dict.fromkeys(gateway.host for gateway in (*trunk.gateways, *trunk.registrar)):
            if _is_address(host):
                continue
            found = resolve(host)
            about = f"{host} of trunk {trunk.name}"
            if found:
                yield Finding("names", about, Grade.OK, f"leads to {', '.join(sorted(found))}")
            else:
                said = "the gateway's name has no address: calls there fail"
                yield Finding("names", about, Grade.FAULT, said, "Mend the name in gateways, or the name server.")


def nat_findings(settings: Settings, local: Collection[str]) -> Iterator[Finding]:
    """What is advertised against what this machine has."""
    advertised = [one for one in settings.appliance.advertise if _is_address(one)]
    outer = [one for one in local if ipaddress.ip_address(one).is_global]
    for one in advertised:
        if one in local:
            yield Finding("nat", one, Grade.OK, "what is advertised is an address of this machine")
            continue
        media = settings.media.ports
        yield Finding(
            "nat",
            one,
            Grade.NOTE,
            "what is advertised is no address of this machine: a NAT must lead it here",
            f"Forward the listeners' ports and UDP {media.low}-{media.high} from {one}.",
        )
    if not settings.appliance.advertise and not outer:
        yield Finding(
            "nat",
            "advertise",
            Grade.NOTE,
            "this machine has private addresses only: phones and carriers outside get no media",
            "Where calls come from outside, name the outer address by advertise in [appliance]. Inside one network, "
            "all is well.",
        )


# Ports


def examine_ports(settings: Settings, pid: int | None) -> Iterator[Finding]:
    """Of a running box: whether the ports are its own. Else: whether they can be had."""
    wanted = [(f"listener {one.name}", _protocol(one.transport.value), one.port) for one in settings.listeners.values()]
    wanted += [("web", "tcp", settings.web.https_port)]
    if pid is None:
        try:
            try_ports(settings)
        except PortsRefused as refused:
            for line in str(refused).splitlines():
                yield Finding("ports", "listeners", Grade.FAULT, line, "Nothing starts until its ports can be had.")
    for name, protocol, port in wanted:
        found = holders(protocol, port)
        about = f"{name} ({protocol} {port})"
        if pid is None:
            if not found:
                yield Finding("ports", about, Grade.OK, "is free")
        # Who may not look into the box's process is told its user, and has to believe that.
        elif any(one.endswith(f"process {pid}") or one == user_of(pid) for one in found):
            yield Finding("ports", about, Grade.OK, "is bound by the box")
        elif found:
            others = ", ".join(found)
            said = f"is not the box's: another program ({others}) listens there"
            yield Finding("ports", about, Grade.FAULT, said, "End that program and restart, or give another port.")
        else:
            said = "the box runs, but nobody listens there"
            yield Finding("ports", about, Grade.FAULT, said, "Restart the box: a new listener or port needs it.")


def _protocol(transport: str) -> str:
    return "udp" if transport == "udp" else "tcp"


def _names_of(settings: Settings) -> list[str]:
    gateways = [one.host for trunk in settings.trunks.values() for one in (*trunk.gateways, *trunk.registrar)]
    return [host for host in (*(settings.appliance.domains or ()), *gateways) if not _is_address(host)]


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return False
    return True
