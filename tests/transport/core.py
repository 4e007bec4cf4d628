"""A core that only collects what the transports report."""

from __future__ import annotations

from collections.abc import Callable

import trio

from appliance.sip.flow import Flow


class Core:
    """Collects what the transports report; `arrived` and `closed` wait for the next of it."""

    def __init__(self) -> None:
        self.messages: list[tuple[bytes, Flow]] = []
        self.ended: list[Flow] = []
        self.react: Callable[[bytes, Flow], None] = lambda data, flow: None
        self._changed = trio.Event()

    def on_message(self, data: bytes, flow: Flow) -> None:
        self.messages.append((data, flow))
        self._notify()
        self.react(data, flow)

    def on_closed(self, flow: Flow) -> None:
        self.ended.append(flow)
        self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    async def until(self, condition: Callable[[], bool]) -> None:
        with trio.fail_after(60):
            while not condition():
                await self._changed.wait()

    async def arrived(self, number: int = 1) -> tuple[bytes, Flow]:
        """The latest message once there are `number`."""
        await self.until(lambda: len(self.messages) >= number)
        return self.messages[number - 1]

    async def closed(self, number: int = 1) -> Flow:
        await self.until(lambda: len(self.ended) >= number)
        return self.ended[number - 1]
