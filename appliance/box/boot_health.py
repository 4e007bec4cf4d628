"""After the start: is the box well, and what follows for the slot that it started from.

A version on trial that is well is marked good. One that is not restarts the machine; GRUB counts the tries, and after
three the other slot starts, which is where we find that a trial was lost. A version that was well before is marked
good whatever is wrong: neither a mistake in the configuration nor a missing carrier may start an old version.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Final

import attrs

from ..logs import log
from .machine import Machine
from .slots import mark_bad, mark_good, read_slots, start_next
from .update_record import Fallen, Record, read_record, write_record

Healthy = Callable[[bool], Awaitable[str]]
"""Waits until the box is well, or gives up; a sentence that says what is wrong, "" where all is well.

It is told whether a call of the self-test is part of it.
"""
NO_WORD: Final = "it did not come up far enough to say why"


class Outcome(Enum):
    """What came of the look."""

    GOOD = "marked good"
    RESTART = "restarts, to be tried again or given up"


async def look_after_start(machine: Machine, healthy: Healthy, wall: Callable[[], float] = time.time) -> Outcome:
    """Once after each start, as root. Raises `NotOurImage`, `Refused` or `OSError` where it cannot be told."""
    machine.must_be_ours()
    slots, record = await read_slots(machine), read_record(machine)
    slot, trial = slots.booted.name, record.trial
    if trial is None or trial.slot != slot:
        if trial is not None:
            record = await _trial_lost(machine, record, wall())
        fault = await healthy(True)
        if fault:
            log.warning("update.unwell", version=machine.version, fault=fault)
    else:
        # Before we look: a start that ends in the middle counts, too.
        trial = attrs.evolve(trial, installed=True, starts=trial.starts + 1, reason=NO_WORD)
        record = attrs.evolve(record, trial=trial)
        write_record(machine, record)
        fault = await healthy(not trial.without_call)
        if fault:
            write_record(machine, attrs.evolve(record, trial=attrs.evolve(trial, reason=fault)))
            log.error("update.trial.failed", version=trial.version, slot=slot, starts=trial.starts, fault=fault)
            return Outcome.RESTART
        log.info("update.trial.passed", version=trial.version, slot=slot, starts=trial.starts)
    await mark_good(machine)
    versions = record.versions | {slot: machine.version or ""}
    if trial is not None or versions != record.versions:
        write_record(machine, attrs.evolve(record, trial=None, versions=versions))
    return Outcome.GOOD


async def _trial_lost(machine: Machine, record: Record, now: float) -> Record:
    """We run, but not from the slot on trial: it was given up, or never written whole."""
    trial = record.trial
    assert trial is not None
    await mark_bad(machine)
    await start_next(machine, "booted")
    if not trial.installed:
        log.warning("update.broken_off", version=trial.version, slot=trial.slot)
        return attrs.evolve(record, trial=None)
    fallen = Fallen(trial.version, trial.reason or NO_WORD, now)
    log.error("update.fell_back", version=trial.version, slot=trial.slot, to=machine.version, reason=fallen.reason)
    return attrs.evolve(record, trial=None, fallen=fallen)
