"""The database of call records: each record exactly once, found and reported, day by day and for so long."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.storage.call_record import CallRecord
from appliance.storage.event_record import EventRecord
from appliance.storage.journal import Group, Journal, frame_of
from appliance.storage.record_line import CALLS, EVENTS, LEFTOVERS
from appliance.storage.record_question import REPORTS, CallQuestion, Format, RecordQuestions
from appliance.storage.record_store import DAY_MS, RecordStore

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
    """A journal and a store in one directory."""

    def __init__(self, directory: Path) -> None:
        self.journal = Journal(directory / "journal")
        self.store = RecordStore(directory)
        self.store.open()
        self.ask = RecordQuestions(self.store)
        self.next_id = 1

    def keep(self, *records: CallRecord | EventRecord) -> None:
        lines = (CALLS.line_of(one) if isinstance(one, CallRecord) else EVENTS.line_of(one) for one in records)
        self.journal.append(Group(self.next_id, tuple(lines)))
        self.next_id += len(records)
        self.journal.seal()
        self.store.take_in(self.journal)


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


odd = st.text(max_size=20)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(odd, odd, st.none() | st.integers(0, 10**12), st.none() | st.floats(1, 5)), min_size=1))
def test_a_record_is_found_as_it_was_written(tmp_path_factory: pytest.TempPathFactory, told: list[tuple]) -> None:  # type: ignore[type-arg]
    kept = Kept(tmp_path_factory.mktemp("store"))
    records = [
        record(number, caller=caller, ending=ending, talk_ms=talk_ms, mos_caller=mos)
        for number, (caller, ending, talk_ms, mos) in enumerate(told)
    ]
    kept.keep(*records)
    found = kept.ask.find(CallQuestion(limit=1000))
    kept.store.close()
    assert [one.id for one in found] == list(range(len(records), 0, -1))
    for one, was in zip(found, reversed(records), strict=True):
        assert (one.talk_ms, one.mos_caller, one.serial) == (was.talk_ms, was.mos_caller, was.serial)
        plain = was.ending.encode("utf-8", "replace").decode()
        assert one.ending == plain or any(ord(c) < 32 or ord(c) == 127 for c in plain)


def test_a_segment_that_is_read_again_adds_nothing(kept: Kept) -> None:
    frame = frame_of(Group(1, tuple(CALLS.line_of(record(number)) for number in range(5))))
    kept.keep(*(record(number) for number in range(5)))
    (kept.journal.directory / "00000000000000000001-9.journal").write_bytes(frame)
    assert kept.store.take_in(kept.journal) == 0
    assert len(kept.ask.find(CallQuestion())) == 5
    assert kept.journal.sealed() == []


def test_a_torn_segment_gives_what_is_whole_and_the_rest_is_counted(kept: Kept) -> None:
    whole = frame_of(Group(1, (CALLS.line_of(record(1)),)))
    kept.journal.directory.mkdir()
    (kept.journal.directory / "1-0.journal").write_bytes(whole + whole[:-3])
    assert kept.store.take_in(kept.journal) == 1
    assert kept.store.spoilt == len(whole) - 3


def test_the_id_of_the_last_record_outlives_a_restart(kept: Kept, tmp_path: Path) -> None:
    kept.keep(record(1), record(2))
    kept.store.close()
    again = RecordStore(tmp_path)
    again.open()
    assert again.last_id == 2


def test_a_file_that_cannot_be_read_is_put_aside(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.keep(record(1))
    kept.store.close()
    kept.store.path.write_bytes(b"this was a database" * 1000)
    again = Kept(tmp_path)
    again.keep(record(2))
    assert len(again.ask.find(CallQuestion())) == 1
    assert list(tmp_path.glob("records.duckdb.broken-*"))


def test_calls_are_found_by_number_user_trunk_status_and_time(kept: Kept) -> None:
    kept.keep(
        answered(1, 60, caller="1001", called="030555", source_kind="user", source="1001", trunk="a"),
        record(2, caller="030777", called="1002", source_kind="trunk", source="b", status=486),
        record(3, caller="1001", called="999", source_kind="user", source="1001", status=404),
    )

    def serials(**more: object) -> list[int]:
        return [one.id for one in kept.ask.find(CallQuestion(**more))]  # type: ignore[arg-type]

    assert serials() == [3, 2, 1]
    assert serials(number="0305") == [1]
    assert serials(user="1001") == [3, 1]
    assert serials(trunk="a") == [1]
    assert serials(trunk="b") == [2]
    assert serials(status="answered") == [1]
    assert serials(status="failed") == [3, 2]
    assert serials(status="4xx") == [3, 2]
    assert serials(status="486") == [2]
    assert serials(from_ms=NOON + 2000, to_ms=NOON + 2500) == [2]
    assert serials(before=3, limit=1) == [2]
    assert serials(number="'; DROP TABLE imported; --") == []
    with pytest.raises(ValueError, match="no status"):
        serials(status="busy")
    for name in ("2", "ab-2", "2@example.net"):
        found = kept.ask.call(name)
        assert found is not None
        assert found.id == 2
    assert kept.ask.call("nobody") is None


def test_figures_are_what_they_are_called(kept: Kept) -> None:
    kept.keep(
        answered(1, 60, trunk="a", number="+49301", mos_caller=4.0, mos_callee=3.0),
        answered(2, 120, trunk="a", number="0049302", mos_callee=4.0),
        record(3, trunk="a", number="+49303", status=486, cause=17),
        record(4, trunk="a", number="+43104", status=487, ringing_ms=NOON + 5000),
        record(5, trunk="a", number="+43105", status=503, cause=34),
        record(6, status=404),
    )
    [row] = kept.ask.report("trunks", CallQuestion()).rows
    assert row == ("a", 5, 2, 40.0, 80.0, 90.0, 3.0, 1.0, 3.5)
    prefixes = kept.ask.report("prefixes", CallQuestion(), digits=2).rows
    assert [(row[0], row[1], row[2]) for row in prefixes] == [("49", 3, 2), ("43", 2, 0)]
    causes = kept.ask.report("causes", CallQuestion()).rows
    assert {row[:3] for row in causes} == {(486, 17, 1), (487, None, 1), (503, 34, 1), (404, None, 1)}
    for kind in REPORTS:
        assert kept.ask.report(kind, CallQuestion()).columns
    with pytest.raises(ValueError, match="no report"):
        kept.ask.report("weather", CallQuestion())


def test_days_lie_apart_and_the_oldest_go_first(kept: Kept) -> None:
    for day in range(4):
        kept.keep(record(day, started_ms=NOON + day * DAY_MS), EventRecord(at_ms=NOON + day * DAY_MS, kind="x"))
    assert len(kept.store.days("calls")) == 4
    assert len(kept.store.days("calls", NOON + DAY_MS, NOON + 2 * DAY_MS)) == 2
    gone = kept.store.forget(NOON + DAY_MS, 1 << 40)
    assert sorted(name[:-9] for name in gone) == ["calls", "events"]
    assert [one.started_ms for one in kept.ask.find(CallQuestion())] == [NOON + day * DAY_MS for day in (3, 2, 1)]
    kept.store.forget(0, 1)  # far too much: all but the newest day
    assert len(kept.ask.find(CallQuestion())) == 1


def test_events_are_kept_beside_calls(kept: Kept) -> None:
    kept.keep(EventRecord(at_ms=NOON, kind="registered", subject="1001"), record(1), EventRecord(at_ms=NOON, kind="x"))
    assert [one.kind for one in kept.ask.events(0, 1 << 52)] == ["x", "registered"]
    assert [one.subject for one in kept.ask.events(0, 1 << 52, "registered")] == ["1001"]
    assert [one.id for one in kept.ask.find(CallQuestion())] == [2]


def test_the_end_of_a_forgotten_call_is_told_once_and_not_beside_its_own_record(kept: Kept) -> None:
    def leftovers(first: int, *serials: str) -> None:
        lines = tuple(LEFTOVERS.line_of(record(9, serial=serial)) for serial in serials)
        kept.journal.append(Group(first, lines))
        kept.journal.seal()
        kept.store.take_in(kept.journal)

    kept.keep(record(1))
    leftovers(10, "ab-1", "cd-1", "cd-1")
    leftovers(20, "cd-1", "ab-1", "cd-2")
    assert sorted(one.serial for one in kept.ask.find(CallQuestion())) == ["ab-1", "cd-1", "cd-2"]


@pytest.mark.parametrize("form", list(Format))
def test_calls_are_exported(kept: Kept, tmp_path: Path, form: Format) -> None:
    kept.keep(record(1, caller='"Ann", 1001'), answered(2, 5))
    file = tmp_path / f"it's.{form}"
    assert kept.ask.export(CallQuestion(), form, file) == 2
    with kept.store.cursor() as cursor:
        rows = cursor.execute("SELECT id, caller, talk_ms FROM '" + str(file).replace("'", "''") + "'").fetchall()
    assert rows == [(1, '"Ann", 1001', None), (2, rows[1][1], 5000)]
    assert kept.ask.export(CallQuestion(from_ms=1, to_ms=2), form, file) == 0
