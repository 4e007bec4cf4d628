"""Whole messages cut out of a byte stream (RFC 3261 §18.3, keep-alives of RFC 5626 §4.4.1).

Content-Length decides where a message ends, so a stream without it, or with one that cannot be trusted, is over.
Work is linear in the bytes fed, however they are cut, and never more is kept than the limits and one read allow.
Deadlines are the caller's: `partial_since` says since when an unfinished message has been waiting.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import attrs

from appliance.sip.errors import BadMessage

PING = b"\r\n\r\n"
"""What `feed_untrusted` yields for a keep-alive that wants `PONG` sent back."""

PONG = b"\r\n"

_PONG_GAP_S = 2.0
"""Two lone CRLFs further apart than this are two pongs, not the halves of a ping."""

#: Every Content-Length of a head, folds included. Each repetition ends on a byte that the next cannot begin with.
_LENGTH = re.compile(rb"\r\n(?:content-length|l)[ \t]*:([^\r\n]*(?:\r\n[ \t][^\r\n]*)*)", re.IGNORECASE)
_MAX_DIGITS = 10


@attrs.frozen(slots=True)
class StreamLimits:
    """The largest head (start line and headers with their blank line) and body of a message, in bytes."""

    head_bytes: int = 32 * 1024
    body_bytes: int = 256 * 1024


class StreamFramer:
    """One per connection. After `BadMessage` the stream has no more boundaries: close it.

    `partial_since` is the caller's `now` at which the first byte of an unfinished message came, None between messages.
    """

    __slots__ = ("_buffer", "_crlf_at", "_limits", "_need", "_scanned", "partial_since")

    def __init__(self, limits: StreamLimits | None = None) -> None:
        self._limits = limits or StreamLimits()
        self._buffer = bytearray()
        self._scanned = 0
        """No end of a head begins before this offset."""
        self._need = 0
        """The length of the message at the front once its head is known, else 0."""
        self._crlf_at: float | None = None
        """When the first half of what may become a ping came."""
        self.partial_since: float | None = None

    def feed_untrusted(self, data: bytes, now: float) -> Iterator[bytes]:
        """Each message that `data` completes, and `PING` for each double CRLF between messages.

        Iterate to the end; `now` in seconds of a monotonic clock. Raises `BadMessage` after the last good message when
        the stream must be closed: 400 for a Content-Length that is missing or bad, 513 for what is too large.
        """
        buffer = self._buffer
        buffer += data
        position = 0
        try:
            while position < len(buffer):
                if not self._need:
                    position, pings = self._skip_crlf(position, now)
                    for _ in range(pings):
                        yield PING
                    if not self._measure(position):
                        break
                end = position + self._need
                if end > len(buffer):
                    break
                message = bytes(buffer[position:end])
                position = end
                self._need = self._scanned = 0
                self.partial_since = None
                yield message
        finally:
            del buffer[:position]
        if not buffer:
            self.partial_since = None
        elif self.partial_since is None:
            self.partial_since = now

    def _skip_crlf(self, position: int, now: float) -> tuple[int, int]:
        """Past the CRLFs between messages; how many of them were pings."""
        buffer, pings = self._buffer, 0
        if self._crlf_at is not None and now - self._crlf_at > _PONG_GAP_S:
            self._crlf_at = None
        while buffer[position : position + 2] == b"\r\n":
            position += 2
            if self._crlf_at is None:
                self._crlf_at = now
            else:
                self._crlf_at = None
                pings += 1
        if position < len(buffer) and buffer[position] != 13:
            self._crlf_at = None
        return position, pings

    def _measure(self, position: int) -> bool:
        """Learn the length of the message at `position`; False where its head is not all there."""
        buffer, limits = self._buffer, self._limits
        end = buffer.find(b"\r\n\r\n", max(position, position + self._scanned - 3))
        size = (end + 4 if end >= 0 else len(buffer)) - position
        if size > limits.head_bytes:
            raise BadMessage("Headers Too Large", 513)
        if end < 0:
            self._scanned = size
            return False
        length = _content_length(bytes(buffer[position : end + 2]))
        if length > limits.body_bytes:
            raise BadMessage("Message Too Large", 513)
        self._need = size + length
        return True


def _content_length(head: bytes) -> int:
    found = {value.strip(b" \t\r\n") for value in _LENGTH.findall(head)}
    if not found:
        raise BadMessage("Missing Content-Length")
    if len(found) > 1:
        raise BadMessage("More than one Content-Length")
    value = found.pop()
    if not value.isdigit() or len(value) > _MAX_DIGITS:
        raise BadMessage("Bad Content-Length")
    return int(value)
