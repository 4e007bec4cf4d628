"""One leg's m-line body and session lines made into the other leg's: what is copied, what stays behind, what is made.

Two legs of the same family (both WebRTC, or neither) see each other's lines nearly as written; where exactly one
is WebRTC (a crossing), header extensions, SSRC and msid lines, repair formats and the feedback that leans on them
stay on their side. Transport lines (addresses, ICE, keys) are sdp_transport's and never copied. RFC 8866, 4585,
8285, 8830, 9143.
"""

from collections.abc import Container, Iterable, Sequence

from attrs import frozen

from appliance.rtc.sdp import DIRECTIONS, Field, Media, Session, attribute
from appliance.rtc.sdp_codecs import STATIC, Codec
from appliance.rtc.sdp_transport import TRANSPORT_ATTRIBUTES

PLAIN_FEEDBACK = frozenset({"nack", "nack pli", "ccm fir"})
"""Feedback that works between WebRTC and a plain video phone: it speaks of a stream by SSRC and sequence number
alone. REMB counts several streams, transport-cc needs its header extension."""

_WEBRTC_ONLY = frozenset({"extmap", "extmap-allow-mixed", "msid", "rid", "simulcast", "ssrc", "ssrc-group"})
_SESSION_WEBRTC_ONLY = _WEBRTC_ONLY | {"msid-semantic"}


@frozen
class Crossing:
    """From which family to which; `feedback` False strips all a=rtcp-fb (a leg that takes none)."""

    from_webrtc: bool
    to_webrtc: bool
    feedback: bool = True

    @property
    def crosses(self) -> bool:
        return self.from_webrtc != self.to_webrtc


def converted_body(
    media: Media, codecs: Sequence[Codec], crossing: Crossing, direction: str, *, msid: str, same_mid: bool = True
) -> list[Field]:
    """What stands under the m= line, without transport lines; `codecs` are those that are kept. `msid` is used
    toward WebRTC where the source has none. `same_mid`: both legs name this m-line alike, so that the MID header
    extension may pass."""
    kept = {str(codec.payload_type) for codec in codecs}
    body: list[Field] = []
    mapped: set[str] = set()
    for item in media.fields:
        if item.type in "ck":
            continue
        if item.type != "a":
            body.append(item)
            continue
        name, _, value = item.value.strip().partition(":")
        if name in TRANSPORT_ATTRIBUTES or name in DIRECTIONS:
            continue
        if name in ("rtpmap", "fmtp", "rtcp-fb"):
            payload_type, _, rest = value.strip().partition(" ")
            if not _format_line_passes(name, payload_type, rest, media, kept, crossing):
                continue
            if name == "rtpmap":
                mapped.add(payload_type)
        elif crossing.crosses and not _passes_crossing(name, crossing):
            continue
        if name == "extmap" and not same_mid and value.endswith(":mid"):
            continue
        body.append(item)
    if crossing.to_webrtc:
        for codec in codecs:
            if codec.payload_type in STATIC and str(codec.payload_type) not in mapped:
                body.append(attribute("rtpmap", f"{codec.payload_type} {codec}"))
        if not any(item.type == "a" and item.value.startswith("msid:") for item in body):
            body.append(attribute("msid", msid))
    body.append(attribute(direction))
    return body


def _format_line_passes(
    name: str, payload_type: str, rest: str, media: Media, kept: Container[str], crossing: Crossing
) -> bool:
    if name != "rtcp-fb":
        return payload_type in kept
    if not crossing.feedback or (payload_type not in kept and payload_type != "*"):
        return False
    return not crossing.crosses or (media.kind == "video" and " ".join(rest.split()) in PLAIN_FEEDBACK)


def _passes_crossing(name: str, crossing: Crossing) -> bool:
    # A plain phone may not know that RTCP packets can come without a report (RFC 5506).
    return name not in _WEBRTC_ONLY and (name != "rtcp-rsize" or crossing.to_webrtc)


def converted_session(
    session: Session, crossing: Crossing, *, connection: Field, bundles: Iterable[Sequence[str]]
) -> list[Field]:
    """The session's lines without v= and o=, which come before them: s=, connection, t= and what else stood
    there. `bundles` are the mids of each BUNDLE group of ours."""
    lines: list[Field] = []
    attributes: list[Field] = []
    for item in session.fields:
        if item.type in "vock":
            continue
        if item.type != "a":
            lines.append(item)
            continue
        name, _, value = item.value.strip().partition(":")
        if name in TRANSPORT_ATTRIBUTES or name in DIRECTIONS:
            continue
        if name == "group" and (crossing.crosses or value.split()[:1] == ["BUNDLE"]):
            continue
        if crossing.crosses and name in _SESSION_WEBRTC_ONLY:
            continue
        attributes.append(item)
    lines = _in_order(lines, connection)
    lines.extend(attribute("group", " ".join(("BUNDLE", *mids))) for mids in bundles)
    if crossing.to_webrtc:
        lines.append(attribute("ice-lite"))
        if not any(item.value.startswith("msid-semantic") for item in attributes):
            attributes.append(attribute("msid-semantic", " WMS *"))
    return lines + attributes


_ORDER = "siuepcbtrz"


def _in_order(lines: list[Field], connection: Field) -> list[Field]:
    """RFC 8866 §5 has the order of the lines; s= and t= must be there."""
    lines = [*lines, connection]
    if not any(item.type == "s" for item in lines):
        lines.append(Field("s", "-"))
    if not any(item.type == "t" for item in lines):
        lines.append(Field("t", "0 0"))
    # t= may repeat, each with its r= lines: these keep their places among themselves.
    rank = {letter: place for place, letter in enumerate(_ORDER.replace("r", ""))}
    rank["r"] = rank["t"]
    return sorted(lines, key=lambda item: rank.get(item.type, len(rank)))


def extensions_of(media: Media, session: Session) -> dict[int, str]:
    """a=extmap as id to URI (RFC 8285 §8)."""
    found: dict[int, str] = {}
    for value in (*session.attributes("extmap"), *media.attributes("extmap")):
        words = value.split()
        number = words[0].partition("/")[0] if words else ""
        if len(words) >= 2 and number.isdecimal() and len(number) <= 4:
            found[int(number)] = words[1]
    return found


def feedback_of(media: Media) -> frozenset[str]:
    """a=rtcp-fb without payload types: {"nack", "nack pli"}."""
    return frozenset(" ".join(value.split()[1:]) for value in media.attributes("rtcp-fb"))
