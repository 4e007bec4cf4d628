"""Exchange: one offer from one leg to another, and the answers to it; what happens in between is undone with it.

The offer is read and rewritten for the other leg without touching what stands; an answer settles both legs'
lines. An answer may come more than once (183, then 200; or from several phones behind one branch): each is made
from the same offer. RFC 3264, 9143 (BUNDLE), 9429, 5763, 4568.
"""

from collections.abc import Callable, Sequence

from attrs import define, evolve

from appliance.media.backend import MID_URI, DtlsRole
from appliance.media.leg import Leg, LegLine, Transport
from appliance.media.reading import bundle_groups, learn, read_line
from appliance.media.stream import agreed_codecs, stream_spec
from appliance.rtc.errors import BadMedia
from appliance.rtc.sdp import Field, Media, Session, attribute
from appliance.rtc.sdp_codecs import Codec, answered, codecs_of, collide, events_at_leading_clock, offered
from appliance.rtc.sdp_convert import Crossing, converted_body, converted_session, extensions_of
from appliance.rtc.sdp_crypto import Crypto
from appliance.rtc.sdp_direction import both, reversed_direction
from appliance.rtc.sdp_transport import LocalTransport, TransportKind, connection_field

Reserve = Callable[[Leg, list[LegLine]], list[LegLine]]
"""Gives each line that is not refused its transport, a standing one or a new one. Raises PortsExhausted."""


@define(eq=False)
class Exchange:
    """`offerer_lines` and `answerer_lines` are what the offer proposes, `settled` what the last answer made of
    them. `muxed` says per line whether our offer named rtcp-mux."""

    offerer: Leg
    answerer: Leg
    offer: Session
    offerer_lines: list[LegLine]
    answerer_lines: list[LegLine]
    offered: Session
    muxed: list[bool]
    settled: tuple[list[LegLine], list[LegLine]] | None = None

    def lines_of(self, leg: Leg) -> list[list[LegLine]]:
        """All that keeps a transport of the leg alive: what is proposed and what is settled."""
        if leg is not self.offerer and leg is not self.answerer:
            return []
        side = 0 if leg is self.offerer else 1
        proposed = (self.offerer_lines, self.answerer_lines)[side]
        return [proposed] if self.settled is None else [proposed, self.settled[side]]

    def finish(self) -> None:
        """No other answer will come: what the last one refused is not kept ready any longer."""
        if self.settled is not None:
            self.offerer_lines = _still_open(self.offerer_lines, self.settled[0])
            self.answerer_lines = _still_open(self.answerer_lines, self.settled[1])


def _still_open(proposed: list[LegLine], settled: list[LegLine]) -> list[LegLine]:
    return [line if now.kind is not None else now for line, now in zip(proposed, settled, strict=True)]


def crossing(source: Leg, source_webrtc: bool, target: Leg, target_webrtc: bool) -> Crossing:
    plain = [leg for leg, webrtc in ((source, source_webrtc), (target, target_webrtc)) if not webrtc]
    return Crossing(source_webrtc, target_webrtc, all(leg.takes_feedback for leg in plain))


def bundles_of(lines: Sequence[LegLine]) -> list[list[str]]:
    """The mids of each group that has an m-line in use."""
    groups: dict[int, list[str]] = {}
    for line in lines:
        if line.kind is not None and line.group is not None and line.mid is not None:
            groups.setdefault(line.group, []).append(line.mid)
    return list(groups.values())


def shares_payload_type(lines: Sequence[LegLine], codecs: Sequence[Sequence[Codec]], index: int) -> bool:
    """Whether another m-line of the same group uses one of this line's payload types, so that only the MID
    header extension tells them apart (RFC 9143 §9.2)."""
    mine = {codec.payload_type for codec in codecs[index]}
    return any(
        other != index and line.group is not None and line.group == lines[index].group and line.kind is not None
        and not mine.isdisjoint(codec.payload_type for codec in codecs[other])
        for other, line in enumerate(lines)
    )  # fmt: skip


# --- the offer ---


