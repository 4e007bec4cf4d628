"""MediaPort: the sockets of one endpoint, and their place in the relay's epoll.

Two sockets share the RTP port. The open one hears everybody: STUN, DTLS of an unsettled pair, media not yet
latched. Once it is settled where the peer is, a connected one takes its packets: the kernel prefers it for
that address, so the source check costs nothing, and sends without a route lookup each. A second port serves
RTCP unless multiplexed.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, Protocol

from attrs import define

from appliance.marking import Marker
from appliance.media.backend import Address
from appliance.media.entry import Path
from appliance.media.ports import RECEIVE_BUFFER, PortPool, family_of

Ready = Callable[[float], None]
"""Called with the time when a socket can be read."""


class Watched(Protocol):
    """What stands for a descriptor in the relay's epoll: `handle(watched, now)` is called when it can be read."""

    handle: Callable[[Any, float], None]


@define(eq=False)
class Door:
    """The way in of an unconnected socket."""

    ready: Ready
    handle: Callable[[Any, float], None]


def _enter(door: Door, now: float) -> None:
    door.ready(now)


class Readiness(Protocol):
    """The relay's epoll."""

    def watch(self, descriptor: int, watched: Watched) -> None: ...
    def unwatch(self, descriptor: int) -> None: ...


class MediaPort:
    def __init__(self, pool: PortPool, readiness: Readiness, host: str, *, pair: bool, marker: Marker) -> None:
        """Raises PortsExhausted, or OSError for a host that is not ours."""
        self.host = host
        self.open: socket.socket
        self.control: socket.socket | None = None
        if pair:
            self.open, self.control = pool.open_pair(host)
        else:
            self.open = pool.open_single(host)
        self.port: int = self.open.getsockname()[1]
        self.control_port: int | None = None if self.control is None else self.control.getsockname()[1]
        self.connected: socket.socket | None = None
        self.remote: Address | None = None
        self.dscp: int | None = None
        self.heard: int | None = None
        """The marking of the last packet from the settled address, where it is looked at."""
        self.trusting = False
        self._path: Path | None = None
        self._marker = marker
        self._pool = pool
        self._readiness = readiness

    def listen(self, ready: Ready, control_ready: Ready) -> None:
        self._readiness.watch(self.open.fileno(), Door(ready, _enter))
        if self.control is not None:
            self._readiness.watch(self.control.fileno(), Door(control_ready, _enter))

    def connect(self, remote: Address, path: Path) -> bool:
        """Settle on the peer's address; False where the kernel finds it unreachable (then nothing is
        connected)."""
        self.disconnect()
        try:
            peer = socket.socket(family_of(self.host), socket.SOCK_DGRAM)
        except OSError:
            return False
        try:
            peer.setblocking(False)
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
            self._marker.mark(peer, self.dscp)
            # Both sockets say "reuse" only for the moment of this bind, so that nobody else can join the
            # port.
            for each in (self.open, peer):
                each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                peer.bind((self.host, self.port))
            finally:
                for each in (self.open, peer):
                    each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
            peer.connect(remote)
        except OSError:
            peer.close()
            return False
        self.connected, self.remote = peer, remote
        self._path = path
        self._read()
        self._readiness.watch(peer.fileno(), path)
        return True

    def trust(self, trusting: bool) -> None:
        """Look at the marking of what comes from the settled address, or no longer."""
        if trusting is not self.trusting:
            self.trusting = trusting
            self.heard = None
            self._read()

    def _read(self) -> None:
        peer = self.connected
        if peer is not None and self._path is not None:
            self._path.receive_into = self._marker.receiver(peer, self._hear) if self.trusting else peer.recv_into

    def _hear(self, dscp: int) -> None:
        self.heard = dscp

    def mark(self, dscp: int | None) -> None:
        """Mark everything that leaves this port from now on, where no packet says otherwise."""
        if dscp == self.dscp:
            return
        self.dscp = dscp
        for each in (self.open, self.control, self.connected):
            if each is not None:
                self._marker.mark(each, dscp)

    def sender(self, dscp: int | None) -> Callable[[Any], int]:
        """The `send` of the connected socket, for packets of this marking."""
        assert self.connected is not None
        if dscp is None or dscp == self.dscp:
            return self.connected.send
        return self._marker.sender(self.connected, dscp)

    def sender_as_heard(self, source: MediaPort, dscp: int | None) -> Callable[[Any], int]:
        """As `sender`, each packet with the marking that it came to `source` with; `dscp` where none was seen."""
        senders: dict[int | None, Callable[[Any], int]] = {None: self.sender(dscp)}

        def send(data: Any) -> int:
            heard = source.heard
            chosen = senders.get(heard)
            if chosen is None:
                chosen = senders[heard] = self.sender(heard)
            return chosen(data)

        return send

    def disconnect(self) -> None:
        if self.connected is not None:
            self._readiness.unwatch(self.connected.fileno())
            self.connected.close()
        self.connected = self.remote = None

    def send_to(self, data: bytes, remote: Address) -> bool:
        """From the RTP port, connected or not. False where the kernel would not take it."""
        return _send(self.open, data, remote)

    def send_control_to(self, data: bytes, remote: Address) -> bool:
        return _send(self.control or self.open, data, remote)

    def close(self) -> None:
        self.disconnect()
        for each, port in ((self.open, self.port), (self.control, self.control_port)):
            if each is not None and port is not None and each.fileno() >= 0:
                self._readiness.unwatch(each.fileno())
                each.close()
                self._pool.release(self.host, port)


def _send(sender: socket.socket, data: bytes, remote: Address) -> bool:
    try:
        sender.sendto(data, remote)
    except OSError:
        return False
    return True
