"""Typed header fields, made on demand from their text: Via, name-addr, CSeq, and the comma and parameter rules.

RFC 3261 §7.3 and §20; header names are known here by their canonical key (lower case, long form).
"""

from __future__ import annotations

import attrs

from appliance.sip.errors import BadMessage
from appliance.sip.uri import Params, Uri, parse_params_untrusted, parse_uri_untrusted, split_host_port

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


def split_commas(text: str) -> list[str]:
    """The elements of a comma separated list, not cut inside quotes or angle brackets; empty ones are left out."""
    if "," not in text:
        text = text.strip()
        return [text] if text else []
    if '"' not in text and "<" not in text:
        return [part for part in (piece.strip() for piece in text.split(",")) if part]
    parts: list[str] = []
    start, quoted, escaped, angled = 0, False, False, False
    for i, char in enumerate(text):
        if quoted:
            if escaped:
                escaped = False
            elif char == "\\":
                escaped = True
            elif char == '"':
                quoted = False
        elif char == '"':
            quoted = True
        elif char == "<":
            angled = True
        elif char == ">":
            angled = False
        elif char == "," and not angled:
            parts.append(text[start:i])
            start = i + 1
    parts.append(text[start:])
    return [part for part in (piece.strip() for piece in parts) if part]


@attrs.define(slots=True)
class Via:
    """One Via value (RFC 3261 §20.42). `host` keeps IPv6 brackets; `params` is the text after the sent-by."""

    transport: str
    host: str
    port: int | None
    params: str

    @property
    def branch(self) -> str:
        return self.param("branch") or ""

    def param(self, name: str) -> str | None:
        """A parameter's value, '' for one without value, None where it is absent."""
        for part in self.params.split(";"):
            key, _, value = part.partition("=")
            if key.strip().lower() == name:
                return value.strip()
        return None

    def set_param(self, name: str, value: str) -> None:
        """Set or replace `name`."""
        kept = [
            part for part in self.params.split(";") if part.strip() and part.partition("=")[0].strip().lower() != name
        ]
        kept.append(f"{name}={value}")
        self.params = ";".join(kept)

    @property
    def sent_by(self) -> str:
        return self.host if self.port is None else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        params = f";{self.params}" if self.params else ""
        return f"SIP/2.0/{self.transport} {self.sent_by}{params}"


def parse_via_untrusted(text: str) -> Via:
    """'SIP/2.0/UDP host:port;branch=…' with blanks wherever the grammar lets them be."""
    protocol, _, rest = text.strip().partition(" ")
    if not protocol.startswith("SIP/2.0/") or not rest or "/" in protocol[8:]:
        protocol, rest = _loose_protocol(text)
    hostport, _, params = rest.partition(";")
    hostport = hostport.strip()
    if " " in hostport or "\t" in hostport:
        hostport = "".join(hostport.split())
    try:
        host, port = split_host_port(hostport)
    except BadMessage:
        raise BadMessage("Bad Via sent-by") from None
    return Via(protocol[8:].upper(), host, port, params.strip())


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
    text = text.strip()
    try:
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
            if display and not all(c.isalnum() or c in "-.!%*_+`'~ \t\r\n" or c > "\x7f" for c in display):
                raise BadMessage("Bad display name")
        uri, close, after = rest[1:].partition(">")
        if not close:
            raise BadMessage("Missing >")
        after = after.strip()
        if after and not after.startswith(";"):
            raise BadMessage("Bad parameters")
        return NameAddr(display, parse_uri_untrusted(uri.strip()), parse_params_untrusted(after[1:]))
    except BadMessage as bad:
        raise BadMessage(f"Bad {header}: {bad.reason}") from None


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
    i = 1
    while i < len(text):
        if text[i] == "\\":
            i += 2
            continue
        if text[i] == '"':
            return i + 1
        i += 1
    raise BadMessage("Unclosed quote")


@attrs.frozen(slots=True)
class CSeq:
    """Sequence number and method (RFC 3261 §20.16)."""

    number: int
    method: str

    def __str__(self) -> str:
        return f"{self.number} {self.method}"


def parse_cseq_untrusted(text: str) -> CSeq:
    parts = text.split()
    if len(parts) != 2 or not (parts[0].isascii() and parts[0].isdigit()) or len(parts[0]) > 10:
        raise BadMessage("Bad CSeq")
    number = int(parts[0])
    if number >= 2**31:
        raise BadMessage("Bad CSeq number")
    return CSeq(number, parts[1])
