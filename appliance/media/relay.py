"""PythonRelay: MediaBackend in plain Python. All media sockets hang in one epoll that a single trio task
waits on.

The task drains what is ready, packet by packet, without awaiting; a second one keeps the pace of tones,
DTLS timers and the second's housekeeping. A fault in the handling of one packet costs that packet only: it
is logged and counted, like a bad connection's. Which packets go where is entry.py's table, written by
endpoint.py.
"""

from __future__ import annotations

import logging
import resource
import select
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import trio
from attrs import field, frozen

from appliance.marking import Marker
from appliance.media.backend import Endpoint, EndpointKind, Line, MediaEvent
from appliance.media.endpoint import RelayEndpoint
from appliance.media.entry import make_path_functions
from appliance.media.lines import EchoLine, ToneLine
from appliance.media.mediaport import Watched
from appliance.media.ports import PortOptions, PortPool
from appliance.media.relaystream import LineJoin, Partner
from appliance.rtc.dtls import DtlsIdentity
from appliance.rtc.srtp import PacketBuffer

logger = logging.getLogger(__name__)

BATCH = 128
"""Datagrams handled before other tasks get their turn."""
GATHER_FROM = 6
"""Datagrams in one batch from which on it pays to wait for more."""
PACE_S = 0.02
HOUSEKEEPING_S = 1.0


@frozen
class RelayOptions:
    """`silence_s`: how long a stream that should be heard may be mute before its owner is told.
    `relatch_s`: how long the settled address must be mute before another allowed one may take over.
    `gather_s`: while packets come thick, take them together this often, at the price of that much delay; 0 never.
    """

    ports: PortOptions = field(factory=PortOptions)
    silence_s: float = 20.0
    relatch_s: float = 2.0
    consent_s: float = 30.0
    gather_s: float = 0.002


