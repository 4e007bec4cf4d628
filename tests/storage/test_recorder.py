"""The way into the journal: grouped, synced, bounded, and honest about a disk that takes nothing."""

from __future__ import annotations

from pathlib import Path

import attrs
import trio

from appliance.config.records import RecordsSettings
from appliance.storage.journal import Group, Journal, groups_after
from appliance.storage.recorder import Recorder

SOON = RecordsSettings(sync_ms=5)


class SickJournal(Journal):
    """Takes nothing until it is well."""

    sick = True

    def append(self, group: Group) -> int:
        if self.sick:
            raise OSError(28, "No space left on device")
        return super().append(group)


def recorder(journal: Journal, told: list[str], settings: RecordsSettings = SOON) -> Recorder:
    return Recorder(journal, str, settings, told.append)


def lines(journal: Journal) -> list[str]:
    journal.seal()
    return [line for _, groups, _ in groups_after(journal.sealed(), 0) for one in groups for line in one.lines]


async def until_synced(one: Recorder) -> None:
    with trio.fail_after(60):
        while one.waiting:  # noqa: ASYNC110
            await trio.sleep(0.01)


async def test_what_comes_together_is_synced_together(tmp_path: Path, nursery: trio.Nursery) -> None:
    journal = Journal(tmp_path)
    one = recorder(journal, [])
    await nursery.start(one.run)
    for number in range(50):
        one.take(number)
    await until_synced(one)
    assert one.figures.groups == 1
    assert lines(journal) == [str(number) for number in range(50)]


async def test_what_waits_is_written_when_the_box_stops(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    one = recorder(journal, [], attrs.evolve(SOON, sync_ms=10_000))
    async with trio.open_nursery() as nursery:
        await nursery.start(one.run)
        one.take("last")
        nursery.cancel_scope.cancel()
    assert lines(journal) == ["last"]


async def test_a_full_disk_keeps_records_in_memory_up_to_the_bound(tmp_path: Path, nursery: trio.Nursery) -> None:
    journal, told = SickJournal(tmp_path), list[str]()
    one = recorder(journal, told, attrs.evolve(SOON, waiting=100))
    await nursery.start(one.run)
    for number in range(130):
        one.take(number)
    with trio.fail_after(60):
        while not told:  # noqa: ASYNC110
            await trio.sleep(0.01)
    assert "No space left" in told[0]
    assert (one.waiting, one.figures.lost) == (100, 30)
    journal.sick = False
    await until_synced(one)
    assert told[-1] == ""
    assert lines(journal) == [str(number) for number in range(100)]


async def test_one_that_cannot_be_told_does_not_cost_the_others(tmp_path: Path, nursery: trio.Nursery) -> None:
    def word(ended: object) -> str:
        return str(10 // int(str(ended)))

    journal = Journal(tmp_path)
    one = Recorder(journal, word, SOON, lambda fault: None)
    await nursery.start(one.run)
    for number in (1, 0, 2):
        one.take(number)
    await until_synced(one)
    assert lines(journal) == ["10", "5"]
    assert one.figures.unsaid == 1


async def test_ids_rise_over_restarts(tmp_path: Path, nursery: trio.Nursery) -> None:
    ahead = 10**17
    one = Recorder(Journal(tmp_path), str, SOON, lambda fault: None, first_id=ahead)
    await nursery.start(one.run)
    one.take("a")
    await until_synced(one)
    assert one.next_id == ahead + 1
