"""Sending on: names to targets, targets to flows, and the random part of every Via branch of ours."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

import attrs

from appliance.proxy.destination import Hop
from appliance.proxy.forwarding import push_via, set_next_hop
from appliance.proxy.veil import Hiding
from appliance.sip.flow import Flow, FlowClosed
from appliance.sip.message import Request
from appliance.transport.options import VERIFIED, Target


class Wires(Protocol):
    """What the core asks of the transports."""

    def connect(self, target: Target) -> Flow: ...

    def flow(self, flow_id: str) -> Flow | None: ...

    def alias(self, flow: Flow, port: int) -> bool: ...


class Names(Protocol):
    """What the core asks of the resolver (RFC 3263)."""

    def resolve_now(self, host: str, port: int | None, transport: str | None, secure: bool) -> list[Target] | None: ...

    def resolve_later(
        self,
        host: str,
        port: int | None,
        transport: str | None,
        secure: bool,
        done: Callable[[list[Target]], None],
    ) -> None: ...

    def look_up_now(self, number: str, suffixes: Sequence[str]) -> list[str] | None: ...

    def look_up_later(self, number: str, suffixes: Sequence[str], done: Callable[[list[str]], None]) -> None: ...


class Sender:
    """What leaves the box, and where to."""

    def __init__(self, wires: Wires, names: Names, hide: Callable[[Request, Flow, Hiding], None]) -> None:
        self.wires = wires
        self.hide = hide
        self.flow_errors = 0
        self.acks_out = 0
        """ACKs to a 2xx, which have no transaction."""
        self.names = names
        self._drawn: list[str] = []

    def unique(self) -> str:
        """16 hexadecimal digits of the system's randomness, drawn in bulk."""
        if not self._drawn:
            digits = os.urandom(4096).hex()
            self._drawn = [digits[start : start + 16] for start in range(0, len(digits), 16)]
        return self._drawn.pop()

    def known(self, hop: Hop) -> list[Target] | None:
        """The addresses of `hop` where they are known without waiting. Not to be changed."""
        found = self.names.resolve_now(hop.host, hop.port, hop.transport, hop.secure)
        return found if found is None or hop.tls is VERIFIED else _met_by(found, hop)

    def resolve(self, hop: Hop, done: Callable[[list[Target]], None]) -> None:
        """Call `done` with the addresses of `hop`, at once where no waiting is needed; none: it leads nowhere."""
        found = self.known(hop)
        if found is not None:
            done(found)
        else:
            told = done if hop.tls is VERIFIED else lambda targets: done(_met_by(targets, hop))
            self.names.resolve_later(hop.host, hop.port, hop.transport, hop.secure, told)

    def reach(self, flow: Flow | None, hop: Hop | None, send: Callable[[Flow], None]) -> None:
        """Call `send` with the flow, or with one to the first address of the hop."""
        if flow is None:
            assert hop is not None
            targets = self.known(hop)
            if targets is None:
                self.resolve(hop, partial(self._connect_and, send))
                return
            if not targets:
                return
            flow = self.wires.connect(targets[0])
        send(flow)

    def _connect_and(self, send: Callable[[Flow], None], targets: list[Target]) -> None:
        if targets:
            send(self.wires.connect(targets[0]))

    def send_once(self, request: Request, flow: Flow | None, hop: Hop | None, hiding: Hiding | None) -> None:
        """Without a transaction: the ACK to a 2xx."""
        if flow is None and hop is not None:
            targets = self.known(hop)
            if targets:
                flow = self.wires.connect(targets[0])
        if flow is not None:
            self._send_once(request, hiding, flow)
        else:
            self.reach(None, hop, partial(self._send_once, request, hiding))

    def _send_once(self, request: Request, hiding: Hiding | None, flow: Flow) -> None:
        request.veil = None  # its sender's
        if hiding is not None:
            self.hide(request, flow, hiding)
        if "route" in request.kinds:
            set_next_hop(request)
        push_via(request, flow, self.unique())
        self.acks_out += 1
        try:
            flow.send(request.to_bytes())
        except FlowClosed:
            self.flow_errors += 1


def _met_by(targets: list[Target], hop: Hop) -> list[Target]:
    """The same places, with the identity that we show there and the one that we want to meet."""
    return [attrs.evolve(target, tls=hop.tls) for target in targets]
