"""Records on their way to ClickHouse: none lost, none doubled, whatever becomes of box, server and wire."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

import attrs
import pytest

from appliance.storage.call_data import StoreFault
from appliance.storage.clickhouse import filled, literal, tab_separated
from appliance.storage.clickhouse_store import ClickHouseStore
from appliance.storage.journal import Journal
from appliance.storage.record_question import CallQuestion, EventQuestion
from tests.peers.clickhouse import ClickHouseServer, absence
from tests.storage.kept import Kept, record

BOX = "box.example.com"


def serials(kept: Kept) -> list[str]:
    return sorted(one.serial for one in kept.ask.find(CallQuestion(limit=100_000)))


@pytest.fixture
def kept(clickhouse: ClickHouseServer, tmp_path: Path) -> Kept:
    return Kept(tmp_path, ClickHouseStore(clickhouse.settings(), tmp_path, BOX))


def test_a_box_that_is_killed_before_it_marks_what_it_shipped_ships_nothing_twice(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.write(record(1), record(2))
    kept.write(record(3))

    def killed(self: object) -> None:
        raise OSError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(ClickHouseStore, "_remember", killed)
        with pytest.raises(StoreFault, match="killed"):
            kept.store.take_in(kept.journal)
    again = Kept(kept.directory, ClickHouseStore(kept.store.server._settings, kept.directory, BOX))  # type: ignore[attr-defined]
    again.store.take_in(again.journal)
    assert serials(again) == ["ab-1", "ab-2", "ab-3"]
    assert again.journal.sealed() == []


def test_a_segment_of_which_only_a_part_came_in_is_made_whole(kept: Kept) -> None:
    kept.write(*(record(number) for number in range(10)))
    half = Kept(kept.directory / "half", ClickHouseStore(kept.store.server._settings, kept.directory / "half", BOX))  # type: ignore[attr-defined]
    half.keep(*(record(number) for number in range(4)))  # the same ids
    kept.store.take_in(kept.journal)
    assert len(serials(kept)) == 10


def test_boxes_share_a_database_and_see_their_own(kept: Kept, tmp_path: Path) -> None:
    other = Kept(tmp_path / "b", ClickHouseStore(kept.store.server._settings, tmp_path / "b", "box-b"))  # type: ignore[attr-defined]
    kept.keep(record(1))
    other.keep(record(2), record(3))
    assert serials(kept) == ["ab-1"]
    assert serials(other) == ["ab-2", "ab-3"]
    other.store.forget(1 << 50, 0)
    assert serials(kept) == ["ab-1"]


def test_a_server_that_hangs_and_an_impatient_box_do_not_double(
    clickhouse: ClickHouseServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Kept(tmp_path, ClickHouseStore(clickhouse.settings(), tmp_path, BOX))
    kept.store.server.run("SYSTEM STOP MERGES")  # type: ignore[attr-defined]  # they would mend what is tried here
    monkeypatch.setattr("appliance.storage.clickhouse._ANSWER_S", 0.5)
    kept.store.server._client = None  # type: ignore[attr-defined]  # the next has this patience
    kept.write(*(record(number) for number in range(500)))
    clickhouse.program.process.send_signal(signal.SIGSTOP)
    try:
        for _ in range(3):  # each attempt stands in the server's queue
            with pytest.raises(StoreFault, match="wait in the journal"):
                kept.store.take_in(kept.journal)
            kept.store._again_at = 0.0  # type: ignore[attr-defined]
    finally:
        clickhouse.program.process.send_signal(signal.SIGCONT)
    monkeypatch.undo()
    kept.store.server._client = None  # type: ignore[attr-defined]
    while kept.journal.sealed():
        kept.store._again_at = 0.0  # type: ignore[attr-defined]
        try:
            kept.store.take_in(kept.journal)
        except StoreFault:
            continue
    assert len(serials(kept)) == 500
    [(rows,)] = kept.store.rows("SELECT count(*) FROM calls")
    assert rows == 500
    kept.store.server.run("SYSTEM START MERGES")  # type: ignore[attr-defined]


def test_while_the_server_is_away_records_wait_and_then_all_are_there(tmp_path: Path) -> None:
    if absence():
        pytest.skip(absence())
    with ClickHouseServer(tmp_path / "server") as server:
        kept = Kept(tmp_path, ClickHouseStore(server.settings(), tmp_path, BOX))
        kept.keep(record(1))
        server.kill()
        kept.write(record(2))
        for _ in range(2):  # the second time nobody is asked
            with pytest.raises(StoreFault, match=r"not reached.*; call records wait in the journal"):
                kept.store.take_in(kept.journal)
        with pytest.raises(StoreFault, match="not reached"):
            kept.ask.find(CallQuestion())
        server.start()
        kept.store._again_at = 0.0  # type: ignore[attr-defined]
        assert kept.store.take_in(kept.journal) == 1
        assert serials(kept) == ["ab-1", "ab-2"]
        # a box that comes up while the server is down knows its ids all the same
        server.kill()
        again = ClickHouseStore(kept.store.server._settings, tmp_path, BOX)  # type: ignore[attr-defined]
        again.open()
        assert again.last_id == 2


def test_a_wrong_password_is_told_in_the_words_of_the_server(clickhouse: ClickHouseServer, tmp_path: Path) -> None:
    settings = attrs.evolve(clickhouse.settings(), password=None)
    store = ClickHouseStore(settings, tmp_path, BOX)
    with pytest.raises(StoreFault, match=r"ClickHouse at 127.0.0.1:\d+ answers \d+: .*[Pp]assword"):
        store.take_in(Journal(tmp_path / "journal"))


def test_a_column_that_an_older_version_did_not_have_is_added(kept: Kept) -> None:
    kept.keep(record(1))
    kept.store.server.run("ALTER TABLE calls DROP COLUMN transfer")  # type: ignore[attr-defined]
    again = Kept(kept.directory, ClickHouseStore(kept.store.server._settings, kept.directory, BOX))  # type: ignore[attr-defined]
    again.next_id = 2
    again.keep(record(2, transfer="to 1003"))
    assert [one.transfer for one in again.ask.find(CallQuestion())] == ["to 1003", ""]


def test_questions_are_answered_while_records_come_in(kept: Kept) -> None:
    for segment in range(5):
        kept.write(*(record(segment * 100 + number) for number in range(100)))
    found: list[int] = []

    def ask() -> None:
        for _ in range(10):
            found.append(len(kept.ask.find(CallQuestion(limit=1000))))
            kept.ask.events(EventQuestion())

    asking = threading.Thread(target=ask)
    asking.start()
    kept.store.take_in(kept.journal)
    asking.join()
    assert found == sorted(found)
    assert len(serials(kept)) == 500


def test_values_are_told_apart_from_sql() -> None:
    assert literal("it's a \\ ?") == "'it\\'s a \\\\ \\x3f'"
    assert filled("a = ? AND b = ?", ["?", None]) == "a = '\\x3f' AND b = NULL"
    assert tab_separated([[1, None, "a\tb\\"]]) == b"1\t\\N\ta\\tb\\\\\n"
    with pytest.raises(ValueError, match="1 values for 2 places"):
        filled("? ?", [1])
