"""One part of a multipart body, found and replaced; all other bytes stay as they were (RFC 2046 §5.1, RFC 5621).

A proxy looks for the session description among the parts of an INVITE (ISUP, PIDF-LO and others ride along).
"""

from __future__ import annotations

import attrs

from appliance.sip.errors import BadMessage
from appliance.sip.uri import parse_params_untrusted

SDP = "application/sdp"
_MAX_PARTS = 32
_MAX_DEPTH = 3
_PLAIN_ENCODINGS = ("", "7bit", "8bit", "binary")


@attrs.frozen(slots=True)
class Part:
    """Where a part's content lies in the whole body: `body[start:end]`.

    `length_at` is where the digits of its own Content-Length lie, if it has one.
    """

    start: int
    end: int
    length_at: tuple[int, int] | None = None


def parse_content_type_untrusted(value: str) -> tuple[str, dict[str, str]]:
    """(type/subtype in lower case, parameters by lower case name, quotes undone)."""
    kind, _, rest = value.partition(";")
    kind = "".join(kind.split()).lower()
    if kind.count("/") != 1 or kind[0] == "/" or kind[-1] == "/":
        raise BadMessage("Bad Content-Type")
    try:
        params = parse_params_untrusted(rest)
    except BadMessage:
        raise BadMessage("Bad Content-Type") from None
    return kind, {name.lower(): _unquoted(text or "") for name, text in params}


def _unquoted(text: str) -> str:
    if len(text) < 2 or text[0] != '"' or text[-1] != '"':
        return text
    out, escaped = [], False
    for char in text[1:-1]:
        if char == "\\" and not escaped:
            escaped = True
        else:
            escaped = False
            out.append(char)
    return "".join(out)


def find_part_untrusted(content_type: str | None, body: bytes, wanted: str = SDP) -> Part | None:
    """The first part of type `wanted`; the whole body where it is no multipart but of that type itself.

    Multiparts inside are searched, too. None where there is no such part. Raises `BadMessage` for a multipart body
    without its boundaries.
    """
    if content_type is None or not body:
        return None
    kind, params = parse_content_type_untrusted(content_type)
    if kind == wanted:
        return Part(0, len(body))
    return _search(body, 0, len(body), params, wanted, 1) if kind.startswith("multipart/") else None


def replace_part(body: bytes, part: Part, content: bytes) -> bytes:
    """`body` with the content of `part` replaced, and the part's own Content-Length if it has one."""
    if part.length_at is None:
        return body[: part.start] + content + body[part.end :]
    first, last = part.length_at
    return body[:first] + str(len(content)).encode() + body[last : part.start] + content + body[part.end :]


def _search(body: bytes, start: int, end: int, params: dict[str, str], wanted: str, depth: int) -> Part | None:
    boundary = params.get("boundary", "").encode("utf-8", "surrogateescape")
    if not 0 < len(boundary) <= 70 or b"\r" in boundary or b"\n" in boundary:
        raise BadMessage("Bad Content-Type boundary")
    mark = b"--" + boundary
    found = _delimiter(body, mark, start, end, start)
    for _ in range(_MAX_PARTS):
        if found is None:
            raise BadMessage("Bad multipart body")
        _, after, closing = found
        if closing:
            return None
        following = _delimiter(body, mark, start, end, after)
        if following is None:
            raise BadMessage("Bad multipart body")
        part = _examine(body, after, max(after, following[0]), wanted, depth)
        if part is not None:
            return part
        found = following
    raise BadMessage("Too many body parts")


def _delimiter(body: bytes, mark: bytes, first: int, end: int, start: int) -> tuple[int, int, bool] | None:
    """The next delimiter line from `start`: (where the content before it ends, where the next begins, closing?)."""
    at = body.find(mark, start, end)
    while at >= 0:
        if at == first or body[at - 2 : at] == b"\r\n":
            after = at + len(mark)
            closing = body[after : after + 2] == b"--"
            if closing:
                return max(first, at - 2), end, True
            line_end = body.find(b"\r\n", after, end)
            if line_end >= 0 and not body[after:line_end].strip(b" \t"):
                return max(first, at - 2), line_end + 2, False
        at = body.find(mark, at + 1, end)
    return None


def _examine(body: bytes, start: int, end: int, wanted: str, depth: int) -> Part | None:
    """The part in body[start:end], if it is or holds what is wanted."""
    if body[start : start + 2] == b"\r\n":
        return None  # no headers: text/plain
    head_end = body.find(b"\r\n\r\n", start, end)
    if head_end < 0:
        return None
    kind, params, encoding, length_at = "text/plain", dict[str, str](), "", None
    offset = start
    head = body[start:head_end].decode("utf-8", "surrogateescape")
    for line in head.replace("\r\n ", "   ").replace("\r\n\t", "   ").split("\r\n"):
        name, _, value = line.partition(":")
        size = len(line.encode("utf-8", "surrogateescape"))
        match name.strip().lower():
            case "content-type" | "c":
                kind, params = parse_content_type_untrusted(value)
            case "content-transfer-encoding":
                encoding = value.strip().lower()
            case "content-length" | "l":
                digits = value.strip()
                if digits.isascii() and digits.isdigit():
                    at = body.index(digits.encode(), offset)
                    length_at = (at, at + len(digits))
        offset += size + 2
    if kind == wanted and encoding in _PLAIN_ENCODINGS:
        return Part(head_end + 4, end, length_at)
    if kind.startswith("multipart/") and depth < _MAX_DEPTH:
        return _search(body, head_end + 4, end, params, wanted, depth + 1)
    return None
