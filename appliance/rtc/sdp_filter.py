"""Which codecs may cross, and which come first: filters that an operator sets, laid over offers and answers.

Payload type numbers stay, so an answer needs no translation. What accompanies a codec (telephone-event, comfort noise,
repair) stays as long as it has something to accompany. RFC 3264 §5.1, §6.1; RFC 3551, RFC 4733, RFC 4588, RFC 5888.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from attrs import evolve, frozen

from appliance.rtc.errors import BadMedia
from appliance.rtc.sdp import Media, Session, attribute
from appliance.rtc.sdp_codecs import Codec, codecs_of

VIDEO = frozenset({"vp8", "vp9", "av1", "av1x", "h261", "h263", "h263-1998", "h263-2000", "h264", "h265", "jpeg"})
"""Names of video codecs; every other name is taken for one of audio."""

_PER_FORMAT = frozenset({"rtpmap", "fmtp", "rtcp-fb", "imageattr"})
_FIRST_WORD = re.compile(r"\s*([^\s]+)")


@frozen
class CodecFilter:
    """Names in small letters: `wanted` in order; where it is empty for a kind of media, or with `others`, all pass.

    `unwanted` never passes.
    """

    wanted: tuple[str, ...] = ()
    unwanted: frozenset[str] = frozenset()
    others: bool = False

    def order(self, kind: str) -> tuple[str, ...]:
        """The wanted names of one kind of media."""
        return tuple(name for name in self.wanted if (name in VIDEO) == (kind == "video"))

    def passes(self, name: str, kind: str) -> bool:
        """Whether a codec that carries media passes; '' is one that nobody can name."""
        if name in self.unwanted:
            return False
        wanted = self.order(kind)
        return not wanted or self.others or name in wanted


def filtered(session: Session, filters: Sequence[CodecFilter], preferred: CodecFilter | None = None) -> Session:
    """The session with what all `filters` let pass, in the order of `preferred`; the very same where that is all.

    An m= line of which nothing is left is refused by port 0. Raises BadMedia 488 where none is left at all.
    """
    media = [_media(one, filters, preferred) for one in session.media]
    if all(new is old for new, old in zip(media, session.media, strict=True)):
        return session
    refused = [old for new, old in zip(media, session.media, strict=True) if old.port and not new.port]
    if refused and not any(one.port for one in media):
        names = ", ".join(dict.fromkeys(str(codec) for one in refused for codec in codecs_of(one)))
        raise BadMedia("no-common-codec", f"no codec of {names} may pass here"[:200], 488)
    mids = {mid for one in refused if (mid := one.attribute("mid"))}
    return evolve(_ungrouped(session, mids) if mids else session, media=tuple(media))


def _ungrouped(session: Session, mids: set[str]) -> Session:
    """Without these mids in the groups (RFC 5888 §9.1, RFC 9143 §7.3.3)."""
    fields = []
    for item in session.fields:
        if item.type == "a" and item.value.startswith("group:"):
            words = item.value.removeprefix("group:").split()
            left = [mid for mid in words[1:] if mid not in mids]
            if len(left) + 1 < len(words):
                if left:
                    fields.append(attribute("group", " ".join((words[0], *left))))
                continue
        fields.append(item)
    return evolve(session, fields=tuple(fields))


def _media(media: Media, filters: Sequence[CodecFilter], preferred: CodecFilter | None) -> Media:
    if media.kind not in ("audio", "video") or "RTP/" not in media.protocol.upper():
        return media
    if not media.port and not media.has("bundle-only"):
        return media
    formats = _kept(media, filters)
    if not any(carries for _, carries in formats):
        return media.refused()
    order = preferred.order(media.kind) if preferred is not None else ()
    if order:
        names = {str(codec.payload_type): codec.name.lower() for codec in codecs_of(media)}

        def rank(entry: tuple[str, bool]) -> int:
            text, carries = entry
            if not carries:
                return len(order) + 1
            name = names.get(text, "")
            return order.index(name) if name in order else len(order)

        formats.sort(key=rank)
    left = tuple(text for text, _ in formats)
    if left == media.formats:
        return media
    gone = set(media.formats) - set(left)
    fields = tuple(item for item in media.fields if not (item.type == "a" and _format_of(item.value) in gone))
    return evolve(media, formats=left, fields=fields)


def _format_of(value: str) -> str | None:
    """The format that an attribute is about, None for one about the whole m= line."""
    name, _, rest = value.partition(":")
    if name.strip() not in _PER_FORMAT:
        return None
    word = _FIRST_WORD.match(rest)
    return word[1] if word else None


def _kept(media: Media, filters: Sequence[CodecFilter]) -> list[tuple[str, bool]]:
    """The formats that stay, each with whether it carries media by itself."""
    known = {str(codec.payload_type): codec for codec in codecs_of(media)}
    left: list[tuple[str, Codec | None]] = []
    for text in dict.fromkeys(media.formats):
        codec = known.get(text)
        name = codec.name.lower() if codec is not None else ""
        if codec is not None and not codec.carries_media:
            passes = not any(name in one.unwanted for one in filters)
        else:
            passes = all(one.passes(name, media.kind) for one in filters)
        if passes:
            left.append((text, codec))
    clocks = {codec.clock_rate for _, codec in left if codec is not None and codec.carries_media}
    unknown = any(codec is None for _, codec in left)
    events = [codec.clock_rate for _, codec in left if codec is not None and codec.is_dtmf]
    matching = any(clock in clocks for clock in events)
    present = {text for text, _ in left}

    def accompanies(codec: Codec) -> bool:
        if codec.is_dtmf:
            return codec.clock_rate in clocks or not matching
        if codec.name.lower() == "cn":
            return codec.clock_rate in clocks or unknown
        if codec.name.lower() == "rtx":
            return codec.apt is None or str(codec.apt) in present
        if codec.name.lower() == "red" and codec.fmtp:
            return all(text in present for text in codec.fmtp.split("/") if text.isdecimal())
        return True

    return [
        (text, codec is None or codec.carries_media)
        for text, codec in left
        if codec is None or codec.carries_media or accompanies(codec)
    ]
