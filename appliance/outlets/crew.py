"""A task for each of several collectors, begun and ended one by one while the service that owns them runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Generic, Protocol, TypeVar

import trio


class Member(Protocol):
    """Whatever works until it is cancelled."""

    @property
    def run(self) -> Callable[[], Awaitable[None]]: ...


M = TypeVar("M", bound=Member)
S = TypeVar("S")


class Crew(Generic[M]):
    """Its `members` work while `work` runs; those who are there when it begins are begun then."""

    def __init__(self) -> None:
        self.members: dict[str, M] = {}
        self._scopes: dict[str, trio.CancelScope] = {}
        self._nursery: trio.Nursery | None = None

    def adopt(self, wanted: Mapping[str, S], make: Callable[[S], M], change: Callable[[M, S], bool]) -> None:
        """One member for each that is wanted, no others. `change` hands a member its new settings, and says whether
        they differ: then its task begins anew."""
        for name in [name for name in self.members if name not in wanted]:
            self._stop(name)
            del self.members[name]
        for name, settings in wanted.items():
            member = self.members.get(name)
            if member is None:
                self.members[name] = make(settings)
                self._start(name)
            elif change(member, settings):
                self._stop(name)
                self._start(name)

    def _start(self, name: str) -> None:
        if self._nursery is not None:
            scope = self._scopes[name] = trio.CancelScope()
            self._nursery.start_soon(self._run_one, self.members[name], scope)

    async def _run_one(self, member: M, scope: trio.CancelScope) -> None:
        with scope:
            await member.run()

    def _stop(self, name: str) -> None:
        scope = self._scopes.pop(name, None)
        if scope is not None:
            scope.cancel()

    async def work(self, task_status: trio.TaskStatus[str]) -> None:
        """Ends only when it is cancelled; reports the members' names once they are begun."""
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                for name in self.members:
                    self._start(name)
                task_status.started(", ".join(self.members))
                await trio.sleep_forever()
        finally:
            self._nursery = None
