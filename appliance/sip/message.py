"""SIP messages as lazy views: header lines kept as they came, typed only when somebody asks.

A forwarded message differs from the received one in the lines that we changed and in nothing else (RFC 3261 §16.6).
Text is UTF-8 with surrogateescape, so any byte survives the way in and out. Reading bytes is `parser.py`'s work.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from appliance.sip.header_lines import HeaderLines, header_line, kinds_with, kinds_without
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
from appliance.sip.own_code import with_own_code
from appliance.sip.uri import Uri, parse_uri_untrusted

_READ = frozenset({"from", "to", "call-id", "cseq"})
UNREAD = "\n"
"""Stands in the place of a tag that nobody has asked for; no tag is like that."""


class Veil(Protocol):
    """Changes messages at the very last, as they become bytes.

    `call_id` is the one that stands in them then, '' for the true one.
    """

    @property
    def call_id(self) -> str: ...

    def cover(self, message: Message) -> bytes: ...


class Message(HeaderLines):
    """Header lines and a body, and what they say, read once."""

    __slots__ = (
        "_branch",
        "_call_id",
        "_cseq",
        "_from_tag",
        "_length",
        "_sent_by",
        "_to_tag",
        "_via",
        "body",
        "sound",
        "veil",
    )

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
    """Read already, by the parser's checks as a rule; the tags are `UNREAD` until then."""
    sound: bool
    """The parser has found nothing wrong with it at a glance, and no header was changed since."""
    _length: int
    """The number in the Content-Length line, where known to be right; -1 otherwise."""

    # Reading

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
        if self._from_tag is UNREAD:
            self._from_tag = tag_untrusted(self._line("from"), "From")
        return self._from_tag

    @property
    def to_tag(self) -> str | None:
        if self._to_tag is UNREAD:
            self._to_tag = tag_untrusted(self._line("to"), "To")
        return self._to_tag

    @property
    def max_forwards(self) -> int | None:
        """The number in Max-Forwards, None where the header is missing or holds no number."""
        line = self.line("max-forwards")
        return None if line is None else known_number[line]

    # Writing

    def _changed(self, key: str) -> None:
        self.sound = False
        if key == "via":
            self._via = self._sent_by = self._branch = None
        elif key == "content-length":
            self._length = -1
        elif key in _READ:
            self._forget()

    def _forget(self) -> None:
        self._call_id = self._cseq = None
        self._from_tag = self._to_tag = UNREAD

    def push_via(self, line: str, branch: str) -> None:
        """Add a whole Via line of our own making on top, with its branch."""
        keys = self.keys
        if "via" in self.kinds:
            index = keys.index("via")
        else:
            index = 0
            self.kinds = kinds_with(self.kinds, "via")
        keys.insert(index, "via")
        self.lines.insert(index, line)
        self._via = self._sent_by = None
        self.sound = False
        self._branch = branch

    def drop_top_via(self) -> None:
        """Take our own Via off a response; `pop_first` for those that do not stand on a line of their own."""
        keys, lines = self.keys, self.lines
        index = keys.index("via")
        if "," in lines[index]:
            self.pop_first("via")
        else:
            del keys[index], lines[index]
            if "via" not in keys:
                self.kinds = kinds_without(self.kinds, "via")
            self._via = self._sent_by = self._branch = None
            self.sound = False

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
        if self.sound and line[-6:] == ";rport" and '"' not in line and "received" not in line:
            self.lines[index] = f"{line}={port};received={host}"
            self._via = None
            return
        via = self.via
        params = via.params
        if "received" not in params and '"' not in params and ";rport;" in params:
            via.params = params.replace(";rport;", f";rport={port};received={host};", 1)
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


@with_own_code
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
        self._from_tag = self._to_tag = UNREAD
        self.sound = False
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
        twin = Request.__new__(Request)  # filled by hand, since every forwarded request is such a copy
        twin.method = self.method
        twin.uri = self.uri
        twin.keys = self.keys.copy()
        twin.lines = self.lines.copy()
        twin.kinds = self.kinds
        twin.body = self.body
        twin.veil = twin._via = twin._sent_by = twin._branch = None
        twin._call_id = self._call_id
        twin._cseq = self._cseq
        twin._from_tag = self._from_tag
        twin._to_tag = self._to_tag
        twin._length = self._length
        twin.sound = False
        return twin

    def to_bytes(self) -> bytes:
        if self.veil is not None:
            return self.veil.cover(self)
        return self._written(f"{self.method} {self.uri} SIP/2.0")

    def __repr__(self) -> str:
        return f"<{self.method} {self.uri}>"


@with_own_code
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
        self._from_tag = self._to_tag = UNREAD
        self.sound = False
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
