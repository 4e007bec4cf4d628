"""Hypercorn's remote kill, and what else one connection may do to all others: nothing.

One HTTP/2 POST whose body comes after the answer raised KeyError in Hypercorn 0.18's protocol/h2.py and ended serve()
(pgjones/hypercorn#312, #334, #225).
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import h2.connection
import h2.events
import pytest
import trio
from h2.config import H2Configuration
from h2.exceptions import ProtocolError
from hypercorn.config import Config
from hypercorn.trio import serve

from appliance.web.connection import Connection
from tests.web.box import Box, open_box

Stream = trio.SocketStream | trio.SSLStream[trio.SocketStream]

UPGRADE = (
    b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n"
)


async def post_with_late_body(stream: Stream, authority: str, begun: bool = False) -> None:
    """Send the headers of a POST to nowhere, wait for the answer, then send the body; whatever comes of it."""
    machine = h2.connection.H2Connection(H2Configuration(client_side=True))
    if begun:
        machine.initiate_upgrade_connection()
    else:
        machine.initiate_connection()
    stream_id = machine.get_next_available_stream_id()
    headers = [(":method", "POST"), (":path", "/nowhere"), (":scheme", "https"), (":authority", authority)]
    machine.send_headers(stream_id, headers)
    await stream.send_all(machine.data_to_send())
    ended = False
    while not ended:
        data = await stream.receive_some(65536)
        if not data:
            return
        for event in machine.receive_data(data):
            ended = ended or isinstance(event, h2.events.StreamEnded | h2.events.StreamReset)
        await stream.send_all(machine.data_to_send())
    machine.send_data(stream_id, b"x" * 1000, end_stream=True)
    await stream.send_all(machine.data_to_send())
    while await stream.receive_some(65536):
        pass


async def attack(address: tuple[str, int], tls: ssl.SSLContext | None, *, upgrade: bool = False) -> None:
    stream: Stream = await trio.open_tcp_stream(*address)
    if tls is not None:
        stream = trio.SSLStream(stream, tls, server_hostname="127.0.0.1", https_compatible=True)
    async with stream:
        with trio.move_on_after(20):
            try:
                if upgrade:
                    await stream.send_all(UPGRADE)
                    await stream.receive_some(65536)
                await post_with_late_body(stream, f"127.0.0.1:{address[1]}", begun=upgrade)
            except (ProtocolError, trio.BrokenResourceError):
                pass  # no HTTP/2 is spoken here


def with_alpn(context: ssl.SSLContext, *protocols: str) -> ssl.SSLContext:
    context.set_alpn_protocols(list(protocols))
    return context


ATTACKS: dict[str, Callable[[Box], tuple[tuple[str, int], ssl.SSLContext | None, bool]]] = {
    "tls-h2": lambda box: (box.web.secure[0], with_alpn(box.trust(), "h2"), False),
    "tls-http11": lambda box: (box.web.secure[0], with_alpn(box.trust(), "http/1.1"), False),
    "tls-none": lambda box: (box.web.secure[0], box.trust(), False),
    "clear-prior-knowledge": lambda box: (box.web.plain[0], None, False),
    "clear-upgrade": lambda box: (box.web.plain[0], None, True),
    "tls-upgrade": lambda box: (box.web.secure[0], box.trust(), True),
}


@pytest.mark.parametrize("way", ATTACKS)
async def test_a_late_http2_body_ends_its_own_connection_at_most(tmp_path: Path, way: str) -> None:
    async with open_box(tmp_path) as box, box.client() as before:
        assert (await before.get("/healthz")).status_code == 200
        address, tls, upgrade = ATTACKS[way](box)
        for _ in range(3):
            await attack(address, tls, upgrade=upgrade)
        assert (await before.get("/healthz")).status_code == 200
        async with box.client(box.https) as late:
            assert (await late.get("/healthz")).status_code == 200
        async with box.client(box.http) as late:
            assert (await late.get("/healthz")).status_code == 200
        health = box.appliance.supervisor.health["web"]
        assert (health.state.value, health.restarts) == ("ready", 0)


async def test_the_same_request_does_end_hypercorns_own_server() -> None:
    """Otherwise the test above would show nothing."""

    async def nowhere(scope: dict[str, object], receive: object, send: Callable[..., Awaitable[None]]) -> None:
        if scope["type"] != "http":
            raise ValueError("nothing else is served")
        await send({"type": "http.response.start", "status": 404, "headers": []})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    config = Config()
    config.bind = ["127.0.0.1:0"]
    config.errorlog = None
    with pytest.raises(BaseExceptionGroup) as raised:
        async with trio.open_nursery() as nursery:
            [url] = await nursery.start(partial(serve, nowhere, config, mode="asgi"))
            await attack(("127.0.0.1", int(url.rpartition(":")[2])), None)
            await trio.sleep(60)
            nursery.cancel_scope.cancel()
    assert raised.group_contains(KeyError)


async def test_a_fault_of_ours_on_one_connection_ends_that_one_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_box(tmp_path) as box, box.client() as client:
        assert (await client.get("/healthz")).status_code == 200
        with monkeypatch.context() as patched:

            async def stumble(self: Connection) -> None:
                raise ExceptionGroup("several", [KeyError(1)])

            patched.setattr(Connection, "_serve", stumble)
            stream = await trio.open_tcp_stream(*box.web.plain[0])
            async with stream:
                with trio.fail_after(60):
                    assert await stream.receive_some(10) == b""
        assert box.web.server is not None
        assert box.web.server.figures.faults == 1
        assert (await client.get("/healthz")).status_code == 200
        async with box.client() as late:
            assert (await late.get("/healthz")).status_code == 200
