"""A task for each of several collectors, begun and ended one by one while the service that owns them runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

import trio


class Member(Protocol):
    """Whatever works until it is cancelled."""

    @property
    def run(self) -> Callable[[], Awaitable[None]]: ...


class Crew:
    """`start` and `stop` do nothing while `work` is not running; it starts all who are there when it begins."""

    def __init__(self) -> None:
        self._scopes: dict[str, trio.CancelScope] = {}
        self._nursery: trio.Nursery | None = None

    def start(self, name: str, member: Member) -> None:
        if self._nursery is not None:
            scope = self._scopes[name] = trio.CancelScope()
            self._nursery.start_soon(self._run_one, member, scope)

    async def _run_one(self, member: Member, scope: trio.CancelScope) -> None:
        with scope:
            await member.run()

    def stop(self, name: str) -> None:
        scope = self._scopes.pop(name, None)
        if scope is not None:
            scope.cancel()

    async def work(self, members: Mapping[str, Member], task_status: trio.TaskStatus[str]) -> None:
        """Ends only when it is cancelled; reports the members' names once they are begun."""
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                for name, member in members.items():
                    self.start(name, member)
                task_status.started(", ".join(members))
                await trio.sleep_forever()
        finally:
            self._nursery = None
