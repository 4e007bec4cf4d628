"""Whatever keeps the records, each is there exactly once, and questions have the same answers."""

from __future__ import annotations

from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.storage.call_data import Format
from appliance.storage.event_record import EventRecord
from appliance.storage.journal import Group, frame_of
from appliance.storage.record_line import BETWEEN, CALLS, LEFTOVERS
from appliance.storage.record_question import FIGURES, REPORTS, SORTS, CallQuestion, EventQuestion
from appliance.storage.record_store import DAY_MS
from tests.storage.conftest import Make
from tests.storage.kept import NOON, Kept, answered, record

odd = st.text(max_size=20)
_given = st.lists(st.tuples(odd, odd, st.none() | st.integers(0, 10**12), st.none() | st.floats(1, 5)), min_size=1)


def test_a_record_is_found_as_it_was_written(make: Make, tmp_path_factory: pytest.TempPathFactory) -> None:
    @settings(max_examples=10, deadline=None)
    @given(_given)
    def found_again(told: list[tuple]) -> None:  # type: ignore[type-arg]
        kept = make(tmp_path_factory.mktemp("store"))
        records = [
            record(number, caller=caller, ending=ending, talk_ms=talk_ms, mos_caller=mos)
            for number, (caller, ending, talk_ms, mos) in enumerate(told)
        ]
        kept.keep(*records)
        found = kept.ask.find(CallQuestion(limit=1000))
        kept.store.close()
        assert [one.id for one in found] == list(range(len(records), 0, -1))
        for one, was in zip(found, reversed(records), strict=True):
            assert (one.talk_ms, one.serial) == (was.talk_ms, was.serial)
            assert one.mos_caller == pytest.approx(was.mos_caller)
            plain = was.ending.encode("utf-8", "replace").decode()
            assert one.ending == plain or any(ord(c) < 32 or ord(c) == 127 for c in plain)

    found_again()


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


def test_a_journal_that_an_older_version_left_is_taken_in(kept: Kept) -> None:
    line = CALLS.line_of(record(1, attempts="[]", why="busy"))
    shorter = line.rsplit(BETWEEN, 3)[0]  # it knew nothing of the last fields, why, sound and remedy
    kept.journal.append(Group(1, (shorter, CALLS.line_of(record(2, why="busy")))))
    kept.journal.seal()
    assert kept.store.take_in(kept.journal) == 2
    assert [one.why for one in kept.ask.find(CallQuestion())] == ["busy", ""]


def test_the_id_of_the_last_record_outlives_a_restart(kept: Kept) -> None:
    kept.keep(record(1), record(2))
    kept.store.open()
    kept.store.take_in(kept.journal)
    assert kept.store.last_id == 2


def test_calls_are_found_by_number_user_trunk_status_cause_words_and_time(kept: Kept) -> None:
    kept.keep(
        answered(1, 60, caller="1001", called="030555", source_kind="user", source="1001", trunk="a"),
        record(2, caller="030777", called="1002", source_kind="trunk", source="b", status=486, cause=17),
        record(3, caller="1001", called="999", source_kind="user", source="1001", status=404, ending="No Rôute"),
    )

    def ids(**more: object) -> list[int]:
        return [one.id for one in kept.ask.find(CallQuestion(**more))]  # type: ignore[arg-type]

    assert ids() == [3, 2, 1]
    assert ids(number="0305") == [1]
    assert ids(user="1001") == [3, 1]
    assert ids(trunk="a") == [1]
    assert ids(trunk="b") == [2]
    assert ids(status="answered") == [1]
    assert ids(status="failed") == [3, 2]
    assert ids(status="4xx") == [3, 2]
    assert ids(status="486") == [2]
    assert ids(cause=17) == [2]
    assert ids(text="1001") == [3, 1]
    assert ids(text="1001 rôu") == [3]
    assert ids(text="486") == [2]
    assert ids(text="2@EXAMPLE.net") == [2]
    assert ids(text="what? ' \\ %") == []
    assert ids(from_ms=NOON + 2000, to_ms=NOON + 2500) == [2]
    assert ids(number="'; DROP TABLE calls; --") == []
    with pytest.raises(ValueError, match="no status"):
        ids(status="busy")
    for name in ("2", "ab-2", "2@example.net"):
        found = kept.ask.call(name)
        assert found is not None
        assert found.id == 2
    assert kept.ask.call("nobody") is None


