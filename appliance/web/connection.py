"""One HTTP connection: Hypercorn's HTTP/1.1 on a trio stream, with a deadline for everything that a client can delay.

HTTP/2 is never spoken, whatever the client begins with: Hypercorn 0.18 raises from inside its HTTP/2 when a body comes
after the answer (pgjones/hypercorn#312), and one WebSocket or page needs no more than HTTP/1.1. Whatever else goes
wrong on a connection ends that connection only; `Server` counts it.
"""

from __future__ import annotations

import math
import socket
import ssl
from contextvars import ContextVar
from typing import Final, cast

import attrs
import h11
import trio
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.events import Request, StreamClosed
from hypercorn.protocol.h11 import STREAM_ID, H11Protocol, H11WSConnection
from hypercorn.protocol.http_stream import HTTPStream
from hypercorn.protocol.ws_stream import FrameTooLargeError, WSStream
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import AppWrapper, ConnectionState
from wsproto.events import CloseConnection, Message, Ping
from wsproto.frame_protocol import CloseReason

serving: Final[ContextVar[trio.socket.SocketType]] = ContextVar("serving")
"""The socket behind the request that is being answered."""

_READ_BYTES: Final = 65_536
_LINGER_S: Final = 2.0
_LINGER_READS: Final = 256
_GRACE_S: Final = 2.0
# What a client may ask for and we never do: HTTP/2 in clear, and compression, which blows up small frames.
_UNHEARD: Final = frozenset({b"sec-websocket-extensions", b"http2-settings"})


@attrs.frozen(kw_only=True)
class Deadlines:
    """How long a client may take, in seconds."""

    handshake_s: float = 10.0
    """For the TLS handshake."""
    idle_s: float = 20.0
    """For a whole request header, and between two requests."""
    write_s: float = 10.0
    """For taking what was written."""


class _WebSocket(WSStream):
    """Ends a WebSocket whose message is too large, instead of collecting more of it."""

    async def _handle_events(self) -> None:
        for event in self.connection.events():
            if isinstance(event, Message):
                try:
                    self.buffer.extend(event)
                except FrameTooLargeError:
                    self.buffer.clear()
                    await self._send_wsproto_event(CloseConnection(code=CloseReason.MESSAGE_TOO_BIG))
                    await self.send(StreamClosed(stream_id=self.stream_id))
                    return
                if event.message_finished:
                    assert self.app_put is not None
                    await self.app_put(self.buffer.to_message())
                    self.buffer.clear()
            elif isinstance(event, Ping):
                await self._send_wsproto_event(event.response())
            elif isinstance(event, CloseConnection):
                await self._send_wsproto_event(event.response())
                await self.send(StreamClosed(stream_id=self.stream_id))
                return


class _Http1(H11Protocol):
    """HTTP/1.1 and nothing else."""

    async def _check_protocol(self, event: h11.Request) -> None:
        """Hypercorn would change to HTTP/2 here. An Upgrade to h2c is not heard (RFC 9110 §7.8 allows it)."""

    async def _create_stream(self, request: h11.Request) -> None:
        if request.http_version not in (b"1.1", b"1.0"):
            await self._refuse(505)
            return
        if not request.target.startswith(b"/") and request.target != b"*":
            await self._refuse(400)  # a request for a proxy, or nonsense: Quart stumbles over it
            return
        headers = [(name, value) for name, value in request.headers if name not in _UNHEARD]
        make: type[HTTPStream] | type[WSStream] = HTTPStream
        if request.method == b"GET" and _upgrades(headers):
            make = _WebSocket
        self.stream = make(
            self.app,
            self.config,
            self.context,
            self.task_group,
            self.ssl,
            self.client,
            self.server,
            self.stream_send,
            STREAM_ID,
        )
        if make is _WebSocket:
            self.connection = H11WSConnection(cast(h11.Connection, self.connection))
        await self.stream.handle(
            Request(
                stream_id=STREAM_ID,
                headers=headers,
                http_version=request.http_version.decode(),
                method=request.method.decode("ascii"),
                raw_path=request.target,
                state=self.connection_state,
            )
        )
        self.keep_alive_requests += 1
        if self.stream is not None and self.stream.closed:  # a handshake that is none has had its answer
            await self.send(Closed())

    async def _refuse(self, status: int) -> None:
        await self._send_error_response(status)
        await self.send(Closed())