def make_offer(offerer: Leg, answerer: Leg, offer: Session, offerer_lines: list[LegLine], reserve: Reserve) -> Exchange:
    """Rewrite an offer, read by read_offer, for the answerer. Raises BadMedia (488) and PortsExhausted; what
    stands has not changed then, though transports may have been opened that nobody uses."""
    proposed: list[LegLine] = []
    # The oldest form of hold, port 0 in every m-line. A browser left without any transport never ends gathering
    # candidates and so never answers: its lines stay, inactive.
    parked = all(line.kind is None for line in offerer_lines)
    for index, line in enumerate(offerer_lines):
        proposed.append(_propose(answerer, proposed, index, line, offerer, parked))
    if any(line.kind for line in offerer_lines) and not any(line.kind for line in proposed):
        raise BadMedia("sdp-no-codec", "; ".join(dict.fromkeys(line.reason for line in proposed)))
    refused_anew = [
        mine if theirs.kind is not None else mine.refused(theirs.reason)
        for mine, theirs in zip(offerer_lines, proposed, strict=True)
    ]
    mine = reserve(offerer, refused_anew)
    theirs = reserve(answerer, proposed)
    codecs = [line.codecs for line in theirs]
    medias: list[Media] = []
    muxed: list[bool] = []
    for index, line in enumerate(theirs):
        mux = line.transport is not None and _offers_mux(answerer, line.transport, index)
        muxed.append(mux)
        if line.kind is not None and mine[index].kind is None:
            medias.append(_parked_media(answerer, line, mux, index))
            continue
        medias.append(_offered_media(answerer, line, mine[index], offer.media[index], offerer, mux, index))
        if line.webrtc and not mine[index].webrtc and shares_payload_type(theirs, codecs, index):
            medias[index] = _with_field(medias[index], attribute("extmap", f"1 {MID_URI}"))
    way = crossing(offerer, any(n.webrtc for n in mine), answerer, any(n.webrtc for n in theirs))
    session = converted_session(offer, way, connection=connection_field(answerer.host), bundles=bundles_of(theirs))
    described = answerer.describe(session, medias)
    return Exchange(offerer, answerer, offer, mine, theirs, described, muxed)


def _propose(leg: Leg, before: Sequence[LegLine], index: int, source: LegLine, offerer: Leg, parked: bool) -> LegLine:
    """The answerer's line for one of the offerer's: what kind of transport, which codecs, which mid and group."""
    standing = leg.lines[index] if index < len(leg.lines) else None
    if standing is not None and (standing.kind is None or standing.media_kind != source.media_kind):
        standing = None
    kind = standing.kind if standing is not None else leg.offer_kind
    assert kind is not None
    webrtc = kind is TransportKind.WEBRTC
    line = LegLine(
        media_kind=source.media_kind,
        protocol=source.protocol,
        formats=source.formats,
        mid=_mid(leg, before, index, source, standing) if webrtc or not source.webrtc else None,
    )
    if source.kind is None:
        if parked and standing is not None and webrtc and leg.sent is not None:
            return evolve(
                line,
                protocol=standing.protocol,
                kind=kind,
                group=standing.group,
                codecs=codecs_of(leg.sent.media[index]) or standing.codecs,  # an offer that came to nothing had none
                peer=standing.peer,
            )
        return line.refused(source.reason)
    if kind is TransportKind.SDES and not leg.profile.sdes_allowed:
        return line.refused(f"m={source.media_kind}: a=crypto without secure signalling (RFC 4568, 7)")
    codecs = offered(source.codecs, crossing=source.webrtc != webrtc, to_plain=not webrtc)
    if not any(codec.carries_media for codec in codecs):
        return line.refused(f"m={source.media_kind} names no codec that can cross")
    group: int | None = None
    if standing is not None:
        group = standing.group
    elif webrtc and leg.bundles:
        members = [other.codecs for other in before if other.kind is not None and other.group == 0]
        group = None if any(collide(codecs, others) for others in members) else 0
    return evolve(
        line,
        protocol=standing.protocol if standing else leg.protocol_for(kind, source.media_kind),
        kind=kind,
        group=group,
        direction=reversed_direction(source.direction),
        codecs=events_at_leading_clock(codecs) if webrtc else codecs,
        peer=standing.peer if standing else None,
    )


