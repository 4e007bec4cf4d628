"""Verbs: the machine's clock. chrony keeps it; servers come from [time], or are Debian's pool."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any, Final

from ..logs import log
from .configuration import settings_of
from .machine import APART, Machine, Refused, write_file
from .verb import Answer, Callers, Verb, Words

SOURCES: Final = "run/chrony-dhcp/jackfield.sources"
"""Where the chrony of the image looks for its servers; its own configuration names none."""
POOL: Final = "pool 2.debian.pool.ntp.org iburst\n"
_LATEST: Final = 4_102_444_800
"""2100-01-01."""


async def take_up_servers(machine: Machine) -> None:
    """Raises `Refused`, `OSError`."""
    servers = settings_of(machine).time.servers
    lines = "".join(f"server {one} iburst\n" for one in servers) or POOL
    write_file(machine.root / SOURCES, lines.encode(), 0o644)
    await machine.run(("chronyc", "reload", "sources"), b"")  # where it does not run yet, it reads them by itself


async def _show(machine: Machine, words: Words) -> Answer:
    ran = await machine.run(("chronyc", "-c", "tracking"), b"")
    fields: list[Any] = ran.output.split(",") if not ran.code else []
    synchronised = len(fields) > 13 and fields[13] in ("Normal", "Insert second", "Delete second")
    return {
        "utc": datetime.fromtimestamp(time.time(), UTC).strftime("%Y-%m-%d %H:%M:%S"),
        "synchronised": synchronised,
        "server": str(fields[1]) if synchronised else "",
    }


async def _set(machine: Machine, words: Words) -> Answer:
    """A clock that is set by hand stays so until a server is heard."""
    try:
        at = datetime.strptime(words["utc"], "%Y-%m-%d %H:%M").replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise Refused(f"{words['utc'][:40]!r} is no time: give one such as 2026-01-31 12:30, in UTC") from None
    if not 0 < at < _LATEST:
        raise Refused("this box knows the years from 1970 to 2099")
    await machine.do("date", "--utc", "--set", f"@{int(at)}", by=APART)
    await machine.run((*APART, "hwclock", "--systohc", "--utc"), b"")  # some machines have none
    log.warning("box.time.set", utc=words["utc"])
    return {}


async def _servers(machine: Machine, words: Words) -> Answer:
    await take_up_servers(machine)
    return {}


VERBS: Final = (
    Verb("time", "The clock, and whether a server keeps it right.", Callers.GROUP, _show),
    Verb("time-set", "Set the clock by hand, in UTC.", Callers.SERVICE, _set, ("utc",)),
    Verb("time-servers", "Take up the servers of [time].", Callers.SERVICE, _servers),
)
