"""A UDP peer that is not there: ICMP tells at once, and harms nobody else's datagrams."""

from __future__ import annotations

import socket

import pytest
import trio

from appliance.transport.options import ListenerOptions, Target
from appliance.transport.transports import Transports
from tests.peers.ports import free_port
from tests.transport.core import Core
from tests.transport.messages import options


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_a_refused_datagram_is_told_with_its_beginning_and_where_it_went(
    transports: Transports, core: Core, host: str
) -> None:
    told: list[tuple[bytes, tuple[str, int]]] = []
    heard = trio.Event()

    def hear(quoted: bytes, remote: tuple[str, int]) -> None:
        told.append((quoted, remote))
        heard.set()

    transports.on_unreachable = hear
    await transports.listen(ListenerOptions(name="udp", transport="udp", port=0, bind=(host,)))
    nowhere = free_port()
    transports.connect(Target("UDP", host, nowhere)).send(options())
    with trio.fail_after(60):
        await heard.wait()
    [(quoted, remote)] = told
    assert options().startswith(quoted[:100])
    assert len(quoted) > 100
    assert remote == (host, nowhere)


async def test_other_datagrams_go_out_and_the_loop_sleeps_again(transports: Transports, core: Core) -> None:
    listener = await transports.listen(ListenerOptions(name="udp", transport="udp", port=0, bind=("127.0.0.1",)))
    dead = transports.connect(Target("UDP", "127.0.0.1", free_port()))
    with trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        await sock.bind(("127.0.0.1", 0))
        alive = transports.connect(Target("UDP", *sock.getsockname()))
        for _ in range(50):
            dead.send(options())
            alive.send(options())
        with trio.fail_after(60):
            for _ in range(50):
                await sock.recv(2000)
        await trio.sleep(0.05)
        before = trio.lowlevel.current_statistics().run_sync_soon_queue_size
        await sock.sendto(options(), ("127.0.0.1", listener.port))
        await core.arrived()
        assert before == 0
        assert "send-error" not in listener.counters.drops
