"""Bytes to messages (RFC 3261 §7 and §25). The one door for what the network sends.

`parse_message_untrusted` reads the structure and refuses what cannot be a message at all; `check_untrusted` then asks
for what every message must have and names the header at fault, so that a request can be answered 400.
"""

from __future__ import annotations

from appliance.sip.errors import BadMessage
from appliance.sip.headers import COMPACT
from appliance.sip.message import Message, Request, Response, spelling

MAX_HEADERS = 256
_TOKEN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-.!%*_+`'~")
_ONCE = ("from", "to", "call-id", "cseq", "max-forwards", "content-length", "expires")

_keys: dict[str, str] = {}
"""Header name as written → canonical key; bounded, since the names come from outside."""


def _key(name: str) -> str:
    known = _keys.get(name)
    if known is None:
        stripped = name.rstrip(" \t")
        if not stripped or not _TOKEN.issuperset(stripped):
            raise BadMessage("Bad header name")
        known = stripped.lower()
        known = COMPACT.get(known, known)
        if len(_keys) < 4096 and len(name) < 64:
            _keys[name] = known
    return known


def parse_message_untrusted(data: bytes) -> Request | Response:
    """One whole message, as a datagram, a WebSocket message or the piece that `stream.py` cut out.

    Raises `BadMessage` where there is no telling what it is: such a thing cannot be answered.
    Bytes after the body that Content-Length announces are left out (RFC 3261 §18.3).
    """
    end = data.find(b"\r\n\r\n")
    if end < 0:
        raise BadMessage("No end of headers")
    start_line, *lines = data[:end].decode("utf-8", "surrogateescape").split("\r\n")
    if len(lines) > MAX_HEADERS:
        raise BadMessage("Too many headers")
    try:
        keys = [_keys[line.partition(":")[0]] for line in lines]
    except KeyError:
        lines, keys = _careful(lines)
    body = data[end + 4 :]
    message: Request | Response
    if start_line.startswith("SIP/2.0 "):
        status, _, reason = start_line[8:].partition(" ")
        if len(status) != 3 or not (status.isascii() and status.isdigit()) or not "100" <= status <= "699":
            raise BadMessage("Bad status line")
        message = Response(int(status), reason, keys, lines, body)
    else:
        method, _, rest = start_line.partition(" ")
        uri, _, version = rest.rpartition(" ")
        if not method or not uri or not _TOKEN.issuperset(method):
            raise BadMessage("Bad request line")
        message = Request(method, uri, keys, lines, body)
        if version != "SIP/2.0":
            if version[:4].upper() == "SIP/":
                raise BadMessage("Version Not Supported", 505)
            raise BadMessage("Bad request line")
    if body:
        length = message.get("content-length")
        if length is not None and length.isascii() and length.isdigit() and len(length) < 8:
            message.body = body[: int(length)]
    return message


def _careful(lines: list[str]) -> tuple[list[str], list[str]]:
    """Names not met before, and folded lines, which belong to the line above them."""
    unfolded: list[str] = []
    for line in lines:
        if line[:1] in (" ", "\t"):
            if not unfolded:
                raise BadMessage("Folded start line")
            unfolded[-1] += "\r\n" + line
        else:
            unfolded.append(line)
    keys = []
    for line in unfolded:
        name, colon, _ = line.partition(":")
        if not colon:
            raise BadMessage("Header without colon")
        keys.append(_key(name))
    return unfolded, keys


def check_untrusted(message: Message) -> None:
    """What every message must have (RFC 3261 §8.1.1, §16.3): raises `BadMessage` naming the header."""
    keys = message.keys
    for key in _ONCE:
        if keys.count(key) > 1:
            raise BadMessage(f"More than one {spelling(key)}")
    if not message.require("call-id"):
        raise BadMessage("Empty Call-ID")
    _ = message.via, message.from_, message.to
    cseq = message.cseq
    length = message.get("content-length")
    if length is not None and not (length.isascii() and length.isdigit() and int(length[:9]) <= len(message.body)):
        raise BadMessage("Bad Content-Length")
    if isinstance(message, Request):
        if cseq.method != message.method:
            raise BadMessage("CSeq method does not match")
        if any(c <= " " or c in "<>" for c in message.uri):
            raise BadMessage("Bad Request-URI")
        hops = message.get("max-forwards")
        if hops is not None and not (hops.isascii() and hops.isdigit() and len(hops) <= 3 and int(hops) <= 255):
            raise BadMessage("Bad Max-Forwards")
