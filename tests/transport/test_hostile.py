"""Peers that mean no good, on real sockets: whatever they do, the next good message is served."""

from __future__ import annotations

import random
import socket
import ssl
import struct
from pathlib import Path

import pytest
import trio
from trio_websocket import open_websocket

from appliance.transport.options import ListenerOptions, TlsServerOptions
from appliance.transport.transports import Transports
from tests.transport.certificates import Authority
from tests.transport.core import Core
from tests.transport.messages import options

_RESET = struct.pack("ii", 1, 0)
_SEEDS = (
    options(),
    b"GET /sip HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: sip\r\n\r\n\x81\x85abcdHello",
    bytes.fromhex("16030100f5010000f10303") + bytes(200),
    b"\r\n\r\n",
)


def _spoilt(rng: random.Random) -> bytes:
    data = bytearray(rng.choice(_SEEDS))
    for _ in range(rng.randrange(6)):
        data[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(data[: rng.randrange(1, len(data) + 1)]) * rng.choice((1, 1, 3, 200))


async def _torment(port: int, seed: int) -> None:
    rng = random.Random(seed)
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    with trio.move_on_after(0.5):
        try:
            for _ in range(rng.randrange(1, 5)):
                await stream.send_all(_spoilt(rng))
            if rng.random() < 0.3:
                await stream.receive_some(100)
            if rng.random() < 0.5:
                stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        except trio.BrokenResourceError:
            pass
    stream.socket.close()


@pytest.mark.parametrize("transport", ["TCP", "TLS", "WS", "WSS"])
async def test_after_a_hundred_hostile_connections_a_good_one_is_served(
    transports: Transports, core: Core, tmp_path: Path, transport: str
) -> None:
    authority = Authority(tmp_path)
    tls = TlsServerOptions(certificate=authority.issue("localhost"))
    listener = await transports.listen(ListenerOptions(name="it", transport=transport, port=0, tls=tls))
    async with trio.open_nursery() as nursery:
        for seed in range(100):
            nursery.start_soon(_torment, listener.port, seed)
    core.messages.clear()
    context = ssl.create_default_context(cafile=str(authority.ca))
    if transport in ("WS", "WSS"):
        secure = context if transport == "WSS" else False
        async with open_websocket("localhost", listener.port, "/sip", use_ssl=secure, subprotocols=["sip"]) as phone:
            await phone.send_message(options("good"))
            await core.until(lambda: any(data == options("good") for data, _ in core.messages))
    else:
        stream: trio.abc.Stream = await trio.open_tcp_stream("localhost", listener.port)
        if transport == "TLS":
            stream = trio.SSLStream(stream, context, server_hostname="localhost")
        await stream.send_all(options("good"))
        await core.until(lambda: any(data == options("good") for data, _ in core.messages))
        await trio.aclose_forcefully(stream)
    await core.until(lambda: all(flow.closed for _, flow in core.messages))
    with trio.fail_after(60):
        while transports.snapshot()[0].connections:  # noqa: ASYNC110 (what never sent a message tells nobody)
            await trio.sleep(0.01)
    assert set(core.ended) >= {flow for _, flow in core.messages}
    assert len(set(core.ended)) == len(core.ended)
