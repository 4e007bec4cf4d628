"""SIP over WebSocket without sockets (RFC 7118, RFC 6455), on wsproto.

The handshake demands our path, the subprotocol `sip` and an Origin that the listener allows. One WebSocket message is
one SIP message, text or binary; ours are text wherever they are UTF-8. Fragments are kept within the limit on a
message whatever their number, and `partial_since` also sees a frame whose header is not all there, which is why this
stands on wsproto and not on trio-websocket: that one keeps fragments without counting them and shows no unfinished one.
"""

from __future__ import annotations

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
from wsproto.utilities import LocalProtocolError, ProtocolError, RemoteProtocolError

from appliance.sip.flow import FlowClosed

from .options import ListenerOptions

SUBPROTOCOL = "sip"
_GOING_AWAY = 1001
_TOO_BIG = 1009
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
    """The server's side of one WebSocket."""

    __slots__ = ("_begun", "_message", "_options", "_replies", "_ws", "finished", "partial_since", "ready")

    def __init__(self, options: ListenerOptions) -> None:
        self._ws = WSConnection(ConnectionType.SERVER)
        self._options = options
        self._message = bytearray()
        self._begun: float | None = None
        """When the first fragment of an unfinished message came."""
        self._replies = b""
        self.ready = False
        self.finished: str | None = None
        self.partial_since: float | None = None

    def receive_untrusted(self, data: bytes, now: float) -> Iterator[bytes]:
        """As `Codec`; a fault shows in `finished`, never as an exception."""
        ws = self._ws
        if data and self.partial_since is None:
            self.partial_since = now  # bytes that make no event are the beginning of a frame
        try:
            ws.receive_data(data)
            for event in ws.events():
                if isinstance(event, TextMessage | BytesMessage):
                    message = self._fragment(event, now)
                    if message:
                        self.partial_since = None
                        yield message
                else:
                    self._control(event)
                self.partial_since = self._begun
                if self.finished is not None:
                    return
        except RemoteProtocolError as error:
            self.finished = "ws-handshake"
            self._send(error.event_hint or RejectConnection())
        except _BROKEN:
            self.finished = "ws-handshake"
            self._send(RejectConnection())

    def _fragment(self, event: TextMessage | BytesMessage, now: float) -> bytes | None:
        data = event.data
        self._message += data.encode() if isinstance(data, str) else data
        if len(self._message) > self._options.limits.max_message_bytes:
            self.finished = "too-large"
            self._message.clear()
            self._send(CloseConnection(code=_TOO_BIG, reason="message too large"))
            return None
        if not event.message_finished:
            if self._begun is None:
                self._begun = now
            return None
        self._begun = None
        message = bytes(self._message)
        self._message.clear()
        if message == b"\r\n\r\n":  # a ping of RFC 5626, which some send here too
            self._send(TextMessage(data="\r\n"))
            return None
        return message if message.strip(b"\r\n") else None

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
        try:
            return self._ws.send(TextMessage(data=message.decode()))
        except UnicodeDecodeError:
            return self._ws.send(BytesMessage(data=message))
        except LocalProtocolError:
            raise FlowClosed("the WebSocket is closing") from None

    def replies(self) -> bytes:
        replies, self._replies = self._replies, b""
        return replies

    def ping(self) -> bytes:
        return self._ws.send(Ping()) if self._ws.state is ConnectionState.OPEN else b""

    def farewell(self) -> bytes:
        if self._ws.state is not ConnectionState.OPEN:
            return b""
        return self._ws.send(CloseConnection(code=_GOING_AWAY))
