"""The file of call records, where it is damaged; what it answers is in test_record_questions.py."""

from __future__ import annotations

from pathlib import Path

from appliance.storage.record_question import CallQuestion
from appliance.storage.record_store import RecordStore
from tests.storage.kept import Kept, record


def test_days_that_an_older_version_wrote_get_the_columns_that_came_since(tmp_path: Path) -> None:
    kept = Kept(tmp_path, RecordStore(tmp_path))
    kept.keep(record(1))
    [day] = kept.store.day_by_day("calls")
    kept.store.rows(f"ALTER TABLE {day.partition(' ')[0]} DROP COLUMN why")
    kept.store.close()
    again = Kept(tmp_path, RecordStore(tmp_path))
    again.next_id = 2
    again.keep(record(2, why="busy"))
    assert [one.why for one in again.ask.find(CallQuestion())] == ["busy", ""]
    again.store.close()


def test_a_file_that_cannot_be_read_is_put_aside(tmp_path: Path) -> None:
    kept = Kept(tmp_path, RecordStore(tmp_path))
    kept.keep(record(1))
    kept.store.close()
    (tmp_path / "records.duckdb").write_bytes(b"this was a database" * 1000)
    again = Kept(tmp_path, RecordStore(tmp_path))
    again.keep(record(2))
    assert len(again.ask.find(CallQuestion())) == 1
    assert list(tmp_path.glob("records.duckdb.broken-*"))
    again.store.close()
