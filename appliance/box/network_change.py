"""Changing addresses without locking oneself out: what is applied returns to what was unless it is confirmed in time.

Three files of root's alone say where things stand: `current.json` holds the networkd files that were confirmed last,
`pending.json` those that are on trial with the end of the trial, by the clock that no setting of time moves
(CLOCK_BOOTTIME). A restart of boxd goes on with the trial; a restart of the machine ends it, as its end does.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import attrs
import trio

from ..logs import log
from .configuration import settings_of
from .machine import Machine, Refused, write_file
from .network import Files, cards, network_files, take_up_network, write_network
from .verb import Answer, Callers, Verb, Words

DEFAULT_S: Final = 120
LONGEST_S: Final = 3600
LOOK_EVERY_S: Final = 1.0
BOOT_ID: Final = "proc/sys/kernel/random/boot_id"


@attrs.frozen
class Trial:
    """`until` is seconds of CLOCK_BOOTTIME in the boot of this id."""

    boot_id: str
    until: float
    files: Files


def boot_clock() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


async def begin(machine: Machine) -> None:
    """At boxd's start: the confirmed files are put in place; a trial goes on, or has ended meanwhile.

    Where nothing was ever confirmed, the configuration's own word is taken: nobody can be locked out yet.
    """
    trial, confirmed = _trial(machine), _read(_current(machine))
    if trial is not None and _left_s(machine, trial) > 0:
        write_network(machine, trial.files)
    elif trial is not None:
        try:
            await revert(machine, "it was not confirmed before the restart")
        except Refused as refused:
            log.info("box.network.later", why=refused)
        return
    elif confirmed is None:
        try:
            files = network_files(settings_of(machine))
        except Refused as refused:
            log.warning("box.network.default", why=refused)
            return
        _keep(_current(machine), {"files": files})
        write_network(machine, files)
    else:
        write_network(machine, confirmed["files"])
    # At a start networkd may not run yet, and reads them by itself.
    await machine.run(("networkctl", "reload"), b"")


async def watch(machine: Machine) -> None:
    """End trials whose time is over."""
    while True:
        trial = _trial(machine)
        if trial is not None and _left_s(machine, trial) <= 0:
            try:
                await revert(machine, "it was not confirmed in time")
            except (OSError, Refused) as error:
                log.error("box.network.revert_failed", error)
        await trio.sleep(LOOK_EVERY_S)


async def revert(machine: Machine, why: str) -> None:
    """Back to what was confirmed last. Raises `OSError`, `Refused`; the trial is over in any case."""
    confirmed = _read(_current(machine)) or {"files": {}}
    write_network(machine, confirmed["files"])
    _pending(machine).unlink(missing_ok=True)
    log.warning("box.network.reverted", why=why)
    await machine.do("networkctl", "reload")


async def _show(machine: Machine, words: Words) -> Answer:
    trial, confirmed = _trial(machine), _read(_current(machine)) or {"files": {}}
    try:
        wanted: Files | None = network_files(settings_of(machine))
    except Refused:
        wanted = None
    in_force = trial.files if trial else confirmed["files"]
    return {
        "cards": await cards(machine),
        "files": dict(in_force),
        "confirm_within_s": None if trial is None else max(0, round(_left_s(machine, trial))),
        "differs": wanted is not None and wanted != in_force,
    }


async def _apply(machine: Machine, words: Words) -> Answer:
    try:
        seconds = int(words.get("seconds", DEFAULT_S))
    except ValueError:
        seconds = 0
    if not 5 <= seconds <= LONGEST_S:
        raise Refused(f"seconds is a whole number from 5 to {LONGEST_S}")
    files = network_files(settings_of(machine))
    confirmed = _read(_current(machine)) or {"files": {}}
    if files == confirmed["files"]:
        if _trial(machine) is not None:
            await revert(machine, "the configuration is again what was confirmed")
        return {"changed": False}
    until = boot_clock() + seconds
    # The trial is on the disk before anything changes: whatever happens next, it ends.
    _keep(_pending(machine), {"boot_id": _boot_id(machine), "until": until, "files": files})
    try:
        await take_up_network(machine, files)
    except (OSError, Refused) as error:
        await revert(machine, f"it could not be taken up: {error}")
        raise
    log.warning("box.network.applied", confirm_within_s=seconds)
    return {"changed": True, "confirm_within_s": seconds}


async def _confirm(machine: Machine, words: Words) -> Answer:
    trial = _trial(machine)
    if trial is None or _left_s(machine, trial) <= 0:
        raise Refused("nothing waits to be confirmed: the time may be over, and the old addresses be back")
    _keep(_current(machine), {"files": dict(trial.files)})
    _pending(machine).unlink(missing_ok=True)
    log.info("box.network.confirmed")
    return {}


async def _revert(machine: Machine, words: Words) -> Answer:
    if _trial(machine) is None:
        raise Refused("nothing waits to be confirmed")
    await revert(machine, "it was asked for")
    return {}


VERBS: Final = (
    Verb("network-show", "Cards, their addresses, and what waits to be confirmed.", Callers.GROUP, _show),
    Verb(
        "network-apply",
        "Take up [interface NAME] of the configuration; without a confirmation the old addresses return.",
        Callers.SERVICE,
        _apply,
        ("seconds?",),
    ),
    Verb("network-confirm", "Keep what was applied.", Callers.SERVICE, _confirm),
    Verb("network-revert", "Return to the old addresses at once.", Callers.SERVICE, _revert),
)


def _current(machine: Machine) -> Path:
    return machine.own / "network/current.json"


def _pending(machine: Machine) -> Path:
    return machine.own / "network/pending.json"


def _boot_id(machine: Machine) -> str:
    return (machine.root / BOOT_ID).read_text().strip()


def _left_s(machine: Machine, trial: Trial) -> float:
    return trial.until - boot_clock() if trial.boot_id == _boot_id(machine) else 0.0


def _keep(file: Path, facts: Mapping[str, Any]) -> None:
    write_file(file, json.dumps(facts).encode())


def _read(file: Path) -> dict[str, Any] | None:
    try:
        said = json.loads(file.read_bytes())
        files = said["files"]
        return said if all(isinstance(text, str) and "/" not in name for name, text in files.items()) else None
    except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _trial(machine: Machine) -> Trial | None:
    said = _read(_pending(machine))
    return None if said is None else Trial(str(said["boot_id"]), float(said["until"]), said["files"])
