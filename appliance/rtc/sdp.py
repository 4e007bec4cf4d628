"""Session descriptions as lists of lines: nothing is lost between reading and writing (RFC 8866, RFC 4566).

`parse_untrusted` reads, `to_bytes` writes; lines that nobody here knows keep their place and their bytes. What
the attributes mean is read by sdp_transport (addresses, keys, ICE) and sdp_codecs; sdp_convert makes one
side's description into the other's.
"""

import re
from collections.abc import Sequence
from functools import cached_property

from attrs import evolve, frozen

from appliance.rtc.errors import BadMedia

MAX_BYTES = 65_536
MAX_LINES = 2_000
MAX_MEDIA = 16
MAX_FORMATS = 128

DIRECTIONS = frozenset({"sendrecv", "sendonly", "recvonly", "inactive"})

_TOKEN = re.compile(r"[!#-'*+\-.0-9A-Z^-~]+\Z")
_DIGITS = re.compile(r"[0-9]{1,5}\Z")


@frozen
class Field:
    """One line: `Field("a", "rtcp-mux")`. `value` holds bytes that are not UTF-8 as surrogate escapes."""

    type: str
    value: str

    def __str__(self) -> str:
        return f"{self.type}={self.value}"


def attribute(name: str, value: str | None = None) -> Field:
    return Field("a", name if value is None else f"{name}:{value}")


