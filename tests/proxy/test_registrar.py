"""The registrar against RFC 3261 §10.3, 3327, 5626 and 5627, without disk or network."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import count

import pytest

from appliance.proxy.gruu import TemporaryGruus
from appliance.proxy.location import Location
from appliance.proxy.registrar import Registrar, RegistrarOptions
from appliance.sip.flow import Flow
from appliance.sip.message import Request, Response
from appliance.sip.parser import parse_message_untrusted
from appliance.sip.uri import parse_uri_untrusted
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
        return [binding.contact for binding in self.location.bindings(aor, self.now)]


def register_request(*headers: str, call_id: str, cseq: int, vias: int = 1, aor: str = AOR) -> Request:
    lines = ["REGISTER sip:example.com SIP/2.0"]
    lines += [f"Via: SIP/2.0/UDP 192.0.2.{7 + n};branch=z9hG4bK{cseq}{n}" for n in range(vias)]
    lines += [f"From: <{aor}>;tag=1", f"To: <{aor}>", f"Call-ID: {call_id}", f"CSeq: {cseq} REGISTER"]
    message = parse_message_untrusted("\r\n".join([*lines, *headers, "", ""]).encode())
    assert isinstance(message, Request)
    return message


def test_contact_is_registered_and_listed_with_what_remains_of_its_expiry() -> None:
    desk = Desk()
    answer = desk.register("Contact: <sip:alice@192.0.2.7>;expires=600")
    assert (answer.status, answer.get_all("contact")) == (200, ["<sip:alice@192.0.2.7>;expires=600"])
    desk.now += 100
    query = desk.register()
    assert query.get_all("contact") == ["<sip:alice@192.0.2.7>;expires=500"]
    assert query.get("date") == "Tue, 14 Nov 2023 22:15:00 GMT"


def test_query_is_answered_without_waiting_for_the_store() -> None:
    store = HeldBindings()
    desk = Desk(store)
    assert desk.ask("Contact: <sip:a@192.0.2.7>", call_id="1", cseq=1, flow=None, vias=1, aor=AOR) == []
    assert desk.register().status == 200
    assert desk.contacts() == ["sip:a@192.0.2.7"]


@pytest.mark.parametrize("error", [None, OSError("disk full")])
def test_answer_comes_once_the_store_has_committed_or_failed(error: Exception | None) -> None:
    store = HeldBindings()
    desk = Desk(store)
    replies = desk.ask("Contact: <sip:a@192.0.2.7>", call_id="1", cseq=1, flow=None, vias=1, aor=AOR)
    assert replies == []
    ((changes, done),) = store.held
    assert [(change.aor, change.key) for change in changes] == [(AOR, "sip:a@192.0.2.7")]
    done(error)
    assert [reply.status for reply in replies] == [200]


def test_temporary_gruu_reaches_the_phone_until_its_call_id_changes() -> None:
    desk = Desk()
    headers = f"Contact: <sip:a@192.0.2.7>;{INSTANCE}", "Supported: gruu"
    contact = desk.register(*headers, call_id="1").get("contact") or ""
    found = re.search(r'temp-gruu="([^"]+)"', contact)
    assert found is not None
    uri = parse_uri_untrusted(found[1])
    assert [b.contact for b in desk.location.by_gruu(uri, desk.now)] == ["sip:a@192.0.2.7"]
    desk.register(*headers, call_id="1")
    assert len(desk.location.by_gruu(uri, desk.now)) == 1
    desk.register(*headers, call_id="2")
    assert desk.location.by_gruu(uri, desk.now) == []
