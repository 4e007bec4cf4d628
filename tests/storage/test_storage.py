"""Storage on a real SQLite file."""

from __future__ import annotations

from pathlib import Path

import trio

from appliance.storage.storage import StorageOptions, open_storage
from tests.storage.rows import Memory, put, remove, row, stored, write


async def test_committed_bindings_are_read_back(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    async with open_storage(path) as storage, trio.open_nursery() as nursery:
        storage.attach(Memory())
        await nursery.start(storage.run)
        assert (
            await write(storage, put(row(1)), put(row(2, path="<sip:a;lr>\n<sip:b;lr>", instance="urn:x", reg_id=1)))
            is None
        )
        assert await write(storage, remove(row(1))) is None
        assert storage.health().fault is None
        nursery.cancel_scope.cancel()
    assert await stored(path) == [row(2, path="<sip:a;lr>\n<sip:b;lr>", instance="urn:x", reg_id=1)]


async def test_what_was_handed_over_is_committed_on_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    answers: list[Exception | None] = []
    options = StorageOptions(group_commit_s=3600)
    async with open_storage(path, options) as storage, trio.open_nursery() as nursery:
        await nursery.start(storage.run)
        storage.write([put(row(1))], answers.append)
        nursery.cancel_scope.cancel()
    assert answers == [None]
    assert await stored(path) == [row(1)]
