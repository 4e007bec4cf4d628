"""One message as the trace shows it, and the few things that are read out of it without parsing it as a whole.

What is traced may be no SIP at all: every reading gives '' where there is nothing to read, and none raises.
"""

from __future__ import annotations

import re
from enum import StrEnum

import attrs

from appliance.sip.flow import Address

_HEADERS = {
    name: re.compile(rb"\n(?:" + alternatives + rb")[ \t]*+:[ \t]*+([^\r\n]*+)", re.IGNORECASE)
    for name, alternatives in {
        "call-id": rb"call-id|i",
        "cseq": rb"cseq",
        "from": rb"from|f",
        "to": rb"to|t",
        "via": rb"via|v",
        "content-type": rb"content-type|c",
    }.items()
}
_USER = re.compile(r"sips?:([^@:;>]*)@|tel:([^;>]*)", re.IGNORECASE)
_LONGEST_LINE = 1000


class Direction(StrEnum):
    IN = "in"
    OUT = "out"


@attrs.frozen(kw_only=True)
class TracedMessage:
    """`at` is wall-clock seconds; `local` and `remote` are (address, port); `data` was on the wire, secrets masked.

    `serial` numbers the messages since the start. `dropped` says why we did nothing with it, '' where we did.
    """

    at: float
    direction: Direction
    local: Address
    remote: Address
    transport: str
    data: bytes
    listener: str = ""
    dropped: str = ""
    serial: int = 0

    @property
    def first_line(self) -> str:
        return _text(self.data[:_LONGEST_LINE].lstrip(b"\r\n").split(b"\n", 1)[0]).rstrip()

    def header(self, name: str) -> str:
        """The first value of one of call-id, cseq, from, to, via and content-type."""
        found = _HEADERS[name].search(self.data)
        return _text(found[1]).strip() if found is not None else ""

    @property
    def call_id(self) -> str:
        return self.header("call-id")

    @property
    def status(self) -> int:
        """Of a response; 0 for a request, or what is neither."""
        words = self.first_line.split(" ", 2)
        return int(words[1]) if words[0] == "SIP/2.0" and len(words) > 1 and _is_status(words[1]) else 0

    @property
    def method(self) -> str:
        """Of the request, or of the request that a response answers."""
        if self.first_line.startswith("SIP/2.0 "):
            return self.header("cseq").rpartition(" ")[2].strip()
        word = self.first_line.partition(" ")[0]
        return word if word.isalpha() and word.isupper() else ""

    @property
    def label(self) -> str:
        """What stands on the arrow of a ladder: 'INVITE', '180 Ringing (INVITE)'."""
        if not self.status:
            return self.method or "no SIP"
        return f"{self.first_line.removeprefix('SIP/2.0 ')} ({self.method})"

    @property
    def users(self) -> tuple[str, ...]:
        """The user parts of Request-URI, From and To."""
        texts = (self.first_line, self.header("from"), self.header("to"))
        return tuple(found[1] or found[2] or "" for text in texts if (found := _USER.search(text)) is not None)


def _is_status(word: str) -> bool:
    return len(word) == 3 and word.isascii() and word.isdigit()


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
