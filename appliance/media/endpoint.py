"""RelayEndpoint: one transport towards one peer, as PythonRelay has it. Everything of it that is not a
packet.

Control (signalling, ICE, DTLS, the second's tick) writes the presets that the packet path of entry.py
reads: whose packets are taken, by which key, and where each source's media goes. What secures a WebRTC leg
is in secured.py, RTCP's way in control.py and carry.py. RFC 3550, 3711, 4961 (symmetric RTP), 5761, 9143 §9.2.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from appliance.media.backend import (
    Address,
    EndpointKind,
    EndpointStats,
    EventKind,
    Fingerprint,
    LocalParameters,
    MediaEvent,
    RemoteParameters,
    StreamSpec,
    StreamStats,
    TimelineStep,
)
from appliance.media.carry import SentReports
from appliance.media.control import ControlChannel
from appliance.media.entry import Path, Source
from appliance.media.keys import TransportKeys, sdes_keys
from appliance.media.learning import index_untrusted
from appliance.media.mediaport import MediaPort
from appliance.media.relaystream import LineJoin, Partner, Stream, describe, rates_of
from appliance.media.returning import rename_returned
from appliance.media.rewrite import plan_rewrite, under_ssrc
from appliance.media.secured import SecuredLeg
from appliance.media.silence import expect_media, missing, show, watch_silence
from appliance.rtc.errors import BadMedia
from appliance.rtc.rtcp import RtcpPacket
from appliance.rtc.srtp import SrtpKeys

if TYPE_CHECKING:
    from appliance.media.relay import PythonRelay

MAX_SOURCES = 64
"""SSRCs one peer may use at a time."""
RETIRE_S = 60.0
TIMELINE = 64


class RelayEndpoint:
    def __init__(
        self,
        relay: PythonRelay,
        kind: EndpointKind,
        host: str,
        *,
        mux: bool,
        on_event: Callable[[MediaEvent], None],
    ) -> None:
        self.relay = relay
        self._kind = kind
        self._on_event = on_event
        self.sources: dict[int, Source] = {}
        self.streams: dict[int, Stream] = {}
        self.joins: dict[int, Partner | LineJoin] = {}
        self.outbound: dict[int, int] = {}
        """SSRCs that we send to this peer, by m-line."""
        self.drops: Counter[str] = Counter()
        self.timeline: deque[TimelineStep] = deque(maxlen=TIMELINE)
        self.sent_reports = SentReports()
        self.remote = RemoteParameters()
        self.closed = False
        self.keys = TransportKeys(required=kind is not EndpointKind.RTP)
        self.control = ControlChannel(self)
        self._connected_at = -1.0
        self._left: Address | None = None
        """Where the peer was before its SDP named another address."""
        self.foreign: Address | None = None
        """The last address that was refused."""
        pair = not mux and kind is not EndpointKind.WEBRTC
        self.port = MediaPort(relay.pool, relay, host, pair=pair, marker=relay.marker)
        self.secured = SecuredLeg(self) if kind is EndpointKind.WEBRTC else None
        self.path = Path(relay.receive, relay.deliver, self.sources, self, self.keys.required)
        self.port.listen(self._open_ready, self.control.ready)

    # The seam: backend.Endpoint.

    @property
    def kind(self) -> EndpointKind:
        return self._kind

    @property
    def local(self) -> LocalParameters:
        port = self.port
        if self.secured is None:
            return LocalParameters(port.host, port.port, port.control_port)
        ice = self.secured.ice
        fingerprint = Fingerprint("sha-256", self.relay.identity.fingerprint("sha-256"))
        return LocalParameters(port.host, port.port, None, ice.ufrag, ice.password, fingerprint)

    def set_remote(self, remote: RemoteParameters) -> None:
        if self.closed:
            return
        if self._kind is EndpointKind.SDES:
            keys = sdes_keys(remote)
            if keys is not None:
                self.take_keys(keys)
        before, self.remote = self.remote, remote
        if self.secured is not None:
            self.secured.set_remote(remote, self.relay.clock())
        elif remote.rtp != before.rtp or (remote.rtp is not None and self.port.remote is None):
            self._left = None if before.rtp is None or remote.rtp == self.port.remote else self.port.remote
            self._settle(remote.rtp)
        self.control.set_remote(remote, before)
        expect_media(self, self.relay.clock())
        self.preset()

    def restart_ice(self) -> LocalParameters:
        if self.secured is not None and not self.closed:
            self.secured.restart_ice(self.relay.clock())
        return self.local

    def set_streams(self, streams: Sequence[StreamSpec]) -> None:
        if self.closed:
            return
        specs = {spec.index: spec for spec in streams}
        for index in [index for index in self.streams if index not in specs]:
            self.relay.leave(self, index)
            del self.streams[index]
            for ssrc in [ssrc for ssrc, source in self.sources.items() if source.index == index]:
                del self.sources[ssrc]
        for index, spec in specs.items():
            known = self.streams.get(index)
            if known is None:
                self.streams[index] = Stream(spec, rates_of(spec))
            else:
                known.apply(spec)
        self.port.trust(any(spec.trust_dscp for spec in streams))
        if streams:
            self.port.mark(min(streams, key=lambda spec: (spec.kind != "audio", spec.index)).dscp)
        expect_media(self, self.relay.clock())
        self.preset()

    def close(self) -> None:
        if self.closed:
            return
        for index in list(self.joins):
            self.relay.leave(self, index)
        if self.secured is not None:
            self.secured.close()
        self.closed = True
        self.port.close()
        self.relay.forget(self)

    def stats(self) -> EndpointStats:
        secured, keys = self.secured, self.keys.current
        return EndpointStats(
            kind=self._kind,
            remote=self.port.remote,
            ice=secured.ice_state if secured else "none",
            dtls=secured.dtls_state if secured else "none",
            srtp_suite=keys.profile.suite if keys else None,
            streams=tuple(self._stream_stats(stream) for stream in self.streams.values()),
            drops=dict(self.drops),
            timeline=tuple(self.timeline),
            at=self.relay.clock(),
            missing=missing(self),
        )

    def _stream_stats(self, stream: Stream) -> StreamStats:
        join = self.joins.get(stream.spec.index)
        partner = None
        if isinstance(join, Partner) and (other := join.endpoint.streams.get(join.index)) is not None:
            partner = (other, join.endpoint.sources_of(join.index))
        return stream.stats(self.sources_of(stream.spec.index), partner)

    # Presets: where the packets of each source go.

    def preset(self) -> None:
        """Work out anew where this endpoint's sources go, and those of its partners, who send through it."""
        self.preset_sources()
        for other in {
            id(join.endpoint): join.endpoint for join in self.joins.values() if isinstance(join, Partner)
        }.values():
            if other is not self:
                other.preset_sources()

    def preset_sources(self) -> None:
        for source in self.sources.values():
            self._preset(source)

    def _preset(self, source: Source) -> None:
        source.send = source.protect = source.keeper = source.rewrite = None
        stream = self.streams.get(source.index)
        join = self.joins.get(source.index)
        if stream is None or join is None:
            source.hindrance = "not_joined"
        elif not stream.spec.receive:
            source.hindrance = "held"
        elif not isinstance(join, Partner):
            join.preset(self, stream, source)
        else:
            other = join.endpoint
            target = other.streams.get(join.index)
            if target is None:
                source.hindrance = "not_joined"
            elif not target.spec.send:
                source.hindrance = "held"
            elif not other.claim(source.ssrc if source.alias is None else source.alias, join.index):
                source.hindrance = "ssrc_collision"
            else:
                source.out = target.sent
                source.rewrite = plan_rewrite(stream.spec, target.spec)
                if source.alias is not None:
                    source.rewrite = under_ssrc(source.alias, source.rewrite)
                other.aim(source, target, self.port)

    def aim(self, source: Source, stream: Stream, origin: MediaPort | None = None) -> None:
        """Send this source (another endpoint's, or our own in an echo) to our peer as part of `stream`, if there is a
        way now. `origin` is the port that it comes in by, whose markings may be trusted."""
        if self.port.connected is None:
            source.hindrance = "no_destination"
        elif not self.keys.may_send:
            source.hindrance = "srtp_no_key"
        else:
            source.protect, source.keeper = self.keys.protect, self.keys.sender
            if origin is not None and origin.trusting:
                source.send = self.port.sender_as_heard(origin, stream.spec.dscp)
            else:
                source.send = self.port.sender(stream.spec.dscp)

    @property
    def aliases(self) -> dict[int, int]:
        """Our peer's SSRCs that its partner knows by another name."""
        return {source.ssrc: source.alias for source in self.sources.values() if source.alias is not None}

    def claim(self, ssrc: int, index: int) -> bool:
        """Note that this SSRC goes out on this m-line. Two m-lines of one transport cannot share one: they
        would share an SRTP key stream (RFC 3711 §9.1)."""
        if self.outbound.get(ssrc, index) != index:
            return False
        self.outbound[ssrc] = index
        return True

    def release_claims(self, index: int) -> None:
        for ssrc in [ssrc for ssrc, claimed in self.outbound.items() if claimed == index]:
            del self.outbound[ssrc]

    @property
    def can_send(self) -> bool:
        return self.port.connected is not None and self.keys.may_send

    def send_rtp(self, packet: bytes, stream: Stream) -> None:
        """Media of our own making, a test line's. Uses the relay's buffer."""
        buffer, connected = self.relay.buffer, self.port.connected
        if connected is None:
            return
        try:
            size = self.keys.protect_rtp(buffer, buffer.put(packet))
            connected.send(buffer.view[:size])
        except BadMedia as error:
            self.drop(error.cause)
        except BlockingIOError:
            self.drop("buffer_full")
        except OSError:
            self.drop("unreachable")
        else:
            stream.sent.packets += 1
            stream.sent.bytes += size

    def last_heard(self) -> float | None:
        heard = max((source.reception.last_heard for source in self.sources.values()), default=-1.0)
        return heard if heard >= 0 else None

    def sources_of(self, index: int) -> list[Source]:
        return [source for source in self.sources.values() if source.index == index]

    # Sockets.

    def _settle(self, remote: Address | None) -> None:
        """Send to, and trust, this address from now on."""
        if remote is None or remote[1] == 0:
            self.port.disconnect()
        elif not self.port.connect(remote, self.path):
            self.step(f"cannot send to {show(remote)}: no route")
        self._connected_at = self.relay.clock()

    def settle(self, remote: Address) -> None:
        if remote != self.port.remote:
            self._settle(remote)
            self.preset()

    def on_other_untrusted(self, size: int, now: float) -> None:
        if self.secured is not None and self.port.remote is not None:
            self.secured.take_untrusted(bytes(self.relay.buffer.view[:size]), self.port.remote, now)
        else:
            self.drop("malformed")

    def _open_ready(self, now: float) -> None:
        view = self.relay.buffer.view
        try:
            size, source = self.port.open.recvfrom_into(view, 4096)
        except BlockingIOError:
            return
        except OSError:
            self.drop("unreachable")
            return
        address: Address = (source[0], source[1])
        if not (size and 128 <= view[0] <= 191):
            if self.secured is not None:
                self.secured.take_untrusted(bytes(view[:size]), address, now)
            else:
                self.drop("malformed")
        elif self.secured is not None:
            if self.secured.ice.validated(address):
                self.path.deliver(self.path, size, now)
            else:
                self.refuse(address)
        elif address == self.port.remote:
            self.path.deliver(self.path, size, now)
        elif not self._may_latch(address, now):
            self.refuse(address)
        else:
            accepted = self._accepted()
            self.path.deliver(self.path, size, now)
            if self._accepted() > accepted and not self.closed:
                self.step(f"media comes from {show(address)}, the SDP said {show(self.remote.rtp)}")
                self.settle(address)

    def _accepted(self) -> int:
        return sum(source.reception.packets for source in self.sources.values())

    def _may_latch(self, address: Address, now: float) -> bool:
        """Symmetric RTP (RFC 4961) within what the SDP allows: the signalled host and hosts that the signalling came
        from; never while the settled address is heard."""
        signalled = self.remote.rtp
        if signalled is None:
            return False
        heard = self.last_heard() or -1.0
        options = self.relay.options
        if address == self._left and now - self._connected_at < options.relatch_s:
            return False  # still under way when the peer moved
        if heard > self._connected_at and now - heard < options.relatch_s:
            return False
        return address[0] == signalled[0] or address[0] in self.remote.latch_hosts

    def refuse(self, address: Address) -> None:
        self.foreign = address
        self.drop("unknown_source")

    def drop(self, cause: str) -> None:
        self.drops[cause] += 1

    # RTCP.

    def on_rtcp_untrusted(self, size: int, now: float) -> None:
        self.control.receive_untrusted(size, now)

    def send_rtcp(self, data: bytes) -> None:
        self.control.send(data)

    def feedback_taken(self, stream: Stream) -> frozenset[str]:
        return stream.spec.feedback

    @property
    def lines(self) -> dict[int, LineJoin]:
        return {index: join for index, join in self.joins.items() if not isinstance(join, Partner)}

    def lines_concerned(self, packets: Iterable[RtcpPacket]) -> list[Stream]:
        """Streams joined to a test line that this compound speaks of."""
        lines = self.lines
        if not lines:
            return []
        named = {packet.sender for packet in packets}
        for packet in packets:
            named.update(packet.targets() if packet.feedback_name() else (block.ssrc for block in packet.blocks))
        indices = {source.index for ssrc in named if (source := self.sources.get(ssrc)) is not None}
        indices |= {self.outbound[ssrc] for ssrc in named if ssrc in self.outbound}
        if not indices and len(lines) == 1:
            indices = set(lines)
        return [self.streams[index] for index in sorted(indices) if index in lines and index in self.streams]

    # Sources.

    def may_learn(self, now: float) -> bool:
        if len(self.sources) >= MAX_SOURCES:
            self._retire(now)
        return len(self.sources) < MAX_SOURCES

    def _retire(self, now: float) -> None:
        """Long calls see many SSRCs come and go; what has been mute for long keeps only its sums."""
        for source in [each for each in self.sources.values() if now - each.reception.last_heard > RETIRE_S]:
            del self.sources[source.ssrc]
            stream, join = self.streams.get(source.index), self.joins.get(source.index)
            if stream is not None:
                stream.retire(source)
            if isinstance(join, Partner):
                join.endpoint.outbound.pop(source.ssrc, None)

    def learn_untrusted(self, size: int, now: float) -> Source | None:
        index = index_untrusted(self, size)
        if index is None:
            return None
        stream = self.streams[index]
        ssrc = int.from_bytes(self.relay.buffer.view[8:12], "big")
        source = self.sources[ssrc] = Source(ssrc, index, stream.rates)
        self._preset(source)
        if not stream.heard:
            stream.heard = True
            self.tell(EventKind.MEDIA_STARTED, f"{describe(stream.spec)} is heard from {self.peer}", index)
        return source

    def on_unknown_payload_type(self, source: Source, payload_type: int, now: float) -> bool:
        self.drop("unknown_pt")
        return False

    # Keys.

    def take_keys(self, keys: SrtpKeys | None) -> None:
        if self.keys.take(keys):
            self.path.unprotect = self.keys.unprotect
            self.preset()

    # Time and events.

    @property
    def peer(self) -> str:
        return show(self.port.remote or self.remote.rtp)

    def step(self, sentence: str) -> None:
        self.timeline.append(TimelineStep(self.relay.clock(), sentence))

    def tell(self, kind: EventKind, sentence: str, index: int | None = None) -> None:
        now = self.relay.clock()
        self.timeline.append(TimelineStep(now, sentence))
        self._on_event(MediaEvent(kind, now, sentence, index))

    def tick(self, now: float) -> None:
        """About once a second."""
        if self.closed:
            return
        if self.secured is not None:
            self.secured.tick(now)
        for index, line in self.lines.items():
            stream = self.streams.get(index)
            if stream is not None:
                line.tick(self, stream, now)
        if rename_returned(self):
            self.preset_sources()
        watch_silence(self, now)
