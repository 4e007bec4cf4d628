"""CSeq numbers in a dialog where we answer challenges: each try of ours needs a number that its sender never spent.

The numbers of the sender are spread out, four for each of his: the first as it would be, the others for our tries with
credentials. So the number towards the trunk follows from the sender's own and from what stands in our Record-Route
entry; nothing is counted and nothing is lost at a restart. A dialog's first request keeps its number.
RFC 3261 §12.2.1.1 and §22.2, RFC 3262 §7.2 (RAck), RFC 3515 §2.4.6 (the id of a refer event).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import quote, unquote

import attrs

from appliance.sip.headers import CSeq
from appliance.sip.message import Request

STRIDE = 4
"""Numbers for each of the sender's, and so one more than we may answer challenges of one request."""
_HIGHEST = 2**31 - 1
_RACK = re.compile(r"(\d{1,10})[ \t]+(\d{1,10})[ \t]+INVITE")
_REFER_ID = re.compile(r"(refer[ \t]*;(?:.*;)?[ \t]*id[ \t]*=[ \t]*)(\d{1,10})", re.IGNORECASE)


@attrs.frozen
class CseqShift:
    """`base` is the sender's number that stays as it is; `tries` how often we answered before that request passed.

    `trunk` is whose challenges are answered.
    """

    base: int
    tries: int = 0
    trunk: str = ""

    @classmethod
    def read(cls, text: str) -> CseqShift:
        """The shift that `str` wrote."""
        base, tries, trunk = text.split(".", 2)
        return cls(int(base), int(tries or 0), unquote(trunk))

    def __str__(self) -> str:
        return f"{self.base}.{self.tries or ''}.{quote(self.trunk, '').replace('~', '%7E')}"

    def has_room(self, number: int) -> bool:
        """Whether tries of ours fit behind the sender's `number`; they do not only at the end of all numbers."""
        return self.base <= number and self.base + (number - self.base) * STRIDE + STRIDE <= _HIGHEST

    def ahead(self, number: int, tries: int = 0) -> int:
        """The number that the sender's `number` goes on with, after so many challenges answered."""
        return self.base + (number - self.base) * STRIDE + tries if self.has_room(number) else number

    def back(self, number: int) -> int:
        """The sender's number of one that went on."""
        original = self.base + (number - self.base) // STRIDE
        return original if number >= self.base and self.has_room(original) else number

    def shift(self, request: Request, tries: int, invite_tries: int | None) -> None:
        """Give the request the number it goes on with, and what it mentions of earlier requests theirs.

        An ACK has the number of its INVITE. `invite_tries` is None where the INVITE's are unknown: then those of the
        request that made the dialog, if it speaks of that one.
        """
        cseq = request.cseq
        if cseq.method == "ACK":
            tries = self._tries_of(cseq.number, invite_tries)
        request.set("cseq", str(CSeq(self.ahead(cseq.number, tries), cseq.method)))
        found = _rack(request)
        if found is not None:
            number = int(found[2])
            request.set("rack", f"{found[1]} {self.ahead(number, self._tries_of(number, invite_tries))} INVITE")
        if cseq.method != "NOTIFY":  # which speaks of the other end's REFER
            self._mention(request, lambda number: self.ahead(number, self._tries_of(number, None)))

    def _tries_of(self, number: int, known: int | None) -> int:
        if known is not None:
            return known
        return self.tries if number == self.base else 0

    def unshift_mentions(self, request: Request) -> None:
        """A NOTIFY of the other end names the REFER that it is about by the number that we gave it."""
        if request.method == "NOTIFY":
            self._mention(request, self.back)

    def _mention(self, request: Request, renumber: Callable[[int], int]) -> None:
        if "event" in request.kinds:
            event = request.get("event") or ""
            found = _REFER_ID.match(event)
            if found is not None:
                request.set("event", f"{found[1]}{renumber(int(found[2]))}{event[found.end() :]}")


def _rack(request: Request) -> re.Match[str] | None:
    return _RACK.fullmatch(request.require("rack")) if "rack" in request.kinds else None


def mentioned(request: Request) -> int | None:
    """The number of the INVITE that an ACK or PRACK speaks of; None for other requests."""
    if request.method == "ACK":
        return request.cseq.number
    found = _rack(request)
    return None if found is None else int(found[2])
