"""Request bodies that are read as they come: who sends faster than we can write has to wait.

Quart gathers what comes while nobody reads, without a bound on the way to its limit; for a file of hundreds of
megabytes that is the memory of the box. Only the addresses named here are served so; everywhere else a body is small.
"""

from __future__ import annotations

from typing import Any, Final

import trio
from hypercorn.typing import ASGIReceiveCallable
from quart.wrappers import Request
from quart_trio.asgi import TrioASGIHTTPConnection
from quart_trio.wrappers import TrioRequest
from quart_trio.wrappers.request import TrioBody

STREAMED: Final = frozenset({"/update/bundle", "/machine/backup"})
HELD_BYTES: Final = 1 << 20


class StreamedBody(TrioBody):
    """Without a bound of its own: who iterates over it counts."""

    def __init__(self) -> None:
        super().__init__(None, None)
        self._taken = trio.Event()

    async def __anext__(self) -> bytes:
        data = await super().__anext__()
        self._taken.set()
        self._taken = trio.Event()
        return data

    async def wait_for_room(self) -> None:
        while len(self._data) > HELD_BYTES:
            await self._taken.wait()


class StreamingRequest(TrioRequest):
    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        if self.method == "PUT" and self.path in STREAMED:
            self.body = StreamedBody()


class StreamingConnection(TrioASGIHTTPConnection):
    async def handle_messages(  # type: ignore[override]
        self, nursery: trio.Nursery, request: Request, receive: ASGIReceiveCallable
    ) -> None:
        body = request.body
        if not isinstance(body, StreamedBody):
            await super().handle_messages(nursery, request, receive)
            return
        while True:
            message = await receive()
            if message["type"] == "http.request":
                body.append(message.get("body", b""))
                if not message.get("more_body", False):
                    body.set_complete()
                await body.wait_for_room()
            elif message["type"] == "http.disconnect":
                nursery.cancel_scope.cancel()
                return
