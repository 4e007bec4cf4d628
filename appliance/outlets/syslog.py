"""Events to log collectors by syslog, over UDP, TCP and TLS; a bounded buffer bridges the time when one is away.

The log hands events over synchronously and never waits; a task for each collector sends them. syslog says nothing of
what arrived, so over a stream what was sent in the last seconds before a break goes again, with its old number.
"""

from __future__ import annotations

import fcntl
import math
import os
import socket
import struct
import termios
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import attrs
import trio

from appliance.alarm_kinds import LOG_COLLECTOR
from appliance.alarms import Alarms
from appliance.config.log import SYSLOG_PORTS, SyslogSettings, SyslogTransport
from appliance.logs import LEVELS, Event, EventLog
from appliance.metrics import Metrics

from .collector_tls import reason_of, secured
from .crew import Crew
from .syslog_message import LONGEST, LONGEST_DATAGRAM, Origin, framed, message_of

FIRST_PAUSE_S: Final = 0.5
STEADY_S: Final = 30.0
UNSURE_S: Final = 3.0
"""So long a collector may take to read what its kernel has acknowledged."""
LAST_S: Final = 2.0
_TICK_S: Final = 1.0
_BATCH: Final = 64


class CollectorLost(Exception):  # noqa: N818 (it says what happened)
    """The collector cannot be reached, or not any more."""


@attrs.define
class _Waiting:
    number: int
    event: Event
    sent_at: float = math.inf


