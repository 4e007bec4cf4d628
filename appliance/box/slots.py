"""The two slots as RAUC tells of them, and what is marked: which one starts next, which one is well.

RAUC writes GRUB's environment: ORDER, and for each slot OK and TRY. grub.cfg counts TRY up at every start; after three
that nobody called good the other slot starts.
"""

from __future__ import annotations

import json
from typing import Any, Final

import attrs

from .machine import Machine, Refused

_MAGIC: Final = b"hsqs"


@attrs.frozen
class Slot:
    """One of the two. `well`: marked so, and not on trial; `installed_at` is RAUC's, "" for what came with the disk."""

    name: str
    device: str
    booted: bool
    next: bool
    well: bool
    version: str
    installed_at: str
    filled: bool
    """A file system lies in it."""


@attrs.frozen
class Slots:
    """Both; `other` is the one that does not run."""

    booted: Slot
    other: Slot


async def read_slots(machine: Machine) -> Slots:
    """Ask RAUC. Raises `Refused` where it does not answer, or we run from neither slot."""
    ran = await machine.run(("rauc", "status", "--detailed", "--output-format=json"), b"")
    begin = ran.output.find("{")
    if ran.code or begin < 0:
        last = ran.output.splitlines()[-1] if ran.output else f"exit code {ran.code}"
        raise Refused(f"the slots cannot be read: {last}")
    try:
        said, _ = json.JSONDecoder().raw_decode(ran.output[begin:])
        slots = [
            _slot(name, facts, str(said.get("boot_primary"))) for one in said["slots"] for name, facts in one.items()
        ]
    except (ValueError, TypeError, KeyError, AttributeError):
        raise Refused("the slots cannot be read: what rauc says is not understood") from None
    booted, others = [one for one in slots if one.booted], [one for one in slots if not one.booted]
    if len(booted) != 1 or len(others) != 1:
        raise Refused("this box was not started from one of its two slots: it cannot be updated")
    return Slots(booted[0], others[0])


async def mark_good(machine: Machine) -> None:
    """The slot that runs. Raises `Refused`."""
    await machine.do("rauc", "status", "mark-good", "booted")


async def mark_bad(machine: Machine) -> None:
    """The other slot. Raises `Refused`."""
    await machine.do("rauc", "status", "mark-bad", "other")


async def start_next(machine: Machine, which: str) -> None:
    """`which` is booted or other. Raises `Refused`."""
    await machine.do("rauc", "status", "mark-active", which)


def _slot(name: str, facts: dict[str, Any], primary: str) -> Slot:
    status = facts.get("slot_status") or {}
    bundle, installed = status.get("bundle") or {}, status.get("installed") or {}
    device = str(facts["device"])
    return Slot(
        name=str(facts["bootname"]),
        device=device,
        booted=facts["state"] == "booted",
        next=name == primary,
        well=facts["boot_status"] == "good",
        version=str(bundle.get("version") or ""),
        installed_at=str(installed.get("timestamp") or ""),
        filled=_filled(device),
    )


def _filled(device: str) -> bool:
    try:
        with open(device, "rb") as content:
            return content.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False
