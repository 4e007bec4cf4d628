"""Bytes to messages (RFC 3261 §7 and §25). The one door for what the network sends.

`parse_message_untrusted` reads the structure and refuses what cannot be a message at all; `check_untrusted` then asks
for what every message must have and names the header at fault, so that a request can be answered 400.
Peers send their headers in few orders: what follows from an order alone is worked out once and kept as a `Shape`. One
that is met again and again gets an expression of its own, which checks and cuts a head in one go.
"""

from __future__ import annotations

import re

import attrs

from appliance.sip.errors import BadMessage
from appliance.sip.header_lines import spelling
from appliance.sip.headers import (
    COMPACT,
    known_cseq,
    known_number,
    known_tag,
    known_via_start,
    parse_via_untrusted,
    split_commas,
    tags_untrusted,
    value_of,
)
from appliance.sip.message import UNREAD, Message, Request, Response
from appliance.sip.own_code import own_copy
from appliance.sip.remembered import Remembered
from appliance.sip.shape import Match, Shape
from appliance.sip.uri import parse_uri_untrusted

MAX_HEADERS = 256
_MAX_KEYS = 4096
_MAX_SHAPES = 1024
_MET_BEFORE = 64
"""An expression takes as long to make as twenty messages to read without one."""
_SHAPES_EACH = 8
_MAX_PREFIX = 64

