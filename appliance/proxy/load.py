"""How busy the box is: measures for the guards of processor and memory, and what they decide handed to the shedder."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from appliance.config.admission import RefusalKind
from appliance.config.settings import Settings
from appliance.logs import log
from appliance.proxy.shedder import Shedder
from appliance.router.guards import LoadGuard, MemoryGuard

INTERVAL_S: Final = 0.25
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


class LoadWatch:
    """Fed by `sample`; nothing is measured for a single call."""

    def __init__(self, settings: Settings, shedder: Shedder) -> None:
        self._shedder = shedder
        self._offered = self._refused = self._waiting = 0
        self._share = 0.0
        self._size = 0
        self.backlog: Callable[[], float] = lambda: 0.0
        """How full the fullest buffer of what waits to be received is, 0 to 1."""
        self.load = LoadGuard(settings.guards)
        self.memory = MemoryGuard(settings.guards)

    def configure(self, settings: Settings) -> None:
        """Take new marks; what they are doing goes on."""
        self.load.settings = self.memory.settings = settings.guards
        self._size = settings.guards.memory or memory_there_is()

    def sample(
        self, now: float, seconds: float, cpu_s: float, lag_s: float, memory_bytes: int, waiting: int = 0
    ) -> None:
        """What the last interval brought: CPU time of our thread, how late its loop came; our memory and how many
        requests wait in the inbox at the end."""
        shedder = self._shedder
        offered, refused = shedder.offered - self._offered, shedder.refused - self._refused
        self._offered, self._refused = shedder.offered, shedder.refused
        admitted = offered - refused
        begun = admitted + self._waiting - waiting
        self._waiting = waiting
        if waiting:
            lag_s = max(lag_s, waiting * seconds / max(begun, 1))  # so long the last of them will have waited
        lag_s = self.load.lag_of_backlog(self.backlog(), lag_s)
        self.load.sample(seconds, cpu_s, lag_s, offered, begun)
        self.memory.sample(memory_bytes / self._size)
        by_memory = self.memory.share > self.load.share
        share = max(self.memory.share, self.load.share)
        if share or shedder.active:
            shedder.refuse(share, RefusalKind.MEMORY if by_memory else RefusalKind.OVERLOAD, now)
        if (share > 0) != (self._share > 0):
            if share:
                log.warning("overload.begins", cause=self.memory.sentence if by_memory else self.load.sentence)
            else:
                log.info("overload.ends", refused=shedder.refused)
        self._share = share

    @property
    def share(self) -> float:
        """Of new requests, refused now."""
        return self._share

    @property
    def sentence(self) -> str:
        """Why new requests are refused, '' while none are."""
        if not self._share:
            return ""
        return self.memory.sentence if self.memory.share > self.load.share else self.load.sentence


def kept_waiting_s() -> float:
    """How long this thread has been ready to run while others had the processor, since it began; 0 where unknown."""
    try:
        return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0


def memory_of_us() -> int:
    """Resident bytes of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE


def memory_there_is() -> int:
    """Bytes that we may have: the limits of our control groups, or what the machine has."""
    sizes = [os.sysconf("SC_PHYS_PAGES") * _PAGE]
    root = Path("/sys/fs/cgroup")
    try:
        own = root / Path("/proc/self/cgroup").read_text().rpartition("::")[2].strip().lstrip("/")
    except OSError:
        return sizes[0]
    for group in (own, *own.parents):
        if group.is_relative_to(root):
            try:
                sizes.append(int((group / "memory.max").read_text()))
            except (OSError, ValueError):
                continue  # no limit here
    return max(1, min(sizes))
