"""systemd-networkd's files, made from [interface NAME], and the addresses that the machine has just now."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

from ..config.machine import InterfaceSettings
from ..config.settings import Settings
from .machine import Machine, write_file
from .verb import Json

FOLDER: Final = "run/systemd/network"
PREFIX: Final = "10-jackfield-"

Files: TypeAlias = Mapping[str, str]
"""Texts by file name."""


def network_files(settings: Settings) -> dict[str, str]:
    """A file for each section; exact names come before those with *, for the first file that fits a card counts."""
    names = sorted(settings.interfaces, key=lambda name: ("*" in name, name))
    return {
        f"{PREFIX}{number:02}.network": "\n".join(_file(name, settings.interfaces[name])) + "\n"
        for number, name in enumerate(names)
    }


def _file(name: str, card: InterfaceSettings) -> Iterator[str]:
    yield f"# [interface {name}], written by Jackfield."
    yield "[Match]"
    yield f"Name={name}"
    yield "\n[Link]"
    yield "RequiredForOnline=no"
    if card.mtu is not None:
        yield f"MTUBytes={card.mtu}"
    yield "\n[Network]"
    yield f"DHCP={'no' if card.address else 'yes'}"
    yield f"IPv6AcceptRA={'no' if any(one.version == 6 for one in card.address) else 'yes'}"
    yield "IPv6PrivacyExtensions=no"
    yield from (f"Address={one}" for one in card.address)
    yield from (f"Gateway={one}" for one in card.gateway)
    yield from (f"DNS={one}" for one in card.dns)
    if card.search:
        yield f"Domains={' '.join(card.search)}"
    if not card.address:
        yield "\n[DHCPv4]\nClientIdentifier=mac"


def write_network(machine: Machine, files: Files) -> None:
    """Make these our files, and no others. Raises `OSError`."""
    folder = machine.root / FOLDER
    for old in folder.glob(f"{PREFIX}*.network"):
        if old.name not in files:
            old.unlink()
    for name, text in files.items():
        write_file(folder / name, text.encode(), 0o644)


async def take_up_network(machine: Machine, files: Files) -> None:
    """Write the files and have networkd take them up. Raises `OSError`, `Refused`."""
    write_network(machine, files)
    await machine.do("networkctl", "reload")


async def cards(machine: Machine) -> list[Json]:
    """Each network card but loopback: name, state, MAC and addresses."""
    ran = await machine.run(("ip", "-json", "address", "show"), b"")
    try:
        said: Any = json.loads(ran.output)
        return [
            {
                "name": str(one["ifname"]),
                "state": str(one.get("operstate", "")).lower(),
                "mac": str(one.get("address", "")),
                "addresses": [
                    f"{entry['local']}/{entry['prefixlen']}"
                    for entry in one.get("addr_info", ())
                    if entry.get("scope") == "global"
                ],
            }
            for one in said
            if one.get("link_type") != "loopback"
        ]
    except (ValueError, TypeError, KeyError):
        return []
