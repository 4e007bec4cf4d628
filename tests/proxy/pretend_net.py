"""A whole SIP core on pretend wires: settings in, messages in, messages out, a clock that is moved by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from appliance.config.dialplan import LineKind, LineSettings, RouteSettings, TrunkSettings, UserSettings
from appliance.config.kinds import network
from appliance.config.patch import gateway, match, target
from appliance.config.secret import Secret
from appliance.config.sections import Anchor, ApplianceSettings, MediaSettings, SipSettings
from appliance.config.settings import Settings
from appliance.media.bridge import Bridge
from appliance.proxy.core import SipCore
from appliance.proxy.credentials import Authenticator
from appliance.proxy.location import Location
from appliance.proxy.registrar import Registrar, RegistrarOptions
from appliance.sip.digest import DigestClient
from appliance.sip.flow import Address, Flow, FlowClosed
from appliance.sip.message import Request, Response
from appliance.sip.parser import parse_message_untrusted
from appliance.sip.timers import TimerHeap
from appliance.storage.bindings import MemoryBindings
from appliance.transport.options import Target
from tests.media.fake_backend import FakeBackend

KEY = b"k" * 32
BOX = "192.0.2.9"


def _settings() -> Settings:
    def route(
        name: str, matches: str, leads: str, callers: tuple[str, ...] = ("users", "trunk:carrier")
    ) -> RouteSettings:
        return RouteSettings(name=name, match=(match().read(matches),), target=target().read(leads), callers=callers)

    routes = [
        route("10-phones", "aor", "aor"),
        route("20-carrier", "prefix:0", "trunk:carrier"),
        route("30-two", "prefix:9", "trunk:two"),
        route("40-echo", "exact:5000", "line:echo"),
        route("50-no", "exact:4000", "reject:603"),
    ]
    return Settings(
        appliance=ApplianceSettings(domains=("example.com",)),
        sip=SipSettings(),
        media=MediaSettings(),
        users={name: UserSettings(name=name, password=Secret(f"secret{name}")) for name in ("1001", "1002")},
        trunks={
            "carrier": TrunkSettings(
                name="carrier",
                gateways=(gateway().read("192.0.2.50:5060"),),
                trusted=(network().read("192.0.2.50"),),
            ),
            "two": TrunkSettings(
                name="two", gateways=(gateway().read("192.0.2.51:5060"), gateway().read("192.0.2.52:5060"))
            ),
        },
        routes={one.name: one for one in routes},
        lines={"echo": LineSettings(name="echo", kind=LineKind.ECHO)},
    )


def with_carrier_at(settings: Settings, gateway_text: str) -> Settings:
    """The same with another gateway for the carrier."""
    carrier = attrs.evolve(settings.trunks["carrier"], gateways=(gateway().read(gateway_text),))
    return attrs.evolve(settings, trunks={**settings.trunks, "carrier": carrier})


def anchored(settings: Settings) -> Settings:
    """The same with all media through the box."""
    return attrs.evolve(settings, media=attrs.evolve(settings.media, anchor=Anchor.ALWAYS))


class PretendFlow(Flow):
    """Hands what is sent to the peer's list."""

    __slots__ = ("net",)

    def __init__(self, net: PretendNet, transport: str, remote: Address) -> None:
        super().__init__(
            transport=transport,
            listener=transport.lower(),
            local=(BOX, 5060),
            remote=remote,
            id=f"{transport}/{remote[0]}/{remote[1]}",
            sent_by=BOX,
        )
        self.net = net

    def send(self, data: bytes) -> None:
        if self.closed:
            raise FlowClosed
        if data == b"\r\n\r\n":
            self.net.beats.append(self.remote)
            return
        self.net.sent.setdefault(self.remote, []).append(parse_message_untrusted(data))

    def towards(self, remote: Address) -> Flow:
        return self.net.flow_to(self.transport, remote)


