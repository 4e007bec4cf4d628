"""Bytes to messages (RFC 3261 §7 and §25). The one door for what the network sends.

`parse_message_untrusted` reads the structure and refuses what cannot be a message at all; `check_untrusted` then asks
for what every message must have and names the header at fault, so that a request can be answered 400.
Peers send their headers in few orders: what follows from an order alone is worked out once and kept as a `Shape`.
"""

from __future__ import annotations

from functools import lru_cache

import attrs

from appliance.sip.errors import BadMessage
from appliance.sip.headers import (
    COMPACT,
    KNOWN_LENGTH,
    KNOWN_NUMBER_LENGTH,
    Via,
    cseq_untrusted,
    known_cseq,
    known_number,
    known_tag,
    known_via_start,
    number_of,
    parse_via_untrusted,
    split_commas,
    tags_untrusted,
    value_of,
)
from appliance.sip.message import Message, Request, Response, Shape, spelling
from appliance.sip.uri import known_uri, parse_uri_untrusted

MAX_HEADERS = 256
_MAX_KEYS = 4096
_MAX_SHAPES = 1024
_SHAPES_EACH = 4
_MAX_PREFIX = 64
_CACHED_LENGTH = 256
"""Longer start lines are read each time, so that the cache has a bound in bytes, too."""

