"""`Storage`: the writer that commits registrations in groups, and what it does while the disk will not have them.

All of asyncio lives here: aiosqlite runs in one trio-asyncio loop that nobody else sees. Callers hand over changes
and go on; `run` gathers what comes within a few milliseconds into one commit. While storage fails everyone is
answered at once, the fault is shown by `health`, and a try with growing pauses writes all that is in memory.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import trio
import trio_asyncio

from appliance.logs import log
from appliance.storage.bindings import BindingChange, BindingRow, BindingSource, Done
from appliance.storage.database import Database, DatabaseFault


@attrs.frozen(kw_only=True)
class StorageOptions:
    """`synchronous` is FULL (survives a power cut) or NORMAL (survives the end of the process).

    `group_commit_s`: what comes within this time is committed together. `patience_s`: a commit that takes longer is
    answered as failed. `retry_s`: first and longest pause between tries while storage fails. `queue`: changes that
    may wait for a commit.
    """

    synchronous: str = "FULL"
    busy_timeout_s: float = 5.0
    group_commit_s: float = 0.010
    patience_s: float = 1.0
    retry_s: tuple[float, float] = (1.0, 30.0)
    queue: int = 100_000


@attrs.frozen
class Health:
    """How storage is. `fault` is a sentence and `since` when it began (wall clock), None while all is well.

    `notice` is what the administrator should know though it works, e.g. that a broken file was put aside.
    """

    fault: str | None
    since: float | None
    notice: str | None
    waiting: int
    commits: int
    written: int


class Storage:
    """A `BindingStore` on a file. Made by `open_storage`; `run` must run in a task of its own."""

    def __init__(
        self,
        loop: trio_asyncio.TrioEventLoop,
        database: Database,
        options: StorageOptions,
        clock: Callable[[], float],
    ) -> None:
        self._loop = loop
        self._database = database
        self._options = options
        self._clock = clock
        self._source: BindingSource | None = None
        self._loaded: Sequence[BindingRow] | None = None
        self._restored = False
        self._changes: dict[tuple[str, str], BindingRow | None] = {}
        self._waiting: list[Done] = []
        self._wake = trio.Event()
        self._fault: DatabaseFault | None = None
        self._since: float | None = None
        self._recovering = False
        self._due_at = 0.0
        self._commits = 0
        self._written = 0
        self.on_change: list[Callable[[Health], None]] = []
        """Called when a fault begins, and when it is over."""

    def attach(self, source: BindingSource) -> None:
        """See `BindingStore.attach`."""
        self._source = source
        self._restore()

    def write(self, changes: Sequence[BindingChange], done: Done) -> None:
        """See `BindingStore.write`."""
        if self._fault is None and len(self._changes) + len(changes) > self._options.queue:
            self._fail(DatabaseFault("more changes than the disk can take"))
        if self._fault is not None:
            if self._recovering:
                # The file is being written from memory just now: what changes meanwhile comes after that.
                self._remember(changes)
                self._recovering = len(self._changes) <= self._options.queue
            done(self._fault)
            return
        self._remember(changes)
        self._waiting.append(done)
        if len(self._waiting) == 1:
            self._due_at = trio.current_time() + self._options.group_commit_s
            self._wake.set()

    def _remember(self, changes: Sequence[BindingChange]) -> None:
        for aor, key, row in changes:
            self._changes[aor, key] = row

    def health(self) -> Health:
        fault = None if self._fault is None else str(self._fault)
        return Health(fault, self._since, self._database.set_aside, len(self._waiting), self._commits, self._written)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Commit groups until cancelled; then commit what is left, if it takes no longer than `patience_s`."""
        task_status.started()
        pause = self._options.retry_s[0]
        try:
            while True:
                if self._fault is None:
                    pause = self._options.retry_s[0]
                    await self._wake.wait()
                    await trio.sleep_until(self._due_at)
                    await self._commit()
                else:
                    await trio.sleep(pause)
                    pause = min(pause * 2, self._options.retry_s[1])
                    await self._recover()
        finally:
            if self._changes and self._fault is None:
                await self._commit()

    async def _commit(self) -> None:
        """Write what has been handed over and answer; after `patience_s` those who wait are answered anyway."""
        changes, waiting = self._changes, self._waiting
        self._changes, self._waiting, self._wake = {}, [], trio.Event()
        puts = [row for row in changes.values() if row is not None]
        removals = [key for key, row in changes.items() if row is None]
        work = asyncio.ensure_future(self._database.commit(puts, removals), loop=self._loop)
        try:
            with trio.move_on_after(self._options.patience_s, shield=True) as patience:
                await trio_asyncio.run_aio_future(asyncio.shield(work))
            if patience.cancelled_caught:
                self._fail(DatabaseFault(f"the disk takes longer than {self._options.patience_s:g} s"), waiting)
                # All have been answered; the commit is given up only where the disk does not come back at all.
                with trio.move_on_after(self._options.busy_timeout_s + 10):
                    await trio_asyncio.run_aio_future(work)
                return
        except DatabaseFault as fault:
            self._fail(fault, () if patience.cancelled_caught else waiting)
            return
        self._commits += 1
        self._written += len(changes)
        for done in waiting:
            done(None)

    async def _recover(self) -> None:
        """Open the file anew and write all that is in memory; nobody waits for it."""
        try:
            rows = await self._loop.run_aio_coroutine(self._database.open())
            if self._loaded is None:
                self._loaded = rows
                self._restore()
            everything: list[BindingRow] = []
            self._recovering = True
            for row in self._source.rows() if self._source is not None else rows:
                everything.append(row)
                if len(everything) % 1000 == 0:
                    await trio.lowlevel.checkpoint()
            await self._loop.run_aio_coroutine(self._database.replace(everything))
        except DatabaseFault as fault:
            self._fail(fault)
            return
        if not self._recovering:
            self._fail(DatabaseFault("more changes than the disk can take"))
            return
        self._fault, self._since, self._recovering = None, None, False
        self._written += len(everything)
        log.warning("storage.recovered", path=self._database.path, bindings=len(everything))
        if self._changes:
            self._wake.set()
        self._tell()

    def _restore(self) -> None:
        if self._source is not None and self._loaded is not None and not self._restored:
            self._restored = True
            self._source.restore(self._loaded)
            self._loaded = ()

    def _fail(self, fault: DatabaseFault, waiting: Sequence[Done] = ()) -> None:
        """Show the fault and answer everybody who waits: memory has what they brought."""
        if self._fault is None or str(self._fault) != str(fault):
            log.error("storage.failed", path=self._database.path, fault=str(fault))
        began = self._fault is None
        if began:
            self._since = self._clock()
        self._fault = fault
        queued = self._waiting
        self._changes, self._waiting, self._wake = {}, [], trio.Event()
        self._recovering = False
        for done in (*waiting, *queued):
            done(fault)
        if began:
            self._tell()

    def _tell(self) -> None:
        health = self.health()
        for listener in self.on_change:
            listener(health)


@asynccontextmanager
async def open_storage(
    path: Path, options: StorageOptions | None = None, *, clock: Callable[[], float] = time.time
) -> AsyncIterator[Storage]:
    """Open the file and read it. Never fails for the disk's sake: a fault is shown by `health` and tried again."""
    options = options or StorageOptions()
    async with trio_asyncio.open_loop() as loop:
        database = Database(path, synchronous=options.synchronous, busy_timeout_s=options.busy_timeout_s)
        storage = Storage(loop, database, options, clock)
        try:
            try:
                storage._loaded = await loop.run_aio_coroutine(database.open())
            except DatabaseFault as fault:
                storage._fail(fault)
            yield storage
        finally:
            with trio.move_on_after(2, shield=True):
                await loop.run_aio_coroutine(database.close())
