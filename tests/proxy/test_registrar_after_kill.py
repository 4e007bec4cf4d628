"""A registrar with its storage in a process of its own, killed with SIGKILL in the middle of its work."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import trio

from appliance.proxy.location import Location
from appliance.proxy.registrar import Registrar, RegistrarOptions
from appliance.storage.storage import open_storage


def test_every_acknowledged_binding_is_there_after_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    acknowledged: set[int] = set()
    for attempt in range(4):
        acknowledged |= registered_until_killed(path, attempt * 1_000_000, answers=30 + 70 * attempt)
    assert len(acknowledged) >= 30 + 100 + 170 + 240
    assert acknowledged <= restored(path)


def registered_until_killed(path: Path, first: int, answers: int) -> set[int]:
    program = Path(__file__).with_name("registering.py")
    with subprocess.Popen([sys.executable, str(program), str(path), str(first)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        seen = {int(process.stdout.readline()) for _ in range(answers)}
        process.kill()
        # What was acknowledged before the blow but not read yet; a number that was cut off is none.
        return seen | {int(line) for line in process.stdout.read().splitlines(keepends=True) if line.endswith(b"\n")}


def restored(path: Path) -> set[int]:
    location = Location()

    async def load() -> None:
        async with open_storage(path) as storage:
            Registrar(location, storage, RegistrarOptions())
            assert storage.health().fault is None
            assert storage.health().notice is None

    trio.run(load)
    return {int(binding.aor[4:].partition("@")[0]) for binding in location.snapshot(time.time())}
