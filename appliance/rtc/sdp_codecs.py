"""The codecs of an m= line: payload types with rtpmap and fmtp, and which of them can cross between two legs.

Payload type numbers are never changed, and nothing is transcoded: what is not shared is left out. RFC 3551
(static types), RFC 4733 (telephone-event and its clock), RFC 4588 (rtx), RFC 2198 (red), RFC 5109 (ulpfec).
"""

import re
from collections.abc import Iterable

from attrs import frozen

from appliance.rtc.sdp import Media

REPAIR = frozenset({"rtx", "red", "ulpfec", "flexfec", "flexfec-03", "parityfec"})
"""Formats that only mean something between peers which both know them."""

STATIC = {
    0: ("PCMU", 8000),
    3: ("GSM", 8000),
    4: ("G723", 8000),
    8: ("PCMA", 8000),
    9: ("G722", 8000),
    13: ("CN", 8000),
    15: ("G728", 8000),
    18: ("G729", 8000),
    26: ("JPEG", 90000),
    31: ("H261", 90000),
    34: ("H263", 90000),
}

_RTPMAP = re.compile(r"(\d{1,3})\s+([^/\s]+)/(\d{1,9})(?:/(\d{1,3}))?\s*\Z")


@frozen
class Codec:
    """`name` as written, `clock_rate` in Hz, `channels` 1 unless the rtpmap says otherwise."""

    payload_type: int
    name: str
    clock_rate: int
    channels: int = 1
    fmtp: str | None = None

    @property
    def identity(self) -> tuple[str, int, int]:
        """What must agree for two payload types to be the same codec."""
        name = self.name.lower()
        return (name, self.clock_rate, 2 if name == "opus" else self.channels)  # RFC 7587 §7: always /2

    @property
    def is_dtmf(self) -> bool:
        return self.name.lower() == "telephone-event"

    @property
    def is_repair(self) -> bool:
        return self.name.lower() in REPAIR

    @property
    def carries_media(self) -> bool:
        """False for what only accompanies a codec: DTMF, comfort noise, repair."""
        return not (self.is_dtmf or self.is_repair or self.name.lower() == "cn")

    @property
    def apt(self) -> int | None:
        """The payload type that an rtx format repeats."""
        found = re.search(r"(?:\A|[;\s])apt=(\d{1,3})(?:\Z|[;\s])", self.fmtp or "")
        return int(found[1]) if found else None

    def __str__(self) -> str:
        return f"{self.name}/{self.clock_rate}" + (f"/{self.channels}" if self.channels > 1 else "")


def codecs_of(media: Media) -> tuple[Codec, ...]:
    """In the order of the m= line; a dynamic type without a readable rtpmap is left out."""
    maps: dict[int, tuple[str, int, int]] = {}
    for value in media.attributes("rtpmap"):
        found = _RTPMAP.match(value)
        if found and int(found[3]):
            maps[int(found[1])] = (found[2], int(found[3]), int(found[4] or 1))
    fmtp: dict[str, str] = {}
    for value in media.attributes("fmtp"):
        payload_type, _, parameters = value.partition(" ")
        fmtp.setdefault(payload_type, parameters.strip())
    codecs = []
    for number in dict.fromkeys(media.formats):
        wanted = int(number) if number.isdecimal() else -1
        if wanted in maps:
            name, clock, channels = maps[wanted]
        elif wanted in STATIC:
            (name, clock), channels = STATIC[wanted], 1
        else:
            continue
        codecs.append(Codec(wanted, name, clock, channels, fmtp.get(number)))
    return tuple(codecs)


def offered(codecs: Iterable[Codec], *, crossing: bool, to_plain: bool) -> tuple[Codec, ...]:
    """What of an offer goes to the other leg.

    `crossing`: exactly one of the legs is WebRTC, so repair formats stay behind (their SSRCs could not be told).
    `to_plain`: telephone-event at 48 kHz goes only along with a 48 kHz audio codec; a plain phone that cannot
    play it would otherwise choose it for an 8 kHz call.
    """
    kept = [codec for codec in codecs if not (crossing and codec.is_repair)]
    if crossing and to_plain:
        clocks = {codec.clock_rate for codec in kept if codec.carries_media}
        kept = [c for c in kept if not c.is_dtmf or c.clock_rate == 8000 or c.clock_rate in clocks]
    return _with_partner(kept)


def answered(codecs: Iterable[Codec], offer: Iterable[Codec]) -> tuple[Codec, ...]:
    """What of an answer goes back: codecs that the offer had, under the answerer's own payload types."""
    identities = {codec.identity for codec in offer}
    return _with_partner([codec for codec in codecs if codec.identity in identities])


def events_at_leading_clock(codecs: tuple[Codec, ...]) -> tuple[Codec, ...]:
    """What of it a browser is told: telephone-event at the clock rate of the first codec alone, where it is there.

    RFC 4733 §2.2 counts an event's length in the clock of its payload type. Chromium takes 8000 Hz wherever it is
    named, goes on counting in that of its codec, and so sends a sixth of each digit beside opus.
    """
    lead = next((codec.clock_rate for codec in codecs if codec.carries_media), 0)
    if not any(codec.is_dtmf and codec.clock_rate == lead for codec in codecs):
        return codecs
    return tuple(codec for codec in codecs if not codec.is_dtmf or codec.clock_rate == lead)


def _with_partner(codecs: list[Codec]) -> tuple[Codec, ...]:
    """Without rtx whose codec is gone."""
    present = {codec.payload_type for codec in codecs}
    return tuple(c for c in codecs if c.name.lower() != "rtx" or c.apt is None or c.apt in present)


def collide(codecs: Iterable[Codec], others: Iterable[Codec]) -> bool:
    """True where one payload type means two things, so that both m-lines cannot share a transport (RFC 9143
    §9.1)."""
    known = {codec.payload_type: codec for codec in others}
    return any(c.payload_type in known and known[c.payload_type].identity != c.identity for c in codecs)