@attrs.define
class PretendNet:
    """The core's transports and resolver, and everybody at the other end."""

    sent: dict[Address, list[Request | Response]] = attrs.field(factory=dict)
    flows: dict[str, PretendFlow] = attrs.field(factory=dict)
    names: dict[str, list[Target]] = attrs.field(factory=dict)
    targets: list[Target] = attrs.field(factory=list)
    """All that was connected to."""
    beats: list[Address] = attrs.field(factory=list)
    """Where keep-alives went."""
    numbers: dict[str, list[str]] = attrs.field(factory=dict)
    """What ENUM has."""
    unheard: dict[str, Callable[[list[str]], None] | None] = attrs.field(factory=dict)
    """Numbers that ENUM has not answered yet, and who waits."""
    silent_names: set[str] = attrs.field(factory=set)
    """Names whose servers do not answer."""
    refusing: set[tuple[str, str]] = attrs.field(factory=set)
    """(transport, host) where nobody takes a connection."""

    def flow_to(self, transport: str, remote: Address) -> PretendFlow:
        key = f"{transport}/{remote[0]}/{remote[1]}"
        if key not in self.flows:
            self.flows[key] = PretendFlow(self, transport, remote)
        return self.flows[key]

    def connect(self, target: Target) -> Flow:
        self.targets.append(target)
        if (target.transport, target.host) in self.refusing:
            dead = PretendFlow(self, target.transport, (target.host, target.port))
            dead.closed = True
            return dead
        return self.flow_to(target.transport, (target.host, target.port))

    def alias(self, flow: Flow, port: int) -> bool:
        self.flows[f"{flow.transport}/{flow.remote[0]}/{port}"] = self.flow_to(flow.transport, flow.remote)
        return True

    def flow(self, flow_id: str) -> Flow | None:
        found = self.flows.get(flow_id)
        return None if found is None or found.closed else found

    def resolve_now(self, host: str, port: int | None, transport: str | None, secure: bool) -> list[Target] | None:
        if host in self.silent_names:
            return None
        if host in self.names:
            return self.names[host]
        return [Target(transport or "UDP", host, port or 5060)]

    def look_up_now(self, number: str, suffixes: Sequence[str]) -> list[str] | None:
        return self.numbers.get(number, []) if number not in self.unheard else None

    def look_up_later(self, number: str, suffixes: Sequence[str], done: Callable[[list[str]], None]) -> None:
        self.unheard[number] = done

    def resolve_later(self, host: str, *_: object) -> None:
        assert host in self.silent_names, "every other name is known here"


class Box:
    """The core under test and its surroundings."""

    def __init__(self, settings: Settings | None = None, net: PretendNet | None = None) -> None:
        self.settings = settings or _settings()
        self.now = 1000.0
        self.net = net or PretendNet()
        self.timers = TimerHeap()
        self.backend = FakeBackend()
        location = Location()
        self.core = SipCore(
            settings=self.settings,
            own_hosts=(BOX, "example.com"),
            own_ports=(5060,),
            key=KEY,
            timers=self.timers,
            wires=self.net,
            names=self.net,
            location=location,
            registrar=Registrar(location, MemoryBindings(), RegistrarOptions()),
            authenticator=Authenticator("example.com", KEY, self.settings.users),
            bridge=Bridge(self.backend),
            clock=lambda: self.now,
            wall=lambda: self.now + 1_700_000_000,
        )

    def peer(self, host: str, port: int = 5060, transport: str = "UDP") -> Peer:
        return Peer(self, (host, port), transport)

    def receive(self, message: Request | Response, flow: Flow) -> None:
        self.core.receive(message.to_bytes(), flow)
        while self.core.work():
            pass

    def run(self, seconds: float) -> None:
        until = self.now + seconds
        for _ in range(100_000):
            due = self.timers.next_at
            if due is None or due > until:
                break
            self.now = max(self.now, due)
            self.timers.run_due(self.now)
        else:
            raise AssertionError("timers without end")
        self.now = until


