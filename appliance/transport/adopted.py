"""A WebSocket that another server holds, the web side's /sip, as a flow like any other (RFC 7118).

The handshake is the other server's; this owns what follows it: the bounded queue, the deadlines, the figures.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable

import trio

from appliance.marking import Markable, Marker
from appliance.sip.flow import Address, Flow, FlowClosed

from .counters import Counters
from .options import ConnectionLimits
from .tap import Tap

Receive = Callable[[], Awaitable[str | bytes]]
Send = Callable[[str | bytes], Awaitable[None]]


class AdoptedConnection(Flow):
    """A flow over `receive` and `send`, which may raise whatever they like once the WebSocket is gone."""

    __slots__ = ("_counters", "_limits", "_lot", "_on_message", "_queue", "_queued", "_scope", "_sock", "tap")

    def __init__(
        self,
        *,
        counters: Counters,
        limits: ConnectionLimits,
        on_message: Callable[[bytes, Flow], None],
        transport: str,
        listener: str,
        local: Address,
        remote: Address,
        id: str,  # noqa: A002
        sent_by: str,
        sock: Markable | None = None,
    ) -> None:
        super().__init__(transport=transport, listener=listener, local=local, remote=remote, id=id, sent_by=sent_by)
        self._counters = counters
        self._limits = limits
        self._on_message = on_message
        self._sock = sock
        self._queue: deque[bytes] = deque()
        self._queued = 0
        self._lot = trio.lowlevel.ParkingLot()
        self._scope = trio.CancelScope()
        self.tap: Tap | None = None

    def send(self, data: bytes) -> None:
        if self.closed:
            raise FlowClosed("connection is closed")
        if self._queued + len(data) > self._limits.write_buffer_bytes:
            self._end("write-overflow")
            raise FlowClosed("the peer does not take what we send")
        if self.tap is not None and len(data) > 2:  # a pong is no message
            self.tap.said(data, self)
        self._queue.append(data)
        self._queued += len(data)
        self._lot.unpark()

    def close(self) -> None:
        self._end("")

    def mark(self, marker: Marker, dscp: int | None) -> None:
        if self._sock is not None:
            marker.mark(self._sock, dscp)

    def _end(self, cause: str) -> None:
        if not self.closed:
            self.closed = True
            if cause:
                self._counters.drop(cause)
            self._scope.cancel()

    async def run(self, receive: Receive, send: Send) -> None:
        """Serve until either side ends it."""
        with self._scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write, send)
                await self._read(receive)
        self.closed = True

    async def _read(self, receive: Receive) -> None:
        limits = self._limits
        while not self.closed:
            with trio.move_on_after(limits.idle_timeout_s) as scope:
                try:
                    got = await receive()
                except Exception:
                    self._end("")
                    return
            if scope.cancelled_caught:
                self._end("idle")
                return
            data = got.encode() if isinstance(got, str) else bytes(got)
            self._counters.bytes_in += len(data)
            if len(data) > limits.max_message_bytes:
                self._end("too-large")
            elif data == b"\r\n\r\n":
                try:
                    self.send(b"\r\n")
                except FlowClosed:
                    return
            elif data.strip(b"\r\n"):
                self._counters.messages_in += 1
                self._on_message(data, self)

    async def _write(self, send: Send) -> None:
        queue = self._queue
        while True:
            while queue:
                data = queue.popleft()
                self._queued -= len(data)
                with trio.move_on_after(self._limits.write_deadline_s) as scope:
                    try:
                        await send(_text(data))
                    except Exception:
                        self._end("")
                        return
                if scope.cancelled_caught:
                    self._end("write-stalled")
                    return
                self._counters.messages_out += 1
                self._counters.bytes_out += len(data)
            await self._lot.park()


def _text(data: bytes) -> str | bytes:
    """Text where it is UTF-8: not every phone in a page reads binary messages rightly."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data
