"""What a leg's own SDP says, line by line: which m-lines can be carried, by what transport, in which BUNDLE group.

RFC 3264 §5 and §6, RFC 9143 §7 (groups, bundle-only), RFC 4568 §7 (SDES where the signalling is secure).
"""

from attrs import evolve, frozen

from appliance.media.leg import Leg, LegLine
from appliance.rtc.errors import BadMedia
from appliance.rtc.sdp import Media, Session
from appliance.rtc.sdp_codecs import codecs_of
from appliance.rtc.sdp_direction import held
from appliance.rtc.sdp_transport import TransportKind, kind_of, read_transport

CARRIED = frozenset({"audio", "video"})


@frozen
class Groups:
    """BUNDLE groups of a description: each mid's group, and each group's m-line that carries the transport."""

    of_mid: dict[str, int]
    tagged: dict[int, Media]


def bundle_groups(session: Session, mids: list[str | None]) -> Groups:
    """`mids` are those of the m-lines by index: the description's own, or the offer's for an answer without."""
    by_mid = {mid: media for mid, media in zip(mids, session.media, strict=False) if mid is not None}
    of_mid: dict[str, int] = {}
    tagged: dict[int, Media] = {}
    for number, group in enumerate(session.groups("BUNDLE")):
        for mid in group:
            if mid not in by_mid or mid in of_mid:
                continue
            of_mid[mid] = number
            if number not in tagged and by_mid[mid].port != 0:
                tagged[number] = by_mid[mid]
    return Groups(of_mid, tagged)


def read_offer(leg: Leg, session: Session) -> list[LegLine]:
    """The leg's m-lines, each either with `peer` set or refused with a reason; transports come later.

    Raises BadMedia: 400 for what cannot be read, 488 where lines went missing or none of those that the leg
    wants can be carried.
    """
    if len(session.media) < len(leg.lines):
        raise BadMedia(
            "sdp-lines-removed",
            f"the offer has {len(session.media)} m= lines where the session has {len(leg.lines)} (RFC 3264, 8)",
        )
    groups = bundle_groups(session, [media.attribute("mid") for media in session.media])
    lines = [read_line(leg, session, media, media.attribute("mid"), groups) for media in session.media]
    accepted = [line for line in lines if line.peer is not None]
    wanted = [line.reason for line, media in zip(lines, session.media, strict=True) if media.port != 0]
    if wanted and not accepted:
        raise BadMedia("sdp-nothing-carried", "; ".join(dict.fromkeys(wanted)))
    learn(leg, session, accepted)
    return lines


def learn(leg: Leg, session: Session, accepted: list[LegLine]) -> None:
    """Remember what the leg showed itself to be."""
    if accepted and accepted[0].peer is not None:
        leg.learned = accepted[0].peer.kind
        if leg.learned is TransportKind.WEBRTC:
            leg.bundles = bool(session.groups("BUNDLE"))


def read_line(leg: Leg, session: Session, media: Media, mid: str | None, groups: Groups) -> LegLine:
    line = LegLine(media_kind=media.kind, protocol=media.protocol, formats=media.formats, mid=mid)
    kind = kind_of(session, media)
    group = groups.of_mid.get(mid) if mid is not None and kind is TransportKind.WEBRTC else None
    if media.port == 0 and not (group is not None and media.has("bundle-only")):
        return line.refused(f"m={media.kind} is not used")
    if media.kind not in CARRIED or kind is None:
        return line.refused(f"m={media.kind} {media.protocol} cannot be carried")
    shared = groups.tagged.get(group) if group is not None else None
    try:
        peer = read_transport(session, media, shared if shared is not media else None)
    except BadMedia as bad:
        if bad.status == 400:
            raise
        return line.refused(str(bad))
    if peer.kind is TransportKind.SDES and not leg.profile.sdes_allowed:
        return line.refused(f"m={media.kind}: a=crypto without secure signalling (RFC 4568, 7)")
    if peer.kind is TransportKind.SDES:
        usable = tuple(crypto for crypto in peer.cryptos if crypto.suite in leg.options.sdes_suites)
        if not usable:
            return line.refused(f"m={media.kind}: no a=crypto with a suite in use here")
        peer = evolve(peer, cryptos=usable)
    codecs = codecs_of(media)
    if not any(codec.carries_media for codec in codecs):
        return line.refused(f"m={media.kind} names no codec")
    direction = session.direction_of(media)
    return LegLine(
        media_kind=media.kind,
        protocol=media.protocol,
        formats=media.formats,
        kind=peer.kind,
        peer=peer,
        mid=mid,
        group=group,
        direction=held(direction) if peer.held else direction,
        codecs=codecs,
    )
