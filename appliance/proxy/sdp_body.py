"""The session description of a message: the body itself, or its part of a multipart body (RFC 5621)."""

from __future__ import annotations

from appliance.router.causes import Cause
from appliance.rtc.errors import BadMedia
from appliance.sip.errors import Rejected
from appliance.sip.message import Message
from appliance.sip.multipart import find_part_untrusted, replace_part


def sdp_of(message: Message) -> bytes | None:
    """The SDP, None where there is none. Raises `BadMessage` for a multipart body without its boundaries."""
    body = message.body
    if not body:
        return None
    part = find_part_untrusted(message.get("content-type"), body)
    return None if part is None else body[part.start : part.end]


def replace_sdp(message: Message, sdp: bytes) -> None:
    """Put `sdp` in the place of what `sdp_of` found; all other parts stay byte for byte."""
    part = find_part_untrusted(message.get("content-type"), message.body)
    assert part is not None
    message.set_body(replace_part(message.body, part, sdp))


def unacceptable(bad: BadMedia, what: str) -> Rejected:
    """The refusal of SDP that cannot be read (400) or carried (488), with the fault in the reason phrase."""
    text = " ".join(str(bad).split())[:120]
    reason = f"{'Bad SDP' if bad.status == 400 else 'Not Acceptable Here'}: {text}"
    return Rejected(bad.status, reason, f"SDP of {what}: {bad}", why=Cause.CODEC)
