"""The verb `take-up`: what of the configuration is the machine's own. Packet filter, time servers, host name."""

from __future__ import annotations

from typing import Final

from ..logs import log
from .clock import take_up_servers
from .configuration import settings_of
from .firewall import take_up_firewall
from .machine import APART, Machine, Refused
from .verb import Answer, Callers, Verb, Words


async def begin(machine: Machine) -> None:
    """At boxd's start. Never raises for what the configuration says."""
    try:
        await take_up(machine)
    except (Refused, OSError) as error:
        log.error("box.take_up.failed", why=error)


async def take_up(machine: Machine) -> None:
    """Raises `Refused`, `OSError`. The packet filter comes first: calls hang on it."""
    await take_up_firewall(machine)
    await take_up_servers(machine)
    await machine.run((*APART, "hostname", settings_of(machine).appliance.name), b"")


async def _take_up(machine: Machine, words: Words) -> Answer:
    await take_up(machine)
    return {}


VERBS: Final = (
    Verb("take-up", "Take up what of the configuration is the machine's, but addresses.", Callers.SERVICE, _take_up),
)