class PythonRelay:
    """Use through open_relay. `clock` is monotonic seconds."""

    def __init__(
        self, options: RelayOptions, identity: DtlsIdentity, clock: Callable[[], float], marker: Marker | None = None
    ) -> None:
        self.options = options
        self.identity = identity
        self.marker = marker or Marker()
        self.clock = clock
        self.buffer = PacketBuffer()
        self.receive, self.deliver = make_path_functions(self.buffer)
        self.pool = PortPool(options.ports, clock)
        self.endpoints: set[RelayEndpoint] = set()
        self.drops: Counter[str] = Counter()
        """Of endpoints that are closed; `total_drops` has the sum."""
        self._epoll = select.epoll()
        self._ready: dict[int, Watched] = {}
        self._paced: dict[Callable[[float], None], None] = {}
        self._pace_wanted = trio.Event()

    # The seam: backend.MediaBackend.

    def open_endpoint(
        self, kind: EndpointKind, host: str, *, mux: bool, on_event: Callable[[MediaEvent], None]
    ) -> RelayEndpoint:
        endpoint = RelayEndpoint(self, kind, host, mux=mux, on_event=on_event)
        self.endpoints.add(endpoint)
        return endpoint

    def join(self, a: Endpoint, index_a: int, b: Endpoint, index_b: int) -> None:
        a, b = _ours(a), _ours(b)
        self.leave(a, index_a)
        self.leave(b, index_b)
        if a.closed or b.closed:
            return
        a.joins[index_a] = Partner(b, index_b)
        b.joins[index_b] = Partner(a, index_a)
        a.preset_sources()
        b.preset_sources()

    def join_line(self, endpoint: Endpoint, index: int, line: Line) -> None:
        ours = _ours(endpoint)
        self.leave(ours, index)
        if ours.closed:
            return
        join: LineJoin
        if line is Line.ECHO:
            join = EchoLine()
        else:
            join = tone = ToneLine(ours, index)
            self.pace(tone.pace)
        ours.joins[index] = join
        ours.preset_sources()

    def leave(self, endpoint: Endpoint, index: int) -> None:
        ours = _ours(endpoint)
        join = ours.joins.pop(index, None)
        if join is None:
            return
        if isinstance(join, Partner):
            join.endpoint.joins.pop(join.index, None)
            join.endpoint.release_claims(join.index)
            join.endpoint.preset_sources()
        else:
            if isinstance(join, ToneLine):
                self.unpace(join.pace)
            join.close()
        ours.release_claims(index)
        ours.preset_sources()

    # For endpoints.

    def watch(self, descriptor: int, watched: Watched) -> None:
        self._ready[descriptor] = watched
        self._epoll.register(descriptor, select.EPOLLIN)

    def unwatch(self, descriptor: int) -> None:
        if self._ready.pop(descriptor, None) is not None:
            self._epoll.unregister(descriptor)

    def pace(self, paced: Callable[[float], None]) -> None:
        """Call this about every 20 ms until unpace."""
        self._paced[paced] = None
        self._pace_wanted.set()

    def unpace(self, paced: Callable[[float], None]) -> None:
        self._paced.pop(paced, None)

    def forget(self, endpoint: RelayEndpoint) -> None:
        self.endpoints.discard(endpoint)
        self.drops.update(endpoint.drops)

    def total_drops(self) -> Counter[str]:
        """Dropped packets by cause since the start."""
        total = Counter(self.drops)
        for endpoint in self.endpoints:
            total.update(endpoint.drops)
        return total

    # The tasks.

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep_time)
            await self._receive()

    async def _receive(self) -> None:
        poll, ready, clock = self._epoll.poll, self._ready, self.clock
        descriptor = self._epoll.fileno()
        gather_s = self.options.gather_s
        while True:
            await trio.lowlevel.wait_readable(descriptor)
            busy = True
            while busy:
                batch = poll(0, BATCH)
                now = clock()
                for number, _ in batch:
                    try:
                        watched = ready[number]
                        watched.handle(watched, now)
                    except KeyError:
                        # Closed by an earlier packet of this batch.
                        if number in ready:
                            self._fault()
                    except Exception:
                        self._fault()
                # A wake-up costs as much as ten packets. Where many come, let some gather.
                busy = len(batch) >= GATHER_FROM and gather_s > 0
                if busy:
                    await trio.sleep(gather_s if len(batch) < BATCH else 0)

    def _fault(self) -> None:
        self.drops["fault"] += 1
        logger.exception("media packet failed")

    async def _keep_time(self) -> None:
        clock = self.clock
        housekeeping = clock() + HOUSEKEEPING_S
        pace = clock()
        while True:
            now = clock()
            if now >= pace:
                for paced in list(self._paced):
                    self._guard(paced, now)
                pace += PACE_S * max(1, int((now - pace) / PACE_S) + 1)
            if now >= housekeeping:
                housekeeping = now + HOUSEKEEPING_S
                for number, endpoint in enumerate(list(self.endpoints)):
                    self._guard(endpoint.tick, now)
                    if number % 32 == 31:
                        # Packets must not wait for the housekeeping of thousands.
                        await trio.lowlevel.checkpoint()
            if self._paced:
                await trio.sleep(max(0.0, min(pace, housekeeping) - clock()))
            else:
                self._pace_wanted = trio.Event()
                with trio.move_on_after(max(0.0, housekeeping - clock())):
                    await self._pace_wanted.wait()

    def _guard(self, act: Callable[[float], None], now: float) -> None:
        try:
            act(now)
        except Exception:
            self._fault()

    def close(self) -> None:
        for endpoint in list(self.endpoints):
            endpoint.close()
        self._epoll.close()


def _ours(endpoint: Endpoint) -> RelayEndpoint:
    if not isinstance(endpoint, RelayEndpoint):
        raise TypeError(f"{endpoint!r} is of another backend")
    return endpoint


def _raise_descriptor_limit() -> None:
    """An endpoint holds two or three sockets; the usual soft limit of 1024 would end at some 200 calls."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@asynccontextmanager
async def open_relay(
    options: RelayOptions | None = None,
    *,
    identity: DtlsIdentity | None = None,
    clock: Callable[[], float] = trio.current_time,
    marker: Marker | None = None,
) -> AsyncIterator[PythonRelay]:
    """A running relay; at exit every endpoint is closed. Its times are trio's, as everybody's here. Without an
    identity it makes one for its lifetime."""
    _raise_descriptor_limit()
    relay = PythonRelay(options or RelayOptions(), identity or DtlsIdentity.generate(), clock, marker)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(relay.run)
            yield relay
            nursery.cancel_scope.cancel()
    finally:
        relay.close()
