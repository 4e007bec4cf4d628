"""Sockets to connections: accepts, limits how many there are, and lets no fault of one connection reach another.

Stands in for Hypercorn's own serve(), which ends altogether when one connection raises (pgjones/hypercorn#312).
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import attrs
import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.logging import Logger
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework

from appliance.logs import log

from .connection import Connection, Deadlines

_HEADER_BYTES: Final = 16_384
_PING_S: Final = 30.0


class _Log(Logger):
    """Hypercorn's faults as events of ours; requests are counted elsewhere."""

    async def access(self, *args: Any, **kwargs: Any) -> None:
        pass

    async def exception(self, message: str, *args: Any, **kwargs: Any) -> None:
        log.error("web.fault", reason=message)

    async def warning(self, message: str, *args: Any, **kwargs: Any) -> None:
        log.warning("web.warning", reason=message)


@attrs.frozen(kw_only=True)
class ServerLimits:
    """What all connections together, those of one address, and one WebSocket message may come to."""

    connections: int = 10_000
    connections_per_source: int = 1000
    message_bytes: int = 65_536
    deadlines: Deadlines = attrs.field(factory=Deadlines)


@attrs.define
class ServerFigures:
    """Running counts; `open` is the number of connections now."""

    open: int = 0
    accepted: int = 0
    refused: int = 0
    faults: int = 0


class Server:
    """Serves an ASGI application. `tls` may be replaced at any time: connections made from then on use the new one."""

    def __init__(self, app: ASGIFramework, tls: ssl.SSLContext, limits: ServerLimits) -> None:
        self.tls = tls
        self.limits = limits
        self.figures = ServerFigures()
        self._app = ASGIWrapper(app)
        self._context = WorkerContext(None)
        self._connections: set[Connection] = set()
        self._sources: dict[str, int] = {}
        config = self._config = Config()
        config.logger_class = _Log
        config.accesslog = config.errorlog = None
        config.include_server_header = False
        config.h11_max_incomplete_size = _HEADER_BYTES
        config.websocket_max_message_size = limits.message_bytes
        config.websocket_ping_interval = _PING_S

    async def serve(
        self,
        secure: Sequence[socket.socket],
        plain: Sequence[socket.socket],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve on listening sockets, which are closed at the end; `secure` ones speak TLS."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self._hurry_at_the_end)
            for sockets, is_secure in ((secure, True), (plain, False)):
                listeners = [trio.SocketListener(trio.socket.from_stdlib_socket(sock)) for sock in sockets]
                if listeners:
                    handler = partial(self._keep, is_secure)
                    await nursery.start(partial(trio.serve_listeners, handler, listeners, handler_nursery=nursery))
            task_status.started()

    async def _hurry_at_the_end(self, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        try:
            await trio.sleep_forever()
        finally:
            for connection in self._connections:
                connection.abort()

    async def _keep(self, secure: bool, stream: trio.SocketStream) -> None:
        """One connection from accept to close; its faults end here."""
        try:
            source = stream.socket.getpeername()[0]
        except OSError:
            await trio.aclose_forcefully(stream)
            return
        figures, of_source = self.figures, self._sources.get(source, 0)
        if figures.open >= self.limits.connections or of_source >= self.limits.connections_per_source:
            figures.refused += 1
            await trio.aclose_forcefully(stream)
            return
        figures.accepted += 1
        figures.open += 1
        self._sources[source] = of_source + 1
        tls = self.tls if secure else None
        connection = Connection(self._app, self._config, self._context, stream, tls, self.limits.deadlines)
        self._connections.add(connection)
        try:
            await connection.run()
        except Exception as error:
            figures.faults += 1
            log.error("web.connection.failed", error, source=source)
        finally:
            figures.open -= 1
            self._connections.discard(connection)
            left = self._sources[source] - 1
            if left:
                self._sources[source] = left
            else:
                del self._sources[source]


def tls_context(certificate: Path, private_key: Path | None) -> ssl.SSLContext:
    """For the HTTPS side. Raises `OSError` or `ssl.SSLError` where a file cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(certificate, private_key)
    return context