@frozen
class Section:
    """A run of lines: the session's, or those under one m= line."""

    fields: tuple[Field, ...] = ()

    @cached_property
    def _by_name(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for item in self.fields:
            if item.type == "a":
                name, _, value = item.value.partition(":")
                found.setdefault(name.strip(), []).append(value.strip())
        return found

    def attributes(self, name: str) -> Sequence[str]:
        """The values of all a=NAME lines; "" for a flag."""
        return self._by_name.get(name, ())

    def attribute(self, name: str) -> str | None:
        values = self._by_name.get(name)
        return values[0] if values else None

    def has(self, name: str) -> bool:
        return name in self._by_name

    def first(self, kind: str) -> str | None:
        """The value of the first line of this type letter."""
        return next((item.value for item in self.fields if item.type == kind), None)

    @property
    def direction(self) -> str | None:
        return next((name for name in self._by_name if name in DIRECTIONS), None)


@frozen(kw_only=True)
class Media(Section):
    """One m= line and what stands under it. `ports` is the number after the slash, 1 without one."""

    kind: str
    port: int
    protocol: str
    formats: tuple[str, ...]
    ports: int = 1

    @property
    def m_line(self) -> Field:
        port = str(self.port) if self.ports == 1 else f"{self.port}/{self.ports}"
        return Field("m", " ".join((self.kind, port, self.protocol, *self.formats)))

    def refused(self) -> "Media":
        """The same m= line with port 0 and nothing under it (RFC 3264 §6)."""
        return evolve(self, port=0, ports=1, fields=())


@frozen(kw_only=True)
class Session(Section):
    media: tuple[Media, ...]

    def direction_of(self, media: Media) -> str:
        return media.direction or self.direction or "sendrecv"

    def attribute_of(self, media: Media, name: str) -> str | None:
        """The media's own attribute, else the session's."""
        value = media.attribute(name)
        return value if value is not None else self.attribute(name)

    def connection_of(self, media: Media) -> str | None:
        """The c= line that counts for this media."""
        return media.first("c") or self.first("c")

    def groups(self, semantics: str) -> list[tuple[str, ...]]:
        """The mids of each a=group line of these semantics (RFC 5888)."""
        found = (value.split() for value in self.attributes("group"))
        return [tuple(words[1:]) for words in found if words and words[0].upper() == semantics]

    def to_bytes(self) -> bytes:
        lines = [str(item) for item in self.fields]
        for media in self.media:
            lines.append(str(media.m_line))
            lines.extend(str(item) for item in media.fields)
        lines.append("")
        return "\r\n".join(lines).encode("utf-8", "surrogateescape")


def malformed(text: str) -> BadMedia:
    return BadMedia("sdp-malformed", text, 400)


def parse_untrusted(data: bytes) -> Session:
    """Read an SDP body. Lines end in CRLF or LF; a missing s= or t= is let pass, as are blank lines.

    Raises BadMedia with status 400 and a text that names the line, also where a bound is exceeded
    (MAX_BYTES, MAX_LINES, MAX_MEDIA, MAX_FORMATS).
    """
    if len(data) > MAX_BYTES:
        raise malformed(f"SDP of {len(data)} bytes, {MAX_BYTES} are the most")
    lines = data.decode("utf-8", "surrogateescape").split("\n")
    if len(lines) > MAX_LINES:
        raise malformed(f"SDP of {len(lines)} lines, {MAX_LINES} are the most")
    session: list[Field] = []
    medias: list[tuple[Media, list[Field]]] = []
    current = session
    for number, raw in enumerate(lines, 1):
        line = raw.rstrip("\r")
        if not line:
            continue
        if len(line) < 2 or line[1] != "=" or not ("a" <= line[0] <= "z"):
            raise malformed(f"SDP line {number} is not of the form x=value: {_shown(line)}")
        if "\0" in line or "\r" in line:
            raise malformed(f"SDP line {number} holds a NUL or a bare CR: {_shown(line)}")
        item = Field(line[0], line[2:])
        if not session and (item.type != "v" or item.value.strip() != "0"):
            raise malformed(f"SDP line {number} is not v=0: {_shown(line)}")
        if item.type == "m":
            if len(medias) == MAX_MEDIA:
                raise malformed(f"SDP line {number} is m= line {MAX_MEDIA + 1}, {MAX_MEDIA} are the most")
            current = []
            medias.append((_media(item.value, number), current))
            continue
        if item.type == "c":
            _check_connection(item.value, number)
        elif item.type in "vo" and (current is not session or any(f.type == item.type for f in session)):
            raise malformed(f"SDP line {number} repeats {item.type}=: {_shown(line)}")
        current.append(item)
    if not session:
        raise malformed("SDP is empty")
    if not any(item.type == "o" for item in session):
        raise malformed("SDP has no o= line")
    return Session(
        fields=tuple(session),
        media=tuple(evolve(media, fields=tuple(fields)) for media, fields in medias),
    )


def _media(value: str, number: int) -> Media:
    words = value.split()
    if len(words) < 4:
        raise malformed(f"SDP line {number}: m= needs media, port, protocol and formats: {_shown(value)}")
    kind, port_text, protocol, *formats = words
    port, slash, count = port_text.partition("/")
    if not _DIGITS.match(port) or int(port) > 65_535:
        raise malformed(f"SDP line {number}: no port in m= line: {_shown(value)}")
    if slash and (not _DIGITS.match(count) or not int(count)):
        raise malformed(f"SDP line {number}: no number of ports in m= line: {_shown(value)}")
    if not _TOKEN.match(kind) or not all(_TOKEN.match(part) for part in protocol.split("/")):
        raise malformed(f"SDP line {number}: media or protocol of m= is no token: {_shown(value)}")
    if len(formats) > MAX_FORMATS:
        raise malformed(f"SDP line {number}: {len(formats)} formats, {MAX_FORMATS} are the most")
    if protocol.upper().find("RTP/") >= 0:
        bad = next((f for f in formats if not _DIGITS.match(f) or int(f) > 127), None)
        if bad is not None:
            raise malformed(f"SDP line {number}: {_shown(bad)} is not an RTP payload type")
    return Media(
        kind=kind,
        port=int(port),
        protocol=protocol,
        formats=tuple(formats),
        ports=int(count) if slash else 1,
    )


def _check_connection(value: str, number: int) -> None:
    words = value.split()
    if len(words) != 3 or words[0] != "IN" or words[1] not in ("IP4", "IP6"):
        raise malformed(f"SDP line {number}: c= is not 'IN IP4|IP6 address': {_shown(value)}")


def _shown(text: str) -> str:
    """Short and printable, for a reason phrase and a log."""
    cut = text if len(text) <= 60 else text[:57] + "..."
    return ascii(cut)
