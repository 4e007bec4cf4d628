"""A MediaBackend with no sockets: it keeps what the bridge wrote into it, and checks the seam's rules as it goes."""

from collections.abc import Callable, Sequence

from attrs import define, evolve, field

from appliance.media.backend import (
    EndpointKind,
    EndpointStats,
    Fingerprint,
    Line,
    LocalParameters,
    MediaEvent,
    PortsExhausted,
    RemoteParameters,
    StreamSpec,
    StreamStats,
)
from appliance.rtc.errors import BadMedia
from appliance.rtc.sdp_crypto import KEY_SALT_BYTES

FINGERPRINT = Fingerprint("sha-256", bytes(range(32)))


@define(eq=False)
class FakeEndpoint:
    kind: EndpointKind
    local: LocalParameters
    on_event: Callable[[MediaEvent], None]
    remote: RemoteParameters | None = None
    remotes: list[RemoteParameters] = field(factory=list)
    streams: tuple[StreamSpec, ...] = ()
    restarts: int = 0
    closed: bool = False

    def set_remote(self, remote: RemoteParameters) -> None:
        assert not self.closed
        for key in (remote.sdes_send, remote.sdes_receive):
            if key is not None and len(key.key_salt) != KEY_SALT_BYTES[key.suite]:
                raise BadMedia("sdes-key")
        self.remote = remote
        self.remotes.append(remote)

    def restart_ice(self) -> LocalParameters:
        assert self.kind is EndpointKind.WEBRTC
        self.restarts += 1
        self.local = evolve(
            self.local,
            ice_ufrag=f"u{self.local.rtp_port}r{self.restarts}",
            ice_pwd=f"password{self.local.rtp_port:06}restart{self.restarts:04}",
        )
        return self.local

    def set_streams(self, streams: Sequence[StreamSpec]) -> None:
        assert not self.closed
        indices = [stream.index for stream in streams]
        assert len(set(indices)) == len(indices)
        self.streams = tuple(streams)

    def close(self) -> None:
        self.closed = True

    def stats(self) -> EndpointStats:
        streams = tuple(
            StreamStats(s.index, s.kind, 5, 860, 4, 688, 0, next(iter(s.payload_types)), None, None, None)
            for s in self.streams
        )
        return EndpointStats(self.kind, None, "none", "none", None, streams, {}, ())


Key = tuple[int, int]


@define(eq=False)
class FakeBackend:
    ports: int = 1000
    endpoints: list[FakeEndpoint] = field(factory=list)
    joins: dict[Key, Key] = field(factory=dict)
    lines: dict[Key, Line] = field(factory=dict)
    _next_port: int = 30000

    def open_endpoint(
        self, kind: EndpointKind, host: str, *, mux: bool, on_event: Callable[[MediaEvent], None]
    ) -> FakeEndpoint:
        assert mux or kind is not EndpointKind.WEBRTC
        if len(self.open()) >= self.ports:
            raise PortsExhausted
        port = self._next_port
        self._next_port += 2
        webrtc = kind is EndpointKind.WEBRTC
        local = LocalParameters(
            host=host,
            rtp_port=port,
            rtcp_port=None if mux else port + 1,
            ice_ufrag=f"u{port}" if webrtc else None,
            ice_pwd=f"password{port:06}01234567890" if webrtc else None,
            fingerprint=FINGERPRINT if webrtc else None,
        )
        endpoint = FakeEndpoint(kind, local, on_event)
        self.endpoints.append(endpoint)
        return endpoint

    def join(self, a: FakeEndpoint, index_a: int, b: FakeEndpoint, index_b: int) -> None:
        assert not a.closed
        assert not b.closed
        self.leave(a, index_a)
        self.leave(b, index_b)
        self.joins[id(a), index_a] = (id(b), index_b)
        self.joins[id(b), index_b] = (id(a), index_a)

    def join_line(self, endpoint: FakeEndpoint, index: int, line: Line) -> None:
        assert not endpoint.closed
        self.leave(endpoint, index)
        self.lines[id(endpoint), index] = line

    def leave(self, endpoint: FakeEndpoint, index: int) -> None:
        self.lines.pop((id(endpoint), index), None)
        other = self.joins.pop((id(endpoint), index), None)
        if other is not None:
            self.joins.pop(other, None)

    # --- what tests ask ---

    def open(self) -> list[FakeEndpoint]:
        return [endpoint for endpoint in self.endpoints if not endpoint.closed]

    def at(self, port: int) -> FakeEndpoint:
        return next(e for e in self.endpoints if e.local.rtp_port == port and not e.closed)

    def partner(self, port: int, index: int) -> tuple[int, int] | None:
        """(port, m-line) that a stream is joined to."""
        other = self.joins.get((id(self.at(port)), index))
        if other is None:
            return None
        return next((e.local.rtp_port, other[1]) for e in self.open() if id(e) == other[0])
