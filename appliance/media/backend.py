"""MediaBackend: the table that signalling writes and a relay reads, whatever the relay is written in.

An endpoint is one local transport towards one peer: a whole BUNDLE group on a WebRTC leg (one socket, several
m-lines), or one m-line on an RTP or SDES leg (RTP port even, RTCP the next one unless multiplexed). Streams
of two endpoints are joined by m-line index; a stream has one partner at a time. Payload types and SSRCs
pass unchanged. What the SDP says about all this (offers, answers, profiles, who may send) is the bridge's
work, not the backend's. RFC 3550, 3711, 4568, 5761, 5764, 8445 (lite), 9143.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Protocol

from attrs import field, frozen

Address = tuple[str, int]
"""(IP literal, port)."""


class PortsExhausted(Exception):  # noqa: N818 - a condition the caller answers with 503, not a fault
    """No free port (pair) in the pool for this local host."""


class EndpointKind(Enum):
    RTP = "RTP"
    """Plain RTP/AVP or RTP/AVPF."""
    SDES = "SDES"
    """RTP/SAVP(F) with keys from the SDP (RFC 4568)."""
    WEBRTC = "WEBRTC"
    """UDP/TLS/RTP/SAVPF: ICE-lite and DTLS-SRTP."""


class DtlsRole(Enum):
    """OUR role in the handshake: CLIENT where we say `setup:active`, SERVER where we say `setup:passive`."""

    CLIENT = "client"
    SERVER = "server"


class Line(Enum):
    """Test lines: what a stream can be joined to instead of another endpoint's stream."""

    ECHO = "echo"
    """Every packet goes back to its sender."""
    TONE = "tone"
    """1004 Hz at 0 dBm0 in PCMU or PCMA (whichever the stream lists first); what comes in is counted and
    dropped."""


@frozen
class SdesKey:
    """One a=crypto line. `suite` as in the SDP: AES_CM_128_HMAC_SHA1_80 (30 bytes of key and salt) or
    AEAD_AES_128_GCM (28 bytes, RFC 7714)."""

    suite: str
    key_salt: bytes = field(repr=False)
    tag: int = 1


@frozen
class Fingerprint:
    """One a=fingerprint line (RFC 8122): `algorithm` in lower case ("sha-256"), `value` the raw digest."""

    algorithm: str
    value: bytes

    def __str__(self) -> str:
        return f"{self.algorithm} {self.value.hex(':').upper()}"


@frozen
class LocalParameters:
    """What goes into the SDP about our side of one endpoint.

    `rtcp_port` is None when only multiplexed RTCP is possible. An endpoint opened with `mux=False` has both
    ports; whether the RTCP one is used is decided by `RemoteParameters.rtcp`. The ICE and DTLS fields are
    None unless WEBRTC.
    """

    host: str
    rtp_port: int
    rtcp_port: int | None = None
    ice_ufrag: str | None = None
    ice_pwd: str | None = field(default=None, repr=False)
    fingerprint: Fingerprint | None = None


@frozen
class RemoteParameters:
    """What the peer's SDP says about its transport.

    `rtp` None: nowhere to send (held with 0.0.0.0, or WebRTC, where ICE finds the address). `rtcp` None:
    multiplexed with RTP. `dtls_role` is OUR role, None while the peer's SDP has not settled it (our offer
    said actpass and no answer came yet): DTLS that arrives meanwhile is held. `ice_lite` says that the peer
    is lite too; then nobody sends checks and `rtp` (the default candidate) is used as given (RFC 8445
    §6.1.1). `latch_hosts` are IP literals besides `rtp`'s that media may come from, such as where the
    signalling of a phone behind NAT came from. `sdes_send` is the key that we announced and protect with,
    `sdes_receive` the one that the peer announced.
    """

    rtp: Address | None = None
    rtcp: Address | None = None
    ice_ufrag: str | None = None
    ice_pwd: str | None = field(default=None, repr=False)
    ice_lite: bool = False
    candidates: tuple[Address, ...] = ()
    latch_hosts: tuple[str, ...] = ()
    fingerprints: tuple[Fingerprint, ...] = ()
    dtls_role: DtlsRole | None = None
    sdes_send: SdesKey | None = None
    sdes_receive: SdesKey | None = None


MID_URI = "urn:ietf:params:rtp-hdrext:sdes:mid"


@frozen
class StreamSpec:
    """One m-line as negotiated with this endpoint's peer.

    `payload_types` maps payload type to RTP clock rate in Hz, in the SDP's order of preference; `dtmf`
    names those that are telephone-event. `send` says that we may send to the peer, `receive` that we take
    from it: a peer that holds us with sendonly has send=False, receive=True. `extensions` maps header
    extension id to URI (a=extmap); an incoming header extension that the partner stream does not list is
    removed before sending, an id that differs is rewritten. `feedback` holds what this peer takes, as in
    a=rtcp-fb without the payload type ("nack", "nack pli", "ccm fir", "goog-remb", "transport-cc"); other
    RTPFB and PSFB packets are not sent to it. `ssrcs` are the peer's, if a=ssrc names them; others are
    learnt by MID, then by payload type (RFC 9143 §9.2). `dscp` marks what we send; where the m-lines of one
    transport differ, audio's is the socket's, and packets of the others carry their own. `trust_dscp`: what this
    peer sends goes on with the marking that it came with.
    """

    index: int
    kind: str
    payload_types: Mapping[int, int]
    dtmf: frozenset[int] = frozenset()
    send: bool = True
    receive: bool = True
    mid: str | None = None
    extensions: Mapping[int, str] = field(factory=dict)
    feedback: frozenset[str] = frozenset()
    ssrcs: tuple[int, ...] = ()
    dscp: int | None = None
    trust_dscp: bool = False


