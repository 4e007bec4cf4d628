"""A registrar on a desk: flows that send nowhere, stores that wait, and short ways of asking."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

from appliance.proxy.gruu import TemporaryGruus
from appliance.proxy.location import Location
from appliance.proxy.registrar import Registrar, RegistrarOptions
from appliance.sip.flow import Flow
from appliance.sip.message import Request, Response
from appliance.sip.parser import parse_message_untrusted
from appliance.storage.bindings import BindingChange, BindingSource, Done, MemoryBindings

AOR = "sip:alice@example.com"
NOW = 1_700_000_000.0
KEY = bytes(range(32))
INSTANCE = '+sip.instance="<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>"'


class Wire(Flow):
    """A flow that keeps what is sent."""

    def __init__(self, transport: str = "UDP", remote: tuple[str, int] = ("192.0.2.7", 5060), id: str = "") -> None:  # noqa: A002
        super().__init__(
            transport=transport,
            listener=transport.lower(),
            local=("192.0.2.1", 5060),
            remote=remote,
            id=id or f"{transport}-{remote[0]}-{remote[1]}",
            sent_by="192.0.2.1:5060",
        )

    def send(self, data: bytes) -> None:
        raise AssertionError("the registrar answers through reply")


class HeldBindings:
    """A store that commits when it is told to."""

    def __init__(self) -> None:
        self.held: list[tuple[Sequence[BindingChange], Done]] = []

    def attach(self, source: BindingSource) -> None:
        source.restore(())

    def write(self, changes: Sequence[BindingChange], done: Done) -> None:
        self.held.append((changes, done))


class Desk:
    """A registrar and short ways of asking it."""

    def __init__(self, store: MemoryBindings | HeldBindings | None = None, **options: object) -> None:
        gruus = TemporaryGruus(KEY)
        self.location = Location(gruus)
        self.registrar = Registrar(
            self.location,
            store or MemoryBindings(),
            RegistrarOptions(**options),  # type: ignore[arg-type]
            gruus,
        )
        self.now = NOW
        self._cseq = count(1)

    def register(
        self,
        *headers: str,
        call_id: str = "one@192.0.2.7",
        cseq: int | None = None,
        flow: Flow | None = None,
        vias: int = 1,
        aor: str = AOR,
    ) -> Response:
        replies = self.ask(*headers, call_id=call_id, cseq=cseq, flow=flow, vias=vias, aor=aor)
        assert len(replies) == 1
        return replies[0]

    def ask(
        self, *headers: str, call_id: str, cseq: int | None, flow: Flow | None, vias: int, aor: str
    ) -> list[Response]:
        replies: list[Response] = []
        request = register_request(*headers, call_id=call_id, cseq=cseq or next(self._cseq), vias=vias, aor=aor)
        self.registrar.register(request, flow or Wire(), aor, self.now, replies.append)
        return replies

    def contacts(self, aor: str = AOR) -> list[str]:
        """What can be called, in the order in which it is."""
        return [binding.contact for binding in self.location.bindings(aor, self.now)]


def register_request(*headers: str, call_id: str, cseq: int, vias: int = 1, aor: str = AOR) -> Request:
    lines = ["REGISTER sip:example.com SIP/2.0"]
    lines += [f"Via: SIP/2.0/UDP 192.0.2.{7 + n};branch=z9hG4bK{cseq}{n}" for n in range(vias)]
    lines += [f"From: <{aor}>;tag=1", f"To: <{aor}>", f"Call-ID: {call_id}", f"CSeq: {cseq} REGISTER"]
    message = parse_message_untrusted("\r\n".join([*lines, *headers, "", ""]).encode())
    assert isinstance(message, Request)
    return message