def test_pages_hold_every_call_once_in_whatever_order(kept: Kept) -> None:
    # over two days, and the ids not in the order of the starts: a long call ends after those that came later
    starts = [NOON + (n * 7919 % 30) * DAY_MS // 15 for n in range(30)]
    kept.keep(*(record(n, started_ms=at, caller=str(n % 4), status=100 + n) for n, at in enumerate(starts)))
    seen: list[tuple[int, int]] = []
    while True:
        before = seen[-1] if seen else None
        page = kept.ask.find(CallQuestion(before=before, limit=7))
        seen += [(one.started_ms, one.id) for one in page]
        if len(page) < 7:
            break
    assert len(seen) == 30
    assert seen == sorted(set(seen), reverse=True)
    for sort in SORTS:
        for ascending in (True, False):
            found = [
                one.id
                for skip in range(0, 30, 8)
                for one in kept.ask.find(CallQuestion(sort=sort, ascending=ascending, skip=skip, limit=8))
            ]
            assert sorted(found) == list(range(1, 31))
    upwards = kept.ask.find(CallQuestion(sort="status", ascending=True, limit=5))
    assert [one.status for one in upwards] == [100, 101, 102, 103, 104]
    with pytest.raises(ValueError, match="no order"):
        kept.ask.find(CallQuestion(sort="weather"))


def test_figures_are_what_they_are_called(kept: Kept) -> None:
    kept.keep(
        answered(1, 60, trunk="a", number="+49301", mos_caller=4.0, mos_callee=3.0),
        answered(2, 120, trunk="a", number="0049302", mos_callee=4.0),
        record(3, trunk="a", number="+49303", status=486, cause=17),
        record(4, trunk="a", number="+43104", status=487, ringing_ms=NOON + 5000),
        record(5, trunk="a", number="+43105", status=503, cause=34, source_kind="user", source="1001"),
        record(6, status=404, source_kind="anyone"),
    )
    [row] = kept.ask.report("trunks", CallQuestion()).rows
    assert row == ("a", 5, 2, 40.0, 80.0, 90.0, 3.0, 1.0, 3.5)
    prefixes = kept.ask.report("prefixes", CallQuestion(), digits=2).rows
    assert [(row[0], row[1], row[2]) for row in prefixes] == [("49", 3, 2), ("43", 2, 0)]
    causes = kept.ask.report("causes", CallQuestion()).rows
    assert {row[:3] for row in causes} == {(486, 17, 1), (487, None, 1), (503, 34, 1), (404, None, 1)}
    sources = kept.ask.report("sources", CallQuestion(status="failed")).rows
    assert {row[:2] for row in sources} == {("", 2), ("user 1001", 1), ("anyone", 1)}
    [total] = kept.ask.report("total", CallQuestion(status="failed")).rows
    assert total == ("all calls", 4, 0, 0.0, 50.0, None, 0.0, None, None)
    [hour] = kept.ask.report("hours", CallQuestion()).rows
    assert str(hour[0]).endswith(" 12:00")
    [hour] = kept.ask.report("busiest", CallQuestion(), zone=ZoneInfo("Asia/Kolkata")).rows
    assert str(hour[0]).endswith(" 17:30")
    for kind in REPORTS:
        assert kept.ask.report(kind, CallQuestion()).columns
    assert kept.ask.report("total", CallQuestion(to_ms=1)).columns == ("what", *FIGURES)
    with pytest.raises(ValueError, match="no report"):
        kept.ask.report("weather", CallQuestion())


def test_the_calls_of_a_self_test_are_in_the_list_and_count_in_no_report(kept: Kept) -> None:
    kept.keep(answered(1, 60, called="1002"), answered(2, 1, called="selftest-tone", source="selftest-4711"))
    assert [call.called for call in kept.ask.find(CallQuestion())] == ["selftest-tone", "1002"]
    for kind in ("total", "hours", "busiest", "sources"):
        [row] = kept.ask.report(kind, CallQuestion()).rows
        assert row[1] == 1


def test_days_lie_apart_and_the_oldest_go_first(kept: Kept) -> None:
    for day in range(4):
        kept.keep(record(day, started_ms=NOON + day * DAY_MS), EventRecord(at_ms=NOON + day * DAY_MS, kind="x"))
    assert len(kept.store.day_by_day("calls")) == 4
    assert len(kept.store.day_by_day("calls", NOON + DAY_MS, NOON + 2 * DAY_MS)) == 2
    gone = kept.store.forget(NOON + DAY_MS, 1 << 40)
    assert sorted(name[:5] for name in gone) == ["calls", "event"]
    assert [one.started_ms for one in kept.ask.find(CallQuestion())] == [NOON + day * DAY_MS for day in (3, 2, 1)]
    kept.store.forget(0, 1)  # far too much: all but the newest day
    assert len(kept.ask.find(CallQuestion())) == 1


def test_events_are_kept_beside_calls(kept: Kept) -> None:
    kept.keep(
        EventRecord(at_ms=NOON, kind="registered", subject="1001", detail="Phone 3"),
        record(1),
        EventRecord(at_ms=NOON, kind="x"),
        EventRecord(at_ms=NOON - DAY_MS, kind="ban", source="192.0.2.1"),
    )

    def kinds(**more: object) -> list[str]:
        return [one.kind for one in kept.ask.events(EventQuestion(**more))]  # type: ignore[arg-type]

    assert kinds() == ["x", "registered", "ban"]
    assert kinds(limit=2) == ["x", "registered"]
    assert kinds(before=(NOON, 1)) == ["ban"]
    assert kinds(kind="registered, ban") == ["registered", "ban"]
    assert kinds(text="PHONE 1001") == ["registered"]
    assert kinds(text="192.0.2.1") == ["ban"]
    assert kinds(from_ms=NOON) == ["x", "registered"]
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
    kept.keep(record(1, caller='"Ann", 1001', called="\\N"), answered(2, 5))
    file = tmp_path / f"it's.{form}"
    assert kept.ask.export(CallQuestion(), form, file) == 2
    with duckdb.connect() as reader:
        rows = reader.execute(
            "SELECT id, caller, called, talk_ms FROM '" + str(file).replace("'", "''") + "'"
        ).fetchall()
    assert rows == [(1, '"Ann", 1001', "\\N", None), (2, rows[1][1], rows[1][2], 5000)]
    assert kept.ask.export(CallQuestion(from_ms=1, to_ms=2), form, file) == 0