def _mid(leg: Leg, before: Sequence[LegLine], index: int, source: LegLine, standing: LegLine | None) -> str | None:
    if standing is not None:
        return standing.mid
    if leg.offer_kind is not TransportKind.WEBRTC:
        return source.mid
    if source.kind is None and index < len(leg.lines) and leg.lines[index].mid is not None:
        return leg.lines[index].mid  # refused before and now: the same section; put to use anew, it is another
    taken = {line.mid for line in before} | {line.mid for i, line in enumerate(leg.lines) if i >= index}
    if source.mid is not None and source.mid not in taken:
        return source.mid
    return next(str(n) for n in range(index, index + len(taken) + 2) if str(n) not in taken)


def _offers_mux(leg: Leg, transport: Transport, index: int) -> bool:
    standing = leg.lines[index] if index < len(leg.lines) else None
    agreed = standing is not None and standing.peer is not None and standing.peer.mux
    return transport.mux_only or leg.profile.rtcp_mux or agreed


def _offered_media(
    leg: Leg, line: LegLine, source: LegLine, media: Media, offerer: Leg, mux: bool, index: int
) -> Media:
    if line.transport is None:
        return line.port_zero
    way = crossing(offerer, source.webrtc, leg, line.webrtc)
    local = _offering(leg, line, mux)
    return _media(leg, line, source, media, line.codecs, way, local, source.direction, index)


def _parked_media(leg: Leg, line: LegLine, mux: bool, index: int) -> Media:
    """What we last said of an m-line, made inactive."""
    assert leg.sent is not None
    way = Crossing(from_webrtc=True, to_webrtc=True)
    return _media(
        leg, line, line, leg.sent.media[index], line.codecs, way, _offering(leg, line, mux), "inactive", index
    )


def _offering(leg: Leg, line: LegLine, mux: bool) -> LocalTransport:
    assert line.transport is not None
    cryptos: tuple[Crypto, ...] = ()
    if line.kind is TransportKind.SDES:
        cryptos = line.transport.offered_cryptos(leg.options)
    with_ice = line.peer is None or line.peer.has_ice
    return leg.local(line, mux=mux, setup="actpass", cryptos=cryptos, with_ice=with_ice)


def _media(
    leg: Leg,
    line: LegLine,
    source: LegLine,
    media: Media,
    codecs: Sequence[Codec],
    way: Crossing,
    local: LocalTransport,
    direction: str,
    index: int,
) -> Media:
    """Our m-line to `leg`, made from the other leg's `media`."""
    body = converted_body(
        media,
        codecs,
        way,
        direction,
        msid=f"{leg.msid_stream} {line.media_kind}{index}",
        same_mid=line.mid == source.mid,
    )
    heading = [item for item in body if item.type != "a"]
    return Media(
        kind=line.media_kind,
        port=local.rtp_port,
        protocol=line.protocol,
        formats=tuple(str(codec.payload_type) for codec in codecs),
        fields=(*heading, *local.fields(), *(item for item in body if item.type == "a")),
    )


def _with_field(media: Media, item: Field) -> Media:
    return evolve(media, fields=(*media.fields, item))


# --- the answer ---


