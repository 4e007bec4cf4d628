"""AgentX on the wire (RFC 2741 §5, §6): PDUs as facts, encoded and decoded; no sockets here.

We speak in network byte order and understand both (§6.1). Only what a sub-agent hears is decoded; of TestSet the
variables are not read, for nothing here can be set.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from enum import IntEnum
from typing import Final

import attrs

from appliance.sip.errors import BadMessage

from .value import LONGEST_OID, Content, Oid, Syntax, Variable

HEADER_BYTES: Final = 20
LONGEST_PAYLOAD: Final = 65536
"""What a master may send us in one PDU; requests with more are not believed."""

_VERSION: Final = 1
_NON_DEFAULT_CONTEXT: Final = 0x08
_NETWORK_ORDER: Final = 0x10
_INTERNET: Final = (1, 3, 6, 1)


class PduType(IntEnum):
    OPEN = 1
    CLOSE = 2
    REGISTER = 3
    UNREGISTER = 4
    GET = 5
    GET_NEXT = 6
    GET_BULK = 7
    TEST_SET = 8
    COMMIT_SET = 9
    UNDO_SET = 10
    CLEANUP_SET = 11
    NOTIFY = 12
    PING = 13
    RESPONSE = 18


class Fault(IntEnum):
    """res.error (§6.2.16, RFC 3416 §3)."""

    NONE = 0
    GENERAL = 5
    NOT_WRITABLE = 17
    COMMIT_FAILED = 14
    UNDO_FAILED = 15
    OPEN_FAILED = 256
    NOT_OPEN = 257
    DUPLICATE_REGISTRATION = 263
    PARSE_ERROR = 266
    REQUEST_DENIED = 267


@attrs.frozen
class Header:
    """The first 20 bytes of every PDU (§6.1)."""

    type: int
    flags: int
    session: int
    transaction: int
    packet: int
    length: int

    @property
    def order(self) -> str:
        return ">" if self.flags & _NETWORK_ORDER else "<"


@attrs.frozen
class Range:
    """From `start` (itself only where `include`) up to and without `end`; no end: ()."""

    start: Oid
    include: bool
    end: Oid = ()


@attrs.frozen
class Asked:
    """A Get, GetNext or GetBulk of the master; `context` is b"" for the default one."""

    ranges: tuple[Range, ...]
    context: bytes = b""
    non_repeaters: int = 0
    max_repetitions: int = 0


@attrs.frozen
class Answered:
    """A Response of the master; `up_ticks` is its sysUpTime in hundredths of a second."""

    up_ticks: int
    error: int
    index: int


def read_header_untrusted(data: bytes) -> Header:
    """The header from exactly 20 bytes. Raises BadMessage where no PDU can begin so."""
    version, kind, flags = data[0], data[1], data[2]
    if version != _VERSION:
        raise BadMessage(f"AgentX version {version}")
    session, transaction, packet, length = struct.unpack_from(">4I" if flags & _NETWORK_ORDER else "<4I", data, 4)
    if length > LONGEST_PAYLOAD or length % 4:
        raise BadMessage(f"AgentX payload of {length} bytes")
    return Header(kind, flags, session, transaction, packet, length)


def read_asked_untrusted(header: Header, payload: bytes) -> Asked:
    """What is asked for. Raises BadMessage."""
    reader = _Reader(header.order, payload)
    context = reader.octets() if header.flags & _NON_DEFAULT_CONTEXT else b""
    non_repeaters = max_repetitions = 0
    if header.type == PduType.GET_BULK:
        non_repeaters, max_repetitions = reader.unpack("HH")
    ranges = []
    while reader.left:
        start, include = reader.oid()
        end, _ = reader.oid()
        ranges.append(Range(start, include, end))
    return Asked(tuple(ranges), context, non_repeaters, max_repetitions)


def read_answered_untrusted(header: Header, payload: bytes) -> Answered:
    """A Response; its variables, if it has any, are left unread. Raises BadMessage."""
    return Answered(*_Reader(header.order, payload).unpack("IHH"))


class _Reader:
    """A cursor over a payload in one byte order."""

    def __init__(self, order: str, data: bytes) -> None:
        self._order = order
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def unpack(self, fields: str) -> tuple[int, ...]:
        fields = self._order + fields
        size = struct.calcsize(fields)
        if size > self.left:
            raise BadMessage("AgentX PDU ends early")
        found: tuple[int, ...] = struct.unpack_from(fields, self._data, self._at)
        self._at += size
        return found

    def oid(self) -> tuple[Oid, bool]:
        """An object identifier and its include bit (§5.1)."""
        count, prefix, include, _ = self.unpack("4B")
        if count > LONGEST_OID or include > 1:
            raise BadMessage("AgentX object identifier")
        found = self.unpack(f"{count}I")
        if prefix:
            found = (*_INTERNET, prefix, *found)
            if len(found) > LONGEST_OID:
                raise BadMessage("AgentX object identifier")
        return found, bool(include)

    def octets(self) -> bytes:
        """An octet string with its padding (§5.3)."""
        (length,) = self.unpack("I")
        padded = (length + 3) & ~3
        if padded > self.left:
            raise BadMessage("AgentX PDU ends early")
        found = self._data[self._at : self._at + length]
        self._at += padded
        return found


def write(
    kind: PduType, payload: bytes, *, session: int = 0, transaction: int = 0, packet: int = 0, flags: int = 0
) -> bytes:
    """A whole PDU."""
    header = struct.pack(
        ">BBBxIIII", _VERSION, kind, flags | _NETWORK_ORDER, session, transaction, packet, len(payload)
    )
    return header + payload


def open_payload(timeout_s: int, descr: str, identity: Oid = ()) -> bytes:
    """agentx-Open-PDU (§6.2.1): how long the master waits for us, who we are."""
    return struct.pack(">Bxxx", timeout_s) + _oid(identity) + _octets(descr.encode()[:255])


def register_payload(subtree: Oid, *, priority: int = 127, timeout_s: int = 0) -> bytes:
    """agentx-Register-PDU (§6.2.3) of a whole subtree."""
    return struct.pack(">BBBx", timeout_s, priority, 0) + _oid(subtree)


def response_payload(variables: Iterable[Variable], error: Fault = Fault.NONE, index: int = 0) -> bytes:
    """agentx-Response-PDU (§6.2.16); sysUpTime is the master's affair, ours is 0."""
    return struct.pack(">IHH", 0, error, index) + variables_payload(variables)


