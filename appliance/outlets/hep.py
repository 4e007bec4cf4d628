"""Traced messages to HEP collectors (HEPv3, as Homer reads it) over UDP, TCP or TLS.

The trace hands messages over by the chunk and never waits; a task for each collector makes packets and sends them. HEP
acknowledges nothing: over UDP what is lost on the way is lost unseen, over TCP and TLS what was on it as it broke.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Generic, TypeVar

import attrs
import trio

from appliance.config.hep import HepSettings, HepTransport
from appliance.logs import log
from appliance.metrics import Metrics

from .collector_tls import reason_of, secured
from .crew import Crew
from .hep_packet import Captured, hep_packet

T = TypeVar("T")

_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 30.0
_TIMEOUT_S: Final = 10.0
_BATCH: Final = 64


@attrs.define(eq=False)
class HepCollector(Generic[T]):
    """One `[hep NAME]`. `read` makes of what the trace hands over what goes into a packet; only `run` calls it."""

    settings: HepSettings
    node: str
    read: Callable[[T], Captured]
    sent: int = 0
    dropped: int = 0
    """Given way in a full queue, or refused by the network at once."""
    _queue: deque[T] = attrs.field(factory=deque)
    _wake: trio.Event = attrs.field(factory=trio.Event)
    _told: bool = False

    @property
    def waiting(self) -> int:
        return len(self._queue)

    def take(self, messages: Sequence[T]) -> None:
        """Never waits; where the queue is full the oldest give way."""
        self._queue.extend(messages)
        while len(self._queue) > self.settings.buffer:
            self._queue.popleft()
            self.dropped += 1
        self._wake.set()

    async def run(self) -> None:
        """Until cancelled: connect, send, and come back with capped back-off."""
        pause_s = _FIRST_PAUSE_S
        while True:
            sent = self.sent
            try:
                if self.settings.transport is HepTransport.UDP:
                    await self._by_datagrams()
                else:
                    await self._by_stream()
            except* (OSError, trio.BrokenResourceError, trio.TooSlowError) as errors:
                if not self._told:
                    self._told = True
                    log.warning("hep.lost", collector=self.settings.name, reason=reason_of(errors.exceptions[0]))
            if self.sent > sent:
                pause_s = _FIRST_PAUSE_S
            await trio.sleep(pause_s)
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    def _is_reached(self) -> None:
        if self._told:
            self._told = False
            log.info("hep.back", collector=self.settings.name, dropped=self.dropped)

    async def _by_datagrams(self) -> None:
        settings = self.settings
        with trio.fail_after(_TIMEOUT_S):
            found = await trio.socket.getaddrinfo(settings.host, settings.port, type=trio.socket.SOCK_DGRAM)
        family, kind, protocol, _, address = found[0]
        with trio.socket.socket(family, kind, protocol) as wire:
            await wire.connect(address)
            self._is_reached()
            while True:
                packets = await self._packets()
                self.dropped += len(packets)  # unless they are sent: a reload may come in between
                for packet in packets:
                    try:
                        await wire.send(packet)
                    except OSError:
                        continue  # nobody listens there just now: ICMP tells of an earlier packet
                    self.dropped -= 1
                    self.sent += 1

    async def _by_stream(self) -> None:
        settings = self.settings
        with trio.fail_after(_TIMEOUT_S):
            plain = await trio.open_tcp_stream(settings.host, settings.port)
            stream: trio.abc.Stream = plain
            if settings.transport is HepTransport.TLS:
                stream = await secured(plain, settings)
        async with stream, trio.open_nursery() as nursery:
            self._is_reached()

            async def notice_end() -> None:
                while await stream.receive_some(4096):
                    pass
                raise trio.BrokenResourceError("the collector has closed the connection")

            nursery.start_soon(notice_end)
            while True:
                packets = await self._packets()
                self.dropped += len(packets)  # unless it succeeds
                with trio.fail_after(_TIMEOUT_S):
                    await stream.send_all(b"".join(packets))
                self.dropped -= len(packets)
                self.sent += len(packets)

    async def _packets(self) -> list[bytes]:
        """The next few, once there are some."""
        await trio.lowlevel.checkpoint()  # whoever is cancelled leaves the queue to the next
        while not self._queue:
            self._wake = trio.Event()
            await self._wake.wait()
        password = self.settings.password.reveal().encode() if self.settings.password is not None else b""
        packets: list[bytes] = []
        while self._queue and len(packets) < _BATCH:
            captured = self.read(self._queue.popleft())
            packets.append(hep_packet(captured, agent=self.settings.capture_id, password=password, node=self.node))
        return packets


class HepOutlet(Generic[T]):
    """All collectors of one appliance."""

    def __init__(self, read: Callable[[T], Captured]) -> None:
        self._read = read
        self._crew: Crew[HepCollector[T]] = Crew()
        self.collectors = self._crew.members

    def configure(self, collectors: Mapping[str, HepSettings], node: str) -> None:
        """Take new settings; what waits for a collector that stays goes on waiting. `node` is who we are."""

        def change(one: HepCollector[T], settings: HepSettings) -> bool:
            before = one.settings, one.node
            one.settings, one.node = settings, node
            return before != (settings, node)

        self._crew.adopt(collectors, lambda settings: HepCollector(settings, node, self._read), change)

    def take(self, messages: Sequence[T]) -> None:
        for one in self.collectors.values():
            one.take(messages)

    async def run(self, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED) -> None:
        """A leaf service: ends only when it is cancelled."""
        await self._crew.work(task_status)

    def show(self, metrics: Metrics) -> None:
        """Hang the figures into the catalogue."""
        metrics.hep_packets.read = lambda: {
            (name, end): count
            for name, one in self.collectors.items()
            for end, count in (("sent", one.sent), ("dropped", one.dropped))
        }
