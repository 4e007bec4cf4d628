"""Leg: one side of a call as its SDP stands: its m-lines, the transports under them, and what we last sent there.

What it negotiates with the other legs is the exchange's business. RFC 3264 (lines keep their index, o= counts
versions), RFC 8839 §4.4 (ICE restart), RFC 8842 (setup and a new fingerprint), RFC 4568.
"""

from collections.abc import Iterable, Sequence

from attrs import define, evolve, field, frozen

from appliance.media.backend import (
    DtlsRole,
    Endpoint,
    Fingerprint,
    Line,
    RemoteParameters,
    SdesKey,
    StreamSpec,
)
from appliance.media.profile import BridgeOptions, Feedback, Profile, ProfileKind
from appliance.rtc.sdp import Field, Media, Session, attribute
from appliance.rtc.sdp_codecs import Codec
from appliance.rtc.sdp_crypto import KEY_SALT_BYTES, Crypto
from appliance.rtc.sdp_transport import LocalTransport, PeerTransport, TransportKind


@define(eq=False)
class Transport:
    """An endpoint with what was told about its peer. Shared by the lines of a BUNDLE group and, on the caller's
    leg, by all branches of a fork."""

    endpoint: Endpoint
    kind: TransportKind
    mux_only: bool
    remote: RemoteParameters | None = None
    role: DtlsRole | None = None
    keys: dict[str, bytes] = field(factory=dict, repr=False)

    def key(self, suite: str, options: BridgeOptions) -> bytes:
        """Our master key and salt for a suite; the same one as long as the transport lives."""
        if suite not in self.keys:
            self.keys[suite] = options.random_bytes(KEY_SALT_BYTES[suite])
        return self.keys[suite]

    def offered_cryptos(self, options: BridgeOptions) -> tuple[Crypto, ...]:
        return tuple(Crypto(tag, suite, self.key(suite, options)) for tag, suite in enumerate(options.sdes_suites, 1))

    def role_towards(self, peer: PeerTransport, options: BridgeOptions, *, peer_offered: bool) -> DtlsRole:
        """OUR DTLS role. What the peer fixes counts; an offer that leaves it open keeps a standing association's
        role (RFC 8842 §5.5) or takes the configured one."""
        if peer.setup == "active":
            return DtlsRole.SERVER
        if peer.setup == "passive":
            return DtlsRole.CLIENT
        if not peer_offered:
            return DtlsRole.SERVER
        if self.role is not None and self.remote is not None and self.remote.fingerprints == _fingerprints(peer):
            return self.role
        return DtlsRole.CLIENT if options.answer_active else DtlsRole.SERVER

    def apply(
        self,
        peer: PeerTransport,
        *,
        peer_offered: bool,
        mux: bool,
        role: DtlsRole | None,
        sdes: tuple[Crypto, Crypto] | None,
        latch_hosts: tuple[str, ...] = (),
    ) -> None:
        """Tell the endpoint what the peer's SDP says. `sdes` is (ours, theirs). New ICE credentials in the peer's
        offer are a restart: ours change too, before our answer is written."""
        remote = RemoteParameters(
            rtp=peer.rtp,
            rtcp=None if mux or peer.has_ice else peer.rtcp,
            ice_ufrag=peer.ice_ufrag,
            ice_pwd=peer.ice_pwd,
            ice_lite=peer.ice_lite,
            candidates=peer.candidates,
            fingerprints=_fingerprints(peer),
            dtls_role=role,
            sdes_send=_sdes_key(sdes[0]) if sdes else None,
            sdes_receive=_sdes_key(sdes[1]) if sdes else None,
            latch_hosts=latch_hosts,
        )
        self.role = role
        if remote == self.remote:
            return
        before = self.remote
        known = before is not None and before.ice_ufrag is not None
        changed = before is not None and (before.ice_ufrag, before.ice_pwd) != (peer.ice_ufrag, peer.ice_pwd)
        if peer_offered and known and changed and peer.has_ice:
            self.endpoint.restart_ice()
        self.endpoint.set_remote(remote)
        self.remote = remote


def _fingerprints(peer: PeerTransport) -> tuple[Fingerprint, ...]:
    return tuple(Fingerprint(algorithm, value) for algorithm, value in peer.fingerprints)


def _sdes_key(crypto: Crypto) -> SdesKey:
    return SdesKey(suite=crypto.suite, key_salt=crypto.key_salt, tag=crypto.tag)