def variables_payload(variables: Iterable[Variable]) -> bytes:
    """A list of variables (§5.4), as a Notify carries it, too (§6.2.10)."""
    return b"".join(_variable(one) for one in variables)


def close_payload(reason: int = 1) -> bytes:
    """agentx-Close-PDU (§6.2.2); reason 1 is other, 5 is shutdown."""
    return struct.pack(">Bxxx", reason)


def _variable(one: Variable) -> bytes:
    return struct.pack(">Hxx", one.syntax) + _oid(one.name) + _content(one.syntax, one.content)


def _content(syntax: Syntax, content: Content) -> bytes:
    if content is None:
        return b""
    if isinstance(content, bytes):
        return _octets(content)
    if isinstance(content, tuple):
        return _oid(content)
    if syntax is Syntax.COUNTER64:
        return struct.pack(">Q", content)
    return struct.pack(">i" if syntax is Syntax.INTEGER else ">I", content)


def _oid(value: Oid, *, include: bool = False) -> bytes:
    prefix = 0
    if len(value) > 4 and value[:4] == _INTERNET and 0 < value[4] < 256:
        prefix, value = value[4], value[5:]
    return struct.pack(f">BBBx{len(value)}I", len(value), prefix, include, *value)


def _octets(value: bytes) -> bytes:
    return struct.pack(">I", len(value)) + value + b"\0" * (-len(value) % 4)
