from __future__ import annotations

import ssl
import tracemalloc
from pathlib import Path

import h11
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio_websocket import (
    ConnectionClosed,
    ConnectionRejected,
    WebSocketConnection,
    open_websocket,
)
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, Ping, Request, TextMessage

from appliance.transport.options import ConnectionLimits, ListenerOptions, TlsServerOptions
from appliance.transport.transports import Transports
from appliance.transport.websocket import WebSocketCodec, origin_allowed
from tests.transport.certificates import Authority
from tests.transport.core import Core
from tests.transport.messages import ok, options
from tests.transport.test_tcp import ended

Headers = list[tuple[bytes, bytes]]


def ws(**more: object) -> ListenerOptions:
    return ListenerOptions(name="ws", transport="ws", port=0, **more)  # type: ignore[arg-type]


def opened(port: int, *, host: str = "127.0.0.1", path: str = "/sip", protocol: str = "sip", headers: Headers = []):  # noqa: B006
    return open_websocket(host, port, path, use_ssl=False, subprotocols=[protocol], extra_headers=headers)


async def text(socket: WebSocketConnection) -> str | bytes:
    with trio.fail_after(60):
        return await socket.get_message()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("kind", [str, bytes])
async def test_a_message_is_a_message(transports: Transports, core: Core, host: str, kind: type) -> None:
    listener = await transports.listen(ws())
    core.react = lambda data, flow: flow.send(ok())
    async with opened(listener.port, host=host) as socket:
        assert socket.subprotocol == "sip"
        message = options(body="grüße".encode())
        await socket.send_message(message.decode() if kind is str else message)
        data, flow = await core.arrived()
        assert data == message
        assert (flow.transport, flow.secure, flow.local) == ("WS", False, (host, listener.port))
        assert await text(socket) == ok().decode()
        flow.send(b"\xff not UTF-8")
        assert await text(socket) == b"\xff not UTF-8"
    assert await core.closed() is flow
    assert transports.snapshot()[0].drops == {}


