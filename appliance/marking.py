"""The DSCP on our sockets (RFC 2474): in IPv4's TOS and IPv6's traffic class octet.

Which class of traffic gets which value is the settings' business, which socket carries which class that of transport
and media. A value is 0 to 63; None leaves a socket as it is. What peers put on their packets is read only by a
`receiver`, for those who are trusted with it.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Callable
from struct import pack
from typing import Any, Final, Protocol

from .logs import log

_NOT_TAKEN: Final = frozenset({errno.EINVAL, errno.ENOPROTOOPT, errno.EOPNOTSUPP})
_V4: Final = (socket.IPPROTO_IP, socket.IP_TOS)
_V6: Final = (socket.IPPROTO_IPV6, socket.IPV6_TCLASS)

_HEAR_V4: Final = (socket.IPPROTO_IP, socket.IP_RECVTOS)
_HEAR_V6: Final = (socket.IPPROTO_IPV6, socket.IPV6_RECVTCLASS)
_CONTROL_BYTES: Final = 64

Ancillary = list[tuple[int, int, bytes]]


class Markable(Protocol):
    """A socket of the standard library or of trio."""

    @property
    def family(self) -> int: ...

    def fileno(self) -> int: ...

    def setsockopt(self, level: int, option: int, value: int, /) -> None: ...


def ancillary(family: int, dscp: int) -> Ancillary:
    """What `sendmsg` wants to mark a single packet."""
    return [(*(_V6 if family == socket.AF_INET6 else _V4), pack("i", dscp << 2))]


class Marker:
    """Marks sockets. A kernel that refuses is reported once, by a sentence to `on_refused`; traffic goes on."""

    def __init__(self, on_refused: Callable[[str], None] | None = None) -> None:
        self.refused = False
        self._on_refused = on_refused or _log

    def mark(self, sock: Markable, dscp: int | None) -> None:
        """Put `dscp` on everything that the socket sends from now on, IPv4-mapped peers of an IPv6 socket included."""
        if dscp is None or sock.fileno() < 0:
            return
        options = (_V6, _V4) if sock.family == socket.AF_INET6 else (_V4,)
        for option in options:
            try:
                sock.setsockopt(*option, dscp << 2)
            except OSError as error:
                if option is _V4 and len(options) > 1 and error.errno in _NOT_TAKEN:
                    continue  # a kernel that keeps the families apart has no mapped peers here either
                self.refuse(dscp, error)

    def sender(self, sock: socket.socket, dscp: int) -> Callable[[Any], int]:
        """Like the connected socket's own `send`, with another marking than its own on these packets."""
        control = ancillary(sock.family, dscp)

        def send(data: Any) -> int:
            try:
                return sock.sendmsg((data,), control)
            except OSError as error:
                if error.errno not in _NOT_TAKEN:
                    raise
                self.refuse(dscp, error)
                return sock.send(data)

        return send

    def receiver(self, sock: socket.socket, heard: Callable[[int], None]) -> Callable[[Any, int], int]:
        """Like the socket's own `recv_into`, telling `heard` the marking of each packet."""
        v6 = sock.family == socket.AF_INET6
        try:
            sock.setsockopt(*(_HEAR_V6 if v6 else _HEAR_V4), 1)
        except OSError as error:
            log.warning("marking.unheard", fault=str(error))
            return sock.recv_into
        wanted = _V6 if v6 else _V4

        def receive_into(view: Any, size: int) -> int:
            length, control, _, _ = sock.recvmsg_into((view[:size],), _CONTROL_BYTES)
            for level, kind, data in control:
                if (level, kind) == wanted:
                    heard((data[0] if sys.byteorder == "little" else data[-1]) >> 2)
            return length

        return receive_into

    def send_to(self, sock: socket.socket, data: bytes, address: Any, control: Ancillary) -> None:
        """Like `sendto`, with what `ancillary` made."""
        try:
            sock.sendmsg((data,), control, 0, address)
        except OSError as error:
            if error.errno not in _NOT_TAKEN:
                raise
            sock.sendto(data, address)  # raises the same where it was not for the marking
            self.refuse(int.from_bytes(control[0][2], sys.byteorder) >> 2, error)

    def refuse(self, dscp: int, error: OSError) -> None:
        if not self.refused:
            self.refused = True
            reason = os.strerror(error.errno) if error.errno else str(error)
            self._on_refused(f"the kernel refuses to mark packets with DSCP {dscp}: {reason}; they go out unmarked")


def _log(fault: str) -> None:
    log.warning("marking.refused", fault=fault)
