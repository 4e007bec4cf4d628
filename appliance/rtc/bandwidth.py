"""What a session description asks of the network: bit/s one way, headers down to IP included, audio and video apart.

Audio by codec and packet time (RFC 3551, RFC 4566 a=ptime); video by b=TIAS (RFC 3890) or b=AS, else what a camera
usually takes. Of several codecs the dearest counts, since nobody knows yet which it will be.
"""

from __future__ import annotations

import re

from attrs import frozen

from appliance.rtc.sdp import Media, Session, parse_untrusted
from appliance.rtc.sdp_codecs import Codec, codecs_of

_AUDIO = {
    "pcmu": 64000,
    "pcma": 64000,
    "g722": 64000,
    "g711": 64000,
    "g728": 16000,
    "g729": 8000,
    "g723": 6300,
    "gsm": 13200,
    "gsm-efr": 12200,
    "ilbc": 15200,
    "amr": 12200,
    "amr-wb": 23850,
    "evs": 24400,
    "opus": 40000,
    "speex": 24600,
    "g7221": 32000,
    "isac": 32000,
    "silk": 25000,
}
"""bit/s of the payload alone, at its most where a codec has several."""
_UNKNOWN = 64000
_USUAL_MS = {"g723": 30, "ilbc": 30}
_VIDEO = {"h261": 384_000, "h263": 384_000, "h263-1998": 384_000}
_ANY_VIDEO = 1_500_000
_VIDEO_PACKET_BYTES = 1100
_RTP_UDP = 12 + 8
_SRTP_TAG = 10


@frozen
class Bitrate:
    """bit/s one way."""

    audio: int = 0
    video: int = 0


SILENT = Bitrate()
G711 = Bitrate(audio=(160 + _RTP_UDP + 20) * 8 * 50)
"""What is reckoned with where nothing is offered yet: 80 kbit/s."""


def bitrate_untrusted(sdp: bytes) -> Bitrate:
    """Of an offer or answer. Raises `BadMedia` for what cannot be read."""
    session = parse_untrusted(sdp)
    audio = video = 0
    for media in session.media:
        if media.port:
            if media.kind == "audio":
                audio += _audio(session, media)
            elif media.kind == "video":
                video += _video(session, media)
    return Bitrate(audio, video)


def _audio(session: Session, media: Media) -> int:
    codecs = [codec for codec in codecs_of(media) if codec.carries_media]
    ptime = session.attribute_of(media, "ptime")
    packet_ms = min(200.0, max(5.0, float(ptime))) if ptime and re.fullmatch(r"\d{1,4}(\.\d{1,3})?", ptime) else None
    overhead = _overhead(session, media)
    most = _UNKNOWN if not codecs else 0
    dearest = 0
    for payload, usual_ms in [_of(codec) for codec in codecs] or [(most, 20)]:
        dearest = max(dearest, int(payload + overhead * 8 * 1000 / (packet_ms or usual_ms)))
    limit = _limit(media, overhead, 1000 / (packet_ms or 20))
    return min(dearest, limit) if limit else dearest


def _of(codec: Codec) -> tuple[int, int]:
    name = codec.name.lower()
    if name == "l16":
        return codec.clock_rate * 16 * codec.channels, 20
    if name == "opus":
        asked = re.search(r"maxaveragebitrate=(\d{1,7})", codec.fmtp or "")
        if asked:
            return min(int(asked[1]), 510_000), 20
    return _AUDIO.get(name, _UNKNOWN), _USUAL_MS.get(name, 20)


def _video(session: Session, media: Media) -> int:
    limit = _limit(media, _overhead(session, media), None) or _limit(session, _overhead(session, media), None)
    if limit:
        return limit
    codecs = [codec for codec in codecs_of(media) if codec.carries_media]
    return max((_VIDEO.get(codec.name.lower(), _ANY_VIDEO) for codec in codecs), default=_ANY_VIDEO)


def _limit(section: Media | Session, overhead: int, packets: float | None) -> int:
    """What b= lines allow, 0 without any. `packets` a second, None where they are full ones."""
    for field in section.fields:
        found = re.fullmatch(r"(TIAS|AS):(\d{1,9})", field.value) if field.type == "b" else None
        if found and found[1] == "TIAS":
            payload = int(found[2])
            each = packets if packets is not None else payload / 8 / _VIDEO_PACKET_BYTES
            return int(payload + overhead * 8 * each)
        if found:
            return int(found[2]) * 1000
    return 0


def _overhead(session: Session, media: Media) -> int:
    """Bytes of headers around each payload."""
    ip = 40 if " IP6 " in f" {session.connection_of(media) or ''} " else 20
    return ip + _RTP_UDP + (_SRTP_TAG if "SAVP" in media.protocol else 0)