class EventKind(Enum):
    ICE_CONNECTED = "ice-connected"
    """A first pair is nominated (again after a restart)."""
    ICE_LOST = "ice-lost"
    """No check and no packet from the nominated address for the consent time (RFC 7675)."""
    DTLS_CONNECTED = "dtls-connected"
    DTLS_FAILED = "dtls-failed"
    MEDIA_STARTED = "media-started"
    """The first accepted RTP packet of a stream; `index` is set."""
    SILENT = "silent"
    """Nothing acceptable was heard on a stream that should receive for the silence limit; `index` is set.
    Told once until it is heard again. The owner decides whether to end the call."""
    HEARD_AGAIN = "heard-again"


@frozen
class MediaEvent:
    """`at` is on the relay's monotonic clock; `sentence` is for the call's page and the CDR."""

    kind: EventKind
    at: float
    sentence: str
    index: int | None = None


@frozen
class TimelineStep:
    """One ICE, DTLS or latching step. `at` on the relay's monotonic clock."""

    at: float
    sentence: str


@frozen
class Quality:
    """One direction of one stream, as far as it is known.

    `loss_percent` and `jitter_ms` over the whole life of the stream; `rtt_ms` None without RTCP; `mos` and
    `r_factor` None before a second of media or for video. `source` is "rtcp" where the far end's reports
    were used, "own" where only our measurement on arrival was.
    """

    loss_percent: float
    jitter_ms: float
    rtt_ms: float | None
    r_factor: float | None
    mos: float | None
    source: str


@frozen
class StreamStats:
    """`received` is media from the peer as it reached us; `sent` media to the peer as its RTCP reports it."""

    index: int
    kind: str
    packets_received: int
    bytes_received: int
    packets_sent: int
    bytes_sent: int
    lost: int
    payload_type: int | None
    received: Quality | None
    sent: Quality | None
    last_heard: float | None


@frozen
class EndpointStats:
    """`ice` is "none", "waiting", "connected" or "lost"; `dtls` "none", "waiting", "handshaking",
    "connected" or "failed". `drops` counts packets by cause. `remote` is where media is sent now. `at` is when this was
    so, on the relay's monotonic clock; `missing` says in a sentence why the peer is not heard, "" where nothing is
    known to stand in the way."""

    kind: EndpointKind
    remote: Address | None
    ice: str
    dtls: str
    srtp_suite: str | None
    streams: tuple[StreamStats, ...]
    drops: Mapping[str, int]
    timeline: tuple[TimelineStep, ...]
    at: float = 0.0
    missing: str = ""


class Endpoint(Protocol):
    """One local transport. All methods are synchronous and take effect with the next packet."""

    @property
    def kind(self) -> EndpointKind: ...

    @property
    def local(self) -> LocalParameters: ...

    def set_remote(self, remote: RemoteParameters) -> None:
        """Apply the peer's offer or answer; again for each later one. A changed address latches anew, a
        changed fingerprint or DTLS role starts a new handshake, unchanged values change nothing.

        Raises BadMedia for a key of the wrong length or an unknown suite.
        """

    def restart_ice(self) -> LocalParameters:
        """New ufrag and password on the same port (RFC 8445 §9); the old pair carries media until one of
        the new credentials is nominated. To be called both to restart and when the peer's new ufrag says
        that it did."""

    def set_streams(self, streams: Sequence[StreamSpec]) -> None:
        """Replace the whole list of m-lines. Streams of an index that goes away are left by their partner."""

    def close(self) -> None:
        """Give the ports back. Safe to call twice."""

    def stats(self) -> EndpointStats: ...


class MediaBackend(Protocol):
    def open_endpoint(
        self, kind: EndpointKind, host: str, *, mux: bool, on_event: Callable[[MediaEvent], None]
    ) -> Endpoint:
        """A transport on `host` (a local IP literal). `mux` True: one port only, RTCP multiplexed (always
        so for WEBRTC). `on_event` is called synchronously from the relay's task and must not block.

        Raises PortsExhausted.
        """

    def join(self, a: Endpoint, index_a: int, b: Endpoint, index_b: int) -> None:
        """Carry media and RTCP between two streams, both ways as their `send` and `receive` allow. A
        partner that either had before is left. Joining comes before or after set_streams."""

    def join_line(self, endpoint: Endpoint, index: int, line: Line) -> None:
        """Join a stream to a test line."""

    def leave(self, endpoint: Endpoint, index: int) -> None:
        """Stop carrying this stream; harmless where it is not joined."""
