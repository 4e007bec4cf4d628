"""Typed header fields, made on demand from their text: Via, name-addr, CSeq, and the comma and parameter rules.

RFC 3261 §7.3 and §20; header names are known here by their canonical key (lower case, long form).
Every expression runs in linear time: its repetitions are possessive or share no character with what follows.
"""

from __future__ import annotations

import re
from functools import lru_cache

import attrs

from appliance.sip.errors import BadMessage
from appliance.sip.remembered import Remembered
from appliance.sip.uri import (
    Params,
    Uri,
    parse_params_untrusted,
    parse_uri_untrusted,
    split_host_port,
    split_semicolons,
)

#: Compact forms (RFC 3261 §7.3.3 and the registry since).
COMPACT = {
    "a": "accept-contact",
    "b": "referred-by",
    "c": "content-type",
    "d": "request-disposition",
    "e": "content-encoding",
    "f": "from",
    "i": "call-id",
    "j": "reject-contact",
    "k": "supported",
    "l": "content-length",
    "m": "contact",
    "n": "identity-info",
    "o": "event",
    "r": "refer-to",
    "s": "subject",
    "t": "to",
    "u": "allow-events",
    "v": "via",
    "x": "session-expires",
    "y": "identity",
}

MAGIC_COOKIE = "z9hG4bK"


_TCHAR = r"[A-Za-z0-9.!%*_+`'~-]"
_SPLIT_COMMAS = re.compile(r'"(?:[^"\\]++|\\.)*+"?|<[^>]*+>?|,', re.DOTALL)
_TRANSPORT = re.compile(rf"{_TCHAR}++")
_QUOTED = re.compile(r'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_DISPLAY = re.compile(r"[A-Za-z0-9.!%*_+`'~ \t\x80-\U0010ffff-]*+")
_CSEQ = re.compile(rf"([0-9]{{1,20}})[ \t]++({_TCHAR}++)")

#: The usual line of From or To, its name included: what matches is good without a closer look.
_FAST_ADDRESS = re.compile(
    r"[A-Za-z-]++:[ \t]*+"
    rf"(?:\"[^\"\\<>\r\n]*+\"[ \t]*+|{_TCHAR}[A-Za-z0-9.!%*_+`'~ -]*+|)"
    r"<[Ss][Ii][Pp][Ss]?:(?:[A-Za-z0-9_.!~*'()&=+$,#-]++@)?+[A-Za-z0-9][A-Za-z0-9._-]{0,250}+(?::[1-5]?[0-9]{1,4})?"
    r"(?:;[A-Za-z0-9_.!~*'()&+$-]++(?:=[A-Za-z0-9_.!~*'()/:&+$-]++)?+)*+>"
    rf"(?:;tag=({_TCHAR}++))?+"
)

_MAX_COMMAS = 1024
_KNOWN_LENGTH = 256
_KNOWN_NUMBER_LENGTH = 64
"""Longer texts are read each time, so that a cache has a bound in bytes, too."""


def split_commas(text: str) -> list[str]:
    """The elements of a comma separated list, not cut inside quotes or angle brackets; empty ones are left out.

    Raises `BadMessage` for absurdly many.
    """
    if "," not in text:
        text = text.strip()
        return [text] if text else []
    if text.count(",") > _MAX_COMMAS:
        raise BadMessage("Too many values")
    if '"' not in text and "<" not in text:
        return [part for part in map(str.strip, text.split(",")) if part]
    parts: list[str] = []
    start = 0
    for found in _SPLIT_COMMAS.finditer(text):
        if found[0] == ",":
            parts.append(text[start : found.start()])
            start = found.end()
    parts.append(text[start:])
    return [part for part in map(str.strip, parts) if part]


@attrs.define(slots=True)
class Via:
    """One Via value (RFC 3261 §20.42). `host` keeps IPv6 brackets; `params` is the text after the sent-by."""

    transport: str
    host: str
    port: int | None
    params: str

    @property
    def branch(self) -> str:
        """The branch, '' where there is none."""
        params = self.params
        if params.startswith("branch="):  # as it nearly always does
            start = 7
        else:
            start = params.find(";branch=") + 8
            if start < 8 or '"' in params:
                return self.param("branch") or ""
        end = params.find(";", start)
        return (params[start:] if end < 0 else params[start:end]).strip()

    def param(self, name: str) -> str | None:
        """A parameter's value, '' for one without value, None where it is absent."""
        params = self.params
        for part in params.split(";") if '"' not in params else split_semicolons(params):
            key, _, value = part.partition("=")
            if key == name or key.strip().lower() == name:
                return value.strip()
        return None

    def set_param(self, name: str, value: str) -> None:
        """Set or replace `name`."""
        kept = [
            part
            for part in split_semicolons(self.params)
            if part.strip() and part.partition("=")[0].strip().lower() != name
        ]
        kept.append(f"{name}={value}")
        self.params = ";".join(kept)

    @property
    def sent_by(self) -> str:
        return self.host if self.port is None else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        port = "" if self.port is None else f":{self.port}"
        params = f";{self.params}" if self.params else ""
        return f"SIP/2.0/{self.transport} {self.host}{port}{params}"


