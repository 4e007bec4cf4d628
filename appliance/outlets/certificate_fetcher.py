"""Fetches the certificates that signed caller numbers name (RFC 8224 §7.1), outside the call path.

A stranger's message says what to fetch, so little is allowed: https, no redirections, no private addresses unless told
so, 64 KiB, a few seconds, a few at a time, and none while too many wait already.
"""

from __future__ import annotations

import ipaddress
import re
import ssl
from collections.abc import Callable
from typing import Protocol
from urllib.parse import urlsplit

import attrs
import h11
import trio

from appliance.logs import log

_MOST_BYTES = 64 * 1024
_MOST_ASKED = 100
_WORKERS = 4
_MOST_ADDRESSES = 4
_MAX_AGE = re.compile(r"max-age\s*=\s*\"?(\d{1,9})")


class FetchFailed(Exception):  # noqa: N818
    """The text says why."""


class Told(Protocol):
    """Who learns what came of it."""

    def fetched(self, url: str, pem: bytes, fresh_s: float | None) -> None: ...

    def failed(self, url: str, why: str) -> None: ...


@attrs.define(eq=False, slots=False)
class CertificateFetcher:
    """`timeout_s` bounds each fetch as a whole. `private_hosts` allows addresses that no other network reaches."""

    told: Told
    timeout_s: float = 5.0
    private_hosts: bool = False
    context: Callable[[], ssl.SSLContext] = ssl.create_default_context
    fetches: int = 0

    def __attrs_post_init__(self) -> None:
        self._asked, self._asking = trio.open_memory_channel[str](_MOST_ASKED)

    def ask(self, url: str) -> bool:
        """Have it fetched; False where too many are waiting already."""
        try:
            self._asked.send_nowait(url)
        except trio.WouldBlock:
            return False
        return True

    async def run(self, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED) -> None:
        """Until cancelled."""
        context = self.context()
        async with trio.open_nursery() as nursery:
            for _ in range(_WORKERS):
                nursery.start_soon(self._work, context)
            task_status.started(f"{_WORKERS} at a time")

    async def _work(self, context: ssl.SSLContext) -> None:
        while True:
            url = await self._asking.receive()
            self.fetches += 1
            try:
                with trio.fail_after(self.timeout_s):
                    pem, fresh_s = await self._fetch(url, context)
            except FetchFailed as failed:
                self._fail(url, str(failed))
            except trio.TooSlowError:
                self._fail(url, f"nothing came within {self.timeout_s:g} s")
            except (OSError, trio.BrokenResourceError, trio.ClosedResourceError, ssl.SSLError) as error:
                self._fail(url, str(error.__cause__ or error) or type(error).__name__)
            except (h11.ProtocolError, UnicodeError, ValueError) as error:
                self._fail(url, f"no answer in HTTP: {error}")
            else:
                self.told.fetched(url, pem, fresh_s)

    def _fail(self, url: str, why: str) -> None:
        log.info("certificate.unfetched", url=url, why=why[:200])
        self.told.failed(url, why[:200])

    async def _fetch(self, url: str, context: ssl.SSLContext) -> tuple[bytes, float | None]:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or 443
        if parts.scheme != "https" or not host:
            raise FetchFailed("not an https URL")
        stream = await self._connect(host, port)
        async with trio.SSLStream(stream, context, server_hostname=host, https_compatible=True) as secured:
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            authority = parts.netloc.rpartition("@")[2]
            return await _get(secured, target, authority)

    async def _connect(self, host: str, port: int) -> trio.SocketStream:
        """A connection to the first address of the host that is allowed and takes it."""
        found = await trio.socket.getaddrinfo(host, port, type=trio.socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(one[4][0]) for one in found))
        allowed = [one for one in addresses if self.private_hosts or _is_public(one)]
        if not allowed:
            raise FetchFailed(f"{host} leads to private addresses only")
        trouble: OSError | None = None
        for address in allowed[:_MOST_ADDRESSES]:
            try:
                return await trio.open_tcp_stream(address, port)
            except OSError as error:
                trouble = error
        raise FetchFailed(f"{host} takes no connection: {trouble}")


def _is_public(address: str) -> bool:
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        embedded = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if embedded is not None and not embedded.is_global:
            return False
        if ip in _NAT64:
            return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF).is_global
    return ip.is_global and not ip.is_multicast


_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


async def _get(stream: trio.SSLStream[trio.SocketStream], target: str, authority: str) -> tuple[bytes, float | None]:
    """The body of a 200, and for how many seconds its server calls it fresh."""
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=16_384)
    headers = [("Host", authority), ("Accept", "application/pem-certificate-chain, */*"), ("Connection", "close")]
    request = connection.send(h11.Request(method="GET", target=target, headers=headers))
    await stream.send_all((request or b"") + (connection.send(h11.EndOfMessage()) or b""))
    body = bytearray()
    fresh_s: float | None = None
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(bytes(await stream.receive_some(16_384)))
        elif isinstance(event, h11.Response):
            if event.status_code != 200:
                raise FetchFailed(f"the server answered {event.status_code}")
            fresh_s = _fresh_s(b",".join(value for name, value in event.headers if name == b"cache-control"))
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > _MOST_BYTES:
                raise FetchFailed(f"longer than {_MOST_BYTES} bytes")
        elif isinstance(event, h11.EndOfMessage):
            return bytes(body), fresh_s
        elif isinstance(event, h11.ConnectionClosed) or event is h11.PAUSED:
            raise FetchFailed("the answer broke off")


def _fresh_s(cache_control: bytes) -> float | None:
    text = cache_control.decode("latin-1").lower()
    if "no-store" in text or "no-cache" in text:
        return 0.0
    found = _MAX_AGE.search(text)
    return float(found[1]) if found is not None else None