def _upgrades(headers: list[tuple[bytes, bytes]]) -> bool:
    """Whether a request asks for a WebSocket (RFC 6455 §4.2.1)."""
    upgrade = {value.strip().lower() for name, value in headers if name == b"upgrade"}
    tokens = {token.strip().lower() for name, value in headers if name == b"connection" for token in value.split(b",")}
    return b"websocket" in upgrade and b"upgrade" in tokens


class Connection:
    """Serves requests and at most one WebSocket until either side ends it; `run` raises what is a fault of ours."""

    def __init__(
        self,
        app: AppWrapper,
        config: Config,
        context: WorkerContext,
        stream: trio.SocketStream,
        tls: ssl.SSLContext | None,
        deadlines: Deadlines,
    ) -> None:
        self._app = app
        self._config = config
        self._context = context
        self._transport = stream
        self._stream: trio.SocketStream | trio.SSLStream[trio.SocketStream] = stream
        if tls is not None:
            self._stream = trio.SSLStream(stream, tls, server_side=True, https_compatible=True)
        self._deadlines = deadlines
        self._sending = trio.Lock()
        self._writing: trio.CancelScope | None = None
        self._broken = False
        self._reading = trio.CancelScope()
        self._linger = False
        self._protocol: _Http1

    def abort(self) -> None:
        """Wait no longer for a client that takes nothing."""
        self._broken = True
        if self._writing is not None:
            self._writing.cancel()

    async def run(self) -> None:
        try:
            if await self._handshake():
                await self._serve()
        finally:
            await self._close()

    async def _handshake(self) -> bool:
        if not isinstance(self._stream, trio.SSLStream):
            return True
        with trio.move_on_after(self._deadlines.handshake_s):
            try:
                await self._stream.do_handshake()
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return False
            return True
        return False

    async def _serve(self) -> None:
        sock = self._transport.socket
        try:
            client, server = sock.getpeername()[:2], sock.getsockname()[:2]
        except OSError:
            return  # gone already
        serving.set(sock)  # for the tasks of the group, which inherit it
        async with TaskGroup() as group:
            self._protocol = _Http1(
                self._app,
                self._config,
                self._context,
                group,
                ConnectionState({}),
                self._stream is not self._transport,
                client,
                server,
                self._send,
            )
            self._reading.deadline = trio.current_time() + self._deadlines.idle_s
            with self._reading:
                await self._read()
            # Whoever still answers learns that the client is gone, and has a moment to take leave of it.
            cast(trio.Nursery, group._nursery).cancel_scope.deadline = trio.current_time() + _GRACE_S
            await self._protocol.handle(Closed())

    async def _read(self) -> None:
        while True:
            try:
                data = await self._stream.receive_some(_READ_BYTES)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return
            await self._protocol.handle(RawData(bytes(data)))
            if not data:
                return

    async def _send(self, event: Event) -> None:
        """What the protocol wants done."""
        if isinstance(event, RawData):
            await self._write(event.data)
        elif isinstance(event, Closed):
            self._linger = True
            self._reading.cancel()
        elif isinstance(event, Updated):
            self._reading.deadline = trio.current_time() + self._deadlines.idle_s if event.idle else math.inf

    async def _write(self, data: bytes) -> None:
        # Shielded, for half a TLS record would spoil the rest; bounded, for the client may take nothing.
        with trio.CancelScope(shield=True) as scope:
            async with self._sending:
                if self._broken:
                    return
                self._writing = scope
                scope.deadline = trio.current_time() + self._deadlines.write_s
                try:
                    await self._stream.send_all(data)
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    self._broken = True
        if scope.cancelled_caught:
            self._broken = True
        if self._broken:
            self._reading.cancel()

    async def _close(self) -> None:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + _LINGER_S):
            if self._linger and not self._broken:
                await self._take_rest()
                await trio.aclose_forcefully(self._transport)
            else:
                await self._stream.aclose()

    async def _take_rest(self) -> None:
        """Read away what the client still sends: closing on unread bytes would take our answer back from it."""
        try:
            self._transport.socket.shutdown(socket.SHUT_WR)
            for _ in range(_LINGER_READS):
                if not await self._transport.receive_some(_READ_BYTES):
                    return
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            pass
