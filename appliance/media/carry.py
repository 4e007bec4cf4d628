"""RTCP on its way through: every packet of a compound goes where the media that it speaks of goes or comes
from.

One bundle may be joined to several endpoints, so a compound is taken apart where it must be: an SR follows
its sender's media, report blocks and feedback go back to where that media came from, SDES and BYE follow
their SSRC. Feedback that the receiver did not negotiate stops here. Round trips and the peer's view of loss
are read in passing. RFC 3550 §6, 4585, 5104, 5506, 8108.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from appliance.media.relaystream import Partner, Stream
from appliance.rtc.rtcp import (
    BYE,
    RR,
    SDES,
    SR,
    RtcpPacket,
    build_bye,
    build_packet,
    build_receiver_report,
    chunks_untrusted,
    map_ssrcs_untrusted,
    parse_rtcp_untrusted,
)

if TYPE_CHECKING:
    from appliance.media.endpoint import RelayEndpoint

SR_MEMORY = 8
MAX_REMEMBERED = 128
Outgoing = dict[tuple[int, int], tuple["RelayEndpoint", Stream, list[bytes]]]
"""By (id of endpoint, m-line for lines, else -1): one datagram each."""


class SentReports:
    """When we sent which SR on, to measure the round trip of our own leg from the report blocks that answer
    it."""

    def __init__(self) -> None:
        self._sent: dict[int, dict[int, float]] = {}

    def remember_as(self, packet: RtcpPacket, ssrc: int, now: float) -> None:
        info = packet.sender_info
        if info is None:
            return
        if len(self._sent) > MAX_REMEMBERED:
            self._sent.clear()
        times = self._sent.setdefault(ssrc, {})
        times[info.middle] = now
        while len(times) > SR_MEMORY:
            del times[next(iter(times))]

    def round_trip_ms(self, ssrc: int, lsr: int, dlsr: int, now: float) -> float | None:
        sent = self._sent.get(ssrc, {}).get(lsr)
        if sent is None:
            return None
        return max(0.0, 1000.0 * (now - sent) - 1000.0 * dlsr / 65536.0)


def carry_untrusted(endpoint: RelayEndpoint, data: bytes, now: float) -> None:
    """Account and pass on one compound from this endpoint's peer. Raises BadMedia."""
    packets = parse_rtcp_untrusted(data)
    outgoing: Outgoing = {}
    for packet in packets:
        _account(endpoint, packet, now)
    for stream in endpoint.lines_concerned(packets):
        endpoint.lines[stream.spec.index].take_rtcp(endpoint, stream, data)
    for packet in packets:
        if packet.kind in (SR, RR):
            _carry_report(endpoint, packet, outgoing)
        elif packet.kind == SDES:
            _carry_chunks(endpoint, packet, outgoing)
        elif packet.kind == BYE:
            _carry_bye(endpoint, packet, outgoing)
        elif (name := packet.feedback_name()) is not None:
            _carry_feedback(endpoint, packet, name, outgoing)
        elif (target := _partner_of_source(endpoint, packet.sender)) is not None:
            _put(outgoing, target, packet.raw)
    for other, _, pieces in outgoing.values():
        names = endpoint.aliases | {alias: ssrc for ssrc, alias in other.aliases.items()}
        whole = b"".join(pieces)
        other.send_rtcp(_renamed(whole, names) if names else whole)
        for packet in packets:
            if packet.kind == SR:
                other.sent_reports.remember_as(packet, names.get(packet.sender, packet.sender), now)


def _renamed(data: bytes, names: Mapping[int, int]) -> bytes:
    """Each SSRC by the name that the receiver knows (returning.py)."""
    return b"".join(
        map_ssrcs_untrusted(packet, lambda ssrc: names.get(ssrc, ssrc)) for packet in parse_rtcp_untrusted(data)
    )


