"""CallMedia: what is known about the media of one call at one moment, per leg, stream and direction."""

from attrs import frozen

from appliance.media.backend import Address, TimelineStep


@frozen
class DirectionFigures:
    """One direction of one stream. `received` is from the peer as it reached us, `sent` to the peer as its RTCP
    tells it. `source` "rtcp" or "own" says who measured; None: nothing measured yet."""

    packets: int
    bytes: int
    lost: int | None
    loss_percent: float | None
    jitter_ms: float | None
    rtt_ms: float | None
    mos: float | None
    source: str | None


@frozen
class StreamFigures:
    """`codec` as in a=rtpmap ("opus/48000/2"), None before media; `direction` as the leg itself would say it
    ("sendonly": it holds us). `silent_since` is the relay's monotonic time at which nothing was heard for the
    silence limit, None while heard."""

    index: int
    kind: str
    codec: str | None
    direction: str
    received: DirectionFigures
    sent: DirectionFigures
    silent_since: float | None
    joined_to: str | None


@frozen
class TransportFigures:
    """`kind` "RTP", "SDES" or "WEBRTC"; `ice` and `dtls` as in EndpointStats."""

    kind: str
    local: Address
    remote: Address | None
    ice: str
    dtls: str
    srtp_suite: str | None
    drops: dict[str, int]
    timeline: tuple[TimelineStep, ...]
    streams: tuple[StreamFigures, ...]


@frozen
class LegFigures:
    name: str
    transports: tuple[TransportFigures, ...]


@frozen
class CallMedia:
    call_id: str
    legs: tuple[LegFigures, ...]
