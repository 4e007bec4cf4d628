"""Verbs: who snmpd is to those who ask it. Its engine ID and its count of starts go with a backup.

A manager that knows the engine refuses one whose count has gone back (RFC 3414 §3.2), so a box that takes over must
bring both. Keys of users are not touched: snmpd makes them anew from its configuration.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import trio

from .machine import Machine, Refused, give, write_file
from .verb import Answer, Callers, Verb, Words

FILE: Final = "var/lib/snmp/snmpd.conf"
"""Where Debian's snmpd keeps it; it writes the file when it ends."""
MOST_BOOTS: Final = 2**31 - 1
_ENGINE: Final = re.compile(r"0x(?:[0-9A-Fa-f]{2}){5,32}")


async def _show(machine: Machine, words: Words) -> Answer:
    found = dict.fromkeys(("oldEngineID", "engineBoots"), "")
    for line in await trio.to_thread.run_sync(_lines, machine.root / FILE):
        key, _, value = line.partition(" ")
        if key in found:
            found[key] = value.strip()
    return {"engine_id": found["oldEngineID"], "engine_boots": found["engineBoots"]}


async def _put(machine: Machine, words: Words) -> Answer:
    engine, boots = words["engine_id"], words["engine_boots"]
    if not _ENGINE.fullmatch(engine) or not boots.isdecimal() or not 0 <= int(boots) < MOST_BOOTS:
        raise Refused("that is no engine of SNMP")
    runs = not (await machine.run(("systemctl", "--quiet", "is-active", "snmpd.service"), b"")).code
    if runs:
        await machine.do("systemctl", "stop", "snmpd.service")
    file = machine.root / FILE
    kept = [
        line
        for line in await trio.to_thread.run_sync(_lines, file)
        if line.partition(" ")[0] not in ("oldEngineID", "engineBoots", "usmUser")
    ]
    # The count goes on: the next start adds one to it.
    text = "\n".join([*kept, f"oldEngineID {engine}", f"engineBoots {boots}", ""])
    owner = file.parent.stat()
    write_file(file, text.encode())
    give(file, owner)
    if runs:
        await machine.do("systemctl", "start", "snmpd.service")
    return {}


VERBS: Final = (
    Verb("snmp-state", "snmpd's engine ID and its count of starts.", Callers.SERVICE, _show),
    Verb("snmp-state-put", "Make snmpd that engine.", Callers.SERVICE, _put, ("engine_id", "engine_boots")),
)


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
