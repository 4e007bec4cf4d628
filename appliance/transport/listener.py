"""A configured listener: its bound sockets, and for streams the accepting of connections within limits."""

from __future__ import annotations

import errno
import itertools
import os
import secrets
import socket
import ssl

import trio

from appliance.marking import Marker
from appliance.sip.flow import host_port

from .codec import Codec, StreamCodec
from .connection import Connection, Hall
from .counters import Counters, ListenerSnapshot
from .local import advertised_host, family_of, sockaddr
from .options import ListenerOptions
from .tls import TlsLayer
from .udp import UdpEndpoint
from .websocket import WebSocketCodec

_BACKLOG = 1024
_BATCH = 64
_PORT_TRIES = 16
_SO_RCVBUFFORCE = 33
"""Of Linux; the socket module does not name it."""
_SEND_BUFFER_BYTES = 1 << 20
"""Answers to datagrams that came together go out in one burst; a network card takes them one by one."""
_NO_IPV6 = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

_boot = secrets.token_hex(4)
_serial = itertools.count(1)


def connection_id(transport: str) -> str:
    """A name that no other connection of this or an earlier run has."""
    return f"{transport.lower()}/{_boot}/{next(_serial)}"


def bind_all(options: ListenerOptions) -> list[socket.socket]:
    """One socket for each address of `bind`, all on one port also where that is 0.

    Raises `OSError` naming listener and address. The IPv6 wildcard is left out where the machine has no IPv6.
    """
    for attempt in range(_PORT_TRIES):
        sockets: list[socket.socket] = []
        port = options.port
        try:
            for host in options.bind:
                sock = _bind(options, host, port, optional=bool(sockets))
                if sock is not None:
                    sockets.append(sock)
                    port = sock.getsockname()[1]
        except OSError as error:
            for sock in sockets:
                sock.close()
            if error.errno == errno.EADDRINUSE and not options.port and attempt + 1 < _PORT_TRIES:
                continue  # the free port of the first address is taken on another
            raise
        if sockets:
            return sockets
        break
    raise OSError(errno.EADDRNOTAVAIL, f"listener {options.name}: no address to listen on")


def _bind(options: ListenerOptions, host: str, port: int, *, optional: bool) -> socket.socket | None:
    udp = options.transport == "UDP"
    family = family_of(host)
    try:
        sock = socket.socket(family, socket.SOCK_DGRAM if udp else socket.SOCK_STREAM)
    except OSError:
        if host == "::" and optional:
            return None
        raise
    try:
        sock.setblocking(False)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if not udp:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        else:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
            if options.receive_buffer_bytes:
                try:  # beyond the system's limit where we may
                    sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, options.receive_buffer_bytes)
                except OSError:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, options.receive_buffer_bytes)
        sock.bind(sockaddr(host, port))
        if not udp:
            sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        if host == "::" and optional and error.errno in _NO_IPV6:
            return None
        where = f"listener {options.name}: {host_port(host, port)}"
        raise OSError(error.errno, f"{where}: {os.strerror(error.errno or 0)}") from error
    return sock


class Listener:
    """One `[listener …]` at work. `addresses` are the bound ones, with real ports."""

    def __init__(
        self, options: ListenerOptions, sockets: list[socket.socket], counters: Counters, context: ssl.SSLContext | None
    ) -> None:
        self.options = options
        self.name = options.name
        self.transport = options.transport
        self.addresses: tuple[tuple[str, int], ...] = tuple(sock.getsockname()[:2] for sock in sockets)
        self.port = self.addresses[0][1] if self.addresses else options.port
        self.counters = counters
        self.endpoints: list[UdpEndpoint] = []
        self.accepting = True
        self.context = context
        self._sockets = [] if options.transport == "UDP" else sockets
        self._sources: dict[str, int] = {}

    def snapshot(self) -> ListenerSnapshot:
        return ListenerSnapshot.of(
            self.counters,
            name=self.name,
            transport=self.transport,
            addresses=self.addresses,
            accepting=self.accepting,
        )

    def sent_by(self, local_host: str) -> str:
        return host_port(advertised_host(self.options.advertise, local_host), self.port)

    async def accept(self, hall: Hall) -> None:
        """Take connections on all sockets until `stop`."""
        async with trio.open_nursery() as nursery:
            for sock in self._sockets:
                nursery.start_soon(self._accept, sock, hall)

    async def _accept(self, sock: socket.socket, hall: Hall) -> None:
        try:
            while self.accepting:
                await trio.lowlevel.wait_readable(sock)
                for _ in range(_BATCH):
                    try:
                        peer, address = sock.accept()
                    except BlockingIOError:
                        break
                    except OSError as error:
                        self.counters.drop("accept-error")
                        if error.errno in _EXHAUSTED:
                            await trio.sleep(0.1)  # until some connection has ended
                            break
                        continue
                    self._welcome(peer, (address[0], address[1]), hall)
        except trio.ClosedResourceError:
            pass
        finally:
            sock.close()

    def _welcome(self, sock: socket.socket, remote: tuple[str, int], hall: Hall) -> None:
        if not hall.admits(self.name, remote[0]) or not self.admit(remote[0]):
            sock.close()
            return
        sock.setblocking(False)
        try:
            local = sock.getsockname()[:2]
            tune(sock)
            hall.mark(sock, self.name, remote[0])
        except OSError:  # it is gone already
            sock.close()
            self.leave(remote[0])
            return
        connection = Connection(
            hall=hall,
            counters=self.counters,
            limits=self.options.limits,
            codec=self._codec(),
            transport=self.transport,
            listener=self.name,
            local=local,
            remote=remote,
            id=connection_id(self.transport),
            sent_by=self.sent_by(local[0]),
            outgoing=False,
            tls=None if self.context is None else TlsLayer(self.context, server_side=True),
        )
        hall.nursery.start_soon(self._serve, connection, sock)

    def _codec(self) -> Codec:
        if self.transport in ("WS", "WSS"):
            return WebSocketCodec(self.options)
        return StreamCodec(self.options.limits)

    async def _serve(self, connection: Connection, sock: socket.socket) -> None:
        try:
            await connection.run(sock)
        finally:
            self.leave(connection.remote[0])

    def admit(self, source: str) -> bool:
        """Count one more connection from `source`; False, counted as a drop, where a limit is reached."""
        counters = self.counters
        if counters.connections >= self.options.max_connections:
            counters.drop("too-many-connections")
            return False
        of_source = self._sources.get(source, 0)
        if of_source >= self.options.max_connections_per_source:
            counters.drop("too-many-from-source")
            return False
        self._sources[source] = of_source + 1
        counters.connections += 1
        counters.accepted += 1
        return True

    def leave(self, source: str) -> None:
        self.counters.connections -= 1
        left = self._sources[source] - 1
        if left:
            self._sources[source] = left
        else:
            del self._sources[source]

    def mark(self, marker: Marker, dscp: int | None) -> None:
        """Mark what the kernel sends before a connection is taken."""
        for sock in self._sockets:
            marker.mark(sock, dscp)

    def stop_accepting(self) -> None:
        """Close what takes new connections; those that stand stay. UDP goes on."""
        if self._sockets:
            self.accepting = False
        for sock in self._sockets:
            trio.lowlevel.notify_closing(sock)
            sock.close()
        self._sockets = []


def tune(sock: socket.socket) -> None:
    """What every SIP stream wants of TCP: no waiting for more to send, and dead peers found in minutes."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 15)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4)
