"""CallMedia: what is known about the media of one call at one moment, per leg, stream and direction."""

from collections.abc import Mapping

from attrs import frozen

from appliance.media.backend import Address, Quality, StreamStats, TimelineStep
from appliance.media.leg import Leg, LegLine, Transport


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
    silence limit, None while heard; `last_heard` on the same clock when the peer was heard last, None if never."""

    index: int
    kind: str
    codec: str | None
    direction: str
    received: DirectionFigures
    sent: DirectionFigures
    silent_since: float | None
    joined_to: str | None
    last_heard: float | None = None


@frozen
class TransportFigures:
    """`kind` "RTP", "SDES" or "WEBRTC"; `ice`, `dtls`, `at` and `missing` as in EndpointStats."""

    kind: str
    local: Address
    remote: Address | None
    ice: str
    dtls: str
    srtp_suite: str | None
    drops: Mapping[str, int]
    timeline: tuple[TimelineStep, ...]
    streams: tuple[StreamFigures, ...]
    at: float = 0.0
    missing: str = ""


@frozen
class LegFigures:
    name: str
    transports: tuple[TransportFigures, ...]


@frozen
class CallMedia:
    call_id: str
    legs: tuple[LegFigures, ...]


def leg_figures(
    leg: Leg, silent: Mapping[tuple[str, int], float], joined: Mapping[tuple[str, int], tuple[str, int]]
) -> LegFigures:
    """`silent` and `joined` are keyed by leg name and m-line."""
    transports: dict[int, Transport] = {
        id(line.transport): line.transport for line in leg.lines if line.transport is not None
    }
    found: list[TransportFigures] = []
    for transport in transports.values():
        stats = transport.endpoint.stats()
        local = transport.endpoint.local
        by_index = {stream.index: stream for stream in stats.streams}
        streams = tuple(
            _stream_figures(leg.name, index, line, by_index.get(index), silent, joined)
            for index, line in enumerate(leg.lines)
            if line.transport is transport
        )
        found.append(
            TransportFigures(
                kind=stats.kind.value,
                local=(local.host, local.rtp_port),
                remote=stats.remote,
                ice=stats.ice,
                dtls=stats.dtls,
                srtp_suite=stats.srtp_suite,
                drops=dict(stats.drops),
                timeline=stats.timeline,
                streams=streams,
                at=stats.at,
                missing=stats.missing,
            )
        )
    return LegFigures(leg.name, tuple(found))


def _stream_figures(
    leg: str,
    index: int,
    line: LegLine,
    stats: StreamStats | None,
    silent: Mapping[tuple[str, int], float],
    joined: Mapping[tuple[str, int], tuple[str, int]],
) -> StreamFigures:
    codec: str | None = None
    if stats is not None and stats.payload_type is not None:
        codec = next((str(c) for c in line.codecs if c.payload_type == stats.payload_type), None)
    partner = joined.get((leg, index))
    return StreamFigures(
        index=index,
        kind=line.media_kind,
        codec=codec,
        direction=line.direction,
        received=_direction(
            stats.packets_received if stats else 0,
            stats.bytes_received if stats else 0,
            stats.lost if stats else None,
            stats.received if stats else None,
        ),
        sent=_direction(
            stats.packets_sent if stats else 0,
            stats.bytes_sent if stats else 0,
            None,
            stats.sent if stats else None,
        ),
        silent_since=silent.get((leg, index)),
        joined_to=partner[0] if partner is not None else None,
        last_heard=stats.last_heard if stats is not None else None,
    )


def _direction(packets: int, size: int, lost: int | None, quality: Quality | None) -> DirectionFigures:
    return DirectionFigures(
        packets=packets,
        bytes=size,
        lost=lost,
        loss_percent=quality.loss_percent if quality else None,
        jitter_ms=quality.jitter_ms if quality else None,
        rtt_ms=quality.rtt_ms if quality else None,
        mos=quality.mos if quality else None,
        source=quality.source if quality else None,
    )
