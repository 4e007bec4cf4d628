"""The records of the box: what of the core leaves one, the way into journal and database, and questions about them.

`find`, `call`, `events`, `report` and `export` may be awaited by any page or command: they see all that had been synced
when they were asked, run in threads, and are stopped when they take too long.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, tzinfo
from functools import partial
from pathlib import Path
from typing import TypeVar

import trio

from appliance.config.settings import Settings
from appliance.logs import log
from appliance.proxy.call import Call
from appliance.proxy.call_record import record_of_leftover, record_of_refusal, texts_of_call
from appliance.proxy.core import SipCore
from appliance.proxy.leftover import Leftover
from appliance.proxy.refusals import Refusal
from appliance.sip.flow import Flow, host_port
from appliance.sip.message import Request
from appliance.storage.call_data import CallData, Format, StoreFault
from appliance.storage.call_record import CallRecord
from appliance.storage.event_record import EventRecord
from appliance.storage.journal import Journal
from appliance.storage.record_line import CALLS, EVENTS, LEFTOVERS
from appliance.storage.record_question import CallQuestion, EventQuestion, RecordQuestions, Report
from appliance.storage.record_store import DAY_MS
from appliance.storage.recorder import Recorder
from appliance.storage.stores import store_of

IMPORT_S = 10.0
"""How often the journal is brought into the database while nobody asks."""
_RETRY_S = 30.0
_SOON_S = 0.1
"""The same while it is catching up."""
_LONGEST_S = 60.0
_AT_ONCE = 2
"""Questions at a time."""

T = TypeVar("T")


class Records:
    """One for the box. `told` hears of a fault in a sentence, and of its end as ''; of what, in a word."""

    def __init__(self, core: SipCore, settings: Settings, state_dir: Path, told: Callable[[str, str], None]) -> None:
        self._core = core
        self._settings = settings
        self._told = told
        self.directory = state_dir / settings.records.directory
        self.store = store_of(settings.records, self.directory, settings.appliance.name)
        self.recorder = Recorder(
            Journal(self.directory / "journal"), self._line, settings.records, partial(told, "records")
        )
        self._questions = RecordQuestions(self.store)
        self._open = False
        self._left: list[CallData] = []
        """Stores that other settings have put out of use; closed when nobody imports."""
        self._importing = trio.Lock()
        self._asking = trio.CapacityLimiter(_AT_ONCE)
        self._faulty = False
        self._more = False
        """The last import left something to the next."""
        self._registered: set[str] | None = None
        core.location.on_change.append(self._registration)
        self.configure(settings)

    def configure(self, settings: Settings) -> None:
        """Take new settings; nothing that waits is lost."""
        if _place(settings) != _place(self._settings):
            self._left.append(self.store)
            self.store = store_of(settings.records, self.directory, settings.appliance.name)
            self._questions = RecordQuestions(self.store)
            self._open = False
        self._settings = settings
        self.recorder.settings = settings.records
        take = self.recorder.take if settings.records.enabled else None
        self._core.calls.record = take
        self._core.refusals.record = take
        self._core.record_leftover = take
        self._core.record_message = self._message if settings.records.enabled else None
        self._core.sign_in.lapsed.tell = self.event if settings.records.enabled else None

    def event(self, kind: str, subject: str, source: str = "", detail: str = "") -> None:
        """Something beside calls has happened. Never waits."""
        if self._settings.records.enabled:
            now = int(time.time() * 1000)
            self.recorder.take(EventRecord(at_ms=now, kind=kind, subject=subject, source=source, detail=detail))

    def _message(self, request: Request, flow: Flow, status: int, cause: str) -> None:
        """Who wrote to whom, and what became of it; never what was written."""
        kind = "message" if status < 300 else "message refused"
        detail = f"to {request.uri}: {status} {cause}".rstrip()
        self.event(kind, request.from_name, host_port(*flow.remote), detail)

    def _registration(self, aor: str) -> None:
        """The bindings of an AOR have changed; what is told is that the first one came or the last one went."""
        location = self._core.location
        bindings = location.registered(aor, self._core.wall())
        if self._registered is None:
            self._registered = {binding.aor for binding in location} - {aor}
            if not bindings:
                self._registered.add(aor)
        if bool(bindings) == (aor in self._registered):
            return
        user = aor.removeprefix("sip:").rpartition("@")[0]
        if bindings:
            self._registered.add(aor)
            one = bindings[-1]
            self.event("registered", user, host_port(*one.received[1:]), f"{one.uri} {one.user_agent}".strip())
        else:
            self._registered.discard(aor)
            self.event("unregistered", user)

    def _line(self, ended: object) -> str:
        """In the writer's thread."""
        if isinstance(ended, Call):
            return CALLS.line(texts_of_call(ended, self._settings, self._core.hiding.call_ids))
        if isinstance(ended, EventRecord):
            return EVENTS.line_of(ended)
        if isinstance(ended, Leftover):
            return LEFTOVERS.line_of(record_of_leftover(ended))
        assert isinstance(ended, Refusal)
        return CALLS.line_of(record_of_refusal(ended, self._settings))

    # Writing

    async def run(self, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED) -> None:
        """Write until cancelled. What the last run of the box left in the journal is taken in first."""
        async with self._importing:
            await trio.to_thread.run_sync(self._take_over)
        try:
            async with trio.open_nursery() as nursery:
                await nursery.start(self.recorder.run)
                task_status.started(str(self.directory))
                while True:
                    await trio.sleep(_RETRY_S if self._faulty else _SOON_S if self._more else IMPORT_S)
                    await self._settle(tidy=True)
        finally:
            self._open = False
            self.store.close()

    def _take_over(self) -> None:
        """In a thread: the next id is above all that stand in the database and in the journal."""
        recorder = self.recorder
        recorder.next_id = max(recorder.next_id, recorder.journal.last_id() + 1)
        try:
            self.store.open()
            self._open = True
            recorder.next_id = max(recorder.next_id, self.store.last_id + 1)
            self.store.take_in(recorder.journal)
        except StoreFault as fault:
            trio.from_thread.run_sync(self._show, str(fault))
        recorder.next_id = max(recorder.next_id, self.store.last_id + 1)

    async def _settle(self, *, tidy: bool = False) -> None:
        """Bring what is synced into the database."""
        async with self._importing:
            await self.recorder.seal()
            try:
                await trio.to_thread.run_sync(self._take_in, tidy)
            except StoreFault as fault:
                self._show(str(fault))
            else:
                self._show("")

    def _take_in(self, tidy: bool) -> None:
        store, settings = self.store, self._settings.records
        while self._left:
            self._left.pop().close()
        try:
            if not self._open:
                store.open()
                self._open = True
            new = store.take_in(self.recorder.journal)
            self._more = bool(self.recorder.journal.sealed())
        except StoreFault:
            lost = self.recorder.journal.shrink(settings.journal_size_bytes)
            if lost:
                self.recorder.figures.lost += lost
                log.error("records.given_up", records=lost)
            raise
        if tidy and new:
            oldest = int(time.time() * 1000 - settings.keep_time_s * 1000)
            for day in store.forget(max(oldest, DAY_MS), settings.keep_size_bytes):
                log.info("records.forgotten", table=day)

    def _show(self, fault: str) -> None:
        if fault or self._faulty:
            self._told("database", fault)
        self._faulty = bool(fault)

    # Asking

    async def find(self, question: CallQuestion) -> list[CallRecord]:
        """The calls, the latest first. Raises `ValueError` and `StoreFault`, as all of these."""
        return await self.ask(lambda questions: questions.find(question))

    async def call(self, name: str) -> CallRecord | None:
        """The call of this id, serial or Call-ID."""
        return await self.ask(lambda questions: questions.call(name))

    async def events(self, question: EventQuestion) -> list[EventRecord]:
        """Registrations, sign-ins and the like, the latest first."""
        return await self.ask(lambda questions: questions.events(question))

    async def report(self, kind: str, question: CallQuestion, digits: int = 4, zone: tzinfo = UTC) -> Report:
        """One of `record_question.REPORTS`; for prefixes, of so many digits, with hours of this zone."""
        return await self.ask(lambda questions: questions.report(kind, question, digits, zone))

    async def export(self, question: CallQuestion, form: Format, file: Path) -> int:
        """Write calls into a file; how many."""
        return await self.ask(lambda questions: questions.export(question, form, file))

    async def ask(self, question: Callable[[RecordQuestions], T]) -> T:
        """Whatever the questions can say, made in a thread."""
        await self.recorder.sync_soon()
        await self._settle()
        with trio.move_on_after(_LONGEST_S):
            return await trio.to_thread.run_sync(
                question, self._questions, limiter=self._asking, abandon_on_cancel=True
            )
        raise StoreFault(f"the question took longer than {_LONGEST_S:g} s: ask for a shorter time")

    async def copy_to(self, folder: Path) -> None:
        """A copy of all records of now, as they lie in a folder of records. Raises `StoreFault`."""
        await self.recorder.sync_soon()
        await self._settle()
        if self._faulty and self._settings.records.url is None:
            raise StoreFault("the database of call records is not well just now: see the status page")
        await trio.to_thread.run_sync(self.store.copy_to, folder)


def _place(settings: Settings) -> tuple[object, ...]:
    """What says where records are kept."""
    records = settings.records
    password = None if records.password is None else records.password.reveal()
    return records.url, records.database, records.username, password, records.ca, settings.appliance.name
