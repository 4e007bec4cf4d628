"""Updates: how the slots stand, installing a bundle, going back to the previous version; boxd's verbs for them.

A bundle lies in the inbox, where the web side and the command put it, or on a stick labelled JACKFIELD; nobody names
other files. Installing takes minutes and outlives boxd: a transient unit of systemd runs `jackfield update apply`, and
tells its progress in /run. What is installed has to show itself at its first start (boot_health.py).
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

import attrs
import trio

from ..logs import log
from .boot_health import Healthy
from .bundle import Bundle, judge, machine_kind, oldest_allowed
from .machine import Machine, Refused, write_file
from .slots import Slot, Slots, mark_bad, read_slots, start_next
from .stick import LABEL, open_stick
from .update_record import Record, Trial, read_record, write_record
from .verb import Answer, Callers, Json, Verb, Words

INBOX: Final = "updates"
"""In the state directory; its files are removed once they are installed or refused."""
UNIT: Final = "jackfield-update"
LONGEST_INSTALL_S: Final = 1800
SUFFIX: Final = ".raucb"
UNKNOWN: Final = "unknown"
"""The version in a slot that was filled before a factory reset, which forgets it."""
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~-]{0,120}\.raucb")
_PERCENT: Final = re.compile(r"^ *(\d{1,3})% (.+)$", re.MULTILINE)

Install = Callable[[Sequence[str], Path], Awaitable[int]]
"""Runs a program for as long as it takes, what it says goes into a file; its exit code."""


async def run_long(words: Sequence[str], said: Path) -> int:
    """The real one. Raises `OSError`."""
    with said.open("wb") as out:
        done = await trio.run_process(list(words), stdout=out, stderr=subprocess.STDOUT, check=False)
    return done.returncode


def inbox(machine: Machine) -> Path:
    return machine.state_dir / INBOX


def is_bundle_name(name: str) -> bool:
    """Whether a file may have this name in the inbox."""
    return _NAME.fullmatch(name) is not None


@attrs.frozen
class Progress:
    """Of the installation that runs, or the last since power-on. `state` is checking, installing, done or failed.

    `unwell`: it failed because the box is not well itself; it can be had anyway, and still lies where it lay.
    """

    state: str
    bundle: str
    version: str = ""
    error: str = ""
    stick: bool = False
    unwell: bool = False


class Unwell(Refused):
    """The box would not pass the health check now, so a new version would not pass it either."""


def write_progress(machine: Machine, progress: Progress) -> None:
    write_file(_progress_file(machine), json.dumps(attrs.asdict(progress)).encode() + b"\n", 0o644)


def read_progress(machine: Machine) -> Progress | None:
    try:
        return Progress(**json.loads(_progress_file(machine).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


async def apply(
    machine: Machine, name: str, healthy: Healthy | None, *, stick: bool = False, install: Install = run_long
) -> Bundle:
    """Judge a bundle and write it into the other slot, which then starts next. Raises `Refused`; as root.

    `healthy` asks the box of now, for what fails there would be held against the new version. None: install it
    anyway, and let no call of the self-test decide on it. Whatever comes of it, the progress file says so, and the
    file is gone from the inbox, unless it waits there for being wanted anyway.
    """
    write_progress(machine, Progress("checking", name, stick=stick))
    try:
        if stick:
            async with open_stick(machine) as folder:
                return await _write_slot(machine, folder / _safe(name), healthy, install)
        file, kept = inbox(machine) / _safe(name), False
        try:
            return await _write_slot(machine, file, healthy, install)
        except Unwell:
            kept = True
            raise
        finally:
            if not kept:
                file.unlink(missing_ok=True)
    except (Refused, OSError) as error:
        unwell = isinstance(error, Unwell)
        write_progress(machine, Progress("failed", name, error=str(error), stick=stick, unwell=unwell))
        log.warning("update.refused", bundle=name, reason=error)
        raise


async def _write_slot(machine: Machine, file: Path, healthy: Healthy | None, install: Install) -> Bundle:
    slots = await read_slots(machine)
    record = read_record(machine)
    trial = record.trial
    if trial is not None and trial.installed and trial.slot == slots.booted.name:
        raise Refused(f"version {trial.version} is on trial just now: wait until it is marked good")
    bundle = await judge(machine, file)
    if healthy is not None and (fault := await healthy(True)):
        raise Unwell(
            f"this box is not well itself, so that version {bundle.version} would be given up, too: {fault}. "
            "Mend that first, or have it installed anyway: no call of the self-test decides on it then"
        )
    write_progress(machine, Progress("installing", file.name, bundle.version))
    # Before the slot can start: whatever starts from it then is on trial, even after a power cut just behind RAUC.
    trial = Trial(slots.other.name, bundle.version, machine.version or "", without_call=healthy is None)
    versions = {slot: known for slot, known in record.versions.items() if slot != trial.slot}
    write_record(machine, attrs.evolve(record, trial=trial, versions=versions))
    log.info(
        "update.installs",
        version=bundle.version,
        slot=trial.slot,
        before=trial.before,
        without_call=trial.without_call,
    )
    said = _said_file(machine)
    if await install(("rauc", "install", str(file)), said):
        write_record(machine, attrs.evolve(read_record(machine), trial=None))
        raise Refused(f"{file.name} could not be written: {_last_error(said)}")
    write_record(machine, attrs.evolve(read_record(machine), trial=attrs.evolve(trial, installed=True), fallen=None))
    write_progress(machine, Progress("done", file.name, bundle.version))
    log.info("update.installed", version=bundle.version, slot=trial.slot)
    return bundle


async def status(machine: Machine) -> dict[str, Json]:
    """How everything stands, for people and machines. Raises `Refused`."""
    record, progress = read_record(machine), read_progress(machine)
    running = progress is not None and progress.state in ("checking", "installing")
    if progress is not None and running and not await _installs(machine):
        running, progress = False, attrs.evolve(progress, state="failed", error="the installation was broken off")
    if running and progress is not None:  # RAUC tells nothing of its slots while it writes one
        now = {**attrs.asdict(progress), **_percent(machine, running)}
        facts: dict[str, Json] = dict.fromkeys(("trial", "fallen"))
        facts |= {"version": machine.version, "hardware": machine_kind(machine), "oldest": oldest_allowed(machine)}
        facts |= {"slots": [], "previous": "", "previous_refused": "an update is being installed", "restart": False}
        return {**facts, "installing": True, "progress": now}
    slots = await read_slots(machine)
    return {
        "version": machine.version,
        "hardware": machine_kind(machine),
        "oldest": oldest_allowed(machine),
        "slots": [
            _shown(machine, one, record) for one in sorted((slots.booted, slots.other), key=lambda one: one.name)
        ],
        "trial": None if record.trial is None or not record.trial.installed else attrs.asdict(record.trial),
        "fallen": None if record.fallen is None else attrs.asdict(record.fallen),
        "previous": "" if _why_no_way_back(slots, record) else _version_of(machine, slots.other, record),
        "previous_refused": _why_no_way_back(slots, record),
        "restart": slots.other.next and not _on_trial(slots.booted, record),
        "installing": running,
        "progress": None if progress is None else {**attrs.asdict(progress), **_percent(machine, running)},
    }


async def previous(machine: Machine) -> str:
    """Let the other slot start next; its version. Raises `Refused`."""
    if await _installs(machine):
        raise Refused("an update is being installed just now: the previous version is being overwritten")
    slots, record = await read_slots(machine), read_record(machine)
    if why := _why_no_way_back(slots, record):
        raise Refused(why)
    await start_next(machine, "other")
    version = _version_of(machine, slots.other, record)
    log.info("update.previous", version=version, slot=slots.other.name)
    return version


async def _answer_status(machine: Machine, words: Words) -> Answer:
    return await status(machine)


async def _find(machine: Machine, words: Words) -> Answer:
    found: list[Json] = []
    async with open_stick(machine) as folder:
        for file in sorted(folder.glob(f"*{SUFFIX}")):
            if is_bundle_name(file.name) and file.is_file():
                found.append({"file": file.name, "size": file.stat().st_size})
    return {"bundles": found}


async def _start_install(machine: Machine, words: Words) -> Answer:
    name = _safe(words["file"])
    stick, anyway = words.get("stick") == "yes", words.get("anyway") == "yes"
    if not stick and not (inbox(machine) / name).is_file():
        raise Refused(f"there is no {name} to install")
    if await _installs(machine):
        raise Refused("an update is being installed already")
    write_progress(machine, Progress("checking", name, stick=stick))
    options = [option for option, holds in (("--stick", stick), ("--anyway", anyway)) if holds]
    await machine.do(
        *("systemd-run", "--quiet", "--collect", f"--unit={UNIT}", f"--property=RuntimeMaxSec={LONGEST_INSTALL_S}"),
        *(sys.executable, "-m", "appliance", "update", "apply", name, *options),
    )
    return {}


async def _go_back(machine: Machine, words: Words) -> Answer:
    return {"version": await previous(machine)}


async def _give_up(machine: Machine, words: Words) -> Answer:
    """Of an update that was installed and not started yet."""
    slots, record = await read_slots(machine), read_record(machine)
    trial = record.trial
    if trial is None or trial.slot == slots.booted.name:
        raise Refused("no update waits for a restart")
    await start_next(machine, "booted")
    await mark_bad(machine)
    write_record(machine, attrs.evolve(record, trial=None))
    return {"version": trial.version}


VERBS: Final = (
    Verb("update-status", "Both slots, what is on trial, how the installation goes.", Callers.GROUP, _answer_status),
    Verb("update-find", f"Bundles on a stick labelled {LABEL}.", Callers.SERVICE, _find),
    Verb(
        "update-install",
        "Begin to install a bundle of the inbox, or of the stick.",
        Callers.SERVICE,
        _start_install,
        ("file", "stick?", "anyway?"),
    ),
    Verb("update-previous", "Let the other slot start next.", Callers.SERVICE, _go_back),
    Verb("update-give-up", "Do not start what was installed.", Callers.SERVICE, _give_up),
)


async def _installs(machine: Machine) -> bool:
    return not (await machine.run(("systemctl", "--quiet", "is-active", f"{UNIT}.service"), b"")).code


def _safe(name: str) -> str:
    if not is_bundle_name(name):
        raise Refused(f"{name[:130]!r} is no name of a bundle: letters, digits and . _ + ~ -, ending in {SUFFIX}")
    return name


def _on_trial(slot: Slot, record: Record) -> bool:
    return record.trial is not None and record.trial.installed and record.trial.slot == slot.name


def _why_no_way_back(slots: Slots, record: Record) -> str:
    other = slots.other
    if not other.filled:
        return f"there is no previous version: slot {other.name} is empty"
    if not other.well:
        if record.fallen is not None and other.name not in record.versions:
            return f"slot {other.name} holds version {record.fallen.version}, which did not pass its health check"
        return f"slot {other.name} holds nothing that was well"
    return ""


def _version_of(machine: Machine, slot: Slot, record: Record) -> str:
    if slot.booted:
        return machine.version or ""
    if _on_trial(slot, record) and record.trial is not None:
        return record.trial.version
    return record.versions.get(slot.name) or slot.version or UNKNOWN


def _shown(machine: Machine, slot: Slot, record: Record) -> dict[str, Json]:
    if not slot.filled:
        state = "empty"
    elif _on_trial(slot, record):
        state = "on trial"
    else:
        state = "well" if slot.well else "not well"
    return {
        "slot": slot.name,
        "version": _version_of(machine, slot, record) if slot.filled else "",
        "state": state,
        "runs": slot.booted,
        "next": slot.next,
        "installed_at": slot.installed_at,
    }


def _percent(machine: Machine, running: bool) -> dict[str, Json]:
    """How far RAUC is, by its last line."""
    if not running:
        return {"percent": None, "step": ""}
    try:
        found = _PERCENT.findall(_said_file(machine).read_text(encoding="utf-8", errors="replace"))
    except OSError:
        found = []
    return {"percent": int(found[-1][0]), "step": found[-1][1]} if found else {"percent": 0, "step": ""}


def _last_error(said: Path) -> str:
    """Why RAUC failed, in its own words."""
    lines = said.read_text(encoding="utf-8", errors="replace").splitlines()
    errors = [line.removeprefix("LastError: ") for line in lines if line.startswith("LastError: ")]
    return (errors or lines or ["rauc said nothing"])[-1].rpartition("Bundle rejected: ")[2]


def _progress_file(machine: Machine) -> Path:
    return machine.root / "run/jackfield-update/progress.json"


def _said_file(machine: Machine) -> Path:
    return machine.root / "run/jackfield-update/rauc.log"
