"""Opening a connection: the socket, its source address, the deadline."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable

import trio

from .listener import tune
from .local import family_of, sockaddr


async def dial(
    host: str, port: int, source: str | None, deadline_s: float, mark: Callable[[socket.socket], None]
) -> socket.socket:
    """A connected, non-blocking TCP socket to an IP literal, from `source` where given; `mark` has it before anything
    is sent. Raises `OSError`."""
    sock = socket.socket(family_of(host), socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        tune(sock)
        mark(sock)
        if source is not None:
            sock.bind(sockaddr(source, 0))
        error = sock.connect_ex(sockaddr(host, port))
        if error == errno.EINPROGRESS:
            with trio.move_on_after(deadline_s) as scope:
                await trio.lowlevel.wait_writable(sock)
            error = errno.ETIMEDOUT if scope.cancelled_caught else sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, os.strerror(error))
    except BaseException:
        sock.close()
        raise
    return sock