class Collector:
    """One `[syslog NAME]`. `take` is for the log, in any thread; `run` sends."""

    def __init__(self, settings: SyslogSettings, host: str, log: EventLog, alarms: Alarms) -> None:
        self.sent = 0
        self.dropped = 0
        """Given way in a full buffer; a few of them, sent just before a break, may have arrived."""
        self.repeated = 0
        self.connected = False
        self._log = log
        self._alarms = alarms
        self._number = 0
        self._untold = 0
        self._queue: deque[_Waiting] = deque()
        self._unsure: deque[_Waiting] = deque()
        self._sending = False
        self._wake = trio.Event()
        self._thread = threading.get_ident()
        self.configure(settings, host)

    def configure(self, settings: SyslogSettings, host: str) -> None:
        """From now on by these settings; what waits goes on waiting."""
        self.settings = settings
        self._least = LEVELS[settings.level]
        self._all = "*" in settings.events
        self._wanted = frozenset(settings.events)
        self._origin = Origin(host, settings.app_name, str(os.getpid()), settings.facility.code)

    @property
    def waiting(self) -> int:
        return len(self._queue)

    def take(self, event: Event) -> None:
        """An event of the log. Never waits; where the buffer is full the oldest gives way."""
        if LEVELS[event.level] < self._least:
            return
        if not self._all and event.name not in self._wanted and event.name.partition(".")[0] not in self._wanted:
            return
        self._number += 1
        self._queue.append(_Waiting(self._number, event))
        self._keep_bounds()
        if threading.get_ident() == self._thread:
            self._wake.set()  # another thread's event waits for the next one, or for the tick

    def _keep_bounds(self) -> None:
        while len(self._queue) > self.settings.buffer:
            self._queue.popleft()
            self.dropped += 1
            self._untold += 1

    async def run(self) -> None:
        """Until cancelled: connect, send, and come back with capped back-off."""
        pause_s = FIRST_PAUSE_S
        self._put_back()
        while True:
            began = trio.current_time()
            try:
                await self._talk()
            except (CollectorLost, OSError, trio.BrokenResourceError, trio.TooSlowError) as error:
                self.connected = False
                self._put_back()
                self._is_lost(_in_words(error, self.settings))
            if trio.current_time() - began > STEADY_S:
                pause_s = FIRST_PAUSE_S
            await trio.sleep(min(pause_s, self.settings.longest_pause_s))
            pause_s = min(pause_s * 2, self.settings.longest_pause_s)

    def _put_back(self) -> None:
        """What was sent just before a break goes again, with its number."""
        self.repeated += len(self._unsure)
        self._queue.extendleft(reversed(self._unsure))
        self._unsure.clear()
        self._keep_bounds()

    def _is_lost(self, reason: str) -> None:
        self._alarms.raise_(LOG_COLLECTOR, self.settings.name, reason)

    def _is_reached(self) -> None:
        self.connected = True
        self._alarms.clear(LOG_COLLECTOR, self.settings.name)

    def _tell_dropped(self) -> None:
        """Once there is room for it: in a full buffer the event that tells would itself push one out, uncounted."""
        if self._untold and len(self._queue) < self.settings.buffer:
            dropped, self._untold = self._untold, 0
            self._log.warning("syslog.dropped", collector=self.settings.name, events=dropped)

    # One connection

    async def _talk(self) -> None:
        """Send until the connection ends. Raises CollectorLost, OSError, BrokenResourceError or TooSlowError."""
        wire: _Datagrams | _Stream
        self._sending = False
        with trio.fail_after(self.settings.timeout_s):
            if self.settings.transport is SyslogTransport.UDP:
                wire = await _open_datagrams(self.settings)
            else:
                wire = await _open_stream(self.settings)
        ended: list[BaseException] = []

        async def notice_end() -> None:
            ended.append(CollectorLost(await wire.wait_ended()))
            nursery.cancel_scope.cancel()

        try:
            self._is_reached()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(notice_end)
                try:
                    await self._feed(wire)
                except (OSError, trio.BrokenResourceError, trio.TooSlowError) as error:
                    ended.append(error)
                    nursery.cancel_scope.cancel()
                except trio.Cancelled:
                    if not ended:
                        await self._say_the_rest(wire)
                    raise
        finally:
            await wire.close()
        raise ended[0]

    async def _feed(self, wire: _Datagrams | _Stream) -> None:
        while True:
            self._forget_sure(wire)
            self._tell_dropped()
            if not self._queue:
                self._wake = trio.Event()
                with trio.move_on_after(_TICK_S):
                    await self._wake.wait()
                continue
            await trio.lowlevel.checkpoint_if_cancelled()  # not in the middle of a message
            await self._send_some(wire)

    async def _send_some(self, wire: _Datagrams | _Stream) -> None:
        some = [self._queue.popleft() for _ in range(min(_BATCH, len(self._queue)))]
        now = trio.current_time()
        for one in some:
            one.sent_at = now
        self._unsure.extend(some)
        self._sending = True
        with trio.fail_after(self.settings.timeout_s):
            await wire.send(message_of(one.event, one.number, self._origin, wire.longest) for one in some)
        self._sending = False
        self.sent += len(some)

    def _forget_sure(self, wire: _Datagrams | _Stream) -> None:
        """Those that were sent long ago have been read, where the other kernel has all we wrote."""
        if self._unsure and wire.unacknowledged() == 0:
            before = trio.current_time() - UNSURE_S
            while self._unsure and self._unsure[0].sent_at < before:
                self._unsure.popleft()
        while len(self._unsure) > self.settings.buffer:
            self._unsure.popleft()

    async def _say_the_rest(self, wire: _Datagrams | _Stream) -> None:
        """The process leaves: what waits is sent, for a short time."""
        if self._sending:
            return  # in the middle of a message: the stream is of no use any more
        with trio.move_on_after(LAST_S, shield=True):
            try:
                while self._queue:
                    await self._send_some(wire)
                await wire.say_goodbye()
                self._unsure.clear()
            except (OSError, trio.BrokenResourceError, trio.BusyResourceError, trio.TooSlowError):
                pass


class _Datagrams:
    """UDP (RFC 5426): a message a datagram; what comes back is at most an ICMP error."""

    longest = LONGEST_DATAGRAM

    def __init__(self, wire: trio.socket.SocketType) -> None:
        self._wire = wire

    async def send(self, messages: Iterable[bytes]) -> None:
        for message in messages:
            await self._wire.send(message)

    async def wait_ended(self) -> str:
        while True:
            try:
                await self._wire.recv(1)
            except OSError as error:
                return error.strerror or str(error)

    def unacknowledged(self) -> int:
        return 0

    async def say_goodbye(self) -> None:
        pass

    async def close(self) -> None:
        self._wire.close()