def parse_via_untrusted(text: str) -> Via:
    """'SIP/2.0/UDP host:port;branch=…' with blanks wherever the grammar lets them be. Raises `BadMessage`.

    What stands before the parameters is the same in all messages of a peer, and remembered.
    """
    start, _, params = text.partition(";")
    transport, host, port = known_sent_by[start]
    return Via(transport, host, port, params.strip())


def _sent_by(text: str) -> tuple[str, str, int | None]:
    protocol, _, hostport = text.strip().partition(" ")
    if not protocol.startswith("SIP/2.0/") or not hostport or "/" in protocol[8:]:
        protocol, hostport = _loose_protocol(text)
    transport = protocol[8:].upper()
    if not _TRANSPORT.fullmatch(transport):
        raise BadMessage("Bad Via transport")
    try:
        host, port = split_host_port("".join(hostport.split()))
    except BadMessage:
        raise BadMessage("Bad Via sent-by") from None
    return transport, host, port


known_sent_by = Remembered(_sent_by)
"""Transport, host and port of 'SIP/2.0/UDP host:port'. Raises `BadMessage`."""


def _via_start(text: str) -> tuple[str, int | None] | None:
    if not text.startswith("Via: SIP/2.0/") or "," in text or "\n" in text or '"' in text:
        return None
    return _sent_by(text.partition(";")[0][5:])[1:]


known_via_start = Remembered(_via_start)
"""Host and port in 'Via: SIP/2.0/UDP host:port;rport', all that stands before ;branch=; None for what is not just so.

Raises `BadMessage`.
"""


def _loose_protocol(text: str) -> tuple[str, str]:
    """'SIP / 2.0 / UDP host' (RFC 3261 §25.1 allows it, RFC 4475 §3.1.1.1 tries it)."""
    pieces = text.split("/", 2)
    if len(pieces) != 3:
        raise BadMessage("Bad Via")
    name, version, tail = (piece.strip() for piece in pieces)
    parts = tail.split(None, 1)
    if name.upper() != "SIP" or version != "2.0" or len(parts) != 2:
        raise BadMessage("Bad Via")
    return f"SIP/2.0/{parts[0]}", parts[1]


@attrs.frozen(slots=True)
class NameAddr:
    """name-addr or addr-spec with the header parameters (From, To, Contact, Route, …).

    `display` is as written, quotes and all; `uri` parsed; `params` are the header's, never the URI's.
    """

    display: str
    uri: Uri
    params: Params

    def param(self, name: str) -> str | None:
        for key, value in self.params:
            if key.lower() == name:
                return value or ""
        return None

    @property
    def tag(self) -> str | None:
        return self.param("tag")

    def __str__(self) -> str:
        display = f"{self.display} " if self.display else ""
        params = "".join(f";{k}" if v is None else f";{k}={v}" for k, v in self.params)
        return f"{display}<{self.uri}>{params}"


def parse_name_addr_untrusted(text: str, header: str = "address") -> NameAddr:
    """One From, To, Contact, Route … value. Raises `BadMessage` naming `header`.

    Without angle brackets, parameters belong to the header (RFC 3261 §20.10), and the URI must hold no comma or '?'.
    """
    try:
        return _cached_name_addr(text) if len(text) <= _KNOWN_LENGTH else _name_addr(text)
    except BadMessage as bad:
        raise BadMessage(f"Bad {header}: {bad.reason}") from None


