from __future__ import annotations

import select
import socket

import attrs
import pytest
import trio
from aioice import stun
from hypothesis import given
from hypothesis import strategies as st

from appliance.sip.flow import Flow, FlowClosed
from appliance.transport.keepalive import answer_untrusted
from appliance.transport.options import ListenerOptions, Target, TransportOptions
from appliance.transport.transports import Transports
from tests.transport.core import Core
from tests.transport.messages import ok, options

LOOPBACKS = [("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)]


def udp(name: str = "udp", *bind: str, **more: object) -> ListenerOptions:
    return ListenerOptions(name=name, transport="udp", port=0, bind=bind or ("0.0.0.0", "::"), **more)  # type: ignore[arg-type]


async def phone(family: int, host: str) -> trio.socket.SocketType:
    sock = trio.socket.socket(family, socket.SOCK_DGRAM)
    await sock.bind((host, 0))
    return sock


@pytest.mark.parametrize(("host", "family"), LOOPBACKS)
async def test_a_datagram_comes_in_and_is_answered_from_the_same_socket(
    transports: Transports, core: Core, host: str, family: int
) -> None:
    listener = await transports.listen(udp())
    with await phone(family, host) as sock:
        core.react = lambda data, flow: flow.send(ok())
        await sock.sendto(options(), (host, listener.port))
        data, flow = await core.arrived()
        assert data == options()
        assert (flow.transport, flow.listener, flow.reliable, flow.secure) == ("UDP", "udp", False, False)
        assert flow.remote == sock.getsockname()[:2]
        assert flow.local == (host, listener.port)
        with trio.fail_after(60):
            answer, source = await sock.recvfrom(2000)
        assert answer == ok()
        assert source[:2] == (host, listener.port)


async def test_a_peer_keeps_its_flow_object(transports: Transports, core: Core) -> None:
    listener = await transports.listen(udp())
    with await phone(socket.AF_INET, "127.0.0.1") as sock:
        for _ in range(2):
            await sock.sendto(options(), ("127.0.0.1", listener.port))
        await core.arrived(2)
    assert core.messages[0][1] is core.messages[1][1]


@pytest.mark.parametrize(("host", "family"), LOOPBACKS)
async def test_a_flow_id_outlives_a_restart(core: Core, host: str, family: int) -> None:
    async with trio.open_nursery() as nursery:
        first = Transports(core.on_message, core.on_closed, TransportOptions(), nursery)
        listener = await first.listen(udp())
        with await phone(family, host) as sock:
            await sock.sendto(options(), (host, listener.port))
            _, flow = await core.arrived()
            for endpoint in listener.endpoints:
                endpoint.close()
            with pytest.raises(FlowClosed):
                flow.send(ok())
            second = Transports(core.on_message, core.on_closed, TransportOptions(), nursery)
            await second.listen(udp())
            again = second.flow(flow.id)
            assert again is not None
            assert again.remote == flow.remote
            again.send(ok())
            with trio.fail_after(60):
                assert await sock.recv(2000) == ok()
        nursery.cancel_scope.cancel()


async def test_a_flow_id_that_we_never_made_is_no_flow(transports: Transports) -> None:
    await transports.listen(udp())
    for bad in ("", "udp/", "udp/udp/0.0.0.0/nowhere/5060", "udp/udp/0.0.0.0/::1/5060", "udp/no/0.0.0.0/192.0.2.1/9"):
        assert transports.flow(bad) is None


async def test_connect_gives_a_flow_of_the_right_family_at_once(transports: Transports) -> None:
    await transports.listen(udp())
    with await phone(socket.AF_INET6, "::1") as six, await phone(socket.AF_INET, "127.0.0.1") as four:
        for sock in (six, four):
            host, port = sock.getsockname()[:2]
            transports.connect(Target("udp", host, port)).send(options())
            with trio.fail_after(60):
                assert await sock.recv(2000) == options()


async def test_connect_without_a_socket_of_that_family_gives_a_closed_flow(transports: Transports) -> None:
    await transports.listen(udp("four", "127.0.0.1"))
    flow = transports.connect(Target("udp", "::1", 5060))
    assert flow.closed
    with pytest.raises(FlowClosed):
        flow.send(options())


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", 0), ("127.0.0.1", 70_000), ("example.com", 5060), ("", 5060)])
@pytest.mark.parametrize("transport", ["udp", "tcp", "tls", "ws"])
async def test_a_target_that_cannot_be_is_a_closed_flow(
    transports: Transports, transport: str, host: str, port: int
) -> None:
    await transports.listen(udp())
    await transports.listen(attrs.evolve(udp("tcp", "127.0.0.1"), transport="tcp"))
    assert transports.connect(Target(transport, host, port)).closed


async def test_a_flow_leads_to_other_addresses_of_its_family(transports: Transports) -> None:
    await transports.listen(udp())
    flow = transports.connect(Target("udp", "127.0.0.1", 5060))
    assert flow.towards(("127.0.0.1", 5062)).remote == ("127.0.0.1", 5062)
    for nowhere in (("::1", 5060), ("phone.example.com", 5060), ("127.0.0.1", 70_000)):
        assert flow.towards(nowhere) is flow


async def test_the_source_listener_can_be_chosen(transports: Transports) -> None:
    await transports.listen(udp("one", "127.0.0.1"))
    two = await transports.listen(udp("two", "127.0.0.1"))
    with await phone(socket.AF_INET, "127.0.0.1") as sock:
        transports.connect(Target("udp", *sock.getsockname(), listener="two")).send(options())
        with trio.fail_after(60):
            _, source = await sock.recvfrom(2000)
    assert source[1] == two.port


async def test_all_addresses_of_a_listener_share_a_port(transports: Transports) -> None:
    listener = await transports.listen(udp("udp", "127.0.0.1", "127.0.0.2", "::1"))
    assert len(listener.addresses) == 3
    assert {port for _, port in listener.addresses} == {listener.port}


async def test_sent_by_is_advertised_by_family(transports: Transports) -> None:
    plain = await transports.listen(udp("plain"))
    told = await transports.listen(udp("told", advertise=("192.0.2.7", "sip.example.com")))
    assert transports.connect(Target("udp", "127.0.0.1", 9, listener="plain")).sent_by == f"127.0.0.1:{plain.port}"
    assert transports.connect(Target("udp", "::1", 9, listener="plain")).sent_by == f"[::1]:{plain.port}"
    assert transports.connect(Target("udp", "127.0.0.1", 9, listener="told")).sent_by == f"192.0.2.7:{told.port}"
    assert transports.connect(Target("udp", "::1", 9, listener="told")).sent_by == f"sip.example.com:{told.port}"


async def test_a_taken_port_names_the_listener(transports: Transports) -> None:
    listener = await transports.listen(udp("one", "127.0.0.1"))
    with pytest.raises(OSError, match=r"listener two: 127\.0\.0\.1:\d+: Address already in use"):
        await transports.listen(ListenerOptions(name="two", transport="udp", port=listener.port, bind=("127.0.0.1",)))


async def test_crlf_keepalive_is_answered_and_not_handed_on(transports: Transports, core: Core) -> None:
    listener = await transports.listen(udp())
    with await phone(socket.AF_INET, "127.0.0.1") as sock:
        for quiet in (b"", b"\x00", b"\r\n", b"hello", b"\x80" * 100, b"\x00\x01" + bytes(40)):
            await sock.sendto(quiet, ("127.0.0.1", listener.port))
        await sock.sendto(b"\r\n\r\n", ("127.0.0.1", listener.port))
        with trio.fail_after(60):
            assert await sock.recv(2000) == b"\r\n"
    assert core.messages == []
    (figures, _) = transports.snapshot()
    assert figures.drops == {"short": 1, "not-sip": 2}


@pytest.mark.parametrize(("host", "family"), LOOPBACKS)
@pytest.mark.parametrize("fingerprint", [False, True])
async def test_a_binding_request_is_answered_with_the_address_it_came_from(
    transports: Transports, core: Core, host: str, family: int, fingerprint: bool
) -> None:
    listener = await transports.listen(udp())
    request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
    if fingerprint:
        request.add_fingerprint()
    with await phone(family, host) as sock:
        await sock.sendto(bytes(request), (host, listener.port))
        with trio.fail_after(60):
            answer = stun.parse_message(await sock.recv(2000))
        assert answer.message_class == stun.Class.RESPONSE
        assert answer.transaction_id == request.transaction_id
        assert answer.attributes["XOR-MAPPED-ADDRESS"] == sock.getsockname()[:2]
        assert ("FINGERPRINT" in answer.attributes) == fingerprint
    assert core.messages == []


@given(data=st.binary(max_size=100), stun_like=st.booleans())
def test_no_datagram_makes_the_keepalive_answer_raise(data: bytes, stun_like: bool) -> None:
    if stun_like:
        data = b"\x00\x01" + len(data).to_bytes(2, "big") + b"\x21\x12\xa4\x42" + bytes(12) + data
    for remote in (("192.0.2.1", 5060), ("2001:db8::1", 5060)):
        answer = answer_untrusted(data, remote)
        assert answer is None or len(answer) <= 60  # nothing to amplify an attack with


async def test_an_unreachable_peer_does_not_end_the_listener(transports: Transports, core: Core) -> None:
    listener = await transports.listen(udp())
    gone = await phone(socket.AF_INET, "127.0.0.1")
    address = gone.getsockname()
    gone.close()
    flow = transports.connect(Target("udp", *address))
    for _ in range(20):
        flow.send(options())
        await trio.lowlevel.checkpoint()
    with await phone(socket.AF_INET, "127.0.0.1") as sock:
        await sock.sendto(options(), ("127.0.0.1", listener.port))
        await core.arrived()


async def test_a_datagram_that_cannot_be_sent_says_so(transports: Transports) -> None:
    await transports.listen(udp())
    with pytest.raises(FlowClosed):
        transports.connect(Target("udp", "127.0.0.1", 9)).send(b"x" * 70_000)


def send_together(messages: list[bytes], port: int, sock: socket.socket) -> None:
    """All of them are there before the listener wakes."""
    for message in messages:
        sock.sendto(message, ("127.0.0.1", port))


async def test_what_is_said_to_datagrams_that_came_together_goes_out_after_the_last_of_them(
    transports: Transports, core: Core
) -> None:
    listener = await transports.listen(udp())
    messages = [options(str(number)) for number in range(8)]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(60)
        early = []

        def react(data: bytes, flow: Flow) -> None:
            flow.send(data)
            early.append(bool(select.select([sock], [], [], 0)[0]))

        core.react = react
        send_together(messages, listener.port, sock)
        await core.arrived(len(messages))
        assert [sock.recv(2000) for _ in messages] == messages
        assert not any(early)


async def test_one_of_them_that_cannot_be_sent_is_told_as_by_icmp_and_harms_no_other(
    transports: Transports, core: Core
) -> None:
    told: list[tuple[bytes, tuple[str, int]]] = []
    transports.on_unreachable = lambda quoted, remote: told.append((quoted, remote))
    listener = await transports.listen(udp())
    too_long = b"INVITE " + b"x" * 70_000
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(60)
        core.react = lambda data, flow: flow.send(too_long if len(core.messages) == 2 else data)
        send_together([options()] * 5, listener.port, sock)
        await core.arrived(5)
        assert [sock.recv(2000) for _ in range(4)] == [options()] * 4
        assert told == [(too_long, sock.getsockname())]


async def test_flows_of_many_remotes_are_forgotten_in_bounds(core: Core) -> None:
    async with trio.open_nursery() as nursery:
        transports = Transports(core.on_message, core.on_closed, TransportOptions(remembered_remotes=100), nursery)
        listener = await transports.listen(udp())
        for port in range(10_000, 20_000):
            transports.connect(Target("udp", "127.0.0.1", port))
        assert sum(endpoint.remembered for endpoint in listener.endpoints) <= 200
        nursery.cancel_scope.cancel()