def make_answer(exchange: Exchange, answer: Session) -> Session:
    """Settle the exchange by the answerer's SDP: transports are told, both legs' lines stand, and the answer for
    the offerer is returned.

    Raises BadMedia: 400 for what cannot be read, 488 where it does not fit the offer or nothing of it can be
    carried; nothing has changed then.
    """
    answer = _filled_up(exchange, answer)
    theirs = _read_answer(exchange, answer)
    mine = [
        line if other.kind is not None else line.refused(other.reason)
        for line, other in zip(exchange.offerer_lines, theirs, strict=True)
    ]
    chosen = _chosen_cryptos(exchange, mine)
    _tell_answerer(exchange, theirs)
    roles = _tell_offerer(exchange, mine, chosen)
    medias: list[Media] = []
    codecs = [line.codecs for line in theirs]
    for index, line in enumerate(mine):
        if line.transport is None or line.peer is None:
            medias.append(line.port_zero)
            continue
        role = roles.get(id(line.transport))
        local = exchange.offerer.local(
            line,
            mux=line.peer.mux,
            setup="active" if role is DtlsRole.CLIENT else "passive",
            cryptos=(chosen[index][0],) if index in chosen else (),
            with_ice=line.peer.has_ice,
        )
        other = theirs[index]
        way = crossing(exchange.answerer, other.webrtc, exchange.offerer, line.webrtc)
        told = events_at_leading_clock(other.codecs) if line.webrtc else other.codecs
        media = _media(exchange.offerer, line, other, answer.media[index], told, way, local, other.direction, index)
        if line.webrtc and not other.webrtc and shares_payload_type(mine, codecs, index):
            media = _answer_mid_extension(media, exchange.offer, index)
        medias.append(media)
    way = crossing(exchange.answerer, any(n.webrtc for n in theirs), exchange.offerer, any(n.webrtc for n in mine))
    host = connection_field(exchange.offerer.host)
    session = converted_session(answer, way, connection=host, bundles=bundles_of(mine))
    described = exchange.offerer.describe(session, medias)
    _settle(exchange, answer, described, mine, theirs)
    return described


def _filled_up(exchange: Exchange, answer: Session) -> Session:
    """Some phones leave the m-lines out that they refuse; one that is there must stand where the offer had it."""
    offered_media = exchange.offered.media
    if len(answer.media) > len(offered_media):
        raise BadMedia(
            "sdp-answer-lines",
            f"the answer has {len(answer.media)} m= lines to an offer of {len(offered_media)} (RFC 3264, 6)",
        )
    for ours, theirs in zip(offered_media, answer.media, strict=False):
        if ours.kind != theirs.kind:
            raise BadMedia("sdp-answer-lines", f"the answer has m={theirs.kind} where the offer had m={ours.kind}")
    missing = offered_media[len(answer.media) :]
    return evolve(answer, media=(*answer.media, *(media.refused() for media in missing)))


def _read_answer(exchange: Exchange, answer: Session) -> list[LegLine]:
    """The answerer's lines, with codecs and direction cut down to what the offer allows."""
    leg = exchange.answerer
    mids = [line.mid for line in exchange.answerer_lines]
    groups = bundle_groups(answer, mids)
    lines: list[LegLine] = []
    transports: set[int] = set()
    failures: list[str] = []
    for index, proposed in enumerate(exchange.answerer_lines):
        media = answer.media[index]
        if proposed.transport is None or proposed.kind is None:
            lines.append(proposed)
            continue
        read = read_line(leg, answer, media, proposed.mid, groups)
        reason = read.reason
        codecs = answered(read.codecs, proposed.codecs)
        if read.kind is not None:
            shared = proposed.group is not None and id(proposed.transport) in transports
            if read.kind is not proposed.kind:
                reason = f"m={media.kind} was offered as {proposed.protocol} and answered as {media.protocol}"
            elif not any(codec.carries_media for codec in codecs):
                reason = f"the answer has no codec of the offer's m={media.kind}"
            elif shared and read.group is None:
                reason = f"m={media.kind} was answered outside of the BUNDLE group"
            elif read.kind is TransportKind.SDES and _sdes_pair(exchange, index, read) is None:
                reason = f"a=crypto of m={media.kind} answers none that was offered"
        if reason:
            if media.port != 0:
                failures.append(reason)
            lines.append(proposed.refused(reason))
            continue
        transports.add(id(proposed.transport))
        allowed = reversed_direction(exchange.offerer_lines[index].direction)
        lines.append(
            evolve(proposed, peer=read.peer, codecs=codecs, direction=both(read.direction, allowed), reason="")
        )
    accepted = [line for line in lines if line.kind is not None]
    if failures and not accepted:
        raise BadMedia("sdp-answer-unusable", "; ".join(failures))
    learn(leg, answer, accepted)
    return lines


