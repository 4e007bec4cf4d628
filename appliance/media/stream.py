"""StreamSpec from the two descriptions of one m-line: what offer and answer, read together, tell the relay."""

from appliance.media.backend import StreamSpec
from appliance.rtc.sdp import Media, Session
from appliance.rtc.sdp_codecs import Codec, codecs_of
from appliance.rtc.sdp_convert import extensions_of, feedback_of
from appliance.rtc.sdp_direction import receives, sends

_MAX_SSRCS = 32


def agreed_codecs(offer: Media, answer: Media) -> tuple[Codec, ...]:
    """The answer's codecs in its order, then the offer's numbers for the same codecs where they differ: each
    side may send under the number that the other announced (RFC 3264 §5.1)."""
    accepted = codecs_of(answer)
    identities = {codec.identity for codec in accepted}
    numbers = {codec.payload_type for codec in accepted}
    others = (c for c in codecs_of(offer) if c.identity in identities and c.payload_type not in numbers)
    return (*accepted, *others)


def stream_spec(
    index: int,
    theirs: tuple[Session, Media],
    ours: tuple[Session, Media],
    codecs: tuple[Codec, ...],
    *,
    direction: str,
    mid: str | None,
) -> StreamSpec:
    """`direction` is the agreed one as the peer would say it."""
    session, media = theirs
    own = extensions_of(ours[1], ours[0])
    extensions = {n: uri for n, uri in extensions_of(media, session).items() if own.get(n) == uri}
    return StreamSpec(
        index=index,
        kind=media.kind,
        payload_types={codec.payload_type: codec.clock_rate for codec in codecs},
        dtmf=frozenset(codec.payload_type for codec in codecs if codec.is_dtmf),
        send=receives(direction),
        receive=sends(direction),
        mid=mid,
        extensions=extensions,
        feedback=feedback_of(media) & feedback_of(ours[1]),
        ssrcs=_ssrcs(media),
    )


def _ssrcs(media: Media) -> tuple[int, ...]:
    found: dict[int, None] = {}
    for value in media.attributes("ssrc"):
        number = value.split(" ", 1)[0]
        if number.isdecimal() and len(number) <= 10 and int(number) < 1 << 32 and len(found) < _MAX_SSRCS:
            found[int(number)] = None
    return tuple(found)