_TOKEN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-.!%*_+`'~")
_CALL_METHODS = ("INVITE", "ACK", "BYE", "CANCEL", "PRACK", "UPDATE", "INFO", "REFER")
_METHODS = frozenset((*_CALL_METHODS, "REGISTER", "OPTIONS", "MESSAGE", "SUBSCRIBE", "NOTIFY", "PUBLISH"))
_REQUIRED = ("call-id", "via", "from", "to", "cseq")
_ONCE = ("from", "to", "call-id", "cseq", "max-forwards", "content-length", "content-type", "expires")

#: What a response to a request repeats: with a line break hidden in one of these there is no answering.
_REPEATED = frozenset({"via", "from", "to", "call-id", "cseq", "record-route", "timestamp"})

_keys: dict[str, str] = {}
"""Header name as written → canonical key; bounded, since the names come from outside."""

_shapes: dict[tuple[int, str], list[Shape]] = {}
"""(number of lines, first letters of the start line) → the last few orders met there; bounded likewise."""


def _key(name: str) -> str:
    known = _keys.get(name)
    if known is None:
        stripped = name.rstrip(" \t")
        if not stripped or not _TOKEN.issuperset(stripped):
            raise BadMessage("Bad header name")
        known = stripped.lower()
        known = COMPACT.get(known, known)
        if len(name) < _MAX_PREFIX:
            if len(_keys) >= _MAX_KEYS:
                _keys.clear()
            _keys[name] = known
    return known


def parse_message_untrusted(data: bytes) -> Request | Response:
    """One whole message, as a datagram, a WebSocket message or the piece that `stream.py` cut out.

    Raises `BadMessage` where there is no telling what it is; its `request` is set where it can be answered all the
    same. Bytes after the body that Content-Length announces are left out (RFC 3261 §18.3).
    """
    head, blank, body = data.partition(b"\r\n\r\n")
    if not blank:
        raise BadMessage("No end of headers")
    lines = str(head, "utf-8", "surrogateescape").split("\r\n")
    if len(lines) > MAX_HEADERS:
        raise BadMessage("Too many headers")
    fault: str | None = None
    joined = "".join(lines)
    if "\n" in joined or "\r" in joined:
        lines, fault = _without_breaks(lines)
    start_line = lines.pop(0)
    shape: Shape | None = None
    for known in _shapes.get((len(lines), start_line[:11]), ()):
        if all(map(str.startswith, lines, known.prefixes)):
            shape = known
            keys = known.keys.copy()
            break
    else:
        lines, keys, bad_line = _careful(lines)
        fault = fault or bad_line
        if fault is None:
            shape = _remember(start_line, lines, keys)

    message: Request | Response
    start = _known_start(start_line) if len(start_line) <= _CACHED_LENGTH else _read_start(start_line)
    if start.status:
        message = Response(start.status, start.second, keys, lines, body)
    else:
        message = Request(start.first, start.second, keys, lines, body)
        if start.fault:
            raise BadMessage(start.fault, start.fault_status, message)
    if fault is not None:
        raise BadMessage(fault, request=message if isinstance(message, Request) else None)
    message._shape = shape
    index = shape.content_length if shape is not None else _first(keys, "content-length")
    if index >= 0:
        length = number_of(lines[index])
        if length is not None and length <= len(body):
            message._length = length
            if length < len(body):
                message.body = body[:length]
    return message


@attrs.frozen
class _Start:
    """A start line: method and URI, or for a `status` other than 0 nothing and the reason phrase."""

    status: int
    first: str
    second: str
    fault: str = ""
    fault_status: int = 400


def _read_start(line: str) -> _Start:
    method, _, rest = line.partition(" ")
    if method.upper() == "SIP/2.0":
        status, _, reason = rest.partition(" ")
        if len(status) != 3 or not (status.isascii() and status.isdigit()) or not "100" <= status <= "699":
            raise BadMessage("Bad status line")
        return _Start(int(status), "", reason)
    uri, _, version = rest.rpartition(" ")
    if not uri or (method not in _METHODS and not (method and _TOKEN.issuperset(method))):
        raise BadMessage("Bad request line")
    if version.upper() == "SIP/2.0":
        return _Start(0, method, uri)
    if version[:4].upper() == "SIP/":
        return _Start(0, method, uri, "Version Not Supported", 505)
    return _Start(0, method, uri, "Bad request line")


_known_start = lru_cache(maxsize=8192)(_read_start)


def _without_breaks(lines: list[str]) -> tuple[list[str], str]:
    """Lines that hide a CR or LF are taken out: the next hop might read a header of its own into them."""
    kept: list[str] = []
    fault = ""
    for line in lines:
        if "\r" in line or "\n" in line:
            name = line.partition(":")[0]
            key = COMPACT.get(name.strip().lower(), name.strip().lower())
            if not kept or line[0] in " \t" or key in _REPEATED or not _TOKEN.issuperset(key):
                raise BadMessage("Line break inside a line")
            fault = f"Line break inside {spelling(key)}"
        else:
            kept.append(line)
    return kept, fault


def _careful(lines: list[str]) -> tuple[list[str], list[str], str | None]:
    """Lines whose order was not met before: folded ones belong to the line above; (lines, keys, first fault)."""
    fault: str | None = None
    unfolded: list[list[str]] = []
    for line in lines:
        if line[:1] in (" ", "\t"):
            if not unfolded:
                raise BadMessage("Folded start line")
            unfolded[-1].append(line)
        else:
            unfolded.append([line])
    good, keys = [], []
    for pieces in unfolded:
        line = "\r\n".join(pieces)
        name, colon, _ = pieces[0].partition(":")
        try:
            if not colon:
                raise BadMessage("Header without colon")
            keys.append(_key(name))
            good.append(line)
        except BadMessage as bad:
            fault = fault or bad.reason
    return good, keys, fault


def _first(keys: list[str], key: str) -> int:
    return keys.index(key) if key in keys else -1


def _remember(start_line: str, lines: list[str], keys: list[str]) -> Shape:
    prefixes = tuple(line[: line.index(":") + 1] for line in lines)
    shape = Shape(
        prefixes=prefixes,
        keys=keys.copy(),
        via=_first(keys, "via"),
        from_=_first(keys, "from"),
        to=_first(keys, "to"),
        call_id=_first(keys, "call-id"),
        cseq=_first(keys, "cseq"),
        content_length=_first(keys, "content-length"),
        max_forwards=_first(keys, "max-forwards"),
        fault=_fault_of(keys),
    )
    if max(map(len, prefixes), default=0) <= _MAX_PREFIX and not any("\n" in line for line in lines):
        if len(_shapes) >= _MAX_SHAPES:
            _shapes.clear()
        alike = _shapes.setdefault((len(lines), start_line[:11]), [])
        alike.insert(0, shape)
        del alike[_SHAPES_EACH:]
    return shape


def _fault_of(keys: list[str]) -> str | None:
    for key in _ONCE:
        if keys.count(key) > 1:
            return f"More than one {spelling(key)}"
    for key in _REQUIRED:
        if key not in keys:
            return f"Missing {spelling(key)}"
    return None


def check_untrusted(message: Message) -> None:
    """What every message must have (RFC 3261 §8.1.1, §16.3): raises `BadMessage` naming the header."""
    shape = message._shape
    if shape is None or shape.fault is not None or not _usual(message, shape):
        _check_closely(message)


def _usual(message: Message, shape: Shape) -> bool:
    """Whether a message is good at a glance: short lines, written as nearly all are. What it looks at is then read."""
    lines = message.lines
    from_, to, cseq_line = lines[shape.from_], lines[shape.to], lines[shape.cseq]
    if len(from_) > KNOWN_LENGTH or len(to) > KNOWN_LENGTH or len(cseq_line) > KNOWN_NUMBER_LENGTH:
        return False
    via = lines[shape.via]
    start, _, rest = via.partition(";branch=")
    if not rest or len(start) > KNOWN_LENGTH or "," in rest or "\n" in rest or lines[shape.call_id][-1] in ": \t\n":
        return False
    if message._length < 0 and shape.content_length >= 0:
        return False
    try:
        sent_by = known_via_start(start)
        if sent_by is None:
            return False
        message._from_tag = known_tag(from_)
        message._to_tag = known_tag(to)
        message._cseq = cseq = known_cseq(cseq_line)
        message._branch = rest.partition(";")[0].strip()
        if isinstance(message, Request):
            uri, hops_at = message.uri, shape.max_forwards
            if cseq.method != message.method or len(uri) > KNOWN_LENGTH or known_uri(uri).headers is not None:
                return False
            if hops_at >= 0:
                hops = known_number(lines[hops_at]) if len(lines[hops_at]) <= KNOWN_NUMBER_LENGTH else None
                if hops is None or hops > 255:
                    return False
            transport, host, port, end = sent_by
            message._via = Via(transport, host, port, via[end + 1 :].strip())
    except BadMessage:
        return False
    return True


def _check_closely(message: Message) -> None:
    """The same for a message that has something unusual about it."""
    keys, lines = message.keys, message.lines
    fault = _fault_of(keys)
    if fault is not None:
        raise BadMessage(fault)
    call_id, via, from_, to, cseq_line = [lines[keys.index(key)] for key in _REQUIRED]
    length_at, hops_at = _first(keys, "content-length"), _first(keys, "max-forwards")
    if call_id[-1] in ": \t\n" and not value_of(call_id):
        raise BadMessage("Empty Call-ID")
    for value in split_commas(value_of(via)):
        parse_via_untrusted(value)
    _ = message.via
    message._from_tag, message._to_tag = tags_untrusted(from_, to)
    message._cseq = cseq = cseq_untrusted(cseq_line)
    if length_at >= 0 and message._length < 0:
        length = number_of(lines[length_at])
        if length is None or length > len(message.body):
            raise BadMessage("Bad Content-Length")
    if isinstance(message, Request):
        if cseq.method != message.method:
            raise BadMessage("CSeq method does not match")
        try:
            uri = parse_uri_untrusted(message.uri)
        except BadMessage as bad:
            raise BadMessage(f"Bad Request-URI: {bad.reason}") from None
        if uri.headers is not None:
            raise BadMessage("Bad Request-URI: headers")  # §19.1.1
        if hops_at >= 0:
            hops = number_of(lines[hops_at])
            if hops is None or hops > 255:
                raise BadMessage("Bad Max-Forwards")
