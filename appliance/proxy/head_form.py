"""How a peer writes its new requests: one expression takes a whole head of one order of headers apart.

Peers write in few orders, each the same thousands of times. What is folded, doubled, urgent or otherwise unusual has
no such expression, and is looked at line by line by whoever asks here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import attrs

from appliance.sip.headers import COMPACT

_REPEATED = ("from", "to", "call-id", "cseq")
_MOST_LINES = 64
_LONGEST_NAME = 64
_MET_BEFORE = 64
"""An expression takes as long to make as a hundred requests to refuse without one."""
_MOST_ORDERS = 256
_MOST_EACH = 8
_START = rb" sips?:(?:([^ @:;\r]*)@)?[^ \r]* SIP/2\.0"
_SENT_BY = rb"([^\s;:,\[\"]+(?::\d{1,5})?|\[[^\]\s]*\](?::\d{1,5})?)"
_BRANCH = rb";branch=(z9hG4bK[\w.!%*+`'~-]+)"
_VIA = re.compile(rb"([^:]+): SIP/2\.0/(\w+) " + _SENT_BY + rb"(?:%b(;rport)?|;rport%b)" % (_BRANCH, _BRANCH))


@attrs.frozen
class HeadForm:
    """One order of headers below one method. `rport`: the topmost Via asks for it.

    `match` finds nothing in any other request. `pieces` are the numbers of its groups, in this order: user
    part of the Request-URI (None where it has none), topmost Via up to where `;rport` stands, its rest, sent-by,
    branch, the Vias below it, From, To, Call-ID and CSeq. All but user, sent-by and branch are lines, or parts of one,
    with the line break above them: there are `breaks` of these, and one more is hidden inside a line.
    """

    method: str
    rport: bool
    breaks: int
    match: Callable[[bytes], re.Match[bytes] | None]
    pieces: tuple[int, ...]


class HeadForms:
    """`known[data[:7]]`: those met again and again whose requests begin so, the latest first; bounded."""

    def __init__(self) -> None:
        self.known: dict[bytes, list[HeadForm]] = {}
        self._met: dict[tuple[bytes, ...], int] = {}

    def meet(self, method: bytes, lines: Sequence[bytes]) -> None:
        """A request to a SIP URI that none of `known` matched, with its header lines."""
        names = tuple(line[: line.find(b":") + 1] for line in lines)
        if len(names) > _MOST_LINES or not all(names) or len(max(names, key=len)) > _LONGEST_NAME:
            return  # a line without a name would stand for any line
        via = _VIA.fullmatch(lines[0])
        if via is None:
            return
        tail = b"plain" if via[4] and not via[5] else b"after" if via[5] else b"before"
        order = (method, via[2], tail, *names)
        met = self._met.get(order, 0) + 1
        if len(self._met) >= _MOST_ORDERS:
            self._met.clear()
        self._met[order] = met
        if met == _MET_BEFORE:
            form = _learn(method, via[2], tail, names)
            if form is not None:
                alike = self.known.setdefault((method + b" sip:")[:7], [])
                alike.insert(0, form)
                del alike[_MOST_EACH:]


def _learn(method: bytes, transport: bytes, tail: bytes, names: Sequence[bytes]) -> HeadForm | None:
    written = [name[:-1].decode("latin-1").lower() for name in names]
    keys = [COMPACT.get(name, name) for name in written]
    vias = keys.count("via")
    if any(keys.count(key) != 1 for key in _REPEATED) or keys[:vias] != ["via"] * vias:
        return None
    if "resource-priority" in keys:
        return None
    top = rb"(\r\n%b SIP/2\.0/%b %b" % (re.escape(names[0]), transport, _SENT_BY)
    top += {b"plain": rb"%b)()", b"after": rb"%b);rport()", b"before": rb");rport(%b)"}[tail] % _BRANCH
    parts = [re.escape(method), _START, top]
    # Groups so far: user, Via, sent-by, branch and rest of the Via; the last two change places.
    branch, rest = (5, 4) if tail == b"before" else (4, 5)
    places = {}
    parts.append(b"(" + b"".join(rb"\r\n%b[^\r]*+" % re.escape(name) for name in names[1:vias]) + b")")
    group = 6
    for name, key in zip(names[vias:], keys[vias:], strict=True):
        line = rb"\r\n%b[^\r]*+" % re.escape(name)
        if key in _REPEATED:
            group += 1
            places[key] = group
            line = b"(%b)" % line
        parts.append(line)
    parts.append(rb"\r\n\r\n")
    pieces = (1, 2, rest, 3, branch, 6, *(places[key] for key in _REPEATED))
    return HeadForm(method.decode(), tail != b"plain", vias + len(_REPEATED), re.compile(b"".join(parts)).match, pieces)
