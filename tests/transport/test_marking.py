"""Which mark signalling leaves with: the box's, a listener's or a trunk's; read by the receiver's own kernel."""

from __future__ import annotations

import socket
from ipaddress import ip_network
from struct import unpack

import attrs
import pytest
import trio

from appliance.transport.options import ListenerOptions, Target, TrunkMarking
from appliance.transport.transports import Transports
from tests.transport.core import Core
from tests.transport.messages import options

CS3, CS5, AF31 = 24, 40, 26
OPTIONS = options()


class Ear:
    """A UDP peer that sees the mark of each datagram."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        six = ":" in host
        self.sock = trio.socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
        level, option = (socket.IPPROTO_IPV6, socket.IPV6_RECVTCLASS) if six else (socket.IPPROTO_IP, socket.IP_RECVTOS)
        self.sock.setsockopt(level, option, 1)

    async def hear(self) -> int:
        with trio.fail_after(60):
            _, [(_, _, value)], _, _ = await self.sock.recvmsg(65535, 100)
        return (value[0] if len(value) == 1 else unpack("i", value)[0]) >> 2


def listener(name: str, transport: str = "UDP", host: str = "127.0.0.1", dscp: int | None = None) -> ListenerOptions:
    return ListenerOptions(name=name, transport=transport, port=0, bind=(host,), dscp=dscp)


def mark_of(flow: object) -> int:
    sock = flow._sock  # type: ignore[attr-defined]
    if sock.family == socket.AF_INET6:
        return int(sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS)) >> 2
    return int(sock.getsockopt(socket.IPPROTO_IP, socket.IP_TOS)) >> 2


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_udp_is_marked_as_the_listener_says_or_else_as_the_box(transports: Transports, host: str) -> None:
    transports.configure_marking(CS3, ())
    ear = Ear(host)
    await ear.sock.bind((host, 0))
    port = ear.sock.getsockname()[1]
    await transports.listen(listener("a", host=host))
    await transports.listen(listener("b", host=host, dscp=CS5))
    for name, expected in (("a", CS3), ("b", CS5)):
        transports.connect(Target("UDP", host, port, listener=name)).send(OPTIONS)
        assert await ear.hear() == expected
    transports.configure_marking(0, ())
    transports.reconfigure(listener_of(transports, "b", dscp=AF31))
    for name, expected in (("a", 0), ("b", AF31)):
        transports.connect(Target("UDP", host, port, listener=name)).send(OPTIONS)
        assert await ear.hear() == expected
    ear.sock.close()


def listener_of(transports: Transports, name: str, dscp: int | None) -> ListenerOptions:
    running = transports.listener(name)
    assert running is not None
    return attrs.evolve(running.options, dscp=dscp)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_a_trunk_has_its_own_mark_on_a_shared_udp_socket(transports: Transports, host: str) -> None:
    transports.configure_marking(CS3, (TrunkMarking(dscp=AF31, networks=(ip_network(host),)),))
    await transports.listen(listener("a", host=host))
    trunk = Ear(host)
    await trunk.sock.bind((host, 0))
    target = Target("UDP", host, trunk.sock.getsockname()[1])
    transports.connect(target).send(OPTIONS)
    assert await trunk.hear() == AF31
    assert transports.snapshot()[0].messages_out == 1
    transports.configure_marking(CS3, ())
    transports.connect(target).send(OPTIONS)
    assert await trunk.hear() == CS3
    trunk.sock.close()


async def test_the_narrowest_network_decides(transports: Transports) -> None:
    wide = TrunkMarking(dscp=AF31, networks=(ip_network("127.0.0.0/8"),))
    narrow = TrunkMarking(dscp=CS5, networks=(ip_network("127.0.0.1"),))
    transports.configure_marking(CS3, (wide, narrow))
    await transports.listen(listener("a"))
    ear = Ear()
    await ear.sock.bind(("127.0.0.1", 0))
    transports.connect(Target("UDP", "127.0.0.1", ear.sock.getsockname()[1])).send(OPTIONS)
    assert await ear.hear() == CS5
    ear.sock.close()


async def test_a_gateway_that_was_resolved_keeps_the_mark_for_all_that_follows(transports: Transports) -> None:
    transports.configure_marking(CS3, ())
    await transports.listen(listener("a"))
    ear = Ear()
    await ear.sock.bind(("127.0.0.1", 0))
    port = ear.sock.getsockname()[1]
    transports.connect(Target("UDP", "127.0.0.1", port)).send(OPTIONS)
    assert await ear.hear() == CS3
    transports.connect(Target("UDP", "127.0.0.1", port, dscp=AF31)).send(OPTIONS)
    assert await ear.hear() == AF31
    transports.connect(Target("UDP", "127.0.0.1", port)).send(OPTIONS)
    assert await ear.hear() == AF31
    ear.sock.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_connections_are_marked_on_both_ends_and_again_at_a_reload(
    transports: Transports, core: Core, host: str
) -> None:
    transports.configure_marking(CS3, ())
    taking = await transports.listen(listener("taking", "TCP", host, dscp=CS5))
    made = transports.connect(Target("TCP", host, taking.port, listener="elsewhere"))
    made.send(OPTIONS)
    _, taken = await core.arrived()
    assert mark_of(taken) == CS5
    assert mark_of(made) == CS5  # it speaks for the only TCP listener
    transports.reconfigure(listener_of(transports, "taking", dscp=None))
    assert (mark_of(taken), mark_of(made)) == (CS3, CS3)
    transports.configure_marking(CS3, (TrunkMarking(dscp=AF31, networks=(ip_network(host),)),))
    assert (mark_of(taken), mark_of(made)) == (AF31, AF31)


async def test_marks_of_peers_are_not_taken_over(transports: Transports, core: Core) -> None:
    transports.configure_marking(CS3, ())
    taking = await transports.listen(listener("taking", "TCP"))
    with trio.socket.socket() as peer:
        peer.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 46 << 2)
        await peer.connect(("127.0.0.1", taking.port))
        await peer.send(OPTIONS)
        _, taken = await core.arrived()
        assert mark_of(taken) == CS3
