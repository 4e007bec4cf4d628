"""Looks after what nobody reports: gateways, limits, certificates, disk, clock, open files, storms of bans.

A service of its own, beside the call path: every second the cheap things, every ten seconds what has to be added up,
every minute, in a thread, what lies in files. It raises and clears alarms and changes nothing else.
"""

from __future__ import annotations

import os
import resource
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

import attrs
import trio
from cryptography import x509

from .. import alarm_kinds
from ..alarm_kinds import Severity
from ..alarms import Alarms
from ..config import Settings
from ..config.certificate_places import certificate_places
from ..doctor.kernel_clock import synchronised
from ..identity import Identity
from ..logs import log
from ..proxy.core import SipCore
from ..proxy.overview import capacity
from ..router.gateway import Standing

TICK_S: Final = 1.0
SWEEP_TICKS: Final = 10
LOOK_TICKS: Final = 60
DAY_S: Final = 86400.0
CERTIFICATE_MARKS: Final = ((1.0, Severity.MAJOR), (7.0, Severity.MINOR), (30.0, Severity.WARNING))
"""Days that are left, and how bad that is."""


@attrs.frozen
class Looked:
    """What a thread found: seconds at which certificates run out by their place, shares of 0 to 1."""

    certificates: dict[str, float]
    disk: float
    files: float
    synchronised: bool | None


@attrs.define(eq=False)
class AlarmWatch:
    """`run` as a service. `look` is asked in a thread once a minute."""

    alarms: Alarms
    core: SipCore
    settings: Callable[[], Settings]
    look: Callable[[], Looked]
    wall: Callable[[], float] = time.time
    clock: Callable[[], float] = time.monotonic
    _offset: float | None = None
    _bans: deque[int] = attrs.field(factory=lambda: deque(maxlen=LOOK_TICKS + 1))

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        task_status.started()
        ticks = 0
        while True:
            self.tick()
            if ticks % SWEEP_TICKS == 0:
                self.sweep()
            if ticks % LOOK_TICKS == 0:
                self.judge(await trio.to_thread.run_sync(self.look))
            ticks += 1
            await trio.sleep(TICK_S)

    def tick(self) -> None:
        """Once a second."""
        self._clock_steps()
        self._bans.append(self.core.gate.guard.bans.total)
        storm = self.settings().alarms.ban_storm
        fresh = self._bans[-1] - self._bans[0]
        found = f"{fresh} sources were banned within a minute" if fresh >= storm else ""
        self.alarms.show(alarm_kinds.BAN_STORM, "bans", found)
        self.alarms.settle()
        log.tell_left_out()

    def sweep(self) -> None:
        """Every ten seconds."""
        self._gateways()
        self._capacity()

    def judge(self, looked: Looked) -> None:
        """What was found in files, once a minute."""
        alarms, marks, wall = self.alarms, self.settings().alarms, self.wall()
        alarms.keep(alarm_kinds.CERTIFICATE, set(looked.certificates))
        for place, ends_at in looked.certificates.items():
            sentence, severity = _running_out((ends_at - wall) / DAY_S)
            alarms.show(alarm_kinds.CERTIFICATE, place, sentence, severity)
        alarms.measure(
            alarm_kinds.DISK,
            "state directory",
            looked.disk,
            (marks.disk_low, marks.disk_high),
            f"{looked.disk:.0%} of the disk are used",
        )
        alarms.measure(
            alarm_kinds.FILES,
            "open files",
            looked.files,
            (marks.files_low, marks.files_high),
            f"{looked.files:.0%} of the open files allowed are in use",
        )
        unsynchronised = "the kernel says that nobody keeps the clock right" if looked.synchronised is False else ""
        alarms.show(alarm_kinds.CLOCK, "synchronisation", unsynchronised)

    def _clock_steps(self) -> None:
        offset = self.wall() - self.clock()
        if self._offset is not None:
            step = offset - self._offset
            if abs(step) > self.settings().alarms.clock_jump_s:
                way = "forward" if step > 0 else "back"
                self.alarms.raise_(alarm_kinds.CLOCK, "jump", f"the clock was put {way} by {abs(step):.1f} s")
                self.alarms.clear(alarm_kinds.CLOCK, "jump")  # its hold-down lets it be seen
        self._offset = offset

    def _gateways(self) -> None:
        now, alarms = self.core.clock(), self.alarms
        trunks, gateways, poor = set(), set(), set()
        for name, hunt in self.core.hunts.trunks.items():
            if not hunt.places:
                continue
            trunks.add(name)
            standings = []
            for place in hunt.places:
                living = place.living
                subject = f"{name} {living.name}"
                gateways.add(subject)
                standing = living.standing(now)
                standings.append(standing)
                state, why = living.told(now)
                down = f"{state}, {why}" if standing is Standing.OUT else ""
                alarms.show(alarm_kinds.GATEWAY_DOWN, subject, down)
                for prefix, score in living.quality.scores.items() if living.quality is not None else ():
                    if score.poor:
                        poor.add(spot := f"{subject} {prefix}".rstrip())
                        alarms.raise_(alarm_kinds.QUALITY, spot, score.why)
            usable = any(one in (Standing.IN, Standing.SPARE) for one in standings)
            down = "" if usable or Standing.OUT not in standings else f"none of {len(standings)} gateways is in service"
            alarms.show(alarm_kinds.TRUNK_DOWN, name, down)
        alarms.keep(alarm_kinds.TRUNK_DOWN, trunks)
        alarms.keep(alarm_kinds.GATEWAY_DOWN, gateways)
        alarms.keep(alarm_kinds.QUALITY, poor)

    def _capacity(self) -> None:
        marks = self.settings().alarms
        found = set()
        for one in capacity(self.core):
            if one.size <= 0 or one.what.startswith("calls at once"):
                continue  # closed on purpose; and a bucket of calls a second empties and fills as it should
            subject = f"{one.limit} ({one.scope}), {one.what}"
            found.add(subject)
            share = one.used / one.size
            self.alarms.measure(
                alarm_kinds.CAPACITY,
                subject,
                share,
                (marks.capacity_low, marks.capacity_high),
                f"{one.used:g} of {one.size:g} {one.what} are in use",
                Severity.MAJOR if share >= 1 else Severity.MINOR,
            )
        self.alarms.keep(alarm_kinds.CAPACITY, found)


