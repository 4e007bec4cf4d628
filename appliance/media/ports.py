"""The pool of UDP ports for media: even/odd pairs or single ports, per local host.

Ports are taken in an order shuffled at first use, so that neither a restart nor an outsider finds the same
port next, and rest after use: late packets of an ended call must not reach the next one. The kernel has the
last word; a port that another program holds is set aside and the next one tried. RFC 3550 §11 (pairs), RFC
5761 (single ports).
"""

import errno
import socket
from collections import deque
from collections.abc import Callable
from random import SystemRandom

from attrs import define, field, frozen

from appliance.media.backend import PortsExhausted

RECEIVE_BUFFER = 256 * 1024


@frozen
class PortOptions:
    """`low` and `high` inclusive; `limit` caps the ports in use over all hosts (None: the range is the
    limit)."""

    low: int = 30000
    high: int = 39999
    quarantine_s: float = 5.0
    limit: int | None = None


@define
class _Host:
    pairs: deque[int]
    """Even ports whose odd sibling is free too."""
    singles: dict[int, None] = field(factory=dict)
    """Free ports whose sibling is in use (insertion order is the order of use)."""
    resting: deque[tuple[float, int]] = field(factory=deque)
    """(free again at, port)."""

    def wake(self, now: float) -> None:
        while self.resting and self.resting[0][0] <= now:
            self.give_back(self.resting.popleft()[1])

    def give_back(self, port: int) -> None:
        if port ^ 1 in self.singles:
            del self.singles[port ^ 1]
            self.pairs.append(port & ~1)
        else:
            self.singles[port] = None


class PortPool:
    """Binds sockets. Single thread; `clock` is monotonic seconds."""

    def __init__(self, options: PortOptions, clock: Callable[[], float], random: SystemRandom | None = None) -> None:
        self.options = options
        self.in_use = 0
        self._clock = clock
        self._random = random or SystemRandom()
        self._hosts: dict[str, _Host] = {}

    def _host(self, host: str) -> _Host:
        known = self._hosts.get(host)
        if known is None:
            low = self.options.low + (self.options.low & 1)
            ports = list(range(low, self.options.high, 2))
            self._random.shuffle(ports)
            known = self._hosts[host] = _Host(deque(ports))
        known.wake(self._clock())
        return known

    def open_pair(self, host: str) -> tuple[socket.socket, socket.socket]:
        """Two bound, non-blocking sockets: an even port and the next one. Raises PortsExhausted."""
        pool = self._host(host)
        for _ in range(len(pool.pairs)):
            self._check_limit(host, 2)
            even = pool.pairs.popleft()
            first = self._bind(pool, host, even)
            if first is None:
                self._rest(pool, even + 1)
                continue
            second = self._bind(pool, host, even + 1)
            if second is None:
                first.close()
                self.in_use -= 1
                self._rest(pool, even)
                continue
            return first, second
        raise PortsExhausted(f"no free RTP port pair on {host}")

    def open_single(self, host: str) -> socket.socket:
        """One bound, non-blocking socket on any port of the range. Raises PortsExhausted."""
        pool = self._host(host)
        for _ in range(len(pool.singles) + 2 * len(pool.pairs)):
            self._check_limit(host, 1)
            if pool.singles:
                port = next(iter(pool.singles))
                del pool.singles[port]
            elif pool.pairs:
                port = pool.pairs.popleft()
                pool.singles[port + 1] = None
            else:
                break
            bound = self._bind(pool, host, port)
            if bound is not None:
                return bound
        raise PortsExhausted(f"no free RTP port on {host}")

    def release(self, host: str, port: int) -> None:
        """The socket on this port is closed; the port rests."""
        self.in_use -= 1
        self._rest(self._hosts[host], port)

    def _check_limit(self, host: str, wanted: int) -> None:
        limit = self.options.limit
        if limit is not None and self.in_use + wanted > limit:
            raise PortsExhausted(f"the limit of {limit} media ports is reached, none left on {host}")

    def _rest(self, pool: _Host, port: int) -> None:
        pool.resting.append((self._clock() + self.options.quarantine_s, port))

    def _bind(self, pool: _Host, host: str, port: int) -> socket.socket | None:
        """None where another program holds the port. Raises OSError for a host that is not ours."""
        try:
            bound = socket.socket(family_of(host), socket.SOCK_DGRAM)
        except OSError as error:
            self._rest(pool, port)
            raise PortsExhausted(f"no socket for media on {host}: {error.strerror}") from error
        bound.setblocking(False)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        try:
            bound.bind((host, port))
        except OSError as error:
            bound.close()
            self._rest(pool, port)
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return None
            raise
        self.in_use += 1
        return bound


def family_of(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