_TOKEN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-.!%*_+`'~")
_CALL_METHODS = ("INVITE", "ACK", "BYE", "CANCEL", "PRACK", "UPDATE", "INFO", "REFER")
_METHODS = frozenset((*_CALL_METHODS, "REGISTER", "OPTIONS", "MESSAGE", "SUBSCRIBE", "NOTIFY", "PUBLISH"))
_REQUIRED = ("call-id", "via", "from", "to", "cseq")
_ONCE = ("from", "to", "call-id", "cseq", "max-forwards", "content-length", "content-type", "expires")

#: What a response to a request repeats: with a line break hidden in one of these there is no answering.
_REPEATED = frozenset({"via", "from", "to", "call-id", "cseq", "record-route", "timestamp"})

_new_request, _new_response = Request.__new__, Response.__new__

_keys: dict[str, str] = {}
"""Header name as written → canonical key; bounded, since the names come from outside."""

_shapes: dict[tuple[str, ...], Shape] = {}
"""Header names as written, each with its colon → what is known of their order; bounded likewise."""

_usual_shapes: dict[str, list[tuple[Match, Shape]]] = {}
"""First letters of the start line → the last few orders met there that have an expression; bounded likewise."""


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
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return _unusual_untrusted(data)
    for match, shape in _usual_shapes.get(text[:11], ()):
        found = match(text)
        if found is not None and "\n" not in "".join(pieces := found.groups()):
            lines = list(pieces)
            start = _starts[lines.pop(0)]
            if start.fault or len(text) != len(data):
                break
            return (_response if start.status else _request)(start, lines, shape, data[found.end() :])
    return _unusual_untrusted(data)


def _message(start: _Start, lines: list[str], shape: Shape, body: bytes) -> Request | Response:
    """A message of a known order, looked at as far as a glance tells. Filled by hand: a constructor's price is felt."""
    message: Request | Response
    if start.status:
        message = _new_response(Response)
        message.status = start.status
        message.reason = start.second
    else:
        message = _new_request(Request)
        message.method = start.first
        message.uri = start.second
    message.keys = shape.keys.copy()
    message.lines = lines
    message.kinds = shape.kinds
    message.body = body
    message.veil = message._via = None
    message._length = -1
    good = start.usual and shape.fault is None
    index = shape.content_length
    if index >= 0:
        length = known_number[lines[index]]
        if length is None or length > len(body):
            good = False
        else:
            message._length = length
            if length < len(body):
                message.body = body[:length]
    if good:
        # Whether it is good at a glance, written as nearly all are: no line is folded, or it had no shape.
        via, _, rest = lines[shape.via].partition(";branch=")
        call_id = lines[shape.call_id]
        good = rest != "" and "," not in rest and call_id[-1] not in ": \t"
    if good:
        try:
            sent_by = known_via_start[via]
            from_tag = known_tag[lines[shape.from_]]
            to_tag = known_tag[lines[shape.to]]
            cseq = known_cseq[lines[shape.cseq]]
            hops = known_number[lines[shape.max_forwards]] if shape.max_forwards >= 0 else 0
        except BadMessage:
            sent_by = None
        if sent_by is not None and (start.status or (cseq.method == start.first and hops is not None and hops <= 255)):
            message._sent_by = sent_by
            message._branch = rest.partition(";")[0].strip()
            message._call_id = call_id.partition(":")[2].strip()
            message._cseq = cseq
            message._from_tag = from_tag
            message._to_tag = to_tag
            message.sound = True
            return message
    message._sent_by = message._branch = message._call_id = message._cseq = None
    message._from_tag = message._to_tag = UNREAD
    message.sound = False
    return message


_request, _response = own_copy(_message), own_copy(_message)


def _unusual_untrusted(data: bytes) -> Request | Response:
    """A message whose order was not met often, which is not all ASCII, or at fault."""
    head, blank, body = data.partition(b"\r\n\r\n")
    if not blank:
        raise BadMessage("No end of headers")
    start_line, lines, keys, shape, fault = _careful(head.decode("utf-8", "surrogateescape"))
    start = _starts[start_line]
    if shape is not None and not start.fault:
        return _message(start, lines, shape, body)
    message: Request | Response
    if start.status:
        message = Response(start.status, start.second, keys, lines, body)
    else:
        message = Request(start.first, start.second, keys, lines, body)
        if start.fault:
            raise BadMessage(start.fault, start.fault_status, message)
    if fault is not None:
        raise BadMessage(fault, request=message if isinstance(message, Request) else None)
    index = _first(keys, "content-length")
    if index >= 0:
        length = known_number[lines[index]]
        if length is not None and length <= len(body):
            message._length = length
            message.body = body[:length]
    return message


@attrs.frozen
class _Start:
    """A start line: method and URI, or for a `status` other than 0 nothing and the reason phrase.

    `usual`: there is nothing to be said against the URI.
    """

    status: int
    first: str
    second: str
    fault: str = ""
    fault_status: int = 400
    usual: bool = True


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
        try:
            return _Start(0, method, uri, usual=parse_uri_untrusted(uri).headers is None)
        except BadMessage:
            return _Start(0, method, uri, usual=False)
    if version[:4].upper() == "SIP/":
        return _Start(0, method, uri, "Version Not Supported", 505)
    return _Start(0, method, uri, "Bad request line")


_starts = Remembered(_read_start)


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


def _careful(text: str) -> tuple[str, list[str], list[str], Shape | None, str | None]:
    """A head whose order was not met often: start line, lines, keys, what is known of the order, and the first fault.

    Folded lines belong to the line above.
    """
    raw = text.split("\r\n")
    if len(raw) > MAX_HEADERS:
        raise BadMessage("Too many headers")
    fault: str | None = None
    joined = "".join(raw)
    if "\n" in joined or "\r" in joined:
        raw, fault = _without_breaks(raw)
    start_line, *raw = raw
    unfolded: list[list[str]] = []
    for line in raw:
        if line[:1] in (" ", "\t"):
            if not unfolded:
                raise BadMessage("Folded start line")
            unfolded[-1].append(line)
        else:
            unfolded.append([line])
    lines, keys, names = [], [], []
    for pieces in unfolded:
        name, colon, _ = pieces[0].partition(":")
        try:
            if not colon:
                raise BadMessage("Header without colon")
            keys.append(_key(name))
            lines.append("\r\n".join(pieces))
            names.append(f"{name}:")
        except BadMessage as bad:
            fault = fault or bad.reason
    shape = None
    if fault is None and len(lines) == len(raw) and max(map(len, names), default=0) <= _MAX_PREFIX:
        shape = _shape_of(tuple(names), keys, start_line)
    return start_line, lines, keys, shape, fault


def _first(keys: list[str], key: str) -> int:
    return keys.index(key) if key in keys else -1


def _shape_of(names: tuple[str, ...], keys: list[str], start_line: str) -> Shape:
    shape = _shapes.get(names)
    if shape is None:
        if len(_shapes) >= _MAX_SHAPES:
            _shapes.clear()
        shape = _shapes[names] = Shape(
            keys=keys.copy(),
            kinds=frozenset(keys),
            via=_first(keys, "via"),
            from_=_first(keys, "from"),
            to=_first(keys, "to"),
            call_id=_first(keys, "call-id"),
            cseq=_first(keys, "cseq"),
            content_length=_first(keys, "content-length"),
            max_forwards=_first(keys, "max-forwards"),
            fault=_fault_of(keys),
        )
    shape.met += 1
    if shape.met >= _MET_BEFORE and shape.fault is None:
        if shape.match is None:
            lines = (rf"({re.escape(name)}[^\r]*+)" for name in names)
            shape.match = re.compile("\r\n".join([r"([^\r]*+)", *lines, "\r\n"])).match
        if len(_usual_shapes) >= _MAX_SHAPES:
            _usual_shapes.clear()
        alike = _usual_shapes.setdefault(start_line[:11], [])
        if not any(known is shape for _, known in alike):
            alike.insert(0, (shape.match, shape))
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
    if not message.sound:
        _check_closely(message)


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
    message._cseq = cseq = known_cseq[cseq_line]
    if length_at >= 0 and message._length < 0:
        length = known_number[lines[length_at]]
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
            hops = known_number[lines[hops_at]]
            if hops is None or hops > 255:
                raise BadMessage("Bad Max-Forwards")
