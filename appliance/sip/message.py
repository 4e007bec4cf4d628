"""SIP messages as lazy views: header lines kept as they came, typed only when somebody asks.

A forwarded message differs from the received one in the lines that we changed and in nothing else (RFC 3261 §16.6).
Text is UTF-8 with surrogateescape, so any byte survives the way in and out. Reading bytes is `parser.py`'s work.
"""

from __future__ import annotations

from collections.abc import Iterable

from appliance.sip.errors import BadMessage
from appliance.sip.headers import (
    CSeq,
    NameAddr,
    Via,
    parse_cseq_untrusted,
    parse_name_addr_untrusted,
    parse_via_untrusted,
    split_commas,
)
from appliance.sip.uri import Uri, parse_uri_untrusted

#: How a header that we write ourselves is spelt, by its key.
_SPELLING = {
    "call-id": "Call-ID",
    "cseq": "CSeq",
    "mime-version": "MIME-Version",
    "rack": "RAck",
    "rseq": "RSeq",
    "sip-etag": "SIP-ETag",
    "sip-if-match": "SIP-If-Match",
    "www-authenticate": "WWW-Authenticate",
}


def spelling(key: str) -> str:
    """The customary spelling of a canonical key: 'max-forwards' → 'Max-Forwards'."""
    known = _SPELLING.get(key)
    if known is None:
        known = "-".join(word.capitalize() for word in key.split("-"))
        if len(_SPELLING) < 512:
            _SPELLING[key] = known
    return known


class Message:
    """Header lines and a body.

    `keys[i]` is the canonical key (lower case, long form) of `lines[i]`, the line as it came, folds included, without
    its last CRLF. Names given to the methods are canonical keys.
    """

    __slots__ = ("_cseq", "_from", "_to", "_via", "body", "keys", "lines")

    def __init__(self, keys: list[str], lines: list[str], body: bytes) -> None:
        self.keys = keys
        self.lines = lines
        self.body = body
        self._via: Via | None = None
        self._cseq: CSeq | None = None
        self._from: NameAddr | None = None
        self._to: NameAddr | None = None

    # Reading

    def get(self, key: str) -> str | None:
        """The value of the first such header, unfolded and stripped, or None."""
        try:
            return _value(self.lines[self.keys.index(key)])
        except ValueError:
            return None

    def line(self, key: str) -> str | None:
        """The first such header's whole line as it came, folds included, or None."""
        try:
            return self.lines[self.keys.index(key)]
        except ValueError:
            return None

    def get_all(self, key: str) -> list[str]:
        """The values of all such headers, one for each line, in order."""
        return [_value(line) for k, line in zip(self.keys, self.lines, strict=True) if k == key]

    def values(self, key: str) -> list[str]:
        """All elements of a comma separated header over all its lines, in order."""
        if key not in self.keys:
            return []
        return [element for value in self.get_all(key) for element in split_commas(value)]

    def tokens(self, key: str) -> frozenset[str]:
        """`values` as lower case tokens: Supported, Require, Allow …"""
        return frozenset(value.lower() for value in self.values(key))

    def __contains__(self, key: str) -> bool:
        return key in self.keys

    def require(self, key: str) -> str:
        """`get`, or `BadMessage` that names the header."""
        value = self.get(key)
        if value is None:
            raise BadMessage(f"Missing {spelling(key)}")
        return value

    @property
    def via(self) -> Via:
        """The topmost Via. Changing it changes nothing here: use `replace_top_via`."""
        if self._via is None:
            value = self.require("via")
            first = split_commas(value)[0] if "," in value else value
            self._via = parse_via_untrusted(first)
        return self._via

    @property
    def cseq(self) -> CSeq:
        if self._cseq is None:
            self._cseq = parse_cseq_untrusted(self.require("cseq"))
        return self._cseq

    @property
    def from_(self) -> NameAddr:
        if self._from is None:
            self._from = parse_name_addr_untrusted(self.require("from"), "From")
        return self._from

    @property
    def to(self) -> NameAddr:
        if self._to is None:
            self._to = parse_name_addr_untrusted(self.require("to"), "To")
        return self._to

    @property
    def call_id(self) -> str:
        return self.require("call-id")

    @property
    def from_tag(self) -> str | None:
        return self.from_.tag

    @property
    def to_tag(self) -> str | None:
        return self.to.tag

    def addresses(self, key: str) -> list[NameAddr]:
        """Contact, Route, Record-Route, Path … as name-addr values; `*` is the caller's to look for first."""
        return [parse_name_addr_untrusted(value, spelling(key)) for value in self.values(key)]

    # Writing

    def _forget(self, key: str) -> None:
        if key == "via":
            self._via = None
        elif key == "cseq":
            self._cseq = None
        elif key == "from":
            self._from = None
        elif key == "to":
            self._to = None

    def prepend(self, key: str, value: str) -> None:
        """Add a header above all of its kind: before the first of them, or at the very top."""
        try:
            index = self.keys.index(key)
        except ValueError:
            index = 0
        self.keys.insert(index, key)
        self.lines.insert(index, f"{spelling(key)}: {value}")
        self._forget(key)

    def append(self, key: str, value: str) -> None:
        """Add a header below all others."""
        self.keys.append(key)
        self.lines.append(f"{spelling(key)}: {value}")
        self._forget(key)

    def set(self, key: str, value: str) -> None:
        """Put `value` in the place of the first such header and drop the others, or append it."""
        try:
            index = self.keys.index(key)
        except ValueError:
            self.append(key, value)
            return
        if self.keys.count(key) > 1:
            self.remove(key)
            index = min(index, len(self.keys))
            self.keys.insert(index, key)
            self.lines.insert(index, "")
        self.lines[index] = f"{spelling(key)}: {value}"
        self._forget(key)

    def remove(self, key: str) -> None:
        """Drop every such header."""
        if key in self.keys:
            kept = [(k, line) for k, line in zip(self.keys, self.lines, strict=True) if k != key]
            self.keys[:] = [k for k, _ in kept]
            self.lines[:] = [line for _, line in kept]
            self._forget(key)

    def pop_first(self, key: str) -> str | None:
        """Take away the first element of a list header (top Via, top Route) and return it."""
        try:
            index = self.keys.index(key)
        except ValueError:
            return None
        value = _value(self.lines[index])
        self._forget(key)
        if "," in value:
            first, *rest = split_commas(value)
            if rest:
                self.lines[index] = f"{spelling(key)}: {', '.join(rest)}"
                return first
        del self.keys[index], self.lines[index]
        return value

    def replace_top_via(self, via: Via) -> None:
        """Write `via` in the place of the topmost one."""
        index = self.keys.index("via")
        value = _value(self.lines[index])
        rest = split_commas(value)[1:] if "," in value else []
        self.lines[index] = f"Via: {', '.join([str(via), *rest])}"
        self._via = via

    def set_body(self, body: bytes, content_type: str | None = None) -> None:
        """Replace the body; Content-Length follows when the message is written."""
        self.body = body
        if content_type is not None:
            self.set("content-type", content_type)
        elif not body:
            self.remove("content-type")

    def _head(self, start: str) -> bytes:
        lines = self.lines
        length = f"Content-Length: {len(self.body)}"
        try:
            index = self.keys.index("content-length")
        except ValueError:
            lines = [*lines, length]
        else:
            if _value(lines[index]) != str(len(self.body)):
                lines[index] = length
        return "\r\n".join([start, *lines, "", ""]).encode("utf-8", "surrogateescape")