def _account(endpoint: RelayEndpoint, packet: RtcpPacket, now: float) -> None:
    for block in packet.blocks:
        index = endpoint.outbound.get(block.ssrc)
        stream = None if index is None else endpoint.streams.get(index)
        if stream is None:
            continue
        if len(stream.reports) < 64 or block.ssrc in stream.reports:
            stream.reports[block.ssrc] = (block, now)
        rtt_ms = endpoint.sent_reports.round_trip_ms(block.ssrc, block.lsr, block.dlsr, now)
        if rtt_ms is not None:
            stream.rtt_ms = rtt_ms


Target = tuple["RelayEndpoint", Stream]


def _resolve(endpoint: RelayEndpoint, index: int | None) -> Target | None:
    """The partner of our m-line `index`."""
    join = None if index is None else endpoint.joins.get(index)
    if not isinstance(join, Partner):
        return None
    stream = join.endpoint.streams.get(join.index)
    return None if stream is None else (join.endpoint, stream)


def _partner_of_source(endpoint: RelayEndpoint, ssrc: int) -> Target | None:
    """Where media of this sender goes. A sender that only listens has none: with one m-line it is clear
    anyway."""
    source = endpoint.sources.get(ssrc)
    if source is not None:
        return _resolve(endpoint, source.index)
    return _resolve(endpoint, next(iter(endpoint.streams))) if len(endpoint.streams) == 1 else None


def _partner_of_media(endpoint: RelayEndpoint, ssrc: int) -> Target | None:
    """Where media that we sent to this peer came from."""
    index = endpoint.outbound.get(ssrc)
    if index is None and len(endpoint.streams) == 1:
        index = next(iter(endpoint.streams))
    return _resolve(endpoint, index)


def _put(outgoing: Outgoing, target: Target, piece: bytes) -> None:
    other, stream = target
    outgoing.setdefault((id(other), -1), (other, stream, []))[2].append(piece)


def _carry_report(endpoint: RelayEndpoint, packet: RtcpPacket, outgoing: Outgoing) -> None:
    sender = _partner_of_source(endpoint, packet.sender)
    blocks = [(block, _partner_of_media(endpoint, block.ssrc)) for block in packet.blocks]
    targets = {id(target[0]): target for _, target in blocks if target is not None}
    if (packet.kind == SR and sender is not None) or (not blocks and sender is not None):
        targets[id(sender[0])] = sender
    for target in targets.values():
        theirs = [block for block, other in blocks if other is not None and other[0] is target[0]]
        carries_sr = packet.kind == SR and sender is not None and sender[0] is target[0]
        if len(theirs) == len(blocks) and (carries_sr or packet.kind == RR):
            piece = packet.raw
        elif carries_sr:
            piece = build_packet(SR, len(theirs), packet.body[:24] + b"".join(block.pack() for block in theirs))
        else:
            piece = build_receiver_report(packet.sender, theirs)
        _put(outgoing, target, piece)


def _carry_chunks(endpoint: RelayEndpoint, packet: RtcpPacket, outgoing: Outgoing) -> None:
    """An SDES follows its source; that of a mere listener goes along with its reports."""
    concerned = list(outgoing.values())
    for ssrc, chunk in chunks_untrusted(packet):
        piece = build_packet(SDES, 1, chunk)
        target = _partner_of_source(endpoint, ssrc)
        if target is not None:
            _put(outgoing, target, piece)
        elif ssrc not in endpoint.sources:
            for other, stream, _ in concerned:
                _put(outgoing, (other, stream), piece)


def _carry_bye(endpoint: RelayEndpoint, packet: RtcpPacket, outgoing: Outgoing) -> None:
    for n in range(packet.count):
        ssrc = int.from_bytes(packet.body[4 * n : 4 * n + 4], "big")
        target = _partner_of_source(endpoint, ssrc)
        if target is not None:
            _put(outgoing, target, build_bye((ssrc,)))


def _carry_feedback(endpoint: RelayEndpoint, packet: RtcpPacket, name: str, outgoing: Outgoing) -> None:
    done: set[int] = set()
    for ssrc in packet.targets():
        target = _partner_of_media(endpoint, ssrc)
        if target is None or id(target[0]) in done:
            continue
        done.add(id(target[0]))
        other, stream = target
        if name not in other.feedback_taken(stream):
            other.drop("feedback_not_negotiated")
            continue
        _put(outgoing, target, packet.raw)