def _name_addr(text: str) -> NameAddr:
    text = text.strip()
    if text.startswith('"'):
        end = _end_of_quoted(text)
        display, rest = text[:end], text[end:].lstrip()
        if not rest.startswith("<"):
            raise BadMessage("Bad display name")
    else:
        display, angle, tail = text.partition("<")
        if not angle:
            uri, _, params = text.partition(";")
            if "," in uri or "?" in uri:
                raise BadMessage("URI needs angle brackets")
            return NameAddr("", parse_uri_untrusted(uri.strip()), parse_params_untrusted(params))
        display, rest = display.strip(), angle + tail
        if not _DISPLAY.fullmatch(display):
            raise BadMessage("Bad display name")
    uri, close, after = rest[1:].partition(">")
    if not close:
        raise BadMessage("Missing >")
    after = after.strip()
    if after and not after.startswith(";"):
        raise BadMessage("Bad parameters")
    return NameAddr(display, parse_uri_untrusted(uri.strip()), parse_params_untrusted(after[1:]))


_cached_name_addr = lru_cache(maxsize=8192)(_name_addr)


def tag_untrusted(line: str, header: str) -> str | None:
    """The tag in a whole From or To line, after making sure that all of the line is good.

    Raises `BadMessage` naming `header`. Cheaper than a `NameAddr`, which most messages never need.
    """
    try:
        return known_tag[line]
    except BadMessage as bad:
        raise BadMessage(f"Bad {header}: {bad.reason}") from None


def tags_untrusted(from_: str, to: str) -> tuple[str | None, str | None]:
    """`tag_untrusted` of the lines From and To."""
    header = "From"
    try:
        from_tag = known_tag[from_]
        header = "To"
        return from_tag, known_tag[to]
    except BadMessage as bad:
        raise BadMessage(f"Bad {header}: {bad.reason}") from None


def _tag(line: str) -> str | None:
    fast = _FAST_ADDRESS.fullmatch(line)
    return fast[1] if fast is not None else _name_addr(value_of(line)).tag


known_tag = Remembered(_tag)
"""The tag in a whole From or To line that is good in all its parts, None for none. Raises `BadMessage`."""


def name_of_untrusted(line: str) -> str:
    """How a line such as From names its end: the user part of the URI, or the host where it has none.

    Raises `BadMessage` for one that cannot be read.
    """
    before, _, rest = line.partition("<sip:")
    user, at, _ = rest.partition("@")
    if (
        at
        and user.removeprefix("+").isalnum()
        and user.isascii()
        and "\\" not in before
        and before.count('"') in (0, 2)
    ):
        return user  # the usual one
    uri = parse_name_addr_untrusted(value_of(line)).uri
    return uri.username or uri.host


def value_of(line: str) -> str:
    """What stands behind the colon of a header line, unfolded (RFC 3261 §7.3.1) and stripped."""
    value = line.partition(":")[2].strip()
    return " ".join([part.strip() for part in value.split("\r\n")]) if "\n" in value else value


def tag_of(text: str) -> str | None:
    """The tag of a From or To, given as its value or its whole line, without reading the URI; None where none is."""
    try:
        if '"' in text:
            start = text.index('"')
            angle = text.find("<")
            if angle < 0 or start < angle:
                text = text[start:]
                text = text[_end_of_quoted(text) :]
        params = text.partition(">" if "<" in text else ";")[2]
        for name, value in parse_params_untrusted(params.strip().removeprefix(";")):
            if name.lower() == "tag":
                return value or ""
    except BadMessage:
        pass
    return None


def _end_of_quoted(text: str) -> int:
    found = _QUOTED.match(text)
    if found is None:
        raise BadMessage("Unclosed quote")
    return found.end()


@attrs.frozen(slots=True)
class CSeq:
    """Sequence number and method (RFC 3261 §20.16)."""

    number: int
    method: str

    def __str__(self) -> str:
        return f"{self.number} {self.method}"


def parse_cseq_untrusted(text: str) -> CSeq:
    """'7 INVITE'. Raises `BadMessage`."""
    found = _CSEQ.fullmatch(text)
    if found is None:
        raise BadMessage("Bad CSeq")
    number = int(found[1])
    if number >= 2**31:
        raise BadMessage("Bad CSeq number")
    return CSeq(number, found[2])


def _cseq(line: str) -> CSeq:
    return parse_cseq_untrusted(value_of(line))


known_cseq = Remembered(_cseq, most=4096, longest=_KNOWN_NUMBER_LENGTH)
"""The same from a whole header line: most of them are alike."""


def _number(line: str) -> int | None:
    value = value_of(line)
    good = len(line) <= _KNOWN_NUMBER_LENGTH and value.isascii() and value.isdigit() and len(value) <= 20
    return int(value) if good else None


known_number = Remembered(_number, most=4096, longest=_KNOWN_NUMBER_LENGTH)
"""The number in a whole header line (Content-Length, Max-Forwards, Expires), None where it holds anything else."""
