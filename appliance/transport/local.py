"""Our own addresses: which one reaches a peer, and what to write into Via for it."""

from __future__ import annotations

import ipaddress
import socket
import time

_KEPT_S = 60.0
_KEPT = 4096

WILDCARDS = ("0.0.0.0", "::")  # noqa: S104


def family_of(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def sockaddr(
    host: str, port: int, family: socket.AddressFamily | None = None
) -> tuple[str, int] | tuple[str, int, int, int]:
    """What the socket calls want for an IP literal, in the very form in which recvfrom gives it back.

    Raises `ValueError` where it is none, or not of `family`, or the port is none.
    """
    if not 0 <= port < 65_536:
        raise ValueError(f"no port {port}")
    if ":" not in host:
        if family == socket.AF_INET6:
            raise ValueError(f"{host} is no IPv6 address")
        return str(ipaddress.IPv4Address(host)), port
    if family == socket.AF_INET:
        raise ValueError(f"{host} is no IPv4 address")
    bare, _, scope = host.partition("%")
    number = 0
    if scope:
        try:
            number = int(scope) if scope.isdigit() else socket.if_nametoindex(scope)
        except OSError:
            raise ValueError(f"no interface {scope}") from None
    return str(ipaddress.IPv6Address(bare)), port, 0, number


class LocalAddresses:
    """Which of our addresses the kernel would send from. Asked by connecting a UDP socket, which sends nothing."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, float]] = {}

    def towards(self, host: str) -> str | None:
        """Our address towards an IP literal; None where there is no route. Remembered for a minute."""
        now = time.monotonic()
        known = self._known.get(host)
        if known is not None and now < known[1]:
            return known[0]
        try:
            with socket.socket(family_of(host), socket.SOCK_DGRAM) as probe:
                probe.connect(sockaddr(host, 9))
                local = str(probe.getsockname()[0])
        except (OSError, ValueError):
            return None
        if len(self._known) >= _KEPT:
            self._known.clear()
        self._known[host] = local, now + _KEPT_S
        return local


def advertised_host(advertise: tuple[str, ...], local: str) -> str:
    """The first advertised address of `local`'s family, else the first advertised name, else `local` itself."""
    name = None
    for host in advertise:
        if ":" in host or host.replace(".", "").isdigit():
            if family_of(host) == family_of(local):
                return host
        elif name is None:
            name = host
    return name or local
