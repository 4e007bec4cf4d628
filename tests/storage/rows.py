"""Rows to store, and ways of waiting for what storage says."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import attrs
import trio

from appliance.storage.bindings import BindingChange, BindingRow
from appliance.storage.storage import Storage, open_storage


@attrs.define
class Memory:
    """The registrar's part: bindings by name."""

    held: dict[tuple[str, str], BindingRow] = attrs.field(factory=dict)

    def rows(self) -> Iterable[BindingRow]:
        return self.held.values()

    def restore(self, rows: Sequence[BindingRow]) -> None:
        for row in rows:
            self.held.setdefault((row.aor, row.key), row)


def row(number: int, **changed: object) -> BindingRow:
    made = BindingRow(
        aor=f"sip:{number}@example.com",
        key=f"sip:{number}@192.0.2.7",
        contact=f"sip:{number}@192.0.2.7",
        q=1.0,
        expires_at=2e9,
        path="",
        instance=None,
        reg_id=None,
        gruu="",
        flow_id="udp-1",
        listener="udp",
        transport="UDP",
        received_host="192.0.2.7",
        received_port=5060,
        call_id="1",
        cseq=1,
        user_agent="phone",
        features="",
        registered_at=1.0,
        refreshed_at=1.0,
    )
    return made._replace(**changed)  # type: ignore[arg-type]


def put(binding: BindingRow) -> BindingChange:
    return BindingChange(binding.aor, binding.key, binding)


def remove(binding: BindingRow) -> BindingChange:
    return BindingChange(binding.aor, binding.key, None)


async def write(storage: Storage, *changes: BindingChange) -> Exception | None:
    """Hand over and wait for the answer."""
    answered = trio.Event()
    answers: list[Exception | None] = []

    def done(error: Exception | None) -> None:
        answers.append(error)
        answered.set()

    storage.write(changes, done)
    with trio.fail_after(60):
        await answered.wait()
    return answers[0]


async def recovered(storage: Storage) -> None:
    """Wait until the fault is over."""
    over = trio.Event()
    storage.on_change.append(lambda health: over.set() if health.fault is None else None)
    if storage.health().fault is not None:
        with trio.fail_after(60):
            await over.wait()


async def stored(path: Path) -> list[BindingRow]:
    memory = Memory()
    async with open_storage(path) as storage:
        storage.attach(memory)
    return sorted(memory.held.values())
