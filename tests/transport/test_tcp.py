from __future__ import annotations

import attrs
import pytest
import trio

from appliance.sip.flow import FlowClosed
from appliance.transport.options import ConnectionLimits, ListenerOptions, Target, TransportOptions
from appliance.transport.transports import Transports
from tests.peers.ports import free_port
from tests.transport.core import Core
from tests.transport.messages import ok, options


def tcp(name: str = "tcp", port: int = 0, **more: object) -> ListenerOptions:
    return ListenerOptions(name=name, transport="tcp", port=port, **more)  # type: ignore[arg-type]


def tcp_that_ends() -> ListenerOptions:
    """At a port that the kernel gives nobody: a connection from it to itself could stand where nobody listens."""
    return tcp(port=free_port())


async def received(stream: trio.abc.ReceiveStream, size: int) -> bytes:
    data = b""
    with trio.fail_after(60):
        while len(data) < size:
            more = await stream.receive_some(size - len(data))
            assert more, "closed too early"
            data += more
    return data


async def ended(stream: trio.abc.ReceiveStream) -> None:
    """Wait until the other side closes."""
    with trio.fail_after(60):
        try:
            while await stream.receive_some(65536):
                pass
        except trio.BrokenResourceError:
            pass


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_a_message_in_pieces_comes_in_whole_and_is_answered(
    transports: Transports, core: Core, host: str
) -> None:
    listener = await transports.listen(tcp())
    core.react = lambda data, flow: flow.send(ok())
    stream = await trio.open_tcp_stream(host, listener.port)
    async with stream:
        message = options(body=b"hello")
        for at in range(0, len(message), 20):
            await stream.send_all(message[at : at + 20])
        data, flow = await core.arrived()
        assert data == message
        assert (flow.transport, flow.reliable, flow.secure) == ("TCP", True, False)
        assert flow.local == (host, listener.port)
        assert flow.remote == stream.socket.getsockname()[:2]
        assert await received(stream, len(ok())) == ok()
        assert transports.flow(flow.id) is flow
    assert await core.closed() is flow
    assert flow.closed
    assert transports.flow(flow.id) is None
    with pytest.raises(FlowClosed):
        flow.send(ok())


async def test_a_ping_gets_its_pong(transports: Transports) -> None:
    listener = await transports.listen(tcp())
    async with await trio.open_tcp_stream("127.0.0.1", listener.port) as stream:
        await stream.send_all(b"\r\n\r\n")
        assert await received(stream, 2) == b"\r\n"


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_our_own_connection_is_reused_and_answers_come_back_on_it(
    transports: Transports, core: Core, host: str
) -> None:
    mine = await transports.listen(tcp("mine"))
    other = await transports.listen(tcp("other"))

    def react(data: bytes, flow: object) -> None:
        if data.startswith(b"OPTIONS"):
            core.messages[-1][1].send(ok())

    core.react = react
    target = Target("tcp", host, other.port, listener="mine")
    flow = transports.connect(target)
    flow.send(options("a"))
    flow.send(options("b"))
    await core.arrived(4)
    assert transports.connect(target) is flow
    assert [data.split(b" ")[0] for data, _ in core.messages].count(b"OPTIONS") == 2
    assert [f for data, f in core.messages if data == ok()] == [flow, flow]
    assert flow.sent_by.endswith(f":{mine.port}")
    flow.close()
    await core.closed(2)
    assert transports.connect(target) is not flow


async def test_our_connection_comes_from_an_address_of_its_listener(transports: Transports, core: Core) -> None:
    other = await transports.listen(tcp("other"))
    mine = await transports.listen(tcp("mine", bind=("127.0.0.7",)))
    flow = transports.connect(Target("tcp", "127.0.0.1", other.port, listener="mine"))
    flow.send(options())
    _, theirs = await core.arrived()
    assert theirs.remote[0] == "127.0.0.7"
    assert flow.sent_by == f"127.0.0.7:{mine.port}"
    assert flow.local == theirs.remote


async def test_a_refused_connection_is_reported_once(transports: Transports, core: Core) -> None:
    listener = await transports.listen(tcp_that_ends())
    port = listener.port
    await transports.stop_accepting()
    flow = transports.connect(Target("tcp", "127.0.0.1", port))
    flow.send(options())
    assert await core.closed() is flow
    assert flow.closed
    assert core.ended == [flow]


async def test_stop_accepting_keeps_what_stands(transports: Transports, core: Core) -> None:
    listener = await transports.listen(tcp_that_ends())
    async with await trio.open_tcp_stream("127.0.0.1", listener.port) as stream:
        await stream.send_all(options("1"))
        await core.arrived()
        await transports.stop_accepting()
        with pytest.raises(OSError, match="connect"):
            await trio.open_tcp_stream("127.0.0.1", listener.port)
        await stream.send_all(options("2"))
        await core.arrived(2)


async def test_an_unfinished_message_is_cut_off_however_it_trickles(transports: Transports, core: Core) -> None:
    listener = await transports.listen(tcp(limits=ConnectionLimits(read_deadline_s=0.3)))
    async with await trio.open_tcp_stream("127.0.0.1", listener.port) as stream:
        with trio.fail_after(60):
            try:
                for byte in options() * 100:
                    await stream.send_all(bytes([byte]))
                    await trio.sleep(0.02)
            except trio.BrokenResourceError:
                pass
    assert core.messages == []
    assert transports.snapshot()[0].drops == {"read-deadline": 1}


