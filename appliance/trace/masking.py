"""Secrets taken out of a message, byte for byte: the length stays, so Content-Length and every offset stay true.

Masked are what proves or challenges an identity (Authorization and its kin, RFC 7616: all but the parameters that
are no secret), the keys in SDP (RFC 4568, ICE passwords, k=), what a MESSAGE says, and DTMF digits in INFO.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from operator import itemgetter

import re2

_HEADER = re.compile(
    rb"^(?:(?:proxy-)?authorization|(?:www|proxy)-authenticate|(?:proxy-)?authentication-info)[ \t]*+:[ \t]*+"
    rb"([A-Za-z0-9-]+[ \t]++(?![ \t]*=))?+([^\r\n]*+(?:\r?\n[ \t][^\r\n]*+)*+)",
    re.IGNORECASE | re.MULTILINE,
)
_PARAM = re.compile(rb'([A-Za-z0-9_-]++)[ \t]*+=[ \t]*+(?:"(?:[^"\\]|\\.)*+"|[^\s,"]*+)', re.DOTALL)
_OPEN = frozenset(
    {b"username", b"realm", b"uri", b"algorithm", b"qop", b"nc", b"stale", b"domain", b"charset", b"userhash"}
)
_KEYS = re.compile(rb"inline:([^\s|;]++)|^a=ice-pwd:([^\s]++)|^k=[a-z0-9]++:([^\r\n]++)", re.IGNORECASE | re.MULTILINE)
_BODY = re.compile(rb"\r?\n\r?\n")
_NO_INK = re.compile(rb"[^\r\n]")
_NO_VALUE = re.compile(rb"[^\r\n\t ,]")
_DTMF = re.compile(rb"\n(?:content-type|c)[ \t]*+:[^\r\n]*?dtmf", re.IGNORECASE)

_LATIN = re2.Options()
_LATIN.encoding = re2.Options.Encoding.LATIN1
_SIGN = re2.compile(rb"(?i)auth|inline:|a=ice-pwd|\nk=", _LATIN)
"""One of these is in each message with a secret in it, or it begins as one of _BEGINNINGS."""
_BEGINNINGS = (b"MESSA", b"INFO ")
_BEGINNING = itemgetter(slice(0, 5))


def masked_all(messages: Sequence[bytes]) -> Sequence[bytes]:
    """Each of them `masked`, looked at all together: most hold no secret, and then that costs next to nothing."""
    beginnings = set(map(_BEGINNING, messages))
    if any(one.upper() in _BEGINNINGS for one in beginnings):
        found = {number for number, one in enumerate(messages) if one[:5].upper() in _BEGINNINGS}
    else:
        found = set()
    whole = b"\0".join(messages)
    starts: list[int] = []
    sign = _SIGN.search(whole)
    while sign is not None:
        starts = starts or [0, *accumulate(len(one) + 1 for one in messages)]
        number = bisect_right(starts, sign.start()) - 1
        found.add(number)
        sign = _SIGN.search(whole, starts[number + 1]) if number + 1 < len(messages) else None
    if not found:
        return messages
    return [masked(one) if number in found else one for number, one in enumerate(messages)]


def masked(data: bytes) -> bytes:
    """The same with '*' in place of each byte of a secret; `data` itself where it holds none."""
    low = data.lower()
    if b"auth" in low and (b"authoriz" in low or b"authentic" in low):
        data = _HEADER.sub(_without_credentials, data)
    if low.endswith(b"\r\n\r\n") and low.find(b"\r\n\r\n") == len(low) - 4 and b"\n\n" not in low:
        return data  # it has no body
    if b"inline:" in low or b"a=ice-pwd" in low or b"\nk=" in low:
        data = _KEYS.sub(_without_key, data)
    if low.startswith((b"message ", b"info ")) and (low.startswith(b"m") or _DTMF.search(data)):
        end = _BODY.search(data)
        if end is not None:
            data = data[: end.end()] + _NO_INK.sub(b"*", data[end.end() :])
    return data


def _without_credentials(found: re.Match[bytes]) -> bytes:
    start = found.start(2) - found.start()
    whole, value = found[0], found[2]
    shown = bytearray(_NO_VALUE.sub(b"*", value))
    if (found[1] or b"Digest").strip().lower() == b"digest":
        for param in _PARAM.finditer(value):
            if param[1].lower() in _OPEN:
                shown[param.start() : param.end()] = param[0]
            else:
                name_end = param.end(1)
                shown[param.start() : name_end + 1] = value[param.start() : name_end + 1]
    return whole[:start] + bytes(shown)


def _without_key(found: re.Match[bytes]) -> bytes:
    group = found.lastindex or 1
    start, end = found.start(group) - found.start(), found.end(group) - found.start()
    return found[0][:start] + b"*" * (end - start) + found[0][end:]
