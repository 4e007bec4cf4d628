"""What the transports are told: frozen facts, so that the room needs nothing of the configuration.

Names and units follow the settings of `[listener …]`; whoever wires the box copies them over.
"""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

import attrs


def _upper(transport: str) -> str:
    return transport.upper()


@attrs.frozen(kw_only=True)
class TlsServerOptions:
    """Our side of a TLS or WSS listener. `client_certificate`: "none", "optional" or "required" (needs `client_ca`)."""

    certificate: Path
    private_key: Path | None = None
    """None: the key stands in the certificate's file."""
    client_certificate: str = "none"
    client_ca: Path | None = None


@attrs.frozen(kw_only=True)
class TlsClientOptions:
    """How we meet a TLS server. Without `verify` any certificate does; without `ca` the system's authorities count."""

    verify: bool = True
    ca: Path | None = None
    certificate: Path | None = None
    private_key: Path | None = None
    name: str | None = None
    """What the server's certificate must name, in the place of the host that led there."""


VERIFIED = TlsClientOptions()
"""As strict as can be, with the authorities of the system."""


@attrs.frozen(kw_only=True)
class ConnectionLimits:
    """What one connection may use. Seconds and bytes."""

    idle_timeout_s: float = 1200.0
    """Nothing came for this long."""
    read_deadline_s: float = 10.0
    """A message that was begun, or a TLS or WebSocket handshake, must be complete after this long."""
    write_deadline_s: float = 10.0
    """The peer took nothing for this long."""
    write_buffer_bytes: int = 1024 * 1024
    max_message_bytes: int = 64 * 1024
    max_header_bytes: int = 16 * 1024
    ws_ping_s: float = 50.0
    """Pause between our WebSocket pings, which keep the NATs on the way open; 0 for none."""


@attrs.frozen(kw_only=True)
class ListenerOptions:
    """One `[listener …]`: `transport` is "UDP", "TCP", "TLS", "WS" or "WSS"; port 0 takes a free one."""

    name: str
    transport: str = attrs.field(converter=_upper, validator=attrs.validators.in_(("UDP", "TCP", "TLS", "WS", "WSS")))
    port: int
    bind: tuple[str, ...] = ("0.0.0.0", "::")  # noqa: S104 (a SIP server listens everywhere unless told otherwise)
    advertise: tuple[str, ...] = ()
    """Host names or addresses for `Flow.sent_by`, at most one a family; empty: the address of the socket."""
    tls: TlsServerOptions | None = None
    ws_path: str = "/sip"
    origins: tuple[str, ...] = ("same",)
    """"same" (the host of the WebSocket itself), "*", or origins such as https://phone.example.com."""
    require_origin: bool = False
    max_connections: int = 10_000
    max_connections_per_source: int = 1000
    limits: ConnectionLimits = ConnectionLimits()
    receive_buffer_bytes: int = 4 * 1024 * 1024
    """SO_RCVBUF of UDP sockets; 0: the kernel's own."""
    dscp: int | None = None
    """Marking of what it sends; None: what concerns all, as `TransportOptions` has it."""

    @property
    def sockets(self) -> tuple[str, int, tuple[str, ...]]:
        """What cannot change while it listens."""
        return self.transport, self.port, self.bind

    @property
    def secure(self) -> bool:
        return self.transport in ("TLS", "WSS")


@attrs.frozen(kw_only=True)
class TrunkMarking:
    """Everything that is sent to these networks has a marking of its own."""

    dscp: int
    networks: tuple[IPv4Network | IPv6Network, ...]


@attrs.frozen(kw_only=True)
class TransportOptions:
    """What concerns all listeners, and the connections that we open ourselves."""

    connect_deadline_s: float = 5.0
    limits: ConnectionLimits = ConnectionLimits()
    """Of the connections that we open."""
    max_outgoing: int = 10_000
    remembered_remotes: int = 65_536
    """UDP flows kept for each socket, so that a peer's next datagram needs no new object."""
    dscp: int | None = None
    """Marking of what no listener answers for; None leaves sockets as they are."""
    trunk_markings: tuple[TrunkMarking, ...] = ()


@attrs.frozen
class Target:
    """One place to try. `host` is an IP literal without brackets; `server_name` what its certificate must name
    (RFC 5922 §4); `listener` the one to send from where there are several."""

    transport: str = attrs.field(converter=_upper)
    host: str
    port: int
    server_name: str | None = None
    listener: str | None = None
    tls: TlsClientOptions = VERIFIED
    dscp: int | None = None
    """A marking of its own for this host, remembered for all that is sent there."""