class Peer:
    """A SIP element at one address, driven by the test."""

    _made = 0

    def __init__(self, box: Box, address: Address, transport: str) -> None:
        self.box = box
        self.address = address
        self.transport = transport
        self.flow = box.net.flow_to(transport, address)
        self.contact = f"<sip:me@{address[0]}:{address[1]}>"

    def take(self) -> list[Request | Response]:
        return self.box.net.sent.pop(self.address, [])

    def cancel(self, invite: Request) -> None:
        """Give the INVITE up."""
        cancel = invite.copy()
        cancel.method = "CANCEL"
        cancel.set("cseq", f"{invite.cseq.number} CANCEL")
        for key in ("proxy-authorization", "contact", "content-type"):
            cancel.remove(key)
        cancel.set_body(b"")
        self.send(cancel)

    def take_kinds(self) -> list[str]:
        return [m.method if isinstance(m, Request) else str(m.status) for m in self.take()]

    def take_one(self, kind: str) -> Request | Response:
        """The only message of that kind among what came; others are thrown away."""
        found = [m for m in self.take() if (m.method if isinstance(m, Request) else str(m.status)) == kind]
        assert len(found) == 1, f"{len(found)} of {kind}"
        return found[0]

    def take_request(self, method: str) -> Request:
        message = self.take_one(method)
        assert isinstance(message, Request)
        return message

    def take_response(self, status: int) -> Response:
        message = self.take_one(str(status))
        assert isinstance(message, Response)
        return message

    def send(self, message: Request | Response) -> None:
        self.box.receive(message, self.flow)

    def request(
        self,
        method: str,
        uri: str,
        *,
        user: str = "1001",
        call_id: str = "call@example.net",
        cseq: int = 1,
        to: str = "",
        headers: tuple[tuple[str, str], ...] = (),
        body: bytes = b"",
    ) -> Request:
        Peer._made += 1
        host, port = self.address
        return Request.make(
            method,
            uri,
            [
                ("via", f"SIP/2.0/{self.transport} {host}:{port};branch=z9hG4bKpeer{Peer._made};rport"),
                ("max-forwards", "70"),
                ("from", f"<sip:{user}@example.com>;tag={user}tag"),
                ("to", to or f"<{uri}>"),
                ("call-id", call_id),
                ("cseq", f"{cseq} {method}"),
                ("contact", self.contact),
                *([("content-type", "application/sdp")] if body.startswith(b"v=0") else []),
                *headers,
            ],
            body,
        )

    def authorized(self, challenge: Response, request: Request, user: str = "1001") -> Request:
        """The request again with an answer to the challenge."""
        Peer._made += 1
        proxy = challenge.status == 407
        client = DigestClient.of_challenges_untrusted(
            challenge.get_all("proxy-authenticate" if proxy else "www-authenticate"), user, f"secret{user}"
        )
        again = request.copy()
        host, port = self.address
        again.set("via", f"SIP/2.0/{self.transport} {host}:{port};branch=z9hG4bKpeer{Peer._made};rport")
        again.set("cseq", f"{request.cseq.number + 1} {request.method}")
        value = client.authorize(request.method, request.uri, "cnonce")
        again.append("proxy-authorization" if proxy else "authorization", value)
        return again

    def register(self, user: str) -> None:
        request = self.request("REGISTER", "sip:example.com", user=user, to=f"<sip:{user}@example.com>")
        request.set("contact", f"<sip:{user}@{self.address[0]}:{self.address[1]}>")
        self.send(request)
        self.send(self.authorized(self.take_response(401), request, user))
        assert self.take_kinds() == ["200"]

    def invite(self, uri: str, *, user: str = "1001", **more: object) -> Request:
        """An INVITE that has already given its password."""
        request = self.request("INVITE", uri, user=user, **more)  # type: ignore[arg-type]
        self.send(request)
        challenge = self.take_response(407)
        again = self.authorized(challenge, request, user)
        self.send(again)
        return again

    def answer(self, request: Request, status: int, *, tag: str = "calleetag", body: bytes = b"") -> Response:
        from appliance.sip.build import response_to

        headers = [("contact", self.contact)] if status < 300 else []
        content_type = "application/sdp" if body else None
        response = response_to(request, status, to_tag=tag, headers=headers, body=body, content_type=content_type)
        self.send(response)
        return response

    def back(
        self, method: str, invite: Request, *, cseq: int = 9, tag: str = "calleetag", body: bytes = b""
    ) -> Request:
        """A request of the callee inside the dialog that it made of `invite`."""
        contact = str(invite.addresses("contact")[0].uri)
        request = self.request(method, contact, call_id=invite.call_id, cseq=cseq, to=invite.require("from"), body=body)
        request.set("from", f"{invite.require('to')};tag={tag}")
        for value in invite.values("record-route"):
            request.append("route", value)
        return request

    def in_dialog(
        self, method: str, seen: Response, *, cseq: int = 3, user: str = "1001", body: bytes = b""
    ) -> Request:
        """A request of the caller inside the dialog that `seen`, the 2xx, made."""
        route = [("route", value) for value in reversed(seen.values("record-route"))]
        request = self.request(
            method,
            str(seen.addresses("contact")[0].uri),
            user=user,
            call_id=seen.call_id,
            cseq=cseq,
            to=seen.require("to"),
            headers=tuple(route),
            body=body,
        )
        request.set("from", seen.require("from"))
        return request
