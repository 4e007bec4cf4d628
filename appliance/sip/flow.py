"""A `Flow` (RFC 5626 §2): the way between us and one peer, over which a message came and an answer can go.

The ground only knows its shape; `transport/` makes the real ones and tests make small lists that collect bytes.
"""

from __future__ import annotations

from typing import ClassVar

Address = tuple[str, int]


def host_port(host: str, port: int) -> str:
    """As in Via and URIs: IPv6 in brackets (RFC 3261 §25)."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class FlowClosed(Exception):  # noqa: N818
    """The connection behind the flow is gone, or its send buffer is full; the caller takes another way."""


class Flow:
    """One way to one peer.

    `transport` is the Via token ("UDP", "TCP", "TLS", "WS", "WSS"); `listener` the name of the configured listener;
    `local` and `remote` are (address, port) with IPv6 addresses unbracketed; `id` names the flow: for UDP it is made
    of listener, local and remote address and so outlives a restart, for connections it is new each time.
    `sent_by` is what goes into our Via and Record-Route for this flow: host[:port], advertised.
    `peer_identities` are the names of the client certificate (RFC 5922), empty without one.
    """

    __slots__ = (
        "closed",
        "id",
        "listener",
        "local",
        "peer_identities",
        "reliable",
        "remote",
        "secure",
        "sent_by",
        "token",
        "transport",
    )

    inside: ClassVar[bool] = False
    """Whether a part of the box is at the other end, not the net."""

    def __init__(
        self,
        *,
        transport: str,
        listener: str,
        local: Address,
        remote: Address,
        id: str,  # noqa: A002
        sent_by: str,
        peer_identities: tuple[str, ...] = (),
    ) -> None:
        self.transport = transport
        self.listener = listener
        self.local = local
        self.remote = remote
        self.id = id
        self.sent_by = sent_by
        self.reliable = transport != "UDP"
        self.secure = transport in ("TLS", "WSS")
        self.peer_identities = peer_identities
        self.closed = False
        self.token: str | None = None
        """The signed flow token of our Record-Route, kept here by the proxy once it has been made."""

    def send(self, data: bytes) -> None:
        """Hand `data` (one whole message) to the transport without waiting; raises `FlowClosed` when it is gone."""
        raise NotImplementedError

    def send_untraced(self, data: bytes) -> None:
        """The same without telling the trace: for what answers a flood."""
        self.send(data)

    def close(self) -> None:
        """Close the connection behind the flow; nothing for UDP."""

    def towards(self, remote: Address) -> Flow:
        """The flow of the same UDP socket to another address (RFC 3261 §18.2.2); itself otherwise."""
        return self

    def __repr__(self) -> str:
        return f"<Flow {self.transport} {self.remote[0]}:{self.remote[1]} via {self.listener}>"