def _running_out(days: float) -> tuple[str, Severity]:
    if days <= 0:
        return f"it ran out {-days:.0f} days ago" if days < -1 else "it has run out", Severity.CRITICAL
    for mark, severity in CERTIFICATE_MARKS:
        if days < mark:
            left = f"{days:.0f} days" if days >= 2 else f"{days * 24:.0f} hours"
            return f"it runs out in {left}", severity
    return "", Severity.WARNING


def look_around(settings: Settings, identity: Identity) -> Looked:
    """Certificates, disk, open files and clock. It reads files: for a thread."""
    certificates = {}
    for place in certificate_places(settings, identity.certificate, identity.private_key):
        ends_at = _ends_at(place.certificate)
        if ends_at is not None:
            certificates[f"[{place.section}]"] = ends_at
    disk = os.statvfs(identity.state_dir)
    used = disk.f_blocks - disk.f_bfree
    usable = used + disk.f_bavail
    most_files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = 0.0 if most_files == resource.RLIM_INFINITY else len(os.listdir("/proc/self/fd")) / most_files
    return Looked(certificates, used / usable if usable else 0.0, files, synchronised())


def _ends_at(file: Path) -> float | None:
    """When the first certificate of a chain to run out does so; None where none can be read."""
    try:
        chain = x509.load_pem_x509_certificates(file.read_bytes())
    except (OSError, ValueError):
        return None  # check and reload tell of that
    return min((one.not_valid_after_utc.timestamp() for one in chain), default=None)
