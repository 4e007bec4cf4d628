"""What a listener counted: messages, bytes, connections, and drops by cause."""

from __future__ import annotations

import attrs


@attrs.define
class Counters:
    """Running figures of one listener; bytes as on the wire. `connections` is the number open now."""

    connections: int = 0
    accepted: int = 0
    messages_in: int = 0
    messages_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    drops: dict[str, int] = attrs.field(factory=dict)
    """By cause: datagrams and messages dropped, connections refused or closed for a fault. The causes are ours."""

    def drop(self, cause: str) -> None:
        self.drops[cause] = self.drops.get(cause, 0) + 1


@attrs.frozen(kw_only=True)
class ListenerSnapshot:
    """The figures of one listener at one moment."""

    name: str
    transport: str
    addresses: tuple[tuple[str, int], ...]
    accepting: bool
    connections: int
    accepted: int
    messages_in: int
    messages_out: int
    bytes_in: int
    bytes_out: int
    drops: dict[str, int]

    @classmethod
    def of(
        cls, counters: Counters, *, name: str, transport: str, addresses: tuple[tuple[str, int], ...], accepting: bool
    ) -> ListenerSnapshot:
        return cls(
            name=name,
            transport=transport,
            addresses=addresses,
            accepting=accepting,
            connections=counters.connections,
            accepted=counters.accepted,
            messages_in=counters.messages_in,
            messages_out=counters.messages_out,
            bytes_in=counters.bytes_in,
            bytes_out=counters.bytes_out,
            drops=dict(counters.drops),
        )
