"""One event as a syslog message (RFC 5424): header, structured data, text; and its frame on a stream (RFC 6587 §3.4.1).

The fields of an event are parameters of one element of our own; meta carries the number of the message, so that a
collector can tell gaps and doubles, origin the software.
"""

from __future__ import annotations

import re
import time
from typing import Final

import attrs

from appliance import __version__
from appliance.logs import Event, render

ENTERPRISE: Final = 32473
"""The number of examples (RFC 5612): ours until one is assigned."""
LONGEST: Final = 8192
LONGEST_DATAGRAM: Final = 2048
"""What receivers should take at least (RFC 5425 §4.3.1, RFC 5426 §3.2)."""
MOST_SEQUENCE: Final = 2_147_483_647
_BOM: Final = b"\xef\xbb\xbf"
_SEVERITIES: Final = {"debug": 7, "info": 6, "warning": 4, "error": 3}
_ALARMS: Final = {"critical": 2, "major": 3, "minor": 4, "warning": 4}
_CLEARED: Final = 5
_NOT_PRINTABLE: Final = re.compile(r"[^!-~]+")
_NOT_NAME: Final = re.compile(r"[^!#-<>-\\^-~]+")
_ESCAPED: Final = re.compile(r'(["\\\]])')


@attrs.frozen
class Origin:
    """Who speaks: the header fields that are the same for every message."""

    host: str
    app_name: str
    process: str
    facility: int


def severity_of(event: Event) -> int:
    """RFC 5424 §6.2.1. An alarm's own severity counts: critical is 2, major 3; one that is over is a notice."""
    if event.name == "alarm.cleared":
        return _CLEARED
    if event.name.startswith("alarm."):
        return _ALARMS.get(event.fields.get("severity", ""), _SEVERITIES[event.level])
    return _SEVERITIES[event.level]


def message_of(event: Event, number: int, origin: Origin, longest: int = LONGEST) -> bytes:
    """The message, `longest` bytes at most: what is too long loses the end of its text, then parameters.

    `number` is its sequenceId (§7.3.1), which counts from 1 and over again after 2147483647.
    """
    priority = origin.facility * 8 + severity_of(event)
    seconds = int(event.at)
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int((event.at - seconds) * 1e6):06d}Z"
    head = (
        f"<{priority}>1 {stamp} {_word(origin.host, 255)} {_word(origin.app_name, 48)} {_word(origin.process, 128)} "
        f"{_word(event.name, 32)} "
        f'[meta sequenceId="{(number - 1) % MOST_SEQUENCE + 1}"]'
        f'[origin enterpriseId="{ENTERPRISE}" software="Jackfield" swVersion="{_value(__version__)[:32]}"]'
    ).encode()
    element = b""
    if event.fields:
        element = f"[jackfield@{ENTERPRISE}".encode()
        for name, value in event.fields.items():
            parameter = f' {_name(name)}="{_value(value)}"'.encode()
            if len(head) + len(element) + len(parameter) + 1 <= longest:
                element += parameter
        element += b"]"
    text = f"{event.name}{render(dict(event.fields))}"
    # §6.4: text in UTF-8 begins with a BOM. Plain ASCII is MSG-ANY and goes without: collectors would show it.
    message = head + element + b" " + (text.encode() if text.isascii() else _BOM + text.encode("utf-8", "replace"))
    return message if len(message) <= longest else _cut(message, longest)


def framed(message: bytes) -> bytes:
    """With its length in front, as TLS wants it (RFC 5425 §4.3) and TCP may have it (RFC 6587 §3.4.1)."""
    return b"%d %b" % (len(message), message)


def _cut(message: bytes, longest: int) -> bytes:
    """The beginning, whole characters only (RFC 5424 §6.1)."""
    return message[:longest].decode("utf-8", "ignore").encode()


def _word(text: str, longest: int) -> str:
    return _NOT_PRINTABLE.sub("_", text)[:longest] or "-"


def _name(text: str) -> str:
    return _NOT_NAME.sub("_", text)[:32] or "_"


def _value(text: str) -> str:
    """§6.3.3: quote, backslash and closing bracket are escaped; lone surrogates, which UTF-8 lacks, are replaced."""
    return _ESCAPED.sub(r"\\\1", text.encode("utf-8", "replace").decode())
