"""Against dnsmasq, and against a small name server of our own that can be dead, slow, wrong and countable."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import attrs
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest
import trio

from appliance.transport.options import Target
from appliance.transport.resolver import Resolver, ResolverOptions
from tests.peers.ports import free_port
from tests.transport.test_selection import places

ZONE = """
example.com. 60 IN NAPTR 10 10 "s" "SIP+D2T" "" _sip._tcp.example.com.
_sip._tcp.example.com. 60 IN SRV 1 1 5070 a.example.com.
_sip._tcp.example.com. 60 IN SRV 2 1 5080 b.example.com.
a.example.com. 60 IN A 127.0.0.11
b.example.com. 60 IN CNAME c.example.com.
c.example.com. 60 IN AAAA ::1
plain.example.com. 60 IN A 127.0.0.21
3.8.0.0.6.9.2.3.6.1.4.4.e164.example.com. 60 IN NAPTR 1 1 "u" "E2U+sip" "!^\\\\+44(.*)$!sip:\\\\1@uk.example.com!" .
"""


class NameServer:
    """Answers from `zone` over UDP; `dead` says nothing, `broken` answers SERVFAIL."""

    def __init__(self, sock: trio.socket.SocketType) -> None:
        self._sock = sock
        self.address: tuple[str, int] = sock.getsockname()
        self.asked: Counter[tuple[str, str]] = Counter()
        self.dead = False
        self.broken = False
        self.ttl = 60
        self.arrived = trio.Event()
        self._zone: dict[tuple[str, str], list[str]] = {}
        for line in ZONE.split("\n"):
            if line:
                name, _, _, kind, data = line.split(" ", 4)
                self._zone.setdefault((name, kind), []).append(data)

    async def run(self) -> None:
        while True:
            data, address = await self._sock.recvfrom(4096)
            query = dns.message.from_wire(data)
            name, kind = query.question[0].name.to_text(), dns.rdatatype.to_text(query.question[0].rdtype)
            self.asked[name, kind] += 1
            self.arrived.set()
            if not self.dead:
                await self._sock.sendto(self._answer(query, name, kind).to_wire(), address)

    def _answer(self, query: dns.message.Message, name: str, kind: str) -> dns.message.Message:
        response = dns.message.make_response(query)
        response.flags |= dns.flags.AA | dns.flags.RA
        if self.broken:
            response.set_rcode(dns.rcode.SERVFAIL)
            return response
        if (name, "CNAME") in self._zone:
            (alias,) = self._zone[name, "CNAME"]
            response.answer.append(dns.rrset.from_text(name, self.ttl, "IN", "CNAME", alias))
            name = alias
        if (name, kind) in self._zone:
            response.answer.append(dns.rrset.from_text(name, self.ttl, "IN", kind, *self._zone[name, kind]))
        else:
            if not any(known == name for known, _ in self._zone):
                response.set_rcode(dns.rcode.NXDOMAIN)
            soa = f"ns.example.com. me.example.com. 1 2 3 4 {self.ttl}"
            response.authority.append(dns.rrset.from_text("example.com.", self.ttl, "IN", "SOA", soa))
        return response


@pytest.fixture
async def server() -> AsyncIterator[NameServer]:
    with trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        await sock.bind(("127.0.0.1", 0))
        async with trio.open_nursery() as nursery:
            it = NameServer(sock)
            nursery.start_soon(it.run)
            yield it
            nursery.cancel_scope.cancel()


@pytest.fixture
async def nursery() -> AsyncIterator[trio.Nursery]:
    async with trio.open_nursery() as it:
        yield it
        it.cancel_scope.cancel()


def resolver(server: NameServer, nursery: trio.Nursery, **more: object) -> Resolver:
    options: dict[str, object] = {"deadline_s": 60.0, "try_s": 30.0, **more}
    return Resolver(ResolverOptions(nameservers=(server.address,), **options), nursery)  # type: ignore[arg-type]


def hurry(it: Resolver) -> None:
    """Nobody answers from now on: that need not take long."""
    it._options = attrs.evolve(it._options, deadline_s=0.5)


async def looked_up(it: Resolver, suffixes: list[str]) -> list[str]:
    said, heard = trio.open_memory_channel[list[str]](1)
    it.look_up_later("+441632960083", suffixes, said.send_nowait)
    with trio.fail_after(60):
        return await heard.receive()


WANTED = [("TCP", "127.0.0.11", 5070), ("TCP", "::1", 5080)]


async def test_naptr_srv_and_addresses_are_followed_and_remembered(server: NameServer, nursery: trio.Nursery) -> None:
    it = resolver(server, nursery)
    assert it.resolve_now("example.com") is None
    assert places(await it.resolve("example.com")) == WANTED
    asked = server.asked.total()
    now = it.resolve_now("Example.COM.")
    assert now is not None
    assert places(now) == WANTED
    assert places(await it.resolve("example.com")) == WANTED
    assert server.asked.total() == asked


async def test_an_ip_literal_and_localhost_never_ask(server: NameServer, nursery: trio.Nursery, tmp_path: Path) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.9  pbx.example.com pbx # mine\nnonsense here\n::1 pbx\n")
    it = resolver(server, nursery, hosts=hosts)
    assert it.resolve_now("127.0.0.1", 5062, "tls") == [Target("TLS", "127.0.0.1", 5062, "127.0.0.1")]
    assert places(it.resolve_now("localhost") or []) == [("UDP", "127.0.0.1", 5060), ("UDP", "::1", 5060)]
    assert places(it.resolve_now("pbx") or []) == [("UDP", "127.0.0.9", 5060), ("UDP", "::1", 5060)]
    assert places(await it.resolve("PBX.example.com", secure=True)) == [("TLS", "127.0.0.9", 5061)]
    assert not server.asked


async def test_an_absent_name_is_remembered_too(server: NameServer, nursery: trio.Nursery) -> None:
    it = resolver(server, nursery)
    assert await it.resolve("nobody.example.com") == []
    asked = server.asked.total()
    assert it.resolve_now("nobody.example.com") == []
    assert server.asked.total() == asked
    assert it.figures.failures == {}


async def test_who_cannot_wait_is_called_back(server: NameServer, nursery: trio.Nursery) -> None:
    it = resolver(server, nursery)
    send, receive = trio.open_memory_channel[list[Target]](1)
    it.resolve_later("plain.example.com", 5060, "tcp", False, send.send_nowait)
    with trio.fail_after(60):
        assert places(await receive.receive()) == [("TCP", "127.0.0.21", 5060)]


async def test_a_number_becomes_a_uri_and_is_remembered(server: NameServer, nursery: trio.Nursery) -> None:
    it = resolver(server, nursery)
    suffixes = ["absent.example.com", "e164.example.com"]
    assert it.look_up_now("+441632960083", suffixes) is None
    assert (
        await looked_up(it, suffixes) == it.look_up_now("+441632960083", suffixes) == ["sip:1632960083@uk.example.com"]
    )
    assert server.asked.total() == 2  # the suffix that does not know it is remembered too


async def test_many_who_wait_ask_once(server: NameServer, nursery: trio.Nursery) -> None:
    it = resolver(server, nursery)
    async with trio.open_nursery() as many:
        for _ in range(50):
            many.start_soon(it.resolve, "example.com")
    assert set(server.asked.values()) == {1}


async def test_who_gives_up_waiting_disturbs_no_other(server: NameServer, nursery: trio.Nursery) -> None:
    it = resolver(server, nursery, try_s=0.5)
    server.dead = True
    found: list[Target] = []

    async def patient() -> None:
        found.extend(await it.resolve("plain.example.com", 5060))

    async with trio.open_nursery() as waiting:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as impatient:
                impatient.start_soon(it.resolve, "plain.example.com", 5060)
                waiting.start_soon(patient)
                await server.arrived.wait()
                scope.cancel()
        server.dead = False  # the retry is answered
    assert places(found) == [("UDP", "127.0.0.21", 5060)]


async def test_a_dead_server_delays_only_those_who_ask_it(server: NameServer, nursery: trio.Nursery) -> None:
    it = resolver(server, nursery)
    await it.resolve("plain.example.com", 5060)
    server.dead = True
    hurry(it)
    with trio.fail_after(60):
        assert await it.resolve("example.com") == []
        assert places(await it.resolve("plain.example.com", 5060)) == [("UDP", "127.0.0.21", 5060)]
    assert it.figures.failures["deadline"] > 0
    assert it.resolve_now("example.com") == []  # believed for a while, so nobody waits again at once


@pytest.mark.parametrize("how", ["dead", "broken"])
async def test_an_expired_answer_serves_while_dns_fails(server: NameServer, nursery: trio.Nursery, how: str) -> None:
    server.ttl = 0
    it = resolver(server, nursery, least_ttl_s=0.05, failure_ttl_s=0.05)
    await it.resolve("plain.example.com", 5060)
    await trio.sleep(0.1)
    setattr(server, how, True)
    hurry(it)
    assert it.resolve_now("plain.example.com", 5060) is None
    assert places(await it.resolve("plain.example.com", 5060)) == [("UDP", "127.0.0.21", 5060)]


async def test_memory_and_questions_are_bounded(server: NameServer, nursery: trio.Nursery) -> None:
    it = resolver(server, nursery, most_entries=20, most_in_flight=5)
    for number in range(50):
        await it.resolve(f"n{number}.example.com", 5060)
    assert len(it._entries) <= 20
    server.dead = True
    hurry(it)
    async with trio.open_nursery() as many:
        for number in range(50):
            many.start_soon(it.resolve, f"m{number}.example.com", 5060)
    assert it.figures.failures["too-many"] > 0


@pytest.fixture(scope="module")
def dnsmasq() -> Iterator[tuple[str, int]]:
    program = shutil.which("dnsmasq") or shutil.which("dnsmasq", path="/usr/sbin")
    assert program, "dnsmasq-base of Debian is needed"
    port = free_port()
    arguments = [
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        "--no-resolv",
        "--no-hosts",
        "--user=",
        "--pid-file",
        f"--port={port}",
        "--listen-address=127.0.0.1",
        "--bind-interfaces",
        "--local=/example.net/",
        "--naptr-record=example.net,10,10,s,SIPS+D2T,,_sips._tcp.example.net",
        "--srv-host=_sips._tcp.example.net,one.example.net,5099,1,1",
        "--host-record=one.example.net,127.0.0.31,::1",
        r"--naptr-record=3.8.0.0.6.9.2.3.6.1.4.4.e164.example.net,1,1,u,E2U+sip,!^\+44(.*)$!sip:\1@example.net!",
        "--log-facility=-",
        "--log-queries",
    ]
    process = subprocess.Popen([program, *arguments], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if "started" in line:
            break
    yield "127.0.0.1", port
    process.terminate()
    process.communicate(timeout=60)


@pytest.mark.peer
async def test_dnsmasq_is_understood(dnsmasq: tuple[str, int], nursery: trio.Nursery) -> None:
    it = Resolver(ResolverOptions(nameservers=(dnsmasq,), deadline_s=60, try_s=10), nursery)
    targets = await it.resolve("example.net")
    assert places(targets) == [("TLS", "127.0.0.31", 5099), ("TLS", "::1", 5099)]
    assert {target.server_name for target in targets} == {"example.net"}
    assert await it.resolve("absent.example.net") == []
    assert await looked_up(it, ["e164.example.net"]) == ["sip:1632960083@example.net"]
    assert it.figures.failures == {}