async def test_an_idle_connection_is_closed(transports: Transports, core: Core) -> None:
    listener = await transports.listen(tcp(limits=ConnectionLimits(idle_timeout_s=0.2)))
    async with await trio.open_tcp_stream("127.0.0.1", listener.port) as stream:
        await stream.send_all(options())
        await ended(stream)
    await core.closed()
    assert transports.snapshot()[0].drops == {"idle": 1}


@pytest.mark.parametrize(
    ("hostile", "cause"),
    [
        (b"OPTIONS sip:a@example.com SIP/2.0\r\n" + b"X: y\r\n" * 10_000, "too-large"),
        (options().replace(b"Content-Length: 0", b"Content-Length: 99999999"), "too-large"),
        (options().replace(b"Content-Length: 0", b"Content-Length: -1"), "bad-stream"),
        (options().replace(b"Content-Length: 0\r\n", b""), "bad-stream"),
    ],
)
async def test_a_stream_beyond_the_limits_is_closed(
    transports: Transports, core: Core, hostile: bytes, cause: str
) -> None:
    listener = await transports.listen(tcp())
    async with await trio.open_tcp_stream("127.0.0.1", listener.port) as stream:
        with pytest.raises(trio.BrokenResourceError):
            while True:
                await stream.send_all(hostile)
    await core.closed()
    assert core.messages == []
    assert transports.snapshot()[0].drops == {cause: 1}


async def test_a_slow_reader_is_closed_and_nobody_waits(transports: Transports, core: Core) -> None:
    limits = ConnectionLimits(write_buffer_bytes=100_000)
    listener = await transports.listen(tcp(limits=limits))
    async with await trio.open_tcp_stream("127.0.0.1", listener.port) as stream:
        await stream.send_all(options())
        _, flow = await core.arrived()
        with pytest.raises(FlowClosed):
            while True:
                flow.send(options(body=b"x" * 10_000))
        await core.closed()
    assert transports.snapshot()[0].drops == {"write-overflow": 1}


async def test_a_reader_that_stopped_is_closed_after_the_deadline(transports: Transports, core: Core) -> None:
    listener = await transports.listen(tcp(limits=ConnectionLimits(write_deadline_s=0.2, write_buffer_bytes=10**8)))
    async with await trio.open_tcp_stream("127.0.0.1", listener.port) as stream:
        await stream.send_all(options())
        _, flow = await core.arrived()
        for _ in range(1000):
            flow.send(options(body=b"x" * 10_000))
        await core.closed()
    assert transports.snapshot()[0].drops == {"write-stalled": 1}


async def test_what_the_kernel_does_not_take_at_once_still_arrives_in_order(transports: Transports, core: Core) -> None:
    listener = await transports.listen(tcp(limits=ConnectionLimits(write_buffer_bytes=10**8)))
    async with await trio.open_tcp_stream("127.0.0.1", listener.port) as stream:
        await stream.send_all(options())
        _, flow = await core.arrived()
        sent = [options(str(number), b"x" * 10_000) for number in range(1000)]
        for message in sent:
            flow.send(message)
        whole = b"".join(sent)
        assert await received(stream, len(whole)) == whole


async def test_connections_are_limited_in_all_and_for_each_source(transports: Transports, core: Core) -> None:
    listener = await transports.listen(tcp(max_connections=3, max_connections_per_source=2))
    streams = []
    for source in ("127.0.0.1", "127.0.0.1", "127.0.0.1", "127.0.0.2", "127.0.0.3"):
        streams.append(await trio.open_tcp_stream("127.0.0.1", listener.port, local_address=source))
    await ended(streams[2])
    await ended(streams[4])
    figures = transports.snapshot()[0]
    assert figures.connections == 3
    assert figures.drops == {"too-many-from-source": 1, "too-many-connections": 1}
    for number, stream in enumerate(streams):
        if number not in (2, 4):
            await stream.send_all(options())
    await core.arrived(3)
    for stream in streams:
        await stream.aclose()
    await core.closed(3)
    await trio.testing.wait_all_tasks_blocked()
    assert transports.snapshot()[0].connections == 0


async def test_a_listener_takes_new_options_for_new_connections(transports: Transports, core: Core) -> None:
    options_now = tcp()
    listener = await transports.listen(options_now)
    async with await trio.open_tcp_stream("127.0.0.1", listener.port) as old:
        await old.send_all(options())
        await core.arrived()
        transports.reconfigure(attrs.evolve(options_now, max_connections=1, advertise=("sip.example.com",)))
        async with await trio.open_tcp_stream("127.0.0.1", listener.port) as refused:
            await ended(refused)
        await old.send_all(options())
        await core.arrived(2)
    await core.closed()
    async with await trio.open_tcp_stream("127.0.0.1", listener.port) as new:
        await new.send_all(options())
        _, flow = await core.arrived(3)
        assert flow.sent_by == f"sip.example.com:{listener.port}"
    with pytest.raises(ValueError, match="other sockets"):
        transports.reconfigure(attrs.evolve(options_now, bind=("127.0.0.1",)))


async def test_an_error_of_the_core_is_not_swallowed(core: Core) -> None:
    def broken(data: bytes, flow: object) -> None:
        raise ZeroDivisionError

    with pytest.RaisesGroup(ZeroDivisionError):
        async with trio.open_nursery() as nursery:
            transports = Transports(broken, core.on_closed, TransportOptions(), nursery)
            listener = await transports.listen(tcp())
            async with await trio.open_tcp_stream("127.0.0.1", listener.port) as stream:
                await stream.send_all(options())
                await trio.sleep(60)
