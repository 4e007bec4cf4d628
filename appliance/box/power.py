"""Verbs: how the machine is, its services, restart and end, and the factory reset that the next boot carries out."""

from __future__ import annotations

import os
import time
from typing import Final

from .machine import SOON, Machine, Refused, write_file
from .verb import Answer, Callers, Verb, Words

SERVICES: Final = ("jackfield", "snmpd", "haproxy", "keepalived", "redis-server", "chrony", "systemd-timesyncd")
"""Those that may be restarted, by the names of their units."""
RESET_MARK: Final = "factory-reset"
"""A file in the root of the data partition; the early unit that finds it makes the partition anew."""


async def _status(machine: Machine, words: Words) -> Answer:
    uptime_s, disk = time.clock_gettime(time.CLOCK_BOOTTIME), os.statvfs(machine.data)
    return {
        "version": machine.version,
        "up_s": int(uptime_s),
        "data_free_bytes": disk.f_bavail * disk.f_frsize,
        "data_bytes": disk.f_blocks * disk.f_frsize,
        "factory_reset": (machine.data / RESET_MARK).exists(),
    }


async def _restart(machine: Machine, words: Words) -> Answer:
    service = words["service"]
    if service not in SERVICES:
        raise Refused(f"{service!r} is not restarted from here, only {', '.join(SERVICES)}")
    await machine.do(
        "systemctl", "--no-block", "restart", f"{service}.service", by=SOON if service == "jackfield" else ()
    )
    return {}


async def _reboot(machine: Machine, words: Words) -> Answer:
    await machine.do("systemctl", "--no-block", "reboot", by=SOON)
    return {}


async def _poweroff(machine: Machine, words: Words) -> Answer:
    await machine.do("systemctl", "--no-block", "poweroff", by=SOON)
    return {}


async def _factory_reset(machine: Machine, words: Words) -> Answer:
    if words["sure"] != "wipe everything":
        raise Refused('a factory reset needs the words "wipe everything" in sure')
    write_file(machine.data / RESET_MARK, b"wipe everything\n")
    await machine.do("systemctl", "--no-block", "reboot", by=SOON)
    return {}


VERBS: Final = (
    Verb("status", "Version of the image, time since power-on, room for data.", Callers.GROUP, _status),
    Verb("restart", "Restart a service.", Callers.SERVICE, _restart, ("service",)),
    Verb("reboot", "Restart the machine.", Callers.SERVICE, _reboot),
    Verb("poweroff", "Switch the machine off.", Callers.SERVICE, _poweroff),
    Verb(
        "factory-reset",
        "Restart, and wipe the data partition on the way: configuration, keys, calls, everything.",
        Callers.SERVICE,
        _factory_reset,
        ("sure",),
    ),
)