async def test_a_browser_phone_comes_over_tls(transports: Transports, core: Core, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    server = TlsServerOptions(certificate=authority.issue("localhost"))
    listener = await transports.listen(ListenerOptions(name="wss", transport="wss", port=0, tls=server))
    core.react = lambda data, flow: flow.send(ok())
    context = ssl.create_default_context(cafile=str(authority.ca))
    async with open_websocket("localhost", listener.port, "/sip", use_ssl=context, subprotocols=["sip"]) as socket:
        await socket.send_message(options().decode())
        _, flow = await core.arrived()
        assert (flow.transport, flow.secure) == ("WSS", True)
        assert await text(socket) == ok().decode()
    await core.closed()


@pytest.mark.parametrize(
    ("how", "status", "cause"),
    [
        ({"protocol": "mqtt"}, 400, "ws-subprotocol"),
        ({"path": "/other"}, 404, "ws-path"),
        ({"headers": [(b"Origin", b"https://evil.example.net")]}, 403, "ws-origin"),
        ({"headers": [(b"Origin", b"null")]}, 403, "ws-origin"),
        ({"headers": [(b"Origin", b"http://127.0.0.1"), (b"Origin", b"http://evil.example.net")]}, 403, "ws-origin"),
    ],
)
async def test_a_bad_handshake_is_refused(
    transports: Transports, core: Core, how: dict[str, str], status: int, cause: str
) -> None:
    listener = await transports.listen(ws())
    with pytest.raises(ConnectionRejected) as refused:
        async with opened(listener.port, **how):  # type: ignore[arg-type]
            pass
    assert refused.value.status_code == status
    assert transports.snapshot()[0].drops == {cause: 1}
    assert core.ended == []


async def test_a_page_of_the_same_host_may_come_in(transports: Transports, core: Core) -> None:
    listener = await transports.listen(ws())
    async with opened(listener.port, path="/sip?a=b", headers=[(b"Origin", b"https://127.0.0.1:8443")]) as socket:
        await socket.send_message(options())
        await core.arrived()


def test_origins() -> None:
    phone = "https://phone.example.com"
    assert origin_allowed(None, "sip.example.com", ("same",))
    assert not origin_allowed(None, "sip.example.com", ("same",), required=True)
    assert origin_allowed(phone, "phone.example.com:7443", ("same",))
    assert origin_allowed(phone, "phone.example.com:7443", ())
    assert not origin_allowed(phone, "sip.example.com", ("same",))
    assert origin_allowed("https://Phone.example.com", "sip.example.com", (phone,))
    assert not origin_allowed("https://phone.example.com:444", "sip.example.com", (phone,))
    assert not origin_allowed("null", "sip.example.com", ("same", phone))
    assert origin_allowed("null", "sip.example.com", ("*",))
    assert origin_allowed("https://[::1]:8443", "[::1]:7443", ("same",))
    assert not origin_allowed("https://[::1", "[::1", ("same",))


@pytest.mark.parametrize("head", [b"GET /sip HTTP/1.1\r\nHost: a\r\n\r\n", b"\x00\x01nonsense\r\n\r\n", options()])
async def test_what_is_no_websocket_gets_400(transports: Transports, head: bytes) -> None:
    listener = await transports.listen(ws())
    async with await trio.open_tcp_stream("127.0.0.1", listener.port) as stream:
        await stream.send_all(head)
        with trio.fail_after(60):
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 400")
        await ended(stream)
    assert transports.snapshot()[0].drops == {"ws-handshake": 1}


async def test_a_handshake_that_trickles_has_a_deadline(transports: Transports) -> None:
    listener = await transports.listen(ws(limits=ConnectionLimits(read_deadline_s=0.2)))
    async with await trio.open_tcp_stream("127.0.0.1", listener.port) as stream:
        await stream.send_all(b"GET /sip HTTP/1.1\r\nHost: a\r\n")
        await ended(stream)
    assert transports.snapshot()[0].drops == {"handshake-deadline": 1}


async def test_an_endless_handshake_is_cut_off(transports: Transports) -> None:
    listener = await transports.listen(ws())
    async with await trio.open_tcp_stream("127.0.0.1", listener.port) as stream:
        with pytest.raises(trio.BrokenResourceError):
            while True:
                await stream.send_all(b"GET /sip HTTP/1.1\r\n" + b"X: y\r\n" * 1000)
    assert transports.snapshot()[0].drops == {"ws-handshake": 1}


async def test_a_message_too_large_is_refused_with_1009(transports: Transports, core: Core) -> None:
    listener = await transports.listen(ws(limits=ConnectionLimits(max_message_bytes=5000)))
    async with opened(listener.port) as socket:
        await socket.send_message(options(body=b"x" * 6000))
        with pytest.raises(ConnectionClosed) as closed:
            await text(socket)
        assert closed.value.reason.code == 1009
    await core.closed()
    assert transports.snapshot()[0].drops == {"too-large": 1}


async def shaken(port: int) -> tuple[trio.SocketStream, WSConnection]:
    """A client that does as it likes after the handshake."""
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    client = WSConnection(ConnectionType.CLIENT)
    await stream.send_all(client.send(Request(host="127.0.0.1", target="/sip", subprotocols=["sip"])))
    client.receive_data(await stream.receive_some())
    assert isinstance(next(client.events()), AcceptConnection)
    return stream, client


async def test_endless_fragments_end_at_the_deadline_and_take_no_memory(transports: Transports, core: Core) -> None:
    listener = await transports.listen(ws(limits=ConnectionLimits(read_deadline_s=0.3)))
    stream, client = await shaken(listener.port)
    empty = b"".join(client.send(TextMessage(data="", message_finished=False)) for _ in range(1000))
    async with stream:
        with trio.fail_after(60), pytest.raises(trio.BrokenResourceError):
            while True:
                await stream.send_all(empty)
                empty = b"".join(client.send(TextMessage(data="", message_finished=False)) for _ in range(1000))
    await core.closed()
    assert transports.snapshot()[0].drops == {"read-deadline": 1}


async def test_half_a_frame_ends_at_the_deadline_though_pings_come_in_between(
    transports: Transports, core: Core
) -> None:
    listener = await transports.listen(ws(limits=ConnectionLimits(read_deadline_s=0.3)))
    stream, client = await shaken(listener.port)
    async with stream:
        await stream.send_all(client.send(TextMessage(data="OPTIONS", message_finished=False)))
        with trio.fail_after(60), pytest.raises(trio.BrokenResourceError):
            while True:
                await stream.send_all(client.send(Ping()))
                await trio.sleep(0.05)
    await core.closed()
    assert transports.snapshot()[0].drops == {"read-deadline": 1}


async def test_our_pings_keep_a_quiet_phone(transports: Transports, core: Core) -> None:
    listener = await transports.listen(ws(limits=ConnectionLimits(ws_ping_s=0.05, idle_timeout_s=3)))
    async with opened(listener.port) as socket:
        await trio.sleep(4)
        await socket.send_message(options())
        await core.arrived()


async def test_a_phone_that_answers_no_ping_is_idle(transports: Transports, core: Core) -> None:
    listener = await transports.listen(ws(limits=ConnectionLimits(ws_ping_s=0.05, idle_timeout_s=0.3)))
    stream, _ = await shaken(listener.port)
    async with stream:
        await core.closed()
    assert transports.snapshot()[0].drops == {"idle": 1}


async def test_a_crlf_ping_gets_its_pong(transports: Transports, core: Core) -> None:
    listener = await transports.listen(ws())
    async with opened(listener.port) as socket:
        await socket.send_message("\r\n\r\n")
        assert await text(socket) == "\r\n"
    assert core.messages == []


def _request(host: bytes, protocol: bytes, more: list[tuple[bytes, bytes]]) -> bytes:
    connection = h11.Connection(h11.CLIENT)
    headers = [
        (b"Host", host),
        (b"Upgrade", b"websocket"),
        (b"Connection", b"Upgrade"),
        (b"Sec-WebSocket-Key", b"AAAAAAAAAAAAAAAAAAAAAA=="),
        (b"Sec-WebSocket-Version", b"13"),
        (b"Sec-WebSocket-Protocol", protocol),
        *more,
    ]
    sent = connection.send(h11.Request(method="GET", target="/sip", headers=headers))
    assert sent is not None
    return sent


_value = st.binary(max_size=30).filter(lambda value: not set(value) & set(b"\x00\r\n") and value == value.strip())
_name = st.sampled_from([b"Origin", b"Host", b"Sec-WebSocket-Extensions", b"Cookie", b"Sec-WebSocket-Protocol"])


@given(host=_value, protocol=_value, more=st.lists(st.tuples(_name, _value), max_size=4))
@settings(max_examples=300, deadline=None)
def test_no_handshake_makes_the_codec_raise(host: bytes, protocol: bytes, more: list[tuple[bytes, bytes]]) -> None:
    try:
        head = _request(host, protocol, more)
    except h11.LocalProtocolError:
        return
    codec = WebSocketCodec(ws())
    assert list(codec.receive_untrusted(head, 1.0)) == []
    assert codec.ready or codec.finished is not None


@given(pieces=st.lists(st.binary(max_size=40), max_size=10))
@settings(max_examples=300, deadline=None)
def test_no_bytes_make_the_codec_raise(pieces: list[bytes]) -> None:
    codec = WebSocketCodec(ws())
    list(codec.receive_untrusted(_request(b"a", b"sip", []), 1.0))
    assert codec.ready
    for piece in pieces:
        list(codec.receive_untrusted(piece, 2.0))
        codec.replies()
        if codec.finished is not None:
            codec.farewell()
            return


_mask = b"\x00\x00\x00\x00"
_HOSTILE = {
    "empty fragments": (b"\x01\x80" + _mask, b"\x00\x80" + _mask),
    "fragments": (b"\x01\xfe\x01\x00" + _mask + b"x" * 256, b"\x00\xfe\x01\x00" + _mask + b"x" * 256),
    "pings": (b"\x89\x80" + _mask,) * 2,
    "one endless frame": (b"\x81\xff\x7f" + b"\xff" * 7 + _mask, b"x" * 256),
    "one large frame": (b"\x81\xff\x00\x00\x00\x00\x00\x00\xff\xff" + _mask, b"x" * 256),
}


@pytest.mark.parametrize("name", _HOSTILE)
def test_nobody_can_make_a_websocket_use_more_memory_than_its_limits(name: str) -> None:
    codec = WebSocketCodec(ws())
    list(codec.receive_untrusted(_request(b"a", b"sip", []), 1.0))
    codec.replies()
    first, more = _HOSTILE[name]
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    list(codec.receive_untrusted(first, 2.0))
    for _ in range(1000):
        if codec.finished is not None:
            break
        list(codec.receive_untrusted(more * 3, 2.0))
        codec.replies()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak - before < 4 * ConnectionLimits().max_message_bytes


@given(size=st.sampled_from([0, 1, 125, 126, 127, 65535, 65536, 65537, 70000]), binary=st.booleans())
@settings(deadline=None)
def test_messages_of_every_length_go_both_ways(size: int, binary: bool) -> None:
    codec = WebSocketCodec(ws(limits=ConnectionLimits(max_message_bytes=100_000)))
    client = WSConnection(ConnectionType.CLIENT)
    list(codec.receive_untrusted(client.send(Request(host="a", target="/sip", subprotocols=["sip"])), 1.0))
    client.receive_data(codec.replies())
    list(client.events())
    message = (b"\xff" if binary else b"x") * size
    client.receive_data(codec.encode(message))
    events = list(client.events())
    assert all(isinstance(event, BytesMessage) == (binary and size > 0) for event in events)
    assert b"".join(e.data if isinstance(e, BytesMessage) else e.data.encode() for e in events) == message  # type: ignore[attr-defined]
    wire = client.send(BytesMessage(data=message) if binary else TextMessage(data=message.decode()))
    assert list(codec.receive_untrusted(wire, 2.0)) == ([message] if message else [])


@given(cuts=st.lists(st.integers(1, 300), max_size=20), binary=st.booleans())
@settings(max_examples=100, deadline=None)
def test_frames_may_be_cut_anywhere(cuts: list[int], binary: bool) -> None:
    codec = WebSocketCodec(ws())
    client = WSConnection(ConnectionType.CLIENT)
    list(codec.receive_untrusted(client.send(Request(host="a", target="/sip", subprotocols=["sip"])), 1.0))
    client.receive_data(codec.replies())
    sent = [options(str(number), "ü".encode() * number) for number in range(3)]
    wire = b"".join(
        client.send(BytesMessage(data=message) if binary else TextMessage(data=message.decode())) for message in sent
    )
    got = []
    for cut in [*cuts, len(wire)]:
        piece, wire = wire[:cut], wire[cut:]
        got += codec.receive_untrusted(piece, 2.0)
    assert got == sent
    assert codec.partial_since is None
