"""SIP messages as lazy views: header lines kept as they came, typed only when somebody asks.

A forwarded message differs from the received one in the lines that we changed and in nothing else (RFC 3261 §16.6).
Text is UTF-8 with surrogateescape, so any byte survives the way in and out. Reading bytes is `parser.py`'s work.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Protocol

import attrs

from appliance.sip.errors import BadMessage
from appliance.sip.headers import (
    CSeq,
    NameAddr,
    Via,
    known_cseq,
    known_number,
    name_of_untrusted,
    parse_name_addr_untrusted,
    parse_via_untrusted,
    split_commas,
    tag_untrusted,
    value_of,
)
from appliance.sip.uri import Uri, parse_uri_untrusted

MAX_ELEMENTS = 256
_READ = frozenset({"from", "to", "call-id", "cseq"})
_UNREAD = "\n"
"""Stands in the place of a tag that nobody has asked for; no tag is like that."""

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


_REMEMBERED_LENGTH = 256


@lru_cache(maxsize=4096)
def _known_tokens(line: str) -> frozenset[str]:
    """The tokens of a whole line: what a peer supports and allows, it says in each message alike."""
    return frozenset(value.lower() for value in split_commas(value_of(line)))


@lru_cache(maxsize=256)
def _with(kinds: frozenset[str], key: str) -> frozenset[str]:
    return kinds | {key}


@lru_cache(maxsize=256)
def _without(kinds: frozenset[str], key: str) -> frozenset[str]:
    return kinds - {key}


def spelling(key: str) -> str:
    """The customary spelling of a canonical key: 'max-forwards' → 'Max-Forwards'."""
    known = _SPELLING.get(key)
    if known is None:
        known = "-".join(word.capitalize() for word in key.split("-"))
        if len(_SPELLING) < 512 and len(key) < 64:
            _SPELLING[key] = known
    return known


def header_line(key: str, value: str) -> str:
    """One line of a message. A line break in `value` is a bug of ours: it would be a header of its own."""
    if "\n" in value or "\r" in value:
        raise ValueError(f"line break in {key}")
    return f"{_SPELLING.get(key) or spelling(key)}: {value}"


Match = Callable[[str], re.Match[str] | None]


@attrs.define(eq=False)
class Shape:
    """Facts of one order of headers: where the first of each kind lies, -1 for nowhere; `kinds` are all that there are.

    `fault` is what `parser.check_untrusted` has to say of the order alone: missing and doubled headers. `met` counts
    the messages until there is a `match`, which takes a whole head of this order apart into its lines.
    """

    keys: list[str]
    kinds: frozenset[str]
    via: int
    from_: int
    to: int
    call_id: int
    cseq: int
    content_length: int
    max_forwards: int
    fault: str | None
    met: int = 0
    match: Match | None = None


class Veil(Protocol):
    """Changes messages at the very last, as they become bytes.

    `call_id` is the one that stands in them then, '' for the true one.
    """

    @property
    def call_id(self) -> str: ...

    def cover(self, message: Message) -> bytes: ...


class Message:
    """Header lines and a body.

    `keys[i]` is the canonical key (lower case, long form) of `lines[i]`, the line as it came, folds included, without
    its last CRLF. Names given to the methods are canonical keys.
    """

    __slots__ = (
        "_branch",
        "_call_id",
        "_cseq",
        "_from_tag",
        "_length",
        "_sent_by",
        "_shape",
        "_to_tag",
        "_via",
        "body",
        "keys",
        "kinds",
        "lines",
        "veil",
    )

    keys: list[str]
    lines: list[str]
    kinds: frozenset[str]
    """All that there are in `keys`: to ask here costs a tenth."""
    body: bytes
    veil: Veil | None
    """What it wears on its way out, or, of a request, what its responses will; a copy wears none."""
    _via: Via | None
    _sent_by: tuple[str, int | None] | None
    _branch: str | None
    _call_id: str | None
    _cseq: CSeq | None
    _from_tag: str | None
    _to_tag: str | None
    """Read already, by the parser's checks as a rule; the tags are `_UNREAD` until then."""
    _shape: Shape | None
    """What the parser knows of these very keys, until a header is added or taken away."""
    _length: int
    """The number in the Content-Length line, where known to be right; -1 otherwise."""

    # Reading

    def get(self, key: str) -> str | None:
        """The value of the first such header, unfolded and stripped, or None."""
        return value_of(self.lines[self.keys.index(key)]) if key in self.kinds else None

    def line(self, key: str) -> str | None:
        """The first such header's whole line as it came, folds included, or None."""
        return self.lines[self.keys.index(key)] if key in self.kinds else None

    def get_all(self, key: str) -> list[str]:
        """The values of all such headers, one for each line, in order."""
        return [value_of(line) for k, line in zip(self.keys, self.lines, strict=True) if k == key]

    def values(self, key: str) -> list[str]:
        """All elements of a comma separated header over all its lines, in order; `BadMessage` for absurdly many."""
        if key not in self.kinds:
            return []
        elements = [element for value in self.get_all(key) for element in split_commas(value)]
        if len(elements) > MAX_ELEMENTS:
            raise BadMessage(f"Too many values in {spelling(key)}")
        return elements

    def tokens(self, key: str) -> frozenset[str]:
        """`values` as lower case tokens: Supported, Require, Allow …"""
        keys = self.keys
        if keys.count(key) == 1:
            line = self.lines[keys.index(key)]
            if len(line) <= _REMEMBERED_LENGTH:
                return _known_tokens(line)
        return frozenset(value.lower() for value in self.values(key))

    def __contains__(self, key: str) -> bool:
        return key in self.kinds

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
            if "," in value:
                first = split_commas(value)
                value = first[0] if first else ""
            self._via = parse_via_untrusted(value)
        return self._via

    @property
    def sent_by(self) -> tuple[str, int | None]:
        """Host and port of the topmost Via."""
        found = self._sent_by
        if found is None:
            via = self.via
            found = self._sent_by = via.host, via.port
        return found

    @property
    def branch(self) -> str:
        """The branch of the topmost Via, '' where there is none."""
        found = self._branch
        if found is None:
            found = self._branch = self.via.branch
        return found

    @property
    def cseq(self) -> CSeq:
        found = self._cseq
        if found is None:
            found = self._cseq = known_cseq[self._line("cseq")]
        return found

    @property
    def from_(self) -> NameAddr:
        return parse_name_addr_untrusted(value_of(self._line("from")), "From")

    @property
    def from_name(self) -> str:
        """The user part of From's URI, or the host where it has none."""
        return name_of_untrusted(self._line("from"))

    @property
    def to(self) -> NameAddr:
        return parse_name_addr_untrusted(value_of(self._line("to")), "To")

    @property
    def call_id(self) -> str:
        found = self._call_id
        if found is None:
            found = self._call_id = value_of(self._line("call-id"))
        return found

    @property
    def from_tag(self) -> str | None:
        if self._from_tag is _UNREAD:
            self._from_tag = tag_untrusted(self._line("from"), "From")
        return self._from_tag

    @property
    def to_tag(self) -> str | None:
        if self._to_tag is _UNREAD:
            self._to_tag = tag_untrusted(self._line("to"), "To")
        return self._to_tag

    @property
    def max_forwards(self) -> int | None:
        """The number in Max-Forwards, None where the header is missing or holds no number."""
        line = self.line("max-forwards")
        return None if line is None else known_number[line]

    def _line(self, key: str) -> str:
        try:
            return self.lines[self.keys.index(key)]
        except ValueError:
            raise BadMessage(f"Missing {spelling(key)}") from None

    def addresses(self, key: str) -> list[NameAddr]:
        """Contact, Route, Record-Route, Path … as name-addr values; `*` is the caller's to look for first."""
        return [parse_name_addr_untrusted(value, spelling(key)) for value in self.values(key)]

    # Writing

    def _added(self, key: str) -> None:
        if key not in self.kinds:
            self.kinds = _with(self.kinds, key)
        self._changed(key)

    def _removed(self, key: str) -> None:
        if key not in self.keys:
            self.kinds = _without(self.kinds, key)
        self._changed(key)

    def _changed(self, key: str) -> None:
        self._shape = None
        if key == "via":
            self._via = self._sent_by = self._branch = None
        elif key == "content-length":
            self._length = -1
        elif key in _READ:
            self._forget()

    def _forget(self) -> None:
        self._call_id = self._cseq = None
        self._from_tag = self._to_tag = _UNREAD

    def put_above(self, key: str, *lines: str) -> None:
        """Add whole lines of our own making, without their CRLF, where `prepend` would."""
        keys = self.keys
        index = keys.index(key) if key in self.kinds else 0
        keys[index:index] = (key,) * len(lines)
        self.lines[index:index] = lines
        self._added(key)

    def push_via(self, line: str, branch: str) -> None:
        """Add a whole Via line of our own making on top, with its branch."""
        keys = self.keys
        if "via" in self.kinds:
            index = keys.index("via")
        else:
            index = 0
            self.kinds = _with(self.kinds, "via")
        keys.insert(index, "via")
        self.lines.insert(index, line)
        self._via = self._sent_by = self._shape = None
        self._branch = branch

    def put_below(self, index: int, lines: Iterable[str]) -> None:
        """Add whole lines of the same header below line `index`."""
        key = self.keys[index]
        added = list(lines)
        self.keys[index + 1 : index + 1] = [key] * len(added)
        self.lines[index + 1 : index + 1] = added
        self._changed(key)

    def put_at(self, index: int, line: str) -> None:
        """Put a whole line in the place of another of the same header."""
        self.lines[index] = line
        self._changed(self.keys[index])

    def put_last(self, key: str, line: str) -> None:
        """Add a whole line of our own making, without its CRLF, below all others."""
        self.keys.append(key)
        self.lines.append(line)
        self._added(key)

    def prepend(self, key: str, value: str) -> None:
        """Add a header above all of its kind: before the first of them, or at the very top."""
        line = header_line(key, value)
        keys = self.keys
        index = keys.index(key) if key in self.kinds else 0
        keys.insert(index, key)
        self.lines.insert(index, line)
        self._added(key)

    def append(self, key: str, value: str) -> None:
        """Add a header below all others."""
        self.lines.append(header_line(key, value))
        self.keys.append(key)
        self._added(key)

    def set(self, key: str, value: str) -> None:
        """Put `value` in the place of the first such header and drop the others, or append it."""
        if key not in self.kinds:
            self.put_last(key, header_line(key, value))
            return
        keys = self.keys
        index = keys.index(key)
        self.lines[index] = header_line(key, value)
        for _ in range(keys.count(key) - 1):
            extra = keys.index(key, index + 1)
            del keys[extra], self.lines[extra]
        self._changed(key)

    def remove(self, key: str) -> None:
        """Drop every such header."""
        if key in self.kinds:
            kept = [(k, line) for k, line in zip(self.keys, self.lines, strict=True) if k != key]
            self.keys[:] = [k for k, _ in kept]
            self.lines[:] = [line for _, line in kept]
            self._removed(key)

    def drop_lines(self, start: int, end: int) -> None:
        """Take away neighbouring lines of one header."""
        key = self.keys[start]
        del self.keys[start:end], self.lines[start:end]
        self._removed(key)

    def drop_line(self, index: int) -> None:
        """Take away one line."""
        key = self.keys.pop(index)
        del self.lines[index]
        self._removed(key)

    def drop_top_via(self) -> None:
        """Take our own Via off a response; `pop_first` for those that do not stand on a line of their own."""
        keys, lines = self.keys, self.lines
        index = keys.index("via")
        if "," in lines[index]:
            self.pop_first("via")
        else:
            del keys[index], lines[index]
            if "via" not in keys:
                self.kinds = _without(self.kinds, "via")
            self._via = self._sent_by = self._branch = self._shape = None

    def pop_first(self, key: str) -> str | None:
        """Take away the first element of a list header (top Via, top Route) and return it; None where none is left."""
        keys, lines = self.keys, self.lines
        while key in self.kinds:
            self._changed(key)
            index = keys.index(key)
            value = value_of(lines[index])
            if "," in value:
                elements = split_commas(value)
                if len(elements) > 1:
                    lines[index] = header_line(key, ", ".join(elements[1:]))
                    return elements[0]
                value = elements[0] if elements else ""
            del keys[index], lines[index]
            self._removed(key)
            if value:
                return value
        return None

    def replace_top_via(self, via: Via) -> None:
        """Write `via` in the place of the topmost one."""
        index = self.keys.index("via")
        line = self.lines[index]
        if "," in line:
            rest = split_commas(value_of(line))[1:]
            self.lines[index] = header_line("via", ", ".join([str(via), *rest]))
        else:
            self.lines[index] = header_line("via", str(via))
        self._via = via
        self._sent_by = self._branch = None

    def mark_source(self, host: str, port: int) -> None:
        """Write where the message came from into the top Via (RFC 3261 §18.2.1, RFC 3581 §4).

        `received` where `host` (an IPv6 address without brackets) differs from the sent-by or `rport` was asked for,
        `rport` where it came empty.
        """
        index = self.keys.index("via")
        line = self.lines[index]
        source = f";rport={port};received={host}"
        usual = line.endswith(";rport") and ";branch=" in line and "received" not in line
        if usual and "," not in line and '"' not in line and "\n" not in line:
            self.lines[index] = line[:-6] + source
            self._via = None
            return
        via = self.via
        params = via.params
        if "received" not in params and '"' not in params and ";rport;" in params:
            via.params = params.replace(";rport;", f"{source};", 1)
            self.replace_top_via(via)
            return
        asked = via.param("rport") == ""
        if asked:
            via.set_param("rport", str(port))
        if asked or via.host.strip("[]") != host:
            via.set_param("received", host)
            self.replace_top_via(via)

    def set_body(self, body: bytes, content_type: str | None = None) -> None:
        """Replace the body; Content-Length follows when the message is written."""
        self.body = body
        if content_type is not None:
            self.set("content-type", content_type)
        elif not body:
            self.remove("content-type")

    def _written(self, start: str) -> bytes:
        """All of it, below the start line given, with the Content-Length that the body has."""
        body = self.body
        lines = self.lines
        size = len(body)
        if size != self._length:
            length = f"Content-Length: {size}"
            try:
                index = self.keys.index("content-length")
            except ValueError:
                lines = [*lines, length]
            else:
                if value_of(lines[index]) != str(size):
                    lines[index] = length
                self._length = size
        head = "\r\n".join(lines)
        return f"{start}\r\n{head}\r\n\r\n".encode("utf-8", "surrogateescape") + body


