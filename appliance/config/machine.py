"""The machine itself, where it is a Jackfield image: [interface NAME], [time], [console]. Nobody else reads them."""

from __future__ import annotations

import ipaddress
from typing import TypeAlias

import attrs

from .kinds import address as an_address
from .kinds import flag, host, listed, optional, whole
from .setting import Kind, setting

InterfaceAddress: TypeAlias = ipaddress.IPv4Interface | ipaddress.IPv6Interface

DHCP = "dhcp"


def interface_addresses() -> Kind[tuple[InterfaceAddress, ...]]:
    """dhcp, which is read as nothing, or addresses with the lengths of their networks."""

    def read(value: str) -> tuple[InterfaceAddress, ...]:
        if value.lower() == DHCP:
            return ()
        found = []
        for one in (part.strip() for part in value.split(",")):
            if "/" not in one:
                raise ValueError(f"{one!r} has no length of its network, as in 192.0.2.5/24")
            try:
                found.append(ipaddress.ip_interface(one))
            except ValueError:
                raise ValueError(f"{one!r} is not an address with the length of its network") from None
        return tuple(found)

    return Kind("dhcp, or addresses such as 192.0.2.5/24, with commas between them", read)


@attrs.frozen(kw_only=True)
class InterfaceSettings:
    """A network card of a Jackfield image, by the kernel's name for it, or with * as in `en*`.

    `jackfield network apply` takes it up, and returns to the old addresses unless you confirm in time. Cards without
    a section use DHCP.
    """

    name: str
    address: tuple[InterfaceAddress, ...] = setting(
        interface_addresses(), DHCP, "Its addresses; dhcp: by DHCP, and by router advertisements for IPv6."
    )
    gateway: tuple[str, ...] = setting(listed(an_address()), "", "Routers to everywhere else, one for each family.")
    dns: tuple[str, ...] = setting(listed(an_address()), "", "Name servers, beside those that DHCP brings.")
    search: tuple[str, ...] = setting(listed(host()), "", "Domains in which short names are sought.")
    mtu: int | None = setting(
        optional(whole(1280, 9216, "bytes"), "auto", "the card's own"), "auto", "The longest packet."
    )


@attrs.frozen(kw_only=True)
class TimeSettings:
    """The clock of a Jackfield image. Calls are never refused for a wrong clock, certificates are."""

    servers: tuple[str, ...] = setting(listed(host()), "", "NTP servers, and no others. Empty: Debian's pool.")


@attrs.frozen(kw_only=True)
class ConsoleSettings:
    """The text console of a Jackfield image, on its screen and its serial line."""

    locked: bool = setting(
        flag(),
        "no",
        "Ask for the password of an administrator before anything is changed. No: who stands at the box may do what "
        "its power switch and a screwdriver allow anyway, setting a new password included; the shell always asks.",
    )
