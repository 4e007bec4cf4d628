"""All listeners and connections of the box behind one door.

Whoever routes asks for a flow towards a `Target` and sends; whole messages come back through one synchronous callback
with the flow that they came by. Where a name leads is the resolver's business, what a message means the core's.
RFC 3261 §18, RFC 5626 (flows), RFC 5923 (connections used both ways), RFC 7118.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVarTuple

import attrs
import trio

from appliance.marking import Markable, Marker
from appliance.sip.flow import Address, Flow, FlowClosed, host_port

from .adopted import AdoptedConnection, Receive, Send
from .codec import StreamCodec
from .connection import Connection
from .counters import Counters, ListenerSnapshot
from .dial import dial
from .listener import Listener, bind_all, connection_id
from .local import WILDCARDS, LocalAddresses, advertised_host, family_of
from .options import (
    ListenerOptions,
    Target,
    TlsClientOptions,
    TransportOptions,
    TrunkMarking,
)
from .tap import Tap
from .tls import TlsLayer, client_context, server_context
from .trunkmarks import TrunkMarks
from .udp import OnMessages, UdpEndpoint
from .websocket import origin_allowed

Ts = TypeVarTuple("Ts")

OnMessage = Callable[[bytes, Flow], None]
OnClosed = Callable[[Flow], None]

_CHOSEN = 4096
_ALIASES = 16
_PORTS = {"TCP": 5060, "TLS": 5061}
"""Where we would be looked for, had we a listener."""


class DeadFlow(Flow):
    """The way to a target that no socket of ours reaches: closed from the beginning."""

    __slots__ = ("cause",)

    def __init__(self, target: Target, cause: str) -> None:
        super().__init__(
            transport=target.transport,
            listener=target.listener or "",
            local=("", 0),
            remote=(target.host, target.port),
            id="dead",
            sent_by="invalid.invalid",
        )
        self.closed = True
        self.cause = cause

    def send(self, data: bytes) -> None:
        raise FlowClosed(self.cause)


class Transports:
    """`on_message`, `on_messages` and `on_closed` are called from tasks of `nursery`, one at a time, and what they
    raise rises there.

    `on_closed` is called once for each connection that the core has seen: one that was opened by a peer, or one that
    `connect` returned, also where that could not be opened. UDP flows have no end.
    """

    def __init__(
        self,
        on_message: OnMessage,
        on_closed: OnClosed,
        options: TransportOptions,
        nursery: trio.Nursery,
        marker: Marker | None = None,
    ) -> None:
        self.on_message = on_message
        self.on_messages: OnMessages = self._one_by_one
        """Takes datagrams that came together. To be set before `listen`."""
        self.on_unreachable: Callable[[bytes, Address], None] = lambda quoted, remote: None
        """Told the beginning of a datagram that ICMP called undeliverable, and where it was sent to."""
        self.admits: Callable[[str, str], bool] = lambda listener, address: True
        """Whether (listener, address) may open a connection; the core's to say."""
        self.tap: Tap | None = None
        self.nursery = nursery
        self._on_closed = on_closed
        self._options = options
        self._marker = marker or Marker()
        self._marks = TrunkMarks(options.trunk_markings)
        self._listeners: dict[str, Listener] = {}
        self._connections: dict[str, Flow] = {}
        self._adopted: dict[tuple[str, str], Listener] = {}
        self._accepting = True
        self._reusable: dict[object, Connection] = {}
        self._outgoing = 0
        self._counters = Counters()
        self._addresses = LocalAddresses()
        self._chosen: dict[tuple[str | None, str], UdpEndpoint | None] = {}
        self._contexts: dict[TlsClientOptions, ssl.SSLContext] = {}

    # Listeners

    async def listen(self, options: ListenerOptions) -> Listener:
        """Bind all addresses and begin to serve.

        Raises `OSError` (naming the listener), `ssl.SSLError`, or `ValueError` where the options do not fit."""
        await trio.lowlevel.checkpoint()
        if options.name in self._listeners:
            raise ValueError(f"listener {options.name} is there already")
        context = None
        if options.secure:
            if options.tls is None:
                raise ValueError(f"listener {options.name} needs a certificate")
            context = server_context(options.tls)
        sockets = bind_all(options)
        listener = Listener(options, sockets, Counters(), context)
        if options.transport == "UDP":
            for sock in sockets:
                endpoint = UdpEndpoint(
                    sock,
                    options,
                    listener.counters,
                    self.on_messages,
                    self._addresses,
                    self._options.remembered_remotes,
                    self._marker,
                )
                endpoint.on_unreachable = self._unreachable
                endpoint.tap = self.tap
                listener.endpoints.append(endpoint)
                self.nursery.start_soon(endpoint.run)
        else:
            self.nursery.start_soon(listener.accept, self)
        self._listeners[options.name] = listener
        self._mark_listener(listener)
        self._chosen.clear()
        return listener

    async def stop_accepting(self) -> None:
        """Take no new connections on any listener. What stands goes on, and so does UDP, where calls end by it."""
        await trio.lowlevel.checkpoint()
        self._accepting = False
        for listener in self._listeners.values():
            listener.stop_accepting()

    def reconfigure(self, options: ListenerOptions) -> None:
        """Give a listener that runs new options: for new connections, and for what is advertised, from now on.

        Its name, transport and addresses must be what they were. Certificates are read again. Raises as `listen` does,
        and then nothing has changed; sockets and connections stay in any case.
        """
        listener = self._listeners[options.name]
        old = listener.options
        if options.sockets != old.sockets:
            raise ValueError(f"listener {options.name} would need other sockets")
        if options.secure:
            if options.tls is None:
                raise ValueError(f"listener {options.name} needs a certificate")
            listener.context = server_context(options.tls)
        listener.options = options
        for endpoint in listener.endpoints:
            endpoint.options = options
            endpoint.forget()
        if options.dscp != old.dscp:
            self._mark_everything()

    def _unreachable(self, quoted: bytes, remote: Address) -> None:
        self.on_unreachable(quoted, remote)

    def tap_into(self, tap: Tap | None) -> None:
        """Show every message that is sent, and what is dropped here, to `tap` from now on; None: to nobody.

        What is received is shown by whoever `on_message` belongs to.
        """
        self.tap = tap
        for listener in self._listeners.values():
            for endpoint in listener.endpoints:
                endpoint.tap = tap
        for flow in self._connections.values():
            if isinstance(flow, AdoptedConnection):
                flow.tap = tap

    def listener(self, name: str) -> Listener | None:
        return self._listeners.get(name)

    def snapshot(self) -> list[ListenerSnapshot]:
        """The figures of all listeners, and under the name "" those of connections that no listener answers for."""
        found = [listener.snapshot() for listener in (*self._listeners.values(), *self._adopted.values())]
        return [*found, ListenerSnapshot.of(self._counters, name="", transport="", addresses=(), accepting=False)]

    # Marking

    def configure_marking(self, dscp: int | None, trunks: Sequence[TrunkMarking]) -> None:
        """Another marking for what no listener has its own for, and for trunks; what is open takes it at once."""
        if tuple(trunks) != self._options.trunk_markings:
            self._marks = TrunkMarks(trunks)
        self._options = attrs.evolve(self._options, dscp=dscp, trunk_markings=tuple(trunks))
        self._mark_everything()

    def mark(self, sock: Markable, listener: str, remote: str) -> None:
        self._marker.mark(sock, self._dscp(listener, remote))

    def _dscp(self, listener: str, remote: str = "") -> int | None:
        own = self._marks.of(remote) if remote and self._marks.any else None
        if own is None and listener in self._listeners:
            own = self._listeners[listener].options.dscp
        return self._options.dscp if own is None else own

    def _mark_listener(self, listener: Listener) -> None:
        dscp = self._dscp(listener.name)
        listener.mark(self._marker, dscp)
        for endpoint in listener.endpoints:
            endpoint.mark(dscp, self._marks)

    def _mark_everything(self) -> None:
        for listener in self._listeners.values():
            self._mark_listener(listener)
        for flow in self._connections.values():
            if isinstance(flow, Connection | AdoptedConnection):
                flow.mark(self._marker, self._dscp(flow.listener, flow.remote[0]))

    # Flows

    def backlog(self) -> float:
        """How full the fullest of the kernel's buffers for UDP is, 0 to 1."""
        listeners = self._listeners.values()
        return max((endpoint.backlog() for one in listeners for endpoint in one.endpoints), default=0.0)

    def flow(self, flow_id: str) -> Flow | None:
        """The flow of that id: for UDP also after a restart, a connection only while it is open."""
        connection = self._connections.get(flow_id)
        if connection is not None or not flow_id.startswith("udp/"):
            return connection
        try:
            name, bound, host, port = flow_id[4:].rsplit("/", 3)
            number = int(port)
        except ValueError:
            return None
        listener = self._listeners.get(name)
        for endpoint in listener.endpoints if listener is not None else ():
            if endpoint.host == bound and 0 < number < 65536:
                try:
                    return endpoint.flow_to(host, number)
                except ValueError:
                    return None
        return None

    def connect(self, target: Target) -> Flow:
        """A flow towards `target`, at once; never raises for what the net does.

        UDP: of the socket that reaches it. Otherwise a connection to the same address and server name is reused, or one
        is begun, and what is sent meanwhile waits. Where that fails the flow is `closed` and reported to `on_closed`.
        Where nothing can even be tried the flow comes back closed, unreported.
        """
        if not 0 < target.port < 65_536:
            return DeadFlow(target, "no such port")
        if target.dscp is not None and self._marks.learn(target.host, target.dscp):
            self._mark_everything()
        if target.transport == "UDP":
            return self._udp(target)
        if target.transport not in ("TCP", "TLS"):
            return DeadFlow(target, f"{target.transport} connections are only ever opened by phones")
        return self._stream(target)

    def alias(self, flow: Flow, port: int) -> bool:
        """Let requests to `port` of this peer use its own connection: its Via said `alias` (RFC 5923 §5).

        Only for a connection whose certificate was verified; for others nothing happens and False comes back.
        """
        if not isinstance(flow, Connection) or flow.closed or not flow.peer_identities or flow.transport != "TLS":
            return False
        for name in flow.peer_identities:
            key = ("TLS", flow.remote[0], port, name)
            if self._reusable.get(key) is not flow and len(flow.aliases) < _ALIASES:
                self._reusable[key] = flow
                flow.aliases.append(key)
        return True

    def _udp(self, target: Target) -> Flow:
        endpoint = self._chosen.get((target.listener, target.host))
        if endpoint is None or endpoint.closed:
            endpoint = self._choose(target)
            if endpoint is None:
                return DeadFlow(target, "no UDP listener reaches this address")
            if len(self._chosen) >= _CHOSEN:
                self._chosen.clear()
            self._chosen[target.listener, target.host] = endpoint
        try:
            return endpoint.flow_to(target.host, target.port)
        except ValueError:
            return DeadFlow(target, "not an address")

    def _choose(self, target: Target) -> UdpEndpoint | None:
        family = family_of(target.host)
        found = [
            endpoint
            for listener in self._listeners.values()
            for endpoint in listener.endpoints
            if endpoint.family == family
        ]
        found = [endpoint for endpoint in found if endpoint.options.name == target.listener] or found
        if len(found) < 2:
            return found[0] if found else None
        local = self._addresses.towards(target.host)
        for hosts in ((local,), WILDCARDS):
            for endpoint in found:
                if endpoint.host in hosts:
                    return endpoint
        return found[0]

    def _stream(self, target: Target) -> Flow:
        key = _key(target)
        # The second: a peer's own connection under its alias, where we are nobody else than its listener is.
        for candidate in (key, key[:4]) if target.tls.certificate is None else (key,):
            standing = self._reusable.get(candidate)
            if standing is not None and not standing.closed:
                return standing
        if self._outgoing >= self._options.max_outgoing:
            self._counters.drop("too-many-outgoing")
            return DeadFlow(target, "too many connections")
        local = self._addresses.towards(target.host)
        if local is None:
            return DeadFlow(target, "no way to this address")
        listener, source = self._speaks_for(target, local)
        local = source or local
        tls = None
        if target.transport == "TLS":
            try:
                name = target.tls.name or target.server_name or target.host
                tls = TlsLayer(self._context(target.tls), server_side=False, server_name=name)
            except (OSError, ValueError) as error:
                return DeadFlow(target, f"TLS cannot begin: {error}")
        connection = Connection(
            hall=self,
            counters=self._counters if listener is None else listener.counters,
            limits=self._options.limits,
            codec=StreamCodec(self._options.limits),
            transport=target.transport,
            listener="" if listener is None else listener.name,
            local=(local, 0),
            remote=(target.host, target.port),
            id=connection_id(target.transport),
            sent_by=host_port(local, _PORTS[target.transport]) if listener is None else listener.sent_by(local),
            outgoing=True,
            tls=tls,
        )
        connection.aliases.append(key)
        self._reusable[key] = connection
        self._outgoing += 1
        self.nursery.start_soon(self._dial, connection, source)
        return connection

    async def _dial(self, connection: Connection, source: str | None) -> None:
        try:
            mark = partial(self.mark, listener=connection.listener, remote=connection.remote[0])
            sock = await dial(*connection.remote, source, self._options.connect_deadline_s, mark)
        except OSError as error:
            connection.fail("connect-failed", error.strerror or str(error))
            return
        connection.local = sock.getsockname()[:2]
        if connection.closed:
            sock.close()
            connection.fail("")
            return
        await connection.run(sock)

    def _speaks_for(self, target: Target, local: str) -> tuple[Listener | None, str | None]:
        """The listener whose port goes into the Via of a connection of ours, so that the peer can come back; and the
        address to come from where it is bound to some only. `local` is what the kernel would choose."""
        named = self._listeners.get(target.listener or "")
        if named is not None and named.transport == target.transport:
            candidates = [named]
        else:
            candidates = [one for one in self._listeners.values() if one.transport == target.transport]
        family = family_of(target.host)
        for listener in candidates:
            hosts = [host for host, _ in listener.addresses if family_of(host) == family]
            if any(host in WILDCARDS for host in hosts):
                return listener, None
            if local in hosts or (listener is named and hosts):
                return listener, local if local in hosts else hosts[0]
        return None, None

    def renew_contexts(self) -> None:
        """Read the files behind connections that we open again, for those that are opened from now on."""
        self._contexts.clear()

    def _context(self, options: TlsClientOptions) -> ssl.SSLContext:
        context = self._contexts.get(options)
        if context is None:
            context = self._contexts[options] = client_context(options)
        return context

    async def serve_websocket(
        self,
        receive: Receive,
        send: Send,
        *,
        listener: str,
        remote: Address,
        local: Address,
        secure: bool,
        sock: Markable | None = None,
    ) -> None:
        """Run one WebSocket of another server (the handshake done, subprotocol `sip`) as a flow, until it is closed.

        `receive` gives one WebSocket message, `send` takes one; either raises once the peer is gone. `listener` names
        whose limits and figures count: one of ours, or a name of its own. `sock`, where it is known, is marked like
        ours. Returns at once where a limit is reached.
        """
        transport = "WSS" if secure else "WS"
        host = self._listeners.get(listener) or self._adopted.get((listener, transport))
        if host is None:
            named = ListenerOptions(name=listener, transport=transport, port=local[1])
            host = self._adopted[listener, transport] = Listener(named, [], Counters(), None)
        if not self._accepting or not self.admits(listener, remote[0]) or not host.admit(remote[0]):
            return
        flow = AdoptedConnection(
            counters=host.counters,
            limits=host.options.limits,
            on_message=self._deliver,
            transport=transport,
            listener=listener,
            local=local,
            remote=remote,
            id=connection_id(transport),
            sent_by=host_port(advertised_host(host.options.advertise, local[0]), local[1]),
            sock=sock,
        )
        flow.tap = self.tap
        flow.mark(self._marker, self._dscp(listener, remote[0]))
        self._connections[flow.id] = flow
        try:
            await flow.run(receive, send)
        finally:
            host.leave(remote[0])
            flow.closed = True
            del self._connections[flow.id]
            self._rising(self._on_closed, flow)

    def origin_allowed(self, origin: str | None, host: str, listener: str = "") -> bool:
        """Whether a page of `origin` may open a WebSocket at `host` (as in the Host header), by `listener`'s rules."""
        options = self._listeners[listener].options if listener in self._listeners else None
        if options is None:
            return origin_allowed(origin, host, ("same",))
        return origin_allowed(origin, host, options.origins, required=options.require_origin)

    def _one_by_one(self, received: Sequence[tuple[bytes, Flow]]) -> None:
        for data, flow in received:
            self.on_message(data, flow)

    def _deliver(self, data: bytes, flow: Flow) -> None:
        self._rising(self.on_message, data, flow)

    def _rising(self, call: Callable[[*Ts], None], *arguments: *Ts) -> None:
        """Call the core from another server's task. Its errors are not that server's to catch: they rise in ours."""
        try:
            call(*arguments)
        except Exception as error:
            self.nursery.start_soon(_rise, error)
            raise

    # What connections report

    def opened(self, connection: Connection) -> None:
        self._connections[connection.id] = connection

    def ended(self, connection: Connection) -> None:
        self._connections.pop(connection.id, None)
        for key in connection.aliases:
            if self._reusable.get(key) is connection:
                del self._reusable[key]
        if connection.outgoing:
            self._outgoing -= 1
        if connection.announced:
            self._on_closed(connection)


async def _rise(error: Exception) -> None:
    raise error


def _key(target: Target) -> tuple[object, ...]:
    if target.transport == "TCP":
        return target.transport, target.host, target.port, None, target.listener
    return target.transport, target.host, target.port, target.server_name, target.listener, target.tls
