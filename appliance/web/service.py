"""The web side as one leaf service: its sockets, its certificate, and a reload that drops no connection."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Final

import trio
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, Scope

from appliance.config import Settings

from .feed import Feed
from .history import History
from .inside import Inside
from .server import Server, ServerLimits, tls_context
from .sip_socket import serve_sip_socket
from .site import make_site

Address = tuple[str, int]
_NO_IPV6: Final = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})


class WebSide:
    """`run` serves until it is cancelled. `secure` and `plain` are the bound addresses of the two sides."""

    def __init__(self, inside: Inside) -> None:
        self.secure: tuple[Address, ...] = ()
        self.plain: tuple[Address, ...] = ()
        self.server: Server | None = None
        self._inside = inside
        self._history = History()

    async def run(self, *, task_status: trio.TaskStatus[str]) -> None:
        """Raises `OSError` where an address is taken or the certificate cannot be used."""
        inside = self._inside
        settings = inside.settings()
        feed = Feed(inside, self._history)
        site = make_site(inside, feed, self._history)

        async def app(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
            if scope["type"] == "websocket":
                await serve_sip_socket(inside, scope, receive, send)
            else:
                await site(scope, receive, send)

        web = settings.web
        server = Server(app, self._context(settings), _limits(settings))
        sockets = inside.bind("web", web.bind, web.https_port)
        try:
            plain = self._bind_loopback(web.http_bind, web.http_port)
        except OSError:
            for sock in sockets:
                sock.close()
            raise
        self.secure = tuple(sock.getsockname()[:2] for sock in sockets)
        self.plain = tuple(sock.getsockname()[:2] for sock in plain)
        self.server = server
        metrics, figures = inside.metrics, server.figures
        metrics.web_connections.read = lambda: figures.open
        metrics.web_refused.read = lambda: figures.refused
        metrics.web_faults.read = lambda: figures.faults
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve, sockets, plain)
            nursery.start_soon(feed.keep_history)
            task_status.started(", ".join([*_urls("https", self.secure), *_urls("http", self.plain)]))

    def _bind_loopback(self, hosts: Sequence[str], port: int) -> list[socket.socket]:
        try:
            return self._inside.bind("web", hosts, port) if hosts else []
        except OSError as error:
            others = [host for host in hosts if host != "::1"]
            if error.errno not in _NO_IPV6 or len(others) == len(hosts):
                raise
            return self._bind_loopback(others, port)

    def prepare(self, settings: Settings) -> Callable[[], None]:
        """The web side's part of a reload: the certificate is read now, and used for new connections when applied.

        Raises `ValueError` where it cannot be used.
        """
        try:
            context = self._context(settings)
        except OSError as error:
            raise ValueError(f"certificate of [web]: {error}") from error

        def apply() -> None:
            if self.server is not None:
                self.server.tls = context
                self.server.limits = _limits(settings)

        return apply

    def _context(self, settings: Settings) -> ssl.SSLContext:
        identity, web = self._inside.identity(), settings.web
        certificate = web.certificate or identity.certificate
        private_key = web.private_key or (None if web.certificate else identity.private_key)
        return tls_context(certificate, private_key)


def _limits(settings: Settings) -> ServerLimits:
    web = settings.web
    return ServerLimits(connections=web.max_connections, connections_per_source=web.max_connections_per_source)


def _urls(scheme: str, addresses: tuple[Address, ...]) -> list[str]:
    return [f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}" for host, port in addresses]
