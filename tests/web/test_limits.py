"""What slow, large and many clients get: a bound, and others notice nothing."""

from __future__ import annotations

import socket
from pathlib import Path

import attrs
import pytest
import trio
from trio_websocket import ConnectionClosed, open_websocket_url

from appliance.web.connection import Deadlines
from appliance.web.server import Server
from tests.web.box import Box, open_box


def server(box: Box) -> Server:
    assert box.web.server is not None
    return box.web.server


def hurry(box: Box, **deadlines: float) -> None:
    limits = server(box).limits
    server(box).limits = attrs.evolve(limits, deadlines=attrs.evolve(Deadlines(), **deadlines))


async def nobody_left(box: Box) -> None:
    with trio.fail_after(60):
        while server(box).figures.open:  # noqa: ASYNC110 (no event tells it)
            await trio.sleep(0.01)


async def rest(stream: trio.SocketStream) -> bytes:
    """Everything until the other side closes."""
    found = b""
    with trio.fail_after(60):
        try:
            while data := await stream.receive_some(65536):
                found += data
        except trio.BrokenResourceError:
            pass
    return found


@pytest.mark.parametrize("begin", [b"", b"GET / HT", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: "])
async def test_a_client_that_never_finishes_its_header_is_closed(tmp_path: Path, begin: bytes) -> None:
    async with open_box(tmp_path) as box:
        hurry(box, idle_s=0.3)
        async with await trio.open_tcp_stream(*box.web.plain[0]) as stream:
            if begin:
                await stream.send_all(begin)
            assert await rest(stream) == b""


async def test_a_trickled_header_gets_no_more_time(tmp_path: Path) -> None:
    async with open_box(tmp_path) as box:
        hurry(box, idle_s=0.5)
        async with await trio.open_tcp_stream(*box.web.plain[0]) as stream:
            with trio.fail_after(60), pytest.raises((trio.BrokenResourceError, OSError)):
                while True:
                    await stream.send_all(b"G")
                    await trio.sleep(0.05)


async def test_a_tls_handshake_that_does_not_come_is_closed(tmp_path: Path) -> None:
    async with open_box(tmp_path) as box:
        hurry(box, handshake_s=0.3)
        async with await trio.open_tcp_stream(*box.web.secure[0]) as stream:
            assert await rest(stream) == b""


async def test_an_endless_header_is_refused(tmp_path: Path) -> None:
    async with open_box(tmp_path) as box, await trio.open_tcp_stream(*box.web.plain[0]) as stream:
        await stream.send_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: " + b"x" * 100_000)
        assert (await rest(stream)).startswith(b"HTTP/1.1 431 ")


async def test_a_body_beyond_the_limit_is_refused_and_the_answer_arrives(tmp_path: Path) -> None:
    async with open_box(tmp_path, "[web]\nmax-body = 2 KiB\n") as box:
        hurry(box, idle_s=1)
        async with await trio.open_tcp_stream(*box.web.plain[0]) as stream:
            head = "POST /sign-in HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"
            await stream.send_all(f"{head}Content-Length: 200000\r\n\r\n".encode() + b"x" * 200_000)
            assert (await rest(stream)).startswith(b"HTTP/1.1 413 ")
        async with await trio.open_tcp_stream(*box.web.plain[0]) as stream:
            await stream.send_all(
                f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + b"800\r\n" + b"x" * 2048 + b"\r\n"
            )
            await stream.send_all(b"800\r\n" + b"x" * 2048 + b"\r\n0\r\n\r\n")
            assert (await rest(stream)).startswith(b"HTTP/1.1 413 ")


async def test_connections_beyond_the_limit_are_closed_at_once_and_room_comes_back(tmp_path: Path) -> None:
    async with open_box(tmp_path, "[web]\nmax-connections-per-source = 3\n") as box:
        held = [await trio.open_tcp_stream(*box.web.plain[0]) for _ in range(3)]
        async with await trio.open_tcp_stream(*box.web.plain[0]) as stream:
            assert await rest(stream) == b""
        assert server(box).figures.refused == 1
        for stream in held:
            await stream.aclose()
        await nobody_left(box)
        async with box.client(box.http) as client:
            assert (await client.get("/healthz")).status_code == 200


async def test_a_client_that_takes_nothing_is_cut_off(tmp_path: Path) -> None:
    async with open_box(tmp_path) as box:
        hurry(box, write_s=0.3)
        with trio.socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            await sock.connect(box.web.plain[0])
            request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
            with trio.fail_after(60), pytest.raises(OSError):  # noqa: PT011 (whichever way it is told)
                while True:
                    await sock.send(request * 100)
        await nobody_left(box)


async def test_a_websocket_message_beyond_the_limit_ends_that_websocket(tmp_path: Path) -> None:
    async with open_box(tmp_path) as box:
        url = f"ws://127.0.0.1:{box.web.plain[0][1]}/sip"
        async with open_websocket_url(url, subprotocols=["sip"]) as phone:
            with trio.fail_after(60), pytest.raises(ConnectionClosed) as closed:
                for _ in range(20):
                    await phone.send_message("x" * 200_000)
                await phone.get_message()
        assert closed.value.reason is None or closed.value.reason.code == 1009
        async with box.client(box.http) as client:
            assert (await client.get("/healthz")).status_code == 200


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET ?x HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET http://[ HTTP/1.1\r\nHost: [\r\n\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
        b"POST /sign-in HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data\r\nContent-Length: 1\r\n\r\nx",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nCookie: jackfield=\xff\xfe\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /%ff%00 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /sip HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"CONNECT a:1 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
)
async def test_an_odd_request_gets_an_answer_and_is_no_fault_of_ours(tmp_path: Path, request_bytes: bytes) -> None:
    async with open_box(tmp_path) as box:
        hurry(box, idle_s=0.5)
        async with await trio.open_tcp_stream(*box.web.plain[0]) as stream:
            await stream.send_all(request_bytes)
            assert (await rest(stream)).startswith((b"HTTP/1.1 4", b"HTTP/1.1 303 "))
        assert server(box).figures.faults == 0
