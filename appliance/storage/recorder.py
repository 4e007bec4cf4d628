"""Takes what has ended from the call path and brings it into the journal: in groups, synced, in a thread.

The call path appends one object and goes on. Whatever the disk does, calls go on: what it does not take waits in memory
up to a bound, is then lost and counted, and the fault is shown for as long as it lasts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from threading import Lock

import attrs
import trio

from appliance.config.records import RecordsSettings
from appliance.logs import log
from appliance.storage.journal import Group, Journal

_PATIENCE_S = 2.0
"""A disk that takes longer is a fault."""
_RETRY_S = 0.5, 10.0
_MOST = 5_000
"""Records in one group at most, so that a backlog does not hold the interpreter for long at a time."""


@attrs.define
class RecorderFigures:
    """Plain counts since the start."""

    taken: int = 0
    synced: int = 0
    lost: int = 0
    """There was no room in memory while the disk took none."""
    unsaid: int = 0
    """Could not be put into words: a fault of ours."""
    bytes: int = 0
    groups: int = 0


class Recorder:
    """`word` makes the line of what was taken, in another thread; `first_id` is above all ids ever given.

    `told` is called when a fault begins, with a sentence, and with '' when it is over.
    """

    def __init__(
        self,
        journal: Journal,
        word: Callable[[object], str],
        settings: RecordsSettings,
        told: Callable[[str], None],
        first_id: int = 0,
    ) -> None:
        self.journal = journal
        self.settings = settings
        self.figures = RecorderFigures()
        self.next_id = max(first_id, int(time.time() * 1e6))
        self._word = word
        self._told = told
        self._waiting: list[object] = []
        self._wake = trio.Event()
        self._fault = ""
        self._writing = trio.Lock()
        """Held while a group is on its way to the disk, and by whoever must not meet one."""
        self._pen = Lock()
        """The journal's: a thread that was given up may still be at it."""

    @property
    def waiting(self) -> int:
        """Records that are in memory only."""
        return self.figures.taken - self.figures.synced - self.figures.lost - self.figures.unsaid

    def take(self, ended: object) -> None:
        """Something that leaves a record. In the call path: never waits, never raises."""
        waiting = self._waiting
        self.figures.taken += 1
        if len(waiting) >= self.settings.waiting:
            self.figures.lost += 1
            return
        waiting.append(ended)
        if len(waiting) == 1:
            self._wake.set()

    async def run(self, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED) -> None:
        """Write groups until cancelled; then write what is left, if the disk takes it soon."""
        task_status.started(str(self.journal.directory))
        if self._waiting:
            self._wake.set()  # left by a run that failed
        try:
            while True:
                await self._wake.wait()
                await trio.sleep(self.settings.sync_ms / 1000)
                await self.sync()
        finally:
            with trio.move_on_after(_PATIENCE_S, shield=True):
                await self.sync()

    async def sync(self) -> None:
        """Bring all that waits into the journal; returns when it is there."""
        async with self._writing:
            while self._waiting:
                count = min(len(self._waiting), _MOST)
                synced = await self._bring(self._waiting[:count])
                self.figures.unsaid += count - synced
                del self._waiting[:count]
            self._wake = trio.Event()

    async def sync_soon(self) -> None:
        """The same, but no longer than the disk may take without being at fault."""
        with trio.move_on_after(_PATIENCE_S):
            await self.sync()

    async def seal(self) -> None:
        """What is synced may be imported; while a group is stuck on its way, what was sealed before."""
        with trio.move_on_after(_PATIENCE_S):
            async with self._writing:
                self.journal.seal()

    def lines(self, entries: Sequence[object]) -> list[str]:
        """What they leave in the journal; nothing of those that cannot be put into words. For a thread."""
        lines = []
        for entry in entries:
            try:
                lines.append(self._word(entry))
            except Exception as error:  # one that cannot be told must not cost us the others
                log.error("records.unsaid", error)
        return lines

    async def _bring(self, entries: list[object]) -> int:
        """Bring them into the journal, however long it takes; how many could be told."""
        group: Group | None = None

        def bring() -> int:
            nonlocal group
            if group is None:
                group = Group(self.next_id, tuple(self.lines(entries)))
            with self._pen:
                return self.journal.append(group) if group.lines else 0

        written, pause_s = None, _RETRY_S[0]
        while written is None:
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._watch)
                    written = await trio.to_thread.run_sync(bring, abandon_on_cancel=True)
                    nursery.cancel_scope.cancel()
            except* OSError as errors:
                fault = errors.exceptions[0]
                self._fail(f"call records cannot be written: {fault}; they wait in memory")
                await trio.sleep(pause_s)
                pause_s = min(pause_s * 2, _RETRY_S[1])
        assert group is not None
        if not written:
            return 0
        self.next_id = group.last + 1
        figures = self.figures
        figures.synced += len(group.lines)
        figures.bytes += written
        figures.groups += 1
        log.debug("records.synced", first=group.first, last=group.last)
        if self._fault:
            self._fault = ""
            log.warning("records.recovered", lost=figures.lost)
            self._told("")
        return len(group.lines)

    async def _watch(self) -> None:
        await trio.sleep(_PATIENCE_S)
        self._fail(f"the disk takes no call records for longer than {_PATIENCE_S:g} s; they wait in memory")

    def _fail(self, fault: str) -> None:
        if fault != self._fault:
            self._fault = fault
            log.error("records.failed", fault=fault)
            self._told(fault)
