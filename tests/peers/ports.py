"""Ports for programs that cannot bind port 0 and tell: found by binding, below the kernel's ephemeral range.

One cursor for the whole test run, started at a random place: two runs on one machine rarely meet, and no port
is handed out twice in a run.
"""

from __future__ import annotations

import random
import socket

_FIRST, _LAST = 10000, 29999
_cursor = random.randrange(_FIRST, _LAST)


def _bindable(port: int) -> bool:
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
            with socket.socket(family, kind) as probe:
                if kind == socket.SOCK_STREAM:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((host, port))
                except OSError:
                    return False
    return True


def free_port() -> int:
    """A port free for UDP and TCP on both loopback addresses."""
    return free_block(1)


def free_block(size: int) -> int:
    """First of `size` consecutive even-aligned ports that are all free (media ports come in pairs)."""
    global _cursor
    for _ in range(2000):
        start = _cursor + (_cursor % 2)
        _cursor = start + size if start + size < _LAST else _FIRST
        if start + size <= _LAST and all(_bindable(port) for port in range(start, start + size)):
            return start
    raise AssertionError("no free ports on loopback")
