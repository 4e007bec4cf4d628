"""UDP sockets and their flows (RFC 3261 §18, RFC 3581).

One task a socket: it wakes when something has come, drains up to 64 datagrams without awaiting and hands them on
together, each with the flow of its sender; while they come thick, it lets them gather for five milliseconds, and sends
what is said to them when all have been dealt with. Sending never waits; what the kernel has no room for is dropped and
counted.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import trio

from appliance.marking import Ancillary, Marker, ancillary
from appliance.sip.flow import Flow, FlowClosed, host_port

from .counters import Counters
from .icmp import ask_for_errors, unreachable
from .keepalive import answer_untrusted
from .local import WILDCARDS, LocalAddresses, advertised_host, sockaddr
from .options import ListenerOptions
from .pause import pause
from .tap import Tap
from .trunkmarks import TrunkMarks

_BATCH = 64
_HOLD_FROM = 4
_GATHER_FROM = 2
_GATHER_S = 0.005
_LARGEST = 65_535
_SHORTEST = 32
"""No SIP message is shorter; what is may be a keep-alive."""

_SO_MEMINFO = 55
"""Linux: what a socket holds, as nine whole numbers: of memory for receiving, its limit …, and what was dropped."""
_FULL = frozenset({errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM})
_ICMP = frozenset({errno.ECONNREFUSED, errno.ECONNRESET})

_NAMES = frozenset({"local", "sent_by", "id"})

SockAddr = tuple[str, int] | tuple[str, int, int, int]
OnMessages = Callable[[Sequence[tuple[bytes, Flow]]], None]


class UdpFlow(Flow):
    """The way to one address over one of our sockets."""

    __slots__ = ("_endpoint", "_sockaddr")

    def __init__(self, endpoint: UdpEndpoint, address: SockAddr) -> None:
        self.transport = "UDP"
        self.listener = endpoint.options.name
        self.remote = (address[0], address[1])
        self.reliable = False
        self.secure = False
        self.peer_identities = ()
        self.closed = False
        self.token = None
        self._endpoint = endpoint
        self._sockaddr = address

    def name(self) -> None:
        """Make `local`, `sent_by` and `id`."""
        endpoint = self._endpoint
        self.local = local = endpoint.local_towards(self.remote[0])
        self.sent_by = host_port(advertised_host(endpoint.options.advertise, local[0]), local[1])
        host, port, *rest = self._sockaddr
        scope = f"%{rest[1]}" if rest and rest[1] else ""
        self.id = f"udp/{self.listener}/{endpoint.host}/{host}{scope}/{port}"

    def send(self, data: bytes) -> None:
        endpoint = self._endpoint
        if endpoint.held is not None:
            endpoint.held.append((data, self))
            return
        lost = endpoint.send(data, self._sockaddr)
        if endpoint.tap is not None:
            endpoint.tap.said(data, self, lost)

    def send_untraced(self, data: bytes) -> None:
        self._endpoint.send(data, self._sockaddr)

    def send_held(self, data: bytes) -> None:
        """The same for a message that its sender takes for sent: a failure is told as ICMP would."""
        try:
            self.send(data)
        except FlowClosed:
            self._endpoint.on_unreachable(data, self.remote)

    def towards(self, remote: tuple[str, int]) -> Flow:
        try:
            return self._endpoint.flow_to(remote[0], remote[1])
        except ValueError:  # what a Via says may be no address at all
            return self


class NewUdpFlow(UdpFlow):
    """One whose names nobody has asked for yet: a flood from made-up addresses pays for none.

    It turns into a plain one then, since Python reads the attributes of a class with `__getattr__` the slow way.
    """

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        if name not in _NAMES:
            raise AttributeError(name)
        self.__class__ = UdpFlow  # type: ignore[assignment]
        self.name()
        return getattr(self, name)


class MarkedUdpFlow(UdpFlow):
    """The same to an address whose trunk has a marking of its own: each packet carries it."""

    __slots__ = ("_control",)

    def __init__(self, endpoint: UdpEndpoint, address: SockAddr, dscp: int) -> None:
        super().__init__(endpoint, address)
        self._control = ancillary(endpoint.family, dscp)
        self.name()

    def send(self, data: bytes) -> None:
        endpoint = self._endpoint
        lost = endpoint.send_marked(data, self._sockaddr, self._control)
        if endpoint.tap is not None:
            endpoint.tap.said(data, self, lost)

    def send_untraced(self, data: bytes) -> None:
        self._endpoint.send_marked(data, self._sockaddr, self._control)


class UdpEndpoint:
    """One bound UDP socket. `run` receives until `close`."""

    def __init__(
        self,
        sock: socket.socket,
        options: ListenerOptions,
        counters: Counters,
        on_messages: OnMessages,
        addresses: LocalAddresses,
        remembered: int,
        marker: Marker,
    ) -> None:
        self.host, self.port = sock.getsockname()[:2]
        self.family = sock.family
        self.options = options
        self._sock = sock
        self._counters = counters
        self._on_messages = on_messages
        self._addresses = addresses
        self._room = remembered
        self._marker = marker
        self._marks = TrunkMarks()
        self._dropped = 0
        self.tap: Tap | None = None
        self.on_unreachable: Callable[[bytes, tuple[str, int]], None] = lambda quoted, remote: None
        """Told (the beginning of) a datagram that could not be delivered, as ICMP or the kernel says, and where to."""
        self.held: list[tuple[bytes, UdpFlow]] | None = None
        """What is said to datagrams that came together, and goes out when all of them have been dealt with."""
        ask_for_errors(sock)
        # Two generations, the older forgotten when the younger is full: bounded in size and cheap at every moment.
        self._flows: dict[SockAddr, UdpFlow] = {}
        self._older: dict[SockAddr, UdpFlow] = {}
        self.closed = False

    async def run(self) -> None:
        sock = self._sock
        receive = sock.recvfrom
        on_messages = self._on_messages
        counters = self._counters
        wait_readable = trio.lowlevel.wait_readable
        try:
            while not self.closed:
                await wait_readable(sock)
                busy = True
                while busy and not self.closed:
                    received: list[tuple[bytes, Flow]] = []
                    size = 0
                    flows = self._flows
                    for _ in range(_BATCH):
                        try:
                            data, address = receive(_LARGEST)
                        except BlockingIOError:
                            if not received:
                                self._hear_errors()
                            break
                        except OSError as error:
                            if sock.fileno() < 0:
                                break
                            # An ICMP error of an earlier datagram of ours: it says nothing about the socket.
                            counters.drop("icmp" if error.errno in _ICMP else "receive-error")
                            self._hear_errors()
                            continue
                        if len(data) < _SHORTEST or not 32 < data[0] < 127:
                            self._odd(data, address)
                            continue
                        flow = flows.get(address)
                        if flow is None:
                            flow = self._flow(address)
                            flows = self._flows
                        received.append((data, flow))
                        size += len(data)
                    if len(received) >= _HOLD_FROM:
                        self._answer_together(received)
                    elif received:
                        on_messages(received)
                    messages = len(received)
                    counters.messages_in += messages
                    counters.bytes_in += size
                    # A wake-up costs as much as two messages. Where they come thick, let some gather: a call that
                    # takes five milliseconds longer is the same call to people, and to every timer of the RFC.
                    busy = messages >= _GATHER_FROM
                    if busy:
                        if messages < _BATCH:
                            await pause(_GATHER_S)
                        else:
                            await trio.lowlevel.checkpoint()
        except trio.ClosedResourceError:
            return
        finally:
            self.close()

    def _answer_together(self, received: Sequence[tuple[bytes, Flow]]) -> None:
        """Hand datagrams on, and send in a row what is said to them: each way into the kernel costs the processor
        what it had at hand of ours.
        """
        held: list[tuple[bytes, UdpFlow]] = []
        self.held = held
        try:
            self._on_messages(received)
        finally:
            self.held = None
            for data, flow in held:
                flow.send_held(data)

    def send(self, data: bytes, address: SockAddr) -> str:
        """The cause for which it was lost here, '' where it was not.

        Raises `FlowClosed` where the socket is closed, the peer is unreachable or `data` too long for a datagram.
        """
        counters = self._counters
        try:
            self._sock.sendto(data, address)
        except OSError as error:
            return self._unsent(error, partial(self._sock.sendto, data, address))
        counters.messages_out += 1
        counters.bytes_out += len(data)
        return ""

    def send_marked(self, data: bytes, address: SockAddr, control: Ancillary) -> str:
        """The same, marked as `control` says."""
        counters = self._counters
        try:
            self._marker.send_to(self._sock, data, address, control)
        except OSError as error:
            return self._unsent(error, partial(self._marker.send_to, self._sock, data, address, control))
        counters.messages_out += 1
        counters.bytes_out += len(data)
        return ""

    def _unsent(self, error: OSError, again: Callable[[], object]) -> str:
        """What a send reports may be the ICMP error of an earlier datagram to somebody else: the second time tells."""
        counters = self._counters
        if error.errno not in _FULL and not self.closed:
            try:
                again()
                return ""
            except OSError as second:
                error = second
        if error.errno in _FULL:
            cause = "send-full"
        elif error.errno in _ICMP:
            cause = "icmp"
        else:
            counters.drop("send-error")
            raise FlowClosed(error.strerror or "send failed") from error
        counters.drop(cause)
        return cause

    def _hear_errors(self) -> None:
        for quoted, remote in unreachable(self._sock):
            self.on_unreachable(quoted, remote)

    def mark(self, dscp: int | None, marks: TrunkMarks) -> None:
        """Mark what goes out from now on: with `dscp`, and to the addresses of `marks` with theirs."""
        self._marker.mark(self._sock, dscp)
        self._marks = marks
        self.forget()

    def flow_to(self, host: str, port: int) -> UdpFlow:
        """The flow to an IP literal and port; the same object as long as it is remembered.

        Raises `ValueError` for what is no address of this socket's family.
        """
        usual = (host, port, 0, 0) if self.family == socket.AF_INET6 else (host, port)
        flow = self._flows.get(usual)
        if flow is not None:
            return flow
        address = sockaddr(host, port, self.family)
        return self._flows.get(address) or self._flow(address)

    def forget(self) -> None:
        """Make all flows anew from now on."""
        self._flows = {}
        self._older = {}

    @property
    def remembered(self) -> int:
        """How many flows are kept."""
        return len(self._flows) + len(self._older)

    def _flow(self, address: SockAddr) -> UdpFlow:
        flow = self._older.get(address)
        if flow is None:
            dscp = self._marks.of(address[0]) if self._marks.any else None
            flow = NewUdpFlow(self, address) if dscp is None else MarkedUdpFlow(self, address, dscp)
        if len(self._flows) >= self._room:
            self._older = self._flows
            self._flows = {}
        self._flows[address] = flow
        return flow

    def _odd(self, data: bytes, address: SockAddr) -> None:
        self._counters.bytes_in += len(data)
        answer = answer_untrusted(data, (address[0], address[1]))
        if answer is None:
            cause = "short" if len(data) < _SHORTEST else "not-sip"
            self._counters.drop(cause)
            if self.tap is not None:
                self.tap.dropped(data, NewUdpFlow(self, address), cause)
        elif answer:
            try:
                self._sock.sendto(answer, address)
            except OSError:
                self._counters.drop("send-error")

    def local_towards(self, host: str) -> tuple[str, int]:
        if self.host in WILDCARDS:
            return self._addresses.towards(host) or self.host, self.port
        return self.host, self.port

    def backlog(self) -> float:
        """How full the kernel's buffer of what waits for us is, 0 to 1; 1 where it had to drop something lately."""
        try:
            info = memoryview(self._sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 36)).cast("I")
        except OSError:
            return 0.0
        before, self._dropped = self._dropped, info[8]
        return 1.0 if info[8] > before else info[0] / max(info[1], 1)

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            trio.lowlevel.notify_closing(self._sock)
            self._sock.close()
            for flow in (*self._flows.values(), *self._older.values()):
                flow.closed = True
