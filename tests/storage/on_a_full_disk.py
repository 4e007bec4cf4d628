"""Run by test_storage_faults: fill the disk (RLIMIT_FSIZE), see all answered, make room, see all stored."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import trio

from appliance.storage.storage import StorageOptions, open_storage
from tests.storage.rows import Memory, put, recovered, row, stored, write


async def main(path: Path) -> None:
    memory = Memory()
    number = 0
    options = StorageOptions(group_commit_s=0, retry_s=(0.01, 0.05))
    async with open_storage(path, options) as storage, trio.open_nursery() as nursery:
        storage.attach(memory)
        await nursery.start(storage.run)
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
        while storage.health().fault is None and number < 10_000:
            memory.held[row(number).aor, row(number).key] = row(number)
            error = await write(storage, put(row(number)))
            number += 1
        assert error is not None
        print("full")
        # Opening the file anew empties its log; nothing shall fit now either.
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, hard))
        with trio.fail_after(60):
            while await write(storage) is None:
                await trio.lowlevel.checkpoint()
        for _ in range(1000):
            memory.held[row(number).aor, row(number).key] = row(number)
            assert await write(storage, put(row(number))) is not None
            number += 1
        assert "cannot" in (storage.health().fault or "")
        print("answered")
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        await recovered(storage)
        print("mended")
        nursery.cancel_scope.cancel()
    assert await stored(path) == sorted(memory.held.values())
    print("complete")


trio.run(main, Path(sys.argv[1]))
