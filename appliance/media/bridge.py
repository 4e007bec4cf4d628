"""Bridge: turns each leg's SDP into the other leg's, opens the endpoints that it names, and joins their streams.

The proxy calls it with the SDP bytes of each offer and answer and sends on what it returns. All is synchronous;
packets are the backend's. RFC 3264, and the RFCs that exchange, reading and leg name.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

from attrs import evolve

from appliance.media.backend import EndpointKind, Line, LocalParameters, MediaBackend, MediaEvent
from appliance.media.exchange import Exchange, make_answer, make_offer
from appliance.media.figures import CallMedia, leg_figures
from appliance.media.leg import Leg, LegLine, Transport
from appliance.media.profile import BridgeOptions, Profile, ProfileKind
from appliance.media.reading import read_offer
from appliance.media.testline import LineEndpoint, line_answer, line_offer
from appliance.media.watch import Stream, Watch
from appliance.rtc.errors import BadMedia
from appliance.rtc.sdp import Session, parse_untrusted
from appliance.rtc.sdp_transport import TransportKind

__all__ = ["Bridge", "MediaCall"]


class MediaCall:
    """The media of one call: leg "a" is the caller, "b1", "b2".. are the branches of a fork.

    Every method is synchronous. `offer` and `answer` raise BadMedia (its `status` is 400 for SDP that cannot be
    read and 488 for media that cannot be carried, its text names the line); `offer`, `answer_line` and
    `offer_line` also raise PortsExhausted (503). After either, everything stands as before the call.
    """

    def __init__(
        self, backend: MediaBackend, options: BridgeOptions, call_id: str, on_dead: Callable[[str], None]
    ) -> None:
        self._backend = backend
        self._options = options
        self._call_id = call_id
        self._legs: dict[str, Leg] = {}
        self._pending: dict[frozenset[str], Exchange] = {}
        self._done: dict[frozenset[str], Exchange] = {}
        self._transports: dict[int, Transport] = {}
        self._joined: dict[tuple[str, int], tuple[str, int]] = {}
        self._watch = Watch(on_dead, self._talking)
        self._closed = False

    def add_leg(self, leg: str, profile: Profile) -> None:
        """Make a leg known. A second time: its profile from now on, for m-lines yet to be offered."""
        known = self._legs.get(leg)
        if known is not None:
            known.profile = profile
            return
        session_id = int.from_bytes(self._options.random_bytes(8), "big") >> 2
        self._legs[leg] = Leg(leg, profile, session_id, self._options)

    def offer(self, sdp: bytes, *, from_leg: str, to_leg: str) -> bytes:
        """The offer to send on `to_leg`. The initial INVITE's may be converted for several legs."""
        return self._offer(parse_untrusted(sdp), self._legs[from_leg], self._legs[to_leg]).to_bytes()

    def answer(self, sdp: bytes, *, from_leg: str, to_leg: str, final: bool = True) -> bytes:
        """The answer to send on `to_leg` (the offerer). Joins the two legs, whichever was joined before. It may
        come again (183, then 200): `final` False keeps the ports of what is refused in case the next one does
        not."""
        return self._answer(parse_untrusted(sdp), self._legs[from_leg], self._legs[to_leg], final).to_bytes()

    def reject_offer(self, *, from_leg: str, to_leg: str) -> None:
        """The offer was refused or cancelled: all as before it."""
        pending = self._pending.get(frozenset((from_leg, to_leg)))
        if pending is not None and pending.offerer.name == from_leg:
            del self._pending[frozenset((from_leg, to_leg))]
            self._sweep()

    def select_leg(self, leg: str) -> None:
        """This branch won: its streams are the caller's, also if another branch sent early media later.
        The other branches stay until drop_leg."""
        for pair, exchange in self._done.items():
            if leg in pair:
                exchange.finish()
                self._establish(exchange)
        self._sweep()

    def drop_leg(self, leg: str) -> None:
        """The branch is lost, its ports go back. Harmless for an unknown leg."""
        if self._legs.pop(leg, None) is None:
            return
        for exchanges in (self._pending, self._done):
            for pair in [pair for pair in exchanges if leg in pair]:
                del exchanges[pair]
        for (name, index), (other, _) in list(self._joined.items()):
            if other == leg and name in self._legs:
                self._leave(self._legs[name], index)
            if leg in (name, other):
                self._joined.pop((name, index), None)
        self._watch.forget(leg)
        self._sweep()

    def answer_line(self, sdp: bytes, *, leg: str, line: Line) -> bytes:
        """The appliance itself answers the leg's offer (also a re-offer) with a test line."""
        peer = self._legs[leg]
        test_line = self._line_leg(peer, line)
        offered = self._offer(parse_untrusted(sdp), peer, test_line)
        try:
            answer = line_answer(line, offered, peer.profile.host)
        except BadMedia:
            self.reject_offer(from_leg=leg, to_leg=test_line.name)
            raise
        return self._answer(answer, test_line, peer, final=True).to_bytes()

    def offer_line(self, *, leg: str, line: Line) -> bytes:
        """The appliance itself offers (INVITE without SDP); the ACK's SDP goes to accept_line."""
        peer = self._legs[leg]
        test_line = self._line_leg(peer, line)
        return self._offer(line_offer(line, peer.profile.host), test_line, peer).to_bytes()

    def accept_line(self, sdp: bytes, *, leg: str) -> None:
        """The leg's answer to offer_line."""
        self._answer(parse_untrusted(sdp), self._legs[leg], self._legs[_line_name(leg)], final=True)

    def close(self) -> None:
        """Give all ports back. Safe to call twice."""
        self._closed = True
        self._pending.clear()
        self._done.clear()
        self._joined.clear()
        self._legs.clear()
        self._sweep()
        self._watch.end()

    def snapshot(self) -> CallMedia:
        """What the media of this call is doing now."""
        silent = {key: event.at for key, event in self._watch.silent.items()}
        legs = (leg for leg in self._legs.values() if leg.line is None)
        return CallMedia(self._call_id, tuple(leg_figures(leg, silent, self._joined) for leg in legs))

    # --- offers and answers ---

    def _offer(self, session: Session, offerer: Leg, answerer: Leg) -> Session:
        pair = frozenset((offerer.name, answerer.name))
        try:
            lines = read_offer(offerer, session)
            exchange = make_offer(offerer, answerer, session, lines, self._reserve)
            self._pending[pair] = exchange
        finally:
            self._sweep()
        return exchange.offered

    def _answer(self, session: Session, answerer: Leg, offerer: Leg, final: bool) -> Session:
        pair = frozenset((offerer.name, answerer.name))
        known = (self._pending.get(pair), self._done.get(pair))
        exchange = next((e for e in known if e is not None and e.offerer is offerer), None)
        if exchange is None:
            if pair in self._done and pair not in self._pending and offerer.sent is not None:
                # A 2xx that repeats SDP after an UPDATE has settled the session: nothing is left to answer, and
                # its receiver will not look (RFC 3261 §13.2.1), but what it sees must be ours.
                return offerer.sent
            raise BadMedia("sdp-no-offer", f"leg {answerer.name} answers where nothing was offered")
        described = make_answer(exchange, session)
        self._pending.pop(pair, None)
        self._done[pair] = exchange
        if final:
            exchange.finish()
        self._establish(exchange)
        self._sweep()
        return described

    def _establish(self, exchange: Exchange) -> None:
        """Write a settled exchange into the backend: streams first, then who is joined to whom."""
        if exchange.settled is None:
            return
        offerer, answerer = exchange.offerer, exchange.answerer
        mine, theirs = exchange.settled
        for leg, lines in ((offerer, mine), (answerer, theirs)):
            for index, line in enumerate(leg.lines):
                if line.transport is not None and not _carries_on(lines, index, line):
                    self._leave(leg, index)
            leg.lines = tuple(lines)
            self._watch.excuse(leg.name, {i for i, n in enumerate(lines) if n.spec and n.spec.receive})
            _set_streams(leg, lines)
        for index, (line, other) in enumerate(zip(mine, theirs, strict=True)):
            if line.transport is None or other.transport is None:
                continue
            self._join(offerer, line.transport, answerer, other.transport, index)

    def _join(self, one: Leg, first: Transport, two: Leg, second: Transport, index: int) -> None:
        if two.line is not None:
            self._backend.join_line(first.endpoint, index, two.line)
        elif one.line is not None:
            self._backend.join_line(second.endpoint, index, one.line)
        else:
            self._backend.join(first.endpoint, index, second.endpoint, index)
        for key, partner in (((one.name, index), two.name), ((two.name, index), one.name)):
            before = self._joined.get(key)
            if before is not None and before[0] != partner:
                self._joined.pop(before, None)
            self._joined[key] = (partner, index)

    def _leave(self, leg: Leg, index: int) -> None:
        line = leg.lines[index] if index < len(leg.lines) else None
        if line is not None and line.transport is not None and leg.line is None:
            self._backend.leave(line.transport.endpoint, index)
        partner = self._joined.pop((leg.name, index), None)
        if partner is not None:
            self._joined.pop(partner, None)

    # --- transports ---

    def _reserve(self, leg: Leg, lines: list[LegLine]) -> list[LegLine]:
        """Standing transports where they fit, opened ones else. Raises PortsExhausted."""
        taken: set[int] = set()
        by_group: dict[int, Transport] = {}
        reserved: list[LegLine] = []
        for index, line in enumerate(lines):
            if line.kind is None:
                reserved.append(line)
                continue
            transport = by_group.get(line.group) if line.group is not None else None
            if transport is None:
                indices = [index]
                if line.group is not None:
                    indices += [i for i, other in enumerate(lines) if other.group == line.group and i > index]
                mux = line.kind is TransportKind.WEBRTC or (line.peer is not None and line.peer.mux)
                transport = self._standing(leg, indices, line.kind, mux, taken)
                if transport is None:
                    transport = self._open(leg, line.kind, mux)
                taken.add(id(transport))
                if line.group is not None:
                    by_group[line.group] = transport
            reserved.append(evolve(line, transport=transport))
        return reserved

    def _standing(
        self, leg: Leg, indices: Iterable[int], kind: TransportKind, mux: bool, taken: set[int]
    ) -> Transport | None:
        versions = list(self._kept_lines(leg))
        for index in indices:
            for lines in versions:
                transport = lines[index].transport if index < len(lines) else None
                if transport is None or transport.kind is not kind or id(transport) in taken:
                    continue
                if mux or not transport.mux_only:
                    return transport
        return None

    def _open(self, leg: Leg, kind: TransportKind, mux: bool) -> Transport:
        if leg.line is not None:
            transport = Transport(LineEndpoint(LocalParameters(leg.host, 9)), kind, mux)
        else:

            def on_event(event: MediaEvent, name: str = leg.name) -> None:
                if not self._closed:
                    self._watch.hear(name, event)

            endpoint = self._backend.open_endpoint(
                EndpointKind[kind.name], leg.profile.host, mux=mux, on_event=on_event
            )
            transport = Transport(endpoint, kind, mux)
        self._transports[id(transport)] = transport
        return transport

    def _kept_lines(self, leg: Leg) -> Iterator[Sequence[LegLine]]:
        yield leg.lines
        for exchanges in (self._pending, self._done):
            for exchange in exchanges.values():
                yield from exchange.lines_of(leg)

    def _sweep(self) -> None:
        """Close what neither stands nor is proposed by any offer."""
        alive: set[int] = set()
        for leg in self._legs.values():
            for lines in self._kept_lines(leg):
                alive.update(id(line.transport) for line in lines if line.transport is not None)
        for key in [key for key in self._transports if key not in alive]:
            self._transports.pop(key).endpoint.close()

    def _line_leg(self, peer: Leg, line: Line) -> Leg:
        name = _line_name(peer.name)
        leg = self._legs.get(name)
        if leg is None:
            leg = Leg(name, Profile(ProfileKind.RTP, peer.profile.host), 0, self._options, line)
            self._legs[name] = leg
        leg.line = line
        return leg

    def _talking(self) -> Iterator[Stream]:
        for name, index in self._joined:
            leg = self._legs.get(name)
            if leg is None or leg.line is not None or index >= len(leg.lines):
                continue
            spec = leg.lines[index].spec
            if spec is not None and spec.send and spec.receive:
                yield (name, index, spec.kind)


def _line_name(leg: str) -> str:
    return f"{leg} line"


def _carries_on(lines: Sequence[LegLine], index: int, line: LegLine) -> bool:
    return index < len(lines) and lines[index].transport is line.transport


def _set_streams(leg: Leg, lines: Sequence[LegLine]) -> None:
    transports = {id(line.transport): line.transport for line in lines if line.transport is not None}
    for key, transport in transports.items():
        transport.endpoint.set_streams(
            [
                evolve(line.spec, dscp=leg.profile.dscp(line.media_kind), trust_dscp=leg.profile.trust_dscp)
                for line in lines
                if id(line.transport) == key and line.spec is not None
            ]
        )


class Bridge:
    """One per appliance."""

    def __init__(self, backend: MediaBackend, options: BridgeOptions | None = None) -> None:
        self._backend = backend
        self._options = options or BridgeOptions()

    def open_call(self, call_id: str, on_dead: Callable[[str], None] | None = None) -> MediaCall:
        """`on_dead` is called, once, with the sentence why, when nothing has been heard for the silence limit on
        any stream that should be heard; the owner ends the call."""
        return MediaCall(self._backend, self._options, call_id, on_dead or (lambda _sentence: None))
