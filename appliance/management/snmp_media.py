"""The media of calls in progress as a table of the MIB: a row for each stream of each leg, both directions in it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Final

import attrs

from ..media.figures import DirectionFigures, StreamFigures, TransportFigures
from ..outlets.snmp.mib import COUNTER64, LABEL, NUMBER, TEXT, TRUTH, UNSIGNED, Field, Index, TableKind, label, truth
from ..outlets.snmp.tree import MOST_ROWS, Value
from ..outlets.snmp.value import Oid
from ..proxy.core import SipCore

MOST_CALLS: Final = 200
"""A look at the media of a call costs more than one at the call itself."""
_KEPT_S: Final = 5.0


@attrs.frozen
class MediaRow:
    transport: TransportFigures
    stream: StreamFigures


def media_table(core: SipCore) -> TableKind[MediaRow]:
    """jfMediaTable."""
    return TableKind(
        1,
        "jfMedia",
        f"The media of calls in progress that goes through the box, of the {MOST_CALLS} oldest calls at most.",
        "One stream of one leg.",
        (
            Index("jfMediaCallSerial", LABEL, "The serial of the call."),
            Index("jfMediaLeg", LABEL, "Its leg: a is the caller's, others those of whom it rang."),
            Index("jfMediaStream", NUMBER, "Which m-line of the SDP, from 1."),
        ),
        (
            Field("jfMediaKind", TEXT, "audio or video.", lambda row: row.stream.kind),
            Field("jfMediaCodec", TEXT, "The codec, once there is media.", lambda row: row.stream.codec),
            Field("jfMediaTransport", TEXT, "RTP, SDES or WEBRTC.", lambda row: row.transport.kind),
            Field("jfMediaPeer", TEXT, "Where its packets go.", lambda row: _address(row.transport.remote)),
            Field(
                "jfMediaSilent",
                TRUTH,
                "Whether nothing has been heard for too long.",
                lambda row: truth(row.stream.silent_since is not None),
            ),
            *_direction("In", "received", lambda row: row.stream.received),
            *_direction("Out", "sent, as the peer reports it", lambda row: row.stream.sent),
        ),
        lambda: _rows(core),
        _KEPT_S,
    )


def _direction(way: str, words: str, of: Callable[[MediaRow], DirectionFigures]) -> tuple[Field[MediaRow], ...]:
    def scaled(read: Callable[[DirectionFigures], float | None], times: int) -> Callable[[MediaRow], Value]:
        def value(row: MediaRow) -> Value:
            found = read(of(row))
            return None if found is None else max(0, round(found * times))

        return value

    return (
        Field(f"jfMedia{way}Packets", COUNTER64, f"Packets {words.partition(',')[0]}.", lambda row: of(row).packets),
        Field(
            f"jfMedia{way}Loss",
            UNSIGNED,
            f"Packets lost of those {words}, where measured.",
            scaled(lambda one: one.loss_percent, 100),
            "hundredths of a percent",
        ),
        Field(
            f"jfMedia{way}Jitter",
            UNSIGNED,
            f"Jitter of those {words}, where measured.",
            scaled(lambda one: one.jitter_ms, 1000),
            "microseconds",
        ),
        Field(
            f"jfMedia{way}Mos",
            UNSIGNED,
            f"How those {words} sound, reckoned (ITU-T G.107), where measured.",
            scaled(lambda one: one.mos, 100),
            "hundredths of MOS",
        ),
    )


def _rows(core: SipCore) -> dict[Oid, MediaRow]:
    found: dict[Oid, MediaRow] = {}
    for call in islice((call for call in core.calls if call.media is not None), MOST_CALLS):
        if call.media is None:
            continue
        for leg in call.media.media.snapshot().legs:
            for transport in leg.transports:
                for stream in transport.streams:
                    found[(*label(call.serial), *label(leg.name), stream.index + 1)] = MediaRow(transport, stream)
    return dict(islice(found.items(), MOST_ROWS))


def _address(address: tuple[str, int] | None) -> str | None:
    if address is None:
        return None
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
