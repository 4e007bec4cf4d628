"""What ICMP says of datagrams that we sent, read from a UDP socket's error queue (Linux, IP_RECVERR).

Each report quotes the beginning of the datagram, at least from hosts: by that its sender knows it again. Whoever only
guesses at our traffic cannot quote it, so an address alone counts for nothing.
"""

from __future__ import annotations

import errno
import socket
import struct
from typing import Final

_OPTIONS: Final = {socket.AF_INET: (socket.IPPROTO_IP, 11), socket.AF_INET6: (socket.IPPROTO_IPV6, 25)}
"""IP_RECVERR and IPV6_RECVERR, which the socket module does not name."""
_EXTENDED: Final = struct.Struct("=IBBBBII")
"""struct sock_extended_err: errno, origin, type, code, padding, info, data."""
_ICMP_ORIGINS: Final = (2, 3)
_UNREACHABLE: Final = frozenset({errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH})
_QUOTED: Final = 2048
_MOST: Final = 64


def ask_for_errors(sock: socket.socket) -> None:
    """Have the kernel keep ICMP errors for `unreachable`; without effect where it cannot."""
    try:
        sock.setsockopt(*_OPTIONS[sock.family], 1)
    except (OSError, KeyError):
        pass


def unreachable(sock: socket.socket) -> list[tuple[bytes, tuple[str, int]]]:
    """(beginning of a datagram, where it was sent to) for each that ICMP called undeliverable; empties the queue."""
    found = []
    for _ in range(_MOST):
        try:
            quoted, ancillary, _, address = sock.recvmsg(_QUOTED, 512, socket.MSG_ERRQUEUE | socket.MSG_DONTWAIT)
        except OSError:
            break
        for level, kind, data in ancillary:
            if (level, kind) == _OPTIONS.get(sock.family) and len(data) >= _EXTENDED.size:
                number, origin, *_ = _EXTENDED.unpack_from(data)
                if origin in _ICMP_ORIGINS and number in _UNREACHABLE and address:
                    found.append((quoted, (address[0], address[1])))
    return found