class Request(Message):
    """A request: `method`, `uri` as written, header lines, body."""

    __slots__ = ("method", "uri")

    def __init__(
        self,
        method: str,
        uri: str,
        keys: list[str],
        lines: list[str],
        body: bytes = b"",
        kinds: frozenset[str] | None = None,
    ) -> None:
        self.method = method
        self.uri = uri
        self.keys = keys
        self.lines = lines
        self.kinds = frozenset(keys) if kinds is None else kinds
        self.body = body
        self.veil = None
        self._via = self._sent_by = self._branch = None
        self._call_id = self._cseq = None
        self._from_tag = self._to_tag = _UNREAD
        self._shape = None
        self._length = -1

    @classmethod
    def make(cls, method: str, uri: str, headers: Iterable[tuple[str, str]], body: bytes = b"") -> Request:
        """A request of our own from (canonical key, value) pairs."""
        pairs = list(headers)
        return cls(method, uri, [k for k, _ in pairs], [header_line(k, v) for k, v in pairs], body)

    @property
    def request_uri(self) -> Uri:
        return parse_uri_untrusted(self.uri)

    def copy(self) -> Request:
        """A copy whose lines may be changed; the strings are shared."""
        twin = Request(self.method, self.uri, self.keys.copy(), self.lines.copy(), self.body, self.kinds)
        twin._length = self._length
        twin._call_id, twin._cseq = self._call_id, self._cseq
        twin._from_tag, twin._to_tag = self._from_tag, self._to_tag
        return twin

    def to_bytes(self) -> bytes:
        if self.veil is not None:
            return self.veil.cover(self)
        return self._written(f"{self.method} {self.uri} SIP/2.0")

    def __repr__(self) -> str:
        return f"<{self.method} {self.uri}>"


class Response(Message):
    """A response: `status`, `reason`, header lines, body."""

    __slots__ = ("reason", "status")

    def __init__(
        self,
        status: int,
        reason: str,
        keys: list[str],
        lines: list[str],
        body: bytes = b"",
        kinds: frozenset[str] | None = None,
    ) -> None:
        self.status = status
        self.reason = reason
        self.keys = keys
        self.lines = lines
        self.kinds = frozenset(keys) if kinds is None else kinds
        self.body = body
        self.veil = None
        self._via = self._sent_by = self._branch = None
        self._call_id = self._cseq = None
        self._from_tag = self._to_tag = _UNREAD
        self._shape = None
        self._length = -1

    def copy(self) -> Response:
        twin = Response(self.status, self.reason, self.keys.copy(), self.lines.copy(), self.body, self.kinds)
        twin._length = self._length
        return twin

    def to_bytes(self) -> bytes:
        if self.veil is not None:
            return self.veil.cover(self)
        return self._written(f"SIP/2.0 {self.status} {self.reason}")

    def __repr__(self) -> str:
        return f"<{self.status} {self.reason}>"
