"""One connection, whoever opened it: TCP, TLS, WS or WSS.

A `Connection` is the flow itself. Sending is a plain call: encode, encrypt, hand to the kernel; what it does not
take waits in a bounded buffer that a task of its own drains, so that a slow reader costs nobody else anything. The
one standing task reads, and keeps the deadlines: handshake, idle, unfinished message, ping.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from typing import Protocol

import trio

from appliance.logs import log
from appliance.marking import Marker
from appliance.sip.errors import BadMessage
from appliance.sip.flow import Address, Flow, FlowClosed, host_port

from .codec import Codec
from .counters import Counters
from .options import ConnectionLimits
from .tap import Tap
from .tls import TlsLayer

_CHUNK = 65_536
_ORDINARY = frozenset({"reset", "idle"})
"""Ends that happen to good peers every day."""


class Hall(Protocol):
    """What a connection needs of the transports that it belongs to."""

    nursery: trio.Nursery
    on_message: Callable[[bytes, Flow], None]
    admits: Callable[[str, str], bool]
    """Whether (listener, address) may open a connection."""
    tap: Tap | None

    def opened(self, connection: Connection) -> None: ...

    def ended(self, connection: Connection) -> None: ...

    def mark(self, sock: socket.socket, listener: str, remote: str) -> None:
        """Give a socket of this listener the marking that belongs to it."""


class _Ended(Exception):  # noqa: N818
    """The connection is over; `cause` is what gets counted, empty where nothing was wrong."""

    def __init__(self, cause: str = "", detail: str = "") -> None:
        self.cause = cause
        self.detail = detail


class Connection(Flow):
    """A flow over a stream socket. It opens once its handshakes are done; what is sent before that waits."""

    __slots__ = (
        "_codec",
        "_counters",
        "_early",
        "_early_bytes",
        "_hall",
        "_limits",
        "_pending",
        "_ping_at",
        "_sock",
        "_tls",
        "aliases",
        "announced",
        "is_open",
        "outgoing",
    )

    def __init__(
        self,
        *,
        hall: Hall,
        counters: Counters,
        limits: ConnectionLimits,
        codec: Codec,
        transport: str,
        listener: str,
        local: Address,
        remote: Address,
        id: str,  # noqa: A002
        sent_by: str,
        outgoing: bool,
        tls: TlsLayer | None = None,
        sock: socket.socket | None = None,
    ) -> None:
        super().__init__(transport=transport, listener=listener, local=local, remote=remote, id=id, sent_by=sent_by)
        self._hall = hall
        self._counters = counters
        self._limits = limits
        self._codec = codec
        self._tls = tls
        self._sock = sock
        self._pending = bytearray()
        self._early: list[bytes] = []
        self._early_bytes = 0
        self._ping_at = float("inf")
        self.is_open = False
        self.outgoing = outgoing
        self.announced = outgoing
        """The core knows this flow and is told when it ends."""
        self.aliases: list[object] = []
        """Keys under which this connection stands for one to the same peer (RFC 5923)."""

    # Sending

    def send(self, data: bytes) -> None:
        if self.closed:
            raise FlowClosed("connection is closed")
        if not self.is_open:
            self._early_bytes += len(data)
            if self._early_bytes > self._limits.write_buffer_bytes:
                self._end("write-overflow")
                raise FlowClosed("connection is not open yet and its buffer is full")
            self._early.append(data)
            return
        self._counters.messages_out += 1
        if self._hall.tap is not None:
            self._hall.tap.said(data, self)
        self._put(self._codec.encode(data))

    def close(self) -> None:
        self._end("")

    def mark(self, marker: Marker, dscp: int | None) -> None:
        if self._sock is not None:
            marker.mark(self._sock, dscp)

    def _put(self, data: bytes) -> None:
        if self._tls is not None:
            try:
                data = self._tls.encrypt(data)
            except ssl.SSLError as error:
                self._end("tls-error")
                raise FlowClosed("TLS is broken") from error
        self._write(data)

    def _write(self, data: bytes) -> None:
        sock = self._sock
        if sock is None or not data:
            return
        pending = self._pending
        sent = 0
        if not pending:
            try:
                sent = sock.send(data)
            except BlockingIOError:
                pass
            except OSError as error:
                self._end("reset")
                raise FlowClosed(error.strerror or "send failed") from error
            self._counters.bytes_out += sent
            if sent == len(data):
                return
            self._hall.nursery.start_soon(self._drain, sock)
        if len(pending) + len(data) - sent > self._limits.write_buffer_bytes:
            self._end("write-overflow")
            raise FlowClosed("the peer does not take what we send")
        pending += data[sent:] if sent else data

    async def _drain(self, sock: socket.socket) -> None:
        """Write what waits, until nothing does."""
        pending = self._pending
        while pending and not self.closed:
            with trio.move_on_after(self._limits.write_deadline_s) as scope:
                try:
                    await trio.lowlevel.wait_writable(sock)
                except trio.ClosedResourceError:
                    return
            if scope.cancelled_caught:
                self._end("write-stalled")
                return
            try:
                sent = sock.send(memoryview(pending)[:_CHUNK].tobytes())
            except BlockingIOError:
                continue
            except OSError:
                self._end("reset")
                return
            del pending[:sent]
            self._counters.bytes_out += sent

    # Receiving

    async def run(self, sock: socket.socket) -> None:
        """Serve the connected, non-blocking `sock` until it ends; closes it. Never raises for the peer's faults."""
        self._sock = sock
        try:
            self._begin()
            await self._read(sock)
        except _Ended as end:
            self._end(end.cause, end.detail)
        except FlowClosed:
            pass
        except (trio.ClosedResourceError, trio.BrokenResourceError):
            self._end("")
        finally:
            self._end("")
            self._hall.ended(self)

    def _begin(self) -> None:
        if self._tls is not None:
            try:
                self._write(self._tls.start())
            except ssl.SSLError as error:
                raise _Ended("tls-handshake", str(error)) from None
        elif self._codec.ready:
            self._open()

    async def _read(self, sock: socket.socket) -> None:
        limits = self._limits
        current_time = trio.current_time
        wait_readable = trio.lowlevel.wait_readable
        begun = heard = current_time()
        self._ping_at = begun + limits.ws_ping_s if limits.ws_ping_s else float("inf")
        while True:
            with trio.CancelScope() as scope:
                while not self.closed:
                    scope.deadline = self._deadline(begun, heard)
                    await wait_readable(sock)
                    try:
                        data = sock.recv(_CHUNK)
                    except BlockingIOError:
                        continue
                    except OSError:
                        raise _Ended("reset") from None
                    if not data:
                        raise _Ended("" if self.is_open else "handshake-failed")
                    self._counters.bytes_in += len(data)
                    now = current_time()
                    if self._received(data, now):
                        heard = now
            if self.closed:
                return
            now = current_time()
            if not self.is_open:
                raise _Ended("handshake-deadline")
            if self._codec.partial_since is not None and now >= self._codec.partial_since + limits.read_deadline_s:
                raise _Ended("read-deadline")
            if now >= heard + limits.idle_timeout_s:
                raise _Ended("idle")
            if now >= self._ping_at:
                self._ping_at = now + limits.ws_ping_s
                ping = self._codec.ping()
                if ping:
                    self._put(ping)

    def _deadline(self, begun: float, heard: float) -> float:
        limits = self._limits
        if not self.is_open:
            return begun + limits.read_deadline_s
        deadline = min(heard + limits.idle_timeout_s, self._ping_at)
        partial = self._codec.partial_since
        return deadline if partial is None else min(deadline, partial + limits.read_deadline_s)

    def _received(self, data: bytes, now: float) -> bool:
        """Take what came from the wire; False where no application bytes were in it. Raises `_Ended`, `FlowClosed`."""
        tls = self._tls
        ended = False
        if tls is not None:
            try:
                data = tls.receive_untrusted(data)
            except ssl.SSLError as error:
                self._write(tls.outgoing())
                raise _Ended("tls-error" if self.is_open else "tls-handshake", str(error)) from None
            self._write(tls.outgoing())
            if not tls.established:
                return False
            if not self.is_open:
                fault = tls.name_fault()
                if fault is not None:
                    raise _Ended(fault, f"certificate of {', '.join(tls.peer_identities) or 'nobody'}")
                self.peer_identities = tls.peer_identities
                if self._codec.ready:
                    self._open()
            ended = tls.ended
        if data:
            self._messages(data, now)
        if ended:
            raise _Ended()
        return bool(data)

    def _messages(self, data: bytes, now: float) -> None:
        codec = self._codec
        counters = self._counters
        on_message = self._hall.on_message
        messages = codec.receive_untrusted(data, now)
        while True:
            # Only what the peer did is forgiven here: an error of the core rises.
            try:
                message = next(messages, None)
            except BadMessage as bad:
                self._reply()
                cause = "too-large" if bad.status == 513 else "bad-stream"
                if self._hall.tap is not None:
                    self._hall.tap.dropped(data, self, cause)
                raise _Ended(cause, bad.reason) from None
            except Exception as error:  # of ours or a library's, and no reason to serve nobody any more
                log.error("connection.codec_failed", error, flow=self.id)
                raise _Ended("fault") from None
            if message is None:
                break
            counters.messages_in += 1
            on_message(message, self)
            if self.closed:
                raise _Ended()
        self._reply()
        if codec.finished is not None:
            raise _Ended(codec.finished)
        if not self.is_open and codec.ready:
            self._open()

    def _reply(self) -> None:
        reply = self._codec.replies()
        if reply:
            self._put(reply)

    # Beginning and end

    def _open(self) -> None:
        self.is_open = True
        self.announced = True
        self._hall.opened(self)
        log.debug("connection.opened", flow=self.id, remote=host_port(*self.remote), listener=self.listener)
        early, self._early = self._early, []
        for data in early:
            self.send(data)

    def fail(self, cause: str, detail: str = "") -> None:
        """It could not be opened."""
        self._end(cause, detail)
        self._hall.ended(self)

    def _end(self, cause: str, detail: str = "") -> None:
        """Close the socket at once; the reading task then reports the end, never the caller's own stack."""
        if self.closed:
            return
        self.closed = True
        if cause:
            self._counters.drop(cause)
            write = log.debug if cause in _ORDINARY else log.info
            write(
                "connection.ended",
                flow=self.id,
                remote=host_port(*self.remote),
                listener=self.listener,
                cause=cause,
                detail=detail,
            )
        sock, self._sock = self._sock, None
        self._early.clear()
        if sock is None:
            return
        if self.is_open and not self._pending:
            farewell = self._codec.farewell()
            try:
                if self._tls is not None:
                    farewell = (self._tls.encrypt(farewell) if farewell else b"") + self._tls.goodbye()
                if farewell:
                    sock.send(farewell)
            except OSError:
                pass
        trio.lowlevel.notify_closing(sock)
        sock.close()
