"""Records to keep, and a journal with a store behind it."""

from __future__ import annotations

from pathlib import Path

from appliance.storage.call_data import CallData
from appliance.storage.call_record import CallRecord
from appliance.storage.event_record import EventRecord
from appliance.storage.journal import Group, Journal
from appliance.storage.record_line import CALLS, EVENTS
from appliance.storage.record_question import RecordQuestions
from appliance.storage.record_store import DAY_MS

NOON = 1_790_000_000_000 // DAY_MS * DAY_MS + DAY_MS // 2


def record(n: int, **more: object) -> CallRecord:
    told: dict[str, object] = {
        "serial": f"ab-{n:x}",
        "call_id": f"{n}@example.net",
        "started_ms": NOON + n * 1000,
        "ended_ms": NOON + n * 1000 + 500,
    }
    return CallRecord(**{**told, **more})  # type: ignore[arg-type]


def answered(n: int, talk_s: float, **more: object) -> CallRecord:
    started = NOON + n * 1000
    times = {"ringing_ms": started + 1000, "answered_ms": started + 2000, "talk_ms": int(talk_s * 1000), "pdd_ms": 1000}
    return record(n, status=200, **times, **more)


class Kept:
    """A journal and an open store in one directory."""

    def __init__(self, directory: Path, store: CallData) -> None:
        self.directory = directory
        self.journal = Journal(directory / "journal")
        self.store = store
        self.store.open()
        self.store.take_in(self.journal)
        self.ask = RecordQuestions(self.store)
        self.next_id = 1

    def keep(self, *records: CallRecord | EventRecord) -> None:
        self.write(*records)
        self.store.take_in(self.journal)

    def write(self, *records: CallRecord | EventRecord) -> None:
        """Into a segment of the journal."""
        lines = (CALLS.line_of(one) if isinstance(one, CallRecord) else EVENTS.line_of(one) for one in records)
        self.journal.append(Group(self.next_id, tuple(lines)))
        self.next_id += len(records)
        self.journal.seal()
