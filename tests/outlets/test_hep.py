"""HEPv3 packets as tshark (by hep.lua) and Kamailio's capture node read them, and the queue of one that is away."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import attrs
import pytest
import trio

from appliance.config.hep import HepSettings, HepTransport
from appliance.config.secret import Secret
from appliance.outlets.hep import HepCollector, HepOutlet
from appliance.outlets.hep_packet import Captured, hep_packet
from appliance.trace.message import Direction, TracedMessage
from appliance.trace.pcapng import pcapng
from tests.peers.ports import free_port
from tests.peers.processes import Program, wait_until
from tests.peers.tls import make_certificate

REQUEST_LINE = "INVITE sip:9196@example.com SIP/2.0"
LUA = Path(__file__).with_name("hep.lua")
INVITE = (
    b"INVITE sip:9196@example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5062;branch=z9hG4bKa\r\n"
    b"From: <sip:a@example.com>;tag=1\r\nTo: <sip:9196@example.com>\r\nCall-ID: abc@x\r\nCSeq: 1 INVITE\r\n"
    b"Content-Length: 0\r\n\r\n"
)


def captured(host: str = "192.0.2.1", number: int = 0) -> Captured:
    ours = "2001:db8::9" if ":" in host else "192.0.2.9"
    return Captured(
        at=1_700_000_000.25, source=(host, 5062), target=(ours, 5060), stream=bool(number), data=INVITE, call_id="abc@x"
    )


def plain(settings: HepSettings) -> HepCollector[Captured]:
    return HepCollector(settings, "box", lambda one: one)


def decoded(packets: list[bytes]) -> list[list[str]]:
    """What tshark reads in them, and that it finds nothing wrong."""
    wrapped = [
        TracedMessage(
            at=1.0,
            direction=Direction.OUT,
            local=("192.0.2.9", 40000),
            remote=("192.0.2.200", 9060),
            transport="UDP",
            data=packet,
        )
        for packet in packets
    ]
    fields = ["hep3.src_ip4", "hep3.dst_ip6", "hep3.src_port", "hep3.dst_port", "hep3.kind", "hep3.agent"]
    fields += ["hep3.key", "hep3.node", "hep3.correlation", "sip.Request-Line", "sip.Call-ID"]
    with TemporaryDirectory() as directory:
        script = Path(directory) / LUA.name
        shutil.copy(LUA, script)
        Path(directory).chmod(0o755)
        argv = ["tshark", "-r", "-", "-X", f"lua_script:{script}"]

        def tshark(*more: str) -> str:
            # From Wireshark 4.4 on no script is read for root.
            user: dict[str, Any] = (
                {"user": "nobody", "group": "nogroup", "extra_groups": ()} if os.geteuid() == 0 else {}
            )
            given = b"".join(pcapng(wrapped))
            user["env"] = os.environ | {"HOME": directory}
            done = subprocess.run([*argv, *more], input=given, capture_output=True, timeout=60, check=False, **user)
            assert not done.returncode, done.stderr.decode()
            return done.stdout.decode()

        assert tshark("-Y", "_ws.malformed") == ""
        read = tshark("-T", "fields", *(word for field in fields for word in ("-e", field)))
        return [row.split("\t") for row in read.splitlines()]


@pytest.mark.peer
def test_tshark_reads_packets_over_both_families() -> None:
    packets = [
        hep_packet(captured("192.0.2.1"), agent=2001, password=b"word", node="box"),
        hep_packet(captured("2001:db8::1", 1), agent=7),
    ]
    assert decoded(packets) == [
        ["192.0.2.1", "", "5062", "5060", "1", "2001", "word", "box", "abc@x", REQUEST_LINE, "abc@x"],
        ["", "2001:db8::9", "5062", "5060", "1", "7", "", "", "abc@x", REQUEST_LINE, "abc@x"],
    ]


KAMAILIO = """\
debug=2
log_stderror=yes
fork=yes
children=1
listen=udp:127.0.0.1:{port}
dns=no
rev_dns=no
mpath="/usr/lib/x86_64-linux-gnu/kamailio/modules/"
loadmodule "pv.so"
loadmodule "xlog.so"
loadmodule "db_text.so"
loadmodule "sipcapture.so"
modparam("sipcapture", "db_url", "text://{directory}")
modparam("sipcapture", "hep_capture_on", 1)
request_route {{ xlog("L_ERR", "captured $rm $ru $ci from $si:$sp\\n"); exit; }}
"""


@pytest.mark.peer
def test_a_capture_node_of_kamailio_understands_them(tmp_path: Path) -> None:
    port = free_port()
    config = tmp_path / "kamailio.cfg"
    config.write_text(KAMAILIO.format(port=port, directory=tmp_path))
    argv = ["kamailio", "-f", str(config), "-DD", "-E", "-w", str(tmp_path)]
    collector = Program(argv, tmp_path / "kamailio.log", cwd=tmp_path)
    try:
        collector.expect_bound(port, "udp")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wire:
            for host in ("192.0.2.1", "2001:db8::1"):
                wire.sendto(hep_packet(captured(host), agent=2001, password=b"word", node="box"), ("127.0.0.1", port))
                said = f"captured INVITE sip:9196@example.com abc@x from {host}:5062\n"
                wait_until(lambda said=said: said in collector.log, said)  # type: ignore[misc]
    finally:
        collector.stop()


def test_the_longest_message_fits_by_being_cut() -> None:
    packet = hep_packet(attrs.evolve(captured(), data=b"x" * 100_000), agent=1, password=b"p" * 200, node="n" * 60)
    assert len(packet) == 65_535
    assert int.from_bytes(packet[4:6], "big") == 65_535


@pytest.mark.peer
async def test_packets_over_tls_are_for_a_collector_that_both_sides_know(tmp_path: Path) -> None:
    ours, theirs = make_certificate(tmp_path / "ours.pem", "box"), make_certificate(tmp_path / "theirs.pem", "homer")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(theirs)
    context.load_verify_locations(ours)
    context.verify_mode = ssl.CERT_REQUIRED
    got = bytearray()
    packet = hep_packet(captured(number=1), agent=2001, password=b"word", node="box")

    async def collect(stream: trio.SSLStream[trio.SocketStream]) -> None:
        try:
            async for data in stream:
                got.extend(data)
        except trio.BrokenResourceError:
            pass  # a stranger

    async with trio.open_nursery() as nursery:
        serve = partial(trio.serve_ssl_over_tcp, collect, 0, context, host="127.0.0.1")
        [listener] = await nursery.start(serve)
        port = listener.transport_listener.socket.getsockname()[1]
        settings = HepSettings(
            name="h",
            host="127.0.0.1",
            port=port,
            transport=HepTransport.TLS,
            password=Secret("word"),
            ca=theirs,
            certificate=ours,
            verify_name="homer",
        )
        for wrong in (attrs.evolve(settings, ca=ours), attrs.evolve(settings, verify_name="another.example.com")):
            stranger = plain(wrong)
            stranger.take([captured(number=1)])
            with trio.move_on_after(0.4):
                await stranger.run()
            assert (stranger.sent, stranger.waiting) == (0, 1)
        one = plain(settings)
        one.take([captured(number=1)] * 3)
        nursery.start_soon(one.run)
        with trio.fail_after(60):
            while len(got) < 3 * len(packet):  # noqa: ASYNC110 (another task of ours collects)
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()
    assert one.sent == 3
    assert (
        decoded([bytes(got[: len(packet)]), bytes(got[-len(packet) :])])
        == [["192.0.2.1", "", "5062", "5060", "1", "2001", "word", "box", "abc@x", REQUEST_LINE, "abc@x"]] * 2
    )


async def test_packets_reach_a_collector_over_tcp_after_it_comes_back(autojump_clock: trio.testing.MockClock) -> None:
    port = free_port()
    settings = HepSettings(name="h", host="127.0.0.1", port=port, transport=HepTransport.TCP, buffer=10)
    one = plain(settings)
    one.take([captured(number=number) for number in range(15)])
    assert (one.waiting, one.dropped) == (10, 5)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(one.run)
        await trio.sleep(1.0)
        assert one.sent == 0
        got = bytearray()
        done = trio.Event()

        async def collect(stream: trio.SocketStream) -> None:
            async for data in stream:
                got.extend(data)
                if got.count(b"HEP3") == 10:
                    done.set()

        await nursery.start(trio.serve_tcp, collect, port)
        await done.wait()
        nursery.cancel_scope.cancel()
    length = int.from_bytes(got[4:6], "big")
    assert got[length : length + 4] == b"HEP3"


async def test_collectors_come_and_go_with_the_settings() -> None:
    outlet: HepOutlet[Captured] = HepOutlet(lambda one: one)
    with trio.socket.socket(type=trio.socket.SOCK_DGRAM) as wire:
        await wire.bind(("127.0.0.1", 0))
        port = wire.getsockname()[1]
        settings = HepSettings(name="h", host="127.0.0.1", port=port, password=Secret("word"))
        async with trio.open_nursery() as nursery:
            await nursery.start(outlet.run)
            outlet.configure({"h": settings}, "box")
            outlet.take([captured()])
            with trio.fail_after(60):
                assert (await wire.recv(4096)).startswith(b"HEP3")
                outlet.configure({"h": attrs.evolve(settings, capture_id=77)}, "box")
                outlet.take([captured()])
                assert (77).to_bytes(4, "big") in await wire.recv(4096)
            outlet.configure({}, "box")
            outlet.take([captured()])
            nursery.cancel_scope.cancel()
    assert outlet.collectors == {}
