"""SIP over WebSocket without sockets (RFC 7118, RFC 6455), on wsproto.

The handshake demands our path, the subprotocol `sip` and an Origin that the listener allows. One WebSocket message is
one SIP message, text or binary; ours are text wherever they are UTF-8. Fragments are kept within the limit on a
message whatever their number, and `partial_since` also sees a frame that is not all there, which is why this stands on
wsproto and not on trio-websocket: that one keeps fragments without counting them and shows no unfinished one.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

import h11
from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    RejectConnection,
    Request,
    TextMessage,
)
from wsproto.utilities import ProtocolError, RemoteProtocolError

from appliance.sip.flow import FlowClosed

from .options import ListenerOptions

SUBPROTOCOL = "sip"
_GOING_AWAY = 1001
_TOO_BIG = 1009
_NOT_UTF8 = 1007
_TEXT, _BINARY = 0x81, 0x82
"""First byte of a frame that is a whole message."""
_BROKEN = (ProtocolError, h11.ProtocolError, ValueError)
"""What wsproto and h11 raise for bad handshakes; ValueError is text that cannot be decoded."""


def origin_allowed(origin: str | None, host: str, origins: Sequence[str], *, required: bool = False) -> bool:
    """Whether a page of `origin` may open a WebSocket at `host` (the Host header, port and all).

    None is a phone that is no web page (RFC 6455 §10.2 lets it choose its headers freely anyway).
    """
    if origin is None:
        return not required
    if "*" in origins:
        return True
    if origin.lower() in (allowed.lower().rstrip("/") for allowed in origins):
        return True
    if "same" not in origins and origins:
        return False
    try:
        theirs, ours = urlsplit(origin).hostname, urlsplit(f"//{host}").hostname
    except ValueError:
        return False
    return theirs is not None and theirs == ours


class WebSocketCodec:
    """The server's side of one WebSocket.

    Frames are cut here, whole and within the limit; one that is a message by itself is read and written here too, for
    that is nearly every frame of a phone. Everything else (handshake, control, fragments, faults) is wsproto's work.
    """

    __slots__ = ("_begun", "_buffer", "_message", "_options", "_replies", "_ws", "finished", "partial_since", "ready")

    def __init__(self, options: ListenerOptions) -> None:
        self._ws = WSConnection(ConnectionType.SERVER)
        self._options = options
        self._buffer = bytearray()
        self._message = bytearray()
        self._begun: float | None = None
        """When the first fragment of an unfinished message came."""
        self._replies = b""
        self.ready = False
        self.finished: str | None = None
        self.partial_since: float | None = None

    def receive_untrusted(self, data: bytes, now: float) -> Iterator[bytes]:
        """As `Codec`; a fault shows in `finished`, never as an exception."""
        if not self.ready:
            self._feed(data, now)  # no message can come of it
            return
        buffer = self._buffer
        buffer += data
        position = 0
        try:
            while self.finished is None:
                start, end = self._frame(position)
                if end > len(buffer):
                    break
                message = self._read(position, start, end, now)
                position = end
                if message:
                    yield message
        finally:
            del buffer[:position]
        if self._begun is not None:
            self.partial_since = self._begun
        elif not buffer:
            self.partial_since = None
        elif position or self.partial_since is None:
            self.partial_since = now

    def _frame(self, position: int) -> tuple[int, int]:
        """Where the payload of the frame at `position` begins and ends; beyond the buffer where it is not all there."""
        buffer = self._buffer
        if len(buffer) < position + 2:
            return 0, position + 2
        length = buffer[position + 1] & 0x7F
        start = position + 2
        if length >= 126:
            start += 2 if length == 126 else 8
            if len(buffer) < start:
                return 0, start
            length = int.from_bytes(buffer[position + 2 : start], "big")
        if length > self._options.limits.max_message_bytes:
            self._too_large()
            return 0, len(buffer) + 1
        if buffer[position + 1] & 0x80:
            start += 4
        return start, start + length

    def _read(self, position: int, start: int, end: int, now: float) -> bytes | None:
        """The message that the frame completes, if it does."""
        buffer = self._buffer
        size = end - start
        least = 6 if size < 126 else 8 if size < 65_536 else 14
        whole = buffer[position] in (_TEXT, _BINARY) and buffer[position + 1] & 0x80 and self._begun is None
        if whole and start - position == least:
            message = _unmask(buffer[start:end], bytes(buffer[start - 4 : start]))
            if buffer[position] == _BINARY or message.isascii() or _is_utf8(message):
                return self._complete(message)
            self._fault(_NOT_UTF8, "text that is no UTF-8")
            return None
        return self._feed(bytes(buffer[position:end]), now)

    def _feed(self, data: bytes, now: float) -> bytes | None:
        """Let wsproto read the handshake, or one frame; the message that it completes, if it does."""
        message = None
        try:
            self._ws.receive_data(data)
            for event in self._ws.events():
                if isinstance(event, TextMessage | BytesMessage):
                    message = self._fragment(event, now)
                else:
                    self._control(event)
                if self.finished is not None:
                    break
        except RemoteProtocolError as error:
            self.finished = "ws-handshake"
            self._send(error.event_hint or RejectConnection())
        except _BROKEN:
            self.finished = "ws-handshake"
            self._send(RejectConnection())
        return message

    def _fragment(self, event: TextMessage | BytesMessage, now: float) -> bytes | None:
        data = event.data
        self._message += data.encode() if isinstance(data, str) else data
        if len(self._message) > self._options.limits.max_message_bytes:
            self._too_large()
            return None
        if not event.message_finished:
            if self._begun is None:
                self._begun = now
            return None
        self._begun = None
        message = bytes(self._message)
        self._message.clear()
        return self._complete(message)

    def _complete(self, message: bytes) -> bytes | None:
        if message == b"\r\n\r\n":  # a ping of RFC 5626, which some send here too
            self._send(TextMessage(data="\r\n"))
            return None
        return message if message.strip(b"\r\n") else None

    def _too_large(self) -> None:
        self._message.clear()
        self._fault(_TOO_BIG, "message too large", "too-large")

    def _fault(self, code: int, reason: str, cause: str = "bad-stream") -> None:
        self.finished = cause
        self._send(CloseConnection(code=code, reason=reason))

    def _control(self, event: Event) -> None:
        if isinstance(event, Request):
            status = self._judge(event)
            if status is None:
                self._send(AcceptConnection(subprotocol=SUBPROTOCOL))
                self.ready = self._ws.state is ConnectionState.OPEN
            else:
                self._send(RejectConnection(status_code=status))
        elif isinstance(event, Ping):
            self._send(event.response())
        elif isinstance(event, CloseConnection):
            self.finished = "" if self._ws.state is ConnectionState.REMOTE_CLOSING else "bad-stream"
            self._send(event.response())

    def _judge(self, request: Request) -> int | None:
        """The HTTP status of a refusal, None where the handshake is as it should be."""
        options = self._options
        if request.target.partition("?")[0] != options.ws_path:
            self.finished = "ws-path"
            return 404
        origins = [value.decode("latin-1") for name, value in request.extra_headers if name == b"origin"]
        if len(origins) > 1 or not origin_allowed(
            origins[0] if origins else None, request.host, options.origins, required=options.require_origin
        ):
            self.finished = "ws-origin"
            return 403
        if SUBPROTOCOL not in (name.lower() for name in request.subprotocols):
            self.finished = "ws-subprotocol"
            return 400
        return None

    def _send(self, event: Event) -> None:
        try:
            self._replies += self._ws.send(event)
        except (*_BROKEN, TypeError):  # nothing can be said in this state any more
            self.finished = self.finished or "bad-stream"

    def encode(self, message: bytes) -> bytes:
        if self._ws.state is not ConnectionState.OPEN:
            raise FlowClosed("the WebSocket is closing")
        kind = _TEXT if message.isascii() or _is_utf8(message) else _BINARY
        size = len(message)
        if size < 126:
            return bytes((kind, size)) + message
        if size < 65_536:
            return struct.pack("!BBH", kind, 126, size) + message
        return struct.pack("!BBQ", kind, 127, size) + message

    def replies(self) -> bytes:
        replies, self._replies = self._replies, b""
        return replies

    def ping(self) -> bytes:
        return self._ws.send(Ping()) if self._ws.state is ConnectionState.OPEN else b""

    def farewell(self) -> bytes:
        if self._ws.state is not ConnectionState.OPEN:
            return b""
        return self._ws.send(CloseConnection(code=_GOING_AWAY))


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _unmask(payload: bytearray, key: bytes) -> bytes:
    """RFC 6455 §5.3, all bytes at once."""
    size = len(payload)
    mask = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(mask, "little")).to_bytes(size, "little")