def _value(line: str) -> str:
    value = line.partition(":")[2]
    if "\n" in value:
        value = " ".join(part.strip() for part in value.split("\r\n"))
    return value.strip()


class Request(Message):
    """A request: `method`, `uri` as written, header lines, body."""

    __slots__ = ("method", "uri")

    def __init__(self, method: str, uri: str, keys: list[str], lines: list[str], body: bytes = b"") -> None:
        super().__init__(keys, lines, body)
        self.method = method
        self.uri = uri

    @classmethod
    def make(cls, method: str, uri: str, headers: Iterable[tuple[str, str]], body: bytes = b"") -> Request:
        """A request of our own from (canonical key, value) pairs."""
        pairs = list(headers)
        return cls(method, uri, [k for k, _ in pairs], [f"{spelling(k)}: {v}" for k, v in pairs], body)

    @property
    def request_uri(self) -> Uri:
        return parse_uri_untrusted(self.uri)

    def copy(self) -> Request:
        """A copy whose lines may be changed; the strings are shared."""
        return Request(self.method, self.uri, self.keys.copy(), self.lines.copy(), self.body)

    def to_bytes(self) -> bytes:
        return self._head(f"{self.method} {self.uri} SIP/2.0") + self.body

    def __repr__(self) -> str:
        return f"<{self.method} {self.uri}>"


class Response(Message):
    """A response: `status`, `reason`, header lines, body."""

    __slots__ = ("reason", "status")

    def __init__(self, status: int, reason: str, keys: list[str], lines: list[str], body: bytes = b"") -> None:
        super().__init__(keys, lines, body)
        self.status = status
        self.reason = reason

    def copy(self) -> Response:
        return Response(self.status, self.reason, self.keys.copy(), self.lines.copy(), self.body)

    def to_bytes(self) -> bytes:
        return self._head(f"SIP/2.0 {self.status} {self.reason}") + self.body

    def __repr__(self) -> str:
        return f"<{self.status} {self.reason}>"