@frozen
class LegLine:
    """One m-line of a leg. `kind` None: refused, for `reason`. `group` counts the BUNDLE group, None outside one.
    `peer` is what the leg itself said, None while it has not answered. `direction` is as the leg would say it.
    `transport` is there for every line that is not refused, once it was reserved."""

    media_kind: str
    protocol: str
    formats: tuple[str, ...]
    kind: TransportKind | None = None
    transport: Transport | None = None
    peer: PeerTransport | None = None
    mid: str | None = None
    group: int | None = None
    reason: str = ""
    spec: StreamSpec | None = None
    direction: str = "inactive"
    codecs: tuple[Codec, ...] = ()

    def refused(self, reason: str) -> "LegLine":
        return evolve(
            self,
            kind=None,
            transport=None,
            peer=None,
            group=None,
            reason=reason,
            spec=None,
            codecs=(),
            direction="inactive",
        )

    @property
    def webrtc(self) -> bool:
        return self.kind is TransportKind.WEBRTC

    @property
    def port_zero(self) -> Media:
        """The refused line. A browser wants its mid there as well (RFC 9429 §5.3.1)."""
        mid = (attribute("mid", self.mid),) if self.mid is not None else ()
        return Media(kind=self.media_kind, port=0, protocol=self.protocol, formats=self.formats, fields=mid)


@define(eq=False)
class Leg:
    """`line`: this is no peer but one of our test lines. `learned` and `bundles` are what its SDP has shown,
    `lines` what stands after the last answer, `sent` our last SDP to it."""

    name: str
    profile: Profile
    session_id: int
    options: BridgeOptions
    line: Line | None = None
    learned: TransportKind | None = None
    bundles: bool = True
    lines: tuple[LegLine, ...] = ()
    sent: Session | None = None
    _version: int = 0

    @property
    def host(self) -> str:
        """The address that our SDP towards this leg names."""
        return self.profile.advertised or self.profile.host

    @property
    def offer_kind(self) -> TransportKind:
        """What we offer for an m-line that is new to this leg."""
        if self.profile.kind is not ProfileKind.AUTO:
            return TransportKind[self.profile.kind.name]
        return self.learned or TransportKind.RTP

    @property
    def takes_feedback(self) -> bool:
        return self.profile.feedback is not Feedback.NONE

    @property
    def msid_stream(self) -> str:
        return f"jf{self.session_id:x}"

    def protocol_for(self, kind: TransportKind, media_kind: str) -> str:
        """The protocol of a new m-line that we offer."""
        if kind is TransportKind.WEBRTC:
            return "UDP/TLS/RTP/SAVPF"
        suffix = "F" if media_kind == "video" and self.profile.feedback is Feedback.AVPF else ""
        return ("RTP/SAVP" if kind is TransportKind.SDES else "RTP/AVP") + suffix

    def local(
        self,
        line: LegLine,
        *,
        mux: bool,
        setup: str | None = None,
        cryptos: Sequence[Crypto] = (),
        with_ice: bool = True,
    ) -> LocalTransport:
        """What our SDP says about the transport of this line."""
        assert line.transport is not None
        parameters = line.transport.endpoint.local
        webrtc = line.transport.kind is TransportKind.WEBRTC
        ice = webrtc and with_ice
        return LocalTransport(
            kind=line.transport.kind,
            protocol=line.protocol,
            host=self.host,
            rtp_port=parameters.rtp_port,
            # WebRTC without rtcp-mux: there is one port all the same, and a=rtcp says so (RFC 3605).
            rtcp_port=parameters.rtcp_port if parameters.rtcp_port is not None else parameters.rtp_port,
            mux=mux,
            mid=line.mid,
            ice_ufrag=parameters.ice_ufrag if ice else None,
            ice_pwd=parameters.ice_pwd if ice else None,
            fingerprint=str(parameters.fingerprint) if webrtc and parameters.fingerprint else None,
            setup=setup if webrtc else None,
            cryptos=tuple(cryptos),
        )

    def describe(self, session: list[Field], media: Iterable[Media]) -> Session:
        """Our SDP towards this leg, with its o= line: the version moves only when something else did (RFC 3264
        §8)."""
        draft = Session(fields=tuple(session), media=tuple(media))
        if self.sent is not None and (self.sent.fields[2:], self.sent.media) != (draft.fields, draft.media):
            self._version += 1
        family = "IP6" if ":" in self.host else "IP4"
        origin = Field("o", f"- {self.session_id} {self._version} IN {family} {self.host}")
        self.sent = evolve(draft, fields=(Field("v", "0"), origin, *draft.fields))
        return self.sent