class _Stream:
    """TCP or TLS, with octet counting."""

    longest = LONGEST

    def __init__(self, stream: trio.abc.Stream, wire: trio.socket.SocketType) -> None:
        self._stream = stream
        self._wire = wire

    async def send(self, messages: Iterable[bytes]) -> None:
        await self._stream.send_all(b"".join(map(framed, messages)))

    async def wait_ended(self) -> str:
        try:
            while await self._stream.receive_some():
                pass  # nobody should say anything here
        except (trio.BrokenResourceError, OSError) as error:
            return f"the connection broke: {error.__cause__ or error}"
        return "the collector closed the connection"

    def unacknowledged(self) -> int:
        """Bytes that the other kernel has not taken yet (SIOCOUTQ)."""
        try:
            return int(struct.unpack("i", fcntl.ioctl(self._wire.fileno(), termios.TIOCOUTQ, b"\0\0\0\0"))[0])
        except OSError:
            return 1

    async def say_goodbye(self) -> None:
        await self._stream.aclose()

    async def close(self) -> None:
        await trio.aclose_forcefully(self._stream)


async def _open_datagrams(settings: SyslogSettings) -> _Datagrams:
    reasons = []
    found = await trio.socket.getaddrinfo(settings.host, _port(settings), type=socket.SOCK_DGRAM)
    for family, kind, protocol, _, address in found:
        wire = trio.socket.socket(family, kind, protocol)
        try:
            await wire.connect(address)
            return _Datagrams(wire)
        except OSError as error:
            wire.close()
            reasons.append(str(error))
    raise CollectorLost("; ".join(reasons) or "its name has no address")


def _port(settings: SyslogSettings) -> int:
    return SYSLOG_PORTS[settings.transport] if settings.port is None else settings.port


async def _open_stream(settings: SyslogSettings) -> _Stream:
    plain = await trio.open_tcp_stream(settings.host, _port(settings))
    wire = plain.socket
    # A collector whose host is gone acknowledges nothing: the kernel gives up, and we come back.
    wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(settings.timeout_s * 1000))
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 20)
    wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10)
    if settings.transport is SyslogTransport.TCP:
        return _Stream(plain, wire)
    return _Stream(await secured(plain, settings), wire)


def _in_words(error: BaseException, settings: SyslogSettings) -> str:
    where = f"{settings.host} port {_port(settings)} ({settings.transport})"
    if isinstance(error, trio.TooSlowError):
        return f"{where} took nothing within {settings.timeout_s:g} s"
    return f"{where}: {error if isinstance(error, CollectorLost) else reason_of(error)}"


class SyslogOutlet:
    """All collectors of one appliance; `take` is a sink of the log."""

    def __init__(self, log: EventLog, alarms: Alarms) -> None:
        self._log = log
        self._alarms = alarms
        self._crew: Crew[Collector] = Crew()
        self.collectors = self._crew.members

    def configure(self, collectors: Mapping[str, SyslogSettings], host: str) -> None:
        """Take new settings: what waits for a collector that stays goes on waiting. `host` is who we are."""

        def change(one: Collector, settings: SyslogSettings) -> bool:
            differs = one.settings != settings
            if differs:
                one.configure(settings, host)
            return differs

        self._crew.adopt(collectors, lambda settings: Collector(settings, host, self._log, self._alarms), change)
        self._alarms.keep(LOG_COLLECTOR, set(collectors))
        listening = self.take in self._log.sinks
        if self.collectors and not listening:
            self._log.sinks.append(self.take)
        elif listening and not self.collectors:
            self._log.sinks.remove(self.take)

    def take(self, event: Event) -> None:
        for one in self.collectors.values():
            one.take(event)

    async def run(self, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED) -> None:
        """A leaf service: ends only when it is cancelled."""
        try:
            await self._crew.work(task_status)
        finally:
            if self.take in self._log.sinks:
                self._log.sinks.remove(self.take)

    def show(self, metrics: Metrics) -> None:
        """Hang the figures into the catalogue."""

        def each(read: Callable[[Collector], Mapping[str, int]]) -> dict[tuple[str, ...], float]:
            return {(name, what): number for name, one in self.collectors.items() for what, number in read(one).items()}

        metrics.syslog_waiting.read = lambda: {(name,): one.waiting for name, one in self.collectors.items()}
        metrics.syslog_events.read = lambda: each(
            lambda one: {"sent": one.sent, "dropped": one.dropped, "repeated": one.repeated}
        )
