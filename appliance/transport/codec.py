"""What stands between a connection's bytes and SIP messages: the shape of it, and the one for TCP and TLS.

The other one, for WebSockets, is in websocket.py. Codecs touch no socket: bytes in, messages out, and the bytes that
the protocol itself wants sent (pongs, handshakes) kept until the connection fetches them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from appliance.sip.stream import PING, PONG, StreamFramer, StreamLimits

from .options import ConnectionLimits


class Codec(Protocol):
    ready: bool
    """Messages may be sent: there was no handshake, or it is done."""
    finished: str | None
    """The cause for which the connection must be closed once `replies` are sent."""
    partial_since: float | None
    """Since when an unfinished message has been waiting."""

    def receive_untrusted(self, data: bytes, now: float) -> Iterator[bytes]:
        """The messages that `data` completes. Iterate to the end; raises `BadMessage` where the stream is over."""

    def encode(self, message: bytes) -> bytes:
        """The bytes of one message on the wire."""

    def replies(self) -> bytes:
        """What the protocol itself wants sent, given out once."""

    def ping(self) -> bytes:
        """A keep-alive of ours; empty where the protocol has none that is safe."""

    def farewell(self) -> bytes:
        """What is sent before the connection closes."""


class StreamCodec:
    """SIP on a plain stream: cut by Content-Length (RFC 3261 §18.3), CRLF pings answered (RFC 5626 §4.4.1)."""

    __slots__ = ("_framer", "_pongs", "finished", "ready")

    def __init__(self, limits: ConnectionLimits) -> None:
        self._framer = StreamFramer(StreamLimits(limits.max_header_bytes, limits.max_message_bytes))
        self._pongs = 0
        self.ready = True
        self.finished: str | None = None

    @property
    def partial_since(self) -> float | None:
        return self._framer.partial_since

    @partial_since.setter
    def partial_since(self, since: float | None) -> None:
        self._framer.partial_since = since

    def receive_untrusted(self, data: bytes, now: float) -> Iterator[bytes]:
        for message in self._framer.feed_untrusted(data, now):
            if message is PING:
                self._pongs += 1
            else:
                yield message

    def encode(self, message: bytes) -> bytes:
        return message

    def replies(self) -> bytes:
        pongs, self._pongs = self._pongs, 0
        return PONG * pongs

    def ping(self) -> bytes:
        return b""

    def farewell(self) -> bytes:
        return b""
