"""Fetching certificates over real TLS in this process, from servers good and bad."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import attrs
import pytest
import trio

from appliance.outlets.certificate_fetcher import CertificateFetcher, _is_public
from tests.transport.certificates import Authority

PEM = b"-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n"
Serve = Callable[[trio.SSLStream[trio.SocketStream]], Awaitable[None]]


def answer(body: bytes, *, status: str = "200 OK", headers: str = "", length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    return f"HTTP/1.1 {status}\r\nContent-Length: {size}\r\n{headers}\r\n".encode() + body


async def say(data: bytes, stream: trio.SSLStream[trio.SocketStream]) -> None:
    await stream.receive_some(4096)
    await stream.send_all(data)


async def say_nothing(stream: trio.SSLStream[trio.SocketStream]) -> None:
    await trio.sleep_forever()


@attrs.define
class Heard:
    """Who asked for the certificates."""

    results: list[tuple[str, bytes | str, float | None]] = attrs.field(factory=list)
    came: trio.Event = attrs.field(factory=trio.Event)

    def fetched(self, url: str, pem: bytes, fresh_s: float | None) -> None:
        self.results.append((url, pem, fresh_s))
        self.came.set()

    def failed(self, url: str, why: str) -> None:
        self.results.append((url, why, None))
        self.came.set()


@attrs.frozen
class Laboratory:
    """A server on loopback with a certificate for localhost, and the fetcher that believes its authority."""

    heard: Heard
    fetcher: CertificateFetcher
    port: int

    async def fetch(self, path: str = "/a.pem", host: str = "localhost") -> bytes | str:
        assert self.fetcher.ask(f"https://{host}:{self.port}{path}")
        with trio.fail_after(60):
            await self.heard.came.wait()
        return self.heard.results[-1][1]


@asynccontextmanager
async def laboratory(directory: Path, serve: Serve, *, names: str = "localhost") -> AsyncIterator[Laboratory]:
    authority = Authority(directory)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(authority.issue(names))

    async def handle(stream: trio.SocketStream) -> None:
        secured = trio.SSLStream(stream, server, server_side=True, https_compatible=True)
        try:
            await serve(secured)
            await secured.aclose()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass

    heard = Heard()
    fetcher = CertificateFetcher(heard, 60.0, True, partial(ssl.create_default_context, cafile=str(authority.ca)))
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, handle, 0, host="127.0.0.1"))
        await nursery.start(fetcher.run)
        yield Laboratory(heard, fetcher, listeners[0].socket.getsockname()[1])
        nursery.cancel_scope.cancel()


async def test_a_certificate_comes_with_the_time_that_its_server_calls_it_fresh(tmp_path: Path) -> None:
    said = answer(PEM, headers="Cache-Control: public, max-age=3600\r\n")
    async with laboratory(tmp_path, partial(say, said)) as lab:
        assert await lab.fetch() == PEM
        assert lab.heard.results[0][2] == 3600.0


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (answer(b"", status="302 Found", headers="Location: https://192.0.2.1/\r\n"), "302"),
        (answer(b"", status="404 Not Found"), "404"),
        (answer(b"x" * 70_000), "longer than"),
        (answer(b"x", length=100), "HTTP"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "HTTP"),
        (b"", "HTTP"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 40_000, "HTTP"),
    ],
)
async def test_anything_else_is_a_failure_with_a_reason(tmp_path: Path, said: bytes, why: str) -> None:
    async with laboratory(tmp_path, partial(say, said)) as lab:
        result = await lab.fetch()
        assert isinstance(result, str)
        assert why in result


@pytest.mark.parametrize("path", ["/a b", '/"', "/a#b", "/\x7f"])
async def test_a_strange_path_is_a_failure_at_most(tmp_path: Path, path: str) -> None:
    async with laboratory(tmp_path, partial(say, answer(PEM))) as lab:
        await lab.fetch(path)
        lab.heard.came = trio.Event()
        assert await lab.fetch("/good") == PEM


async def test_a_server_that_says_nothing_is_left_after_a_while(tmp_path: Path) -> None:
    async with laboratory(tmp_path, say_nothing) as lab:
        lab.fetcher.timeout_s = 0.2
        assert "nothing came" in str(await lab.fetch())


async def test_a_server_of_another_name_is_not_believed(tmp_path: Path) -> None:
    async with laboratory(tmp_path, partial(say, answer(PEM)), names="other.example.com") as lab:
        assert "certificate" in str(await lab.fetch()).lower()


async def test_private_addresses_are_not_asked(tmp_path: Path) -> None:
    async with laboratory(tmp_path, partial(say, answer(PEM))) as lab:
        lab.fetcher.private_hosts = False
        assert "private addresses only" in str(await lab.fetch())
    async with laboratory(tmp_path, partial(say, answer(PEM))) as lab:
        lab.fetcher.private_hosts = False
        assert "private addresses only" in str(await lab.fetch(host="127.0.0.1"))


async def test_slow_servers_fill_the_queue_and_no_more(tmp_path: Path) -> None:
    async with laboratory(tmp_path, say_nothing) as lab:
        taken = 0
        while lab.fetcher.ask(f"https://localhost:{lab.port}/{taken}"):
            taken += 1
            assert taken < 500
        assert 100 <= taken <= 104  # four are being fetched


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "::1",
        "fe80::1%eth0",
        "fd00::1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "2002:a00:1::1",
    ],
)
def test_addresses_that_no_other_network_reaches(address: str) -> None:
    assert not _is_public(address)


def test_addresses_of_the_net() -> None:
    assert _is_public("8.8.8.8")
    assert _is_public("2606:4700::1111")
