"""A test line's side of a call: what echo and tone answer or offer, and an endpoint with nothing on the wire.

The line is a leg like any other to offer and answer; only the join differs (MediaBackend.join_line).
"""

from collections.abc import Sequence

from attrs import define

from appliance.media.backend import (
    EndpointKind,
    EndpointStats,
    Line,
    LocalParameters,
    RemoteParameters,
    StreamSpec,
)
from appliance.rtc.errors import BadMedia
from appliance.rtc.sdp import Field, Media, Session, attribute, parse_untrusted
from appliance.rtc.sdp_codecs import Codec, codecs_of
from appliance.rtc.sdp_direction import reversed_direction

TONE_CODECS = frozenset({"pcmu", "pcma"})

_OFFER = {
    Line.ECHO: "0 8 9 101",
    Line.TONE: "0 8 101",
}


@define(eq=False)
class LineEndpoint:
    """Holds no port and hears nothing."""

    local: LocalParameters
    kind: EndpointKind = EndpointKind.RTP

    def set_remote(self, remote: RemoteParameters) -> None:
        pass

    def restart_ice(self) -> LocalParameters:
        return self.local

    def set_streams(self, streams: Sequence[StreamSpec]) -> None:
        pass

    def close(self) -> None:
        pass

    def stats(self) -> EndpointStats:
        return EndpointStats(EndpointKind.RTP, None, "none", "none", None, (), {}, ())


def line_answer(line: Line, offered: Session, host: str) -> Session:
    """One codec for each m-line and telephone-event beside it. Raises BadMedia (488) where the line can play
    nothing that is offered."""
    medias = [_answer_media(line, offered, media) for media in offered.media]
    if all(media.port == 0 for media in medias) and any(media.port for media in offered.media):
        raise BadMedia("sdp-no-codec", f"the {line.value} line has none of the offer's codecs")
    return Session(fields=_session_fields(host), media=tuple(medias))


def line_offer(line: Line, host: str) -> Session:
    """For an INVITE without SDP: audio in the codecs that every phone has."""
    fields = (
        attribute("rtpmap", "0 PCMU/8000"),
        attribute("rtpmap", "8 PCMA/8000"),
        attribute("rtpmap", "101 telephone-event/8000"),
        attribute("fmtp", "101 0-15"),
    )
    media = Media(kind="audio", port=9, protocol="RTP/AVP", formats=tuple(_OFFER[line].split()), fields=fields)
    return parse_untrusted(Session(fields=_session_fields(host), media=(media,)).to_bytes())


def _session_fields(host: str) -> tuple[Field, ...]:
    family = "IP6" if ":" in host else "IP4"
    return (
        Field("v", "0"),
        Field("o", f"- 0 0 IN {family} {host}"),
        Field("s", "-"),
        Field("c", f"IN {family} {host}"),
        Field("t", "0 0"),
    )


def _answer_media(line: Line, offered: Session, media: Media) -> Media:
    codecs = codecs_of(media)
    first = next((codec for codec in codecs if _plays(line, media, codec)), None)
    if media.port == 0 or first is None:
        return media.refused()
    kept: list[Codec] = [first]
    kept.extend(c for c in codecs if c.is_dtmf and c.clock_rate in (first.clock_rate, 8000))
    fields = [attribute("rtpmap", f"{codec.payload_type} {codec}") for codec in kept]
    fields += [attribute("fmtp", f"{codec.payload_type} {codec.fmtp}") for codec in kept if codec.fmtp]
    fields += [attribute("ptime", value) for value in media.attributes("ptime")]
    fields.append(attribute(reversed_direction(offered.direction_of(media))))
    return Media(
        kind=media.kind,
        port=9,
        protocol=media.protocol,
        formats=tuple(str(codec.payload_type) for codec in kept),
        fields=tuple(fields),
    )


def _plays(line: Line, media: Media, codec: Codec) -> bool:
    if line is Line.TONE:
        return media.kind == "audio" and codec.name.lower() in TONE_CODECS
    return codec.carries_media
