"""Requests too large for UDP, on real sockets (RFC 3261 §18.1.1): over TCP where it is taken, over UDP elsewhere."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import trio

from appliance.config.kinds import network
from appliance.media.bridge import Bridge
from appliance.proxy.core import SipCore
from appliance.proxy.credentials import Authenticator
from appliance.proxy.location import Location
from appliance.proxy.registrar import Registrar, RegistrarOptions
from appliance.proxy.service import run_core
from appliance.sip.build import response_to
from appliance.sip.message import Request, Response
from appliance.sip.parser import parse_message_untrusted
from appliance.sip.timers import TimerHeap
from appliance.storage.bindings import MemoryBindings
from appliance.transport.options import ListenerOptions, TransportOptions
from appliance.transport.transports import Transports
from tests.media.fake_backend import FakeBackend

from .pretend_net import KEY, PretendNet, _settings, with_carrier_at

HOST = "127.0.0.1"


@asynccontextmanager
async def box(gateway: str) -> AsyncIterator[int]:
    """A core on real transports whose carrier is at `gateway`; yields its UDP port."""
    settings = with_carrier_at(_settings(), gateway)
    carrier = attrs.evolve(settings.trunks["carrier"], trusted=(network().read(HOST),))
    settings = attrs.evolve(settings, trunks={"carrier": carrier})
    async with trio.open_nursery() as nursery:
        transports = Transports(
            lambda data, flow: core.receive(data, flow),
            lambda flow: core.flow_closed(flow),
            TransportOptions(),
            nursery,
        )
        location = Location()
        core = SipCore(
            settings=settings,
            own_hosts=(HOST, "example.com"),
            own_ports=(),
            key=KEY,
            timers=TimerHeap(),
            wires=transports,
            names=PretendNet(),
            location=location,
            registrar=Registrar(location, MemoryBindings(), RegistrarOptions()),
            authenticator=Authenticator("example.com", KEY, settings.users),
            bridge=Bridge(FakeBackend()),
            clock=trio.current_time,
            wall=trio.current_time,
        )
        await nursery.start(run_core, core)
        listener = await transports.listen(ListenerOptions(name="udp", transport="UDP", port=0, bind=(HOST,)))
        yield listener.port
        nursery.cancel_scope.cancel()


async def udp_socket(port: int = 0) -> trio.socket.SocketType:
    sock = trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM)
    await sock.bind((HOST, port))
    return sock


def invite(caller: trio.socket.SocketType) -> Request:
    port = caller.getsockname()[1]
    return Request.make(
        "INVITE",
        "sip:0123@example.com",
        [
            ("via", f"SIP/2.0/UDP {HOST}:{port};branch=z9hG4bKlarge;rport"),
            ("max-forwards", "70"),
            ("from", "<sip:0301@elsewhere.example.net>;tag=1"),
            ("to", "<sip:0123@example.com>"),
            ("call-id", "large"),
            ("cseq", "1 INVITE"),
            ("contact", f"<sip:0301@{HOST}:{port}>"),
            ("x-filler", "x" * 1400),
        ],
    )


async def response(caller: trio.socket.SocketType, status: int) -> Response:
    while True:
        message = parse_message_untrusted(await caller.recv(65535))
        if isinstance(message, Response) and message.status == status:
            return message


async def test_over_tcp_where_somebody_listens() -> None:
    [listener] = await trio.open_tcp_listeners(0, host=HOST)
    port = listener.socket.getsockname()[1]
    caller = await udp_socket()
    with trio.fail_after(60):
        async with box(f"{HOST}:{port}") as sip_port:
            await caller.sendto(invite(caller).to_bytes(), (HOST, sip_port))
            stream = await listener.accept()
            received = b""
            while b"\r\n\r\n" not in received:
                received += await stream.receive_some(65536)
            seen = parse_message_untrusted(received)
            assert isinstance(seen, Request)
            assert seen.via.transport == "TCP"
            await stream.send_all(response_to(seen, 486, to_tag="g").to_bytes())
            assert (await response(caller, 486)).to_tag == "g"
            await stream.aclose()
    await listener.aclose()
    caller.close()


async def test_over_udp_where_nobody_does() -> None:
    gateway, caller = await udp_socket(), await udp_socket()
    port = gateway.getsockname()[1]
    with trio.fail_after(60):
        async with box(f"{HOST}:{port}") as sip_port:
            await caller.sendto(invite(caller).to_bytes(), (HOST, sip_port))
            data, source = await gateway.recvfrom(65535)
            seen = parse_message_untrusted(data)
            assert isinstance(seen, Request)
            assert seen.via.transport == "UDP"
            assert len(data) > 1300
            await gateway.sendto(response_to(seen, 486, to_tag="g").to_bytes(), source)
            assert (await response(caller, 486)).to_tag == "g"
    gateway.close()
    caller.close()
