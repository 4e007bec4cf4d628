"""Storage on disks that fail: everybody is answered, the fault is shown, and nothing is missing once it works again."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from appliance.storage import database, schema
from appliance.storage.bindings import BindingRow
from appliance.storage.storage import Storage, StorageOptions, open_storage
from tests.storage.rows import Memory, put, recovered, remove, row, stored, write

QUICK = StorageOptions(busy_timeout_s=0.1, group_commit_s=0, retry_s=(0.01, 0.05))


@asynccontextmanager
async def running(path: Path, memory: Memory, options: StorageOptions = QUICK) -> AsyncIterator[Storage]:
    async with open_storage(path, options) as storage, trio.open_nursery() as nursery:
        storage.attach(memory)
        await nursery.start(storage.run)
        yield storage
        nursery.cancel_scope.cancel()


def set_aside(home: Path) -> Path:
    (found,) = home.glob("state.sqlite.broken-*")
    return found


async def test_broken_file_is_put_aside_and_a_new_one_begun(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    path.write_bytes(b"no database at all" * 1000)
    async with running(path, Memory()) as storage:
        assert await write(storage, put(row(1))) is None
        health = storage.health()
        assert health.fault is None
        assert "was put aside as" in (health.notice or "")
    aside = set_aside(tmp_path)
    assert aside.read_bytes().startswith(b"no database")
    assert await stored(path) == [row(1)]


async def test_damage_inside_the_file_is_found_when_it_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    async with running(path, Memory()) as storage:
        await write(storage, *(put(row(number)) for number in range(500)))
    damaged = bytearray(path.read_bytes())
    damaged[4096:] = bytes(len(damaged) - 4096)
    path.write_bytes(damaged)
    async with running(path, Memory()) as storage:
        assert storage.health().notice is not None
        assert await write(storage, put(row(1))) is None
    assert await stored(path) == [row(1)]


async def test_file_of_a_newer_version_is_left_whole(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 999")
        connection.execute("CREATE TABLE precious (thing)")
    connection.close()
    async with running(path, Memory()) as storage:
        assert "newer version" in (storage.health().notice or "")
    aside = set_aside(tmp_path)
    with sqlite3.connect(aside) as connection:
        assert connection.execute("SELECT count(*) FROM precious").fetchone() == (0,)
    connection.close()


async def test_older_file_is_migrated_and_keeps_its_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state.sqlite"
    async with running(path, Memory()) as storage:
        await write(storage, put(row(1)))
    monkeypatch.setattr(database, "MIGRATIONS", (*schema.MIGRATIONS, "CREATE TABLE added (thing)"))
    monkeypatch.setattr(database, "VERSION", schema.VERSION + 1)
    assert await stored(path) == [row(1)]
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (schema.VERSION + 1,)
        assert connection.execute("SELECT count(*) FROM added").fetchone() == (0,)
    connection.close()


async def test_directory_that_is_missing_is_a_fault_until_it_is_there(tmp_path: Path) -> None:
    path = tmp_path / "state" / "state.sqlite"
    memory = Memory()
    async with running(path, memory) as storage:
        first = storage.health()
        assert "cannot open" in (first.fault or "")
        assert first.since is not None
        memory.held[row(1).aor, row(1).key] = row(1)
        assert await write(storage, put(row(1))) is not None
        path.parent.mkdir()
        await recovered(storage)
        assert await write(storage, put(row(2))) is None
    assert await stored(path) == [row(1), row(2)]


async def test_file_that_comes_back_late_is_read_and_loses_nothing(tmp_path: Path) -> None:
    home, away = tmp_path / "home", tmp_path / "away"
    home.mkdir()
    async with running(home / "state.sqlite", Memory()) as storage:
        await write(storage, put(row(1)), put(row(2)))
    home.rename(away)
    memory = Memory()
    async with running(home / "state.sqlite", memory) as storage:
        memory.held[row(2).aor, row(2).key] = row(2, cseq=7)
        assert await write(storage, put(row(2, cseq=7))) is not None
        away.rename(home)
        await recovered(storage)
    assert sorted(memory.held.values()) == [row(1), row(2, cseq=7)]
    assert await stored(home / "state.sqlite") == [row(1), row(2, cseq=7)]


async def test_file_that_was_deleted_while_open_is_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    memory = Memory({(row(1).aor, row(1).key): row(1)})
    async with running(path, memory) as storage:
        assert await write(storage, put(row(1))) is None
        for name in os.listdir(tmp_path):
            (tmp_path / name).unlink()
        assert "is gone" in str(await write(storage, put(row(2))))
        memory.held[row(2).aor, row(2).key] = row(2)
        await recovered(storage)
    assert await stored(path) == [row(1), row(2)]


async def test_locked_file_keeps_nobody_waiting(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    options = StorageOptions(busy_timeout_s=60, group_commit_s=0, patience_s=0.05, retry_s=(0.01, 0.05))
    memory = Memory()
    async with running(path, memory, options) as storage:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        memory.held[row(1).aor, row(1).key] = row(1)
        assert "takes longer" in str(await write(storage, put(row(1))))
        assert "takes longer" in (storage.health().fault or "")
        other.execute("COMMIT")
        other.close()
        await recovered(storage)
    assert await stored(path) == [row(1)]


async def test_full_queue_is_a_fault_and_not_a_growing_heap(tmp_path: Path) -> None:
    async with open_storage(tmp_path / "state.sqlite", StorageOptions(queue=2)) as storage:
        answers: list[Exception | None] = []
        for number in range(3):
            storage.write([put(row(number))], answers.append)
        assert len(answers) == 3
        assert all("more changes" in str(answer) for answer in answers)
        assert storage.health().waiting == 0


async def test_changes_during_recovery_come_after_what_was_in_memory(tmp_path: Path) -> None:
    class BusyMemory(Memory):
        """Things change while it is being read."""

        def rows(self) -> Iterator[BindingRow]:
            for number, held in enumerate(list(self.held.values())):
                if number == 1500:
                    storage.write([remove(row(1)), put(row(2, cseq=9)), put(row(5000))], answers.append)
                yield held

    path = tmp_path / "state" / "state.sqlite"
    answers: list[Exception | None] = []
    memory = BusyMemory({(row(n).aor, row(n).key): row(n) for n in range(3000)})
    async with running(path, memory) as storage:
        path.parent.mkdir()
        await recovered(storage)
        assert [type(answer) for answer in answers] == [database.DatabaseFault]
    assert await stored(path) == sorted([row(0), row(2, cseq=9), *(row(n) for n in range(3, 3000)), row(5000)])


async def test_rows_put_and_removed_in_one_group_end_as_handed_over(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    async with running(path, Memory(), StorageOptions(group_commit_s=0.01)) as storage:
        storage.write([put(row(1)), put(row(2))], lambda error: None)
        storage.write([remove(row(1))], lambda error: None)
        storage.write([remove(row(2)), put(row(2, cseq=2))], lambda error: None)
        assert await write(storage, put(row(3))) is None
        assert storage.health().commits == 1
    assert await stored(path) == [row(2, cseq=2), row(3)]


@pytest.mark.parametrize("size", [1, 2, 3, 1023, 1024, 1025])
async def test_groups_of_any_size_are_stored_whole(tmp_path: Path, size: int) -> None:
    path = tmp_path / "state.sqlite"
    async with running(path, Memory()) as storage:
        assert await write(storage, *(put(row(number)) for number in range(size))) is None
        assert storage.health().commits == 1
    assert await stored(path) == sorted(row(number) for number in range(size))


def test_full_disk_is_survived_and_shown_and_mended(tmp_path: Path) -> None:
    """The limit on file size of a process of its own stands for the disk; SQLite meets the same failing writes."""
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("on_a_full_disk.py")), str(tmp_path / "state.sqlite")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout.split()) == (0, ["full", "answered", "mended", "complete"]), done.stderr
