from __future__ import annotations

import pytest
import trio

from appliance.sip.flow import Flow, FlowClosed
from appliance.transport.options import TransportOptions
from appliance.transport.transports import Transports
from tests.transport.core import Core
from tests.transport.messages import ok, options

REMOTE, LOCAL = ("192.0.2.5", 40000), ("192.0.2.1", 8443)


class Page:
    """The other server's end of a WebSocket: what the page sends, and what it got."""

    def __init__(self) -> None:
        self.sends, self._incoming = trio.open_memory_channel[str | bytes](100)
        self._outgoing, self.gets = trio.open_memory_channel[str | bytes](0)

    async def receive(self) -> str | bytes:
        return await self._incoming.receive()

    async def send(self, data: str | bytes) -> None:
        await self._outgoing.send(data)


async def serve(transports: Transports, page: Page, listener: str = "web") -> None:
    await transports.serve_websocket(
        page.receive, page.send, listener=listener, remote=REMOTE, local=LOCAL, secure=True
    )


async def test_another_servers_websocket_is_a_flow(transports: Transports, core: Core) -> None:
    page = Page()
    core.react = lambda data, flow: flow.send(ok())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve, transports, page)
        await page.sends.send(options().decode())
        data, flow = await core.arrived()
        assert data == options()
        assert (flow.transport, flow.secure, flow.listener) == ("WSS", True, "web")
        assert (flow.remote, flow.local, flow.sent_by) == (REMOTE, LOCAL, "192.0.2.1:8443")
        with trio.fail_after(60):
            assert await page.gets.receive() == ok().decode()
        assert transports.flow(flow.id) is flow
        await page.sends.send("\r\n\r\n")
        with trio.fail_after(60):
            assert await page.gets.receive() == "\r\n"
        await page.sends.aclose()
    assert await core.closed() is flow
    assert transports.flow(flow.id) is None
    with pytest.raises(FlowClosed):
        flow.send(ok())
    assert [figures.name for figures in transports.snapshot()] == ["web", ""]
    assert transports.snapshot()[0].connections == 0


async def test_closing_the_flow_ends_the_websocket(transports: Transports, core: Core) -> None:
    page = Page()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve, transports, page)
        await page.sends.send(options())
        _, flow = await core.arrived()
        flow.close()
    assert core.ended == [flow]


async def test_a_page_that_takes_nothing_is_closed(transports: Transports, core: Core) -> None:
    page = Page()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve, transports, page)
        await page.sends.send(options())
        _, flow = await core.arrived()
        with pytest.raises(FlowClosed):
            while True:
                flow.send(b"x" * 10_000)
    assert transports.snapshot()[0].drops == {"write-overflow": 1}


async def test_the_other_servers_cancellation_ends_the_flow(transports: Transports, core: Core) -> None:
    page = Page()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve, transports, page)
        await page.sends.send(options())
        _, flow = await core.arrived()
        nursery.cancel_scope.cancel()
    assert core.ended == [flow]
    assert flow.closed


async def test_an_error_of_the_core_rises_in_our_nursery_too(core: Core) -> None:
    def broken(data: bytes, flow: Flow) -> None:
        raise ZeroDivisionError

    with pytest.RaisesGroup(ZeroDivisionError):
        async with trio.open_nursery() as nursery:
            transports = Transports(broken, core.on_closed, TransportOptions(), nursery)
            page = Page()
            await page.sends.send(options())
            with pytest.raises(BaseExceptionGroup):
                await serve(transports, page)
            await trio.sleep(60)