def _sdes_pair(exchange: Exchange, index: int, read: LegLine) -> tuple[Crypto, Crypto] | None:
    """(ours, theirs) for the key that the answer chose."""
    transport = exchange.answerer_lines[index].transport
    assert transport is not None
    assert read.peer is not None
    ours = {crypto.suite: crypto for crypto in transport.offered_cryptos(exchange.answerer.options)}
    return next(((ours[c.suite], c) for c in read.peer.cryptos if c.suite in ours), None)


def _chosen_cryptos(exchange: Exchange, lines: Sequence[LegLine]) -> dict[int, tuple[Crypto, Crypto]]:
    """(ours, theirs) for each SDES line of the offerer: the first of its keys that we can use, under its tag."""
    chosen: dict[int, tuple[Crypto, Crypto]] = {}
    for index, line in enumerate(lines):
        if line.kind is TransportKind.SDES and line.transport is not None and line.peer is not None:
            theirs = line.peer.cryptos[0]
            key = line.transport.key(theirs.suite, exchange.offerer.options)
            chosen[index] = (Crypto(theirs.tag, theirs.suite, key), theirs)
    return chosen


def _tell_answerer(exchange: Exchange, lines: Sequence[LegLine]) -> None:
    told: set[int] = set()
    for index, line in enumerate(lines):
        if line.transport is None or line.peer is None or id(line.transport) in told:
            continue
        told.add(id(line.transport))
        webrtc = line.kind is TransportKind.WEBRTC
        line.transport.apply(
            line.peer,
            peer_offered=False,
            mux=exchange.muxed[index] and line.peer.mux,
            role=line.transport.role_towards(line.peer, exchange.answerer.options, peer_offered=False)
            if webrtc
            else None,
            sdes=_sdes_pair(exchange, index, line) if line.kind is TransportKind.SDES else None,
            latch_hosts=exchange.answerer.profile.latch_hosts,
        )


def _tell_offerer(
    exchange: Exchange, lines: Sequence[LegLine], chosen: dict[int, tuple[Crypto, Crypto]]
) -> dict[int, DtlsRole | None]:
    """Our DTLS role per transport, by identity."""
    roles: dict[int, DtlsRole | None] = {}
    for index, line in enumerate(lines):
        if line.transport is None or line.peer is None or id(line.transport) in roles:
            continue
        role: DtlsRole | None = None
        if line.kind is TransportKind.WEBRTC:
            role = line.transport.role_towards(line.peer, exchange.offerer.options, peer_offered=True)
        roles[id(line.transport)] = role
        line.transport.apply(
            line.peer,
            peer_offered=True,
            mux=line.peer.mux,
            role=role,
            sdes=chosen.get(index),
            latch_hosts=exchange.offerer.profile.latch_hosts,
        )
    return roles


def _answer_mid_extension(media: Media, offer: Session, index: int) -> Media:
    for number, uri in extensions_of(offer.media[index], offer).items():
        if uri == MID_URI:
            return _with_field(media, attribute("extmap", f"{number} {uri}"))
    return media


def _settle(
    exchange: Exchange, answer: Session, described: Session, mine: list[LegLine], theirs: list[LegLine]
) -> None:
    for index, (line, other) in enumerate(zip(mine, theirs, strict=True)):
        if line.kind is None or other.kind is None:
            continue
        offer_media, offered_media = exchange.offer.media[index], exchange.offered.media[index]
        kept = tuple(str(codec.payload_type) for codec in other.codecs)
        answer_media = evolve(answer.media[index], formats=kept)
        direction = both(line.direction, reversed_direction(other.direction))
        codecs = agreed_codecs(offer_media, described.media[index])
        spec = stream_spec(
            index,
            (exchange.offer, offer_media),
            (described, described.media[index]),
            codecs,
            direction=direction,
            mid=line.mid,
        )
        mine[index] = evolve(line, spec=spec, direction=direction, codecs=codecs)
        codecs = agreed_codecs(offered_media, answer_media)
        spec = stream_spec(
            index,
            (answer, answer_media),
            (exchange.offered, offered_media),
            codecs,
            direction=other.direction,
            mid=other.mid,
        )
        theirs[index] = evolve(other, spec=spec, codecs=codecs)
    exchange.settled = (mine, theirs)
