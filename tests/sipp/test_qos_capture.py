"""DSCP of real calls, read from captured packets: signalling by transport and family, audio and video both ways.

Every end has an address of its own on loopback, so that a mark can be told by where its packet goes.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import attrs
import pytest

from appliance.rtc.rtp import build_rtp
from tests.peers.appliance import Appliance
from tests.peers.capture import Capture
from tests.peers.ports import free_port
from tests.peers.sipp import Sipp

pytestmark = pytest.mark.peer

CS3, CS4, CS5, AF31, EF, AF41, AF42, VA = 24, 32, 40, 26, 46, 34, 36, 44
CARRIER = "127.0.0.2"
PLAIN, OWN = "127.0.0.3", "127.0.0.4"


@attrs.define
class Box:
    """The appliance, what the wire says of it, and the port on which every gateway listens at its own address."""

    appliance: Appliance
    capture: Capture
    gateway: int
    other: int
    """The port of the listener with a mark of its own."""


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    directory = tmp_path_factory.mktemp("qos")
    gateway, other = free_port(), free_port()
    with ExitStack() as stack:
        appliance = Appliance(
            directory / "box",
            sections={
                "appliance": {"domains": "example.com", "drain_deadline": "1 s"},
                "media": {"anchor": "always"},
                "listener vpn": {
                    "transport": "udp",
                    "bind": "127.0.0.1",
                    "port": other,
                    "qos-signalling": "precedence 5",
                },
                "trunk carrier": {"trusted": f"{CARRIER}, ::1"},
                "trunk plain": {"gateways": f"{PLAIN}:{gateway};transport=udp"},
                "trunk plain-tcp": {"gateways": f"{PLAIN}:{gateway};transport=tcp"},
                "trunk six": {"gateways": f"[::1]:{gateway};transport=udp"},
                "trunk own": {
                    "gateways": f"{OWN}:{gateway};transport=udp",
                    "qos-signalling": "AF31",
                    "qos-audio": "VA",
                    "qos-video": "36",
                },
                "trunk own-tcp": {"gateways": f"{OWN}:{gateway};transport=tcp", "qos-signalling": "AF31"},
                **{
                    f"route {number}": {"match": f"prefix:{number}", "target": f"trunk:{trunk}", "callers": "trunks"}
                    for number, trunk in (
                        ("91", "plain"),
                        ("92", "plain-tcp"),
                        ("93", "six"),
                        ("94", "own"),
                        ("95", "own-tcp"),
                    )
                },
            },
        )
        stack.enter_context(appliance)
        ports = [appliance.ports["udp"], other, gateway, appliance.media_ports]
        yield Box(appliance, stack.enter_context(Capture(directory, ports)), gateway, other)


class Media:
    """The audio and the video port of one end."""

    def __init__(self, host: str, stack: ExitStack) -> None:
        self.host = host
        self.ports: dict[str, int] = {}
        self.sockets: dict[str, socket.socket] = {}
        for kind in ("audio", "video"):
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            sock = stack.enter_context(socket.socket(family, socket.SOCK_DGRAM))
            sock.bind((host, free_port()))
            sock.settimeout(0.1)
            self.sockets[kind] = sock
            self.ports[kind] = sock.getsockname()[1]

    @property
    def words(self) -> dict[str, str]:
        video = f"\n    m=video {self.ports['video']} RTP/AVP 96\n    a=rtpmap:96 VP8/90000\n    a=sendrecv"
        return {"audio_port": str(self.ports["audio"]), "more_media": video}


def talk(one: Media, one_to: dict[str, tuple[str, int]], two: Media, two_to: dict[str, tuple[str, int]]) -> None:
    """Send audio and video from both ends until each has heard the other's."""
    silent = {(end.host, kind) for end in (one, two) for kind in ("audio", "video")}
    for sequence in range(100):
        for ssrc, (end, to) in enumerate(((one, one_to), (two, two_to))):
            for kind, payload_type in (("audio", 0), ("video", 96)):
                packet = build_rtp(payload_type, sequence, sequence * 160, 100 * ssrc + payload_type, b"\xd5" * 160)
                # what a peer marks is nobody's order: it must not show on the other side
                six = ":" in end.host
                octet = (socket.IPPROTO_IPV6, socket.IPV6_TCLASS) if six else (socket.IPPROTO_IP, socket.IP_TOS)
                end.sockets[kind].setsockopt(*octet, CS4 << 2)
                end.sockets[kind].sendto(packet, to[kind])
        for end in (one, two):
            for kind, sock in end.sockets.items():
                try:
                    sock.recv(4096)
                except TimeoutError:
                    continue
                silent.discard((end.host, kind))
        if not silent and sequence >= 3:
            return
    raise AssertionError(f"never heard: {silent}")


def ports_in(sipp: Sipp, start: str, host: str) -> dict[str, tuple[str, int]]:
    """Where the SDP of the first message that begins with `start` wants audio and video."""
    found = sipp.expect_message(rf"^{start} [\s\S]*?^m=audio (\d+)[\s\S]*?^m=video (\d+)[\s\S]*?^a=")
    return {"audio": (host, int(found[1])), "video": (host, int(found[2]))}


def place_call(
    box: Box,
    directory: Path,
    number: str,
    *,
    caller: str,
    callee: str,
    transport: str = "udp",
    to: str = "udp",
    port: int = 0,
) -> tuple[Media, Media]:
    """One call with audio and video, talked through and ended by the caller."""
    ours = "::1" if ":" in caller else "127.0.0.1"
    theirs = "::1" if ":" in callee else "127.0.0.1"
    with ExitStack() as stack:
        mine, its = Media(caller, stack), Media(callee, stack)
        gateway = stack.enter_context(
            Sipp("answer", directory, host=callee, port=box.gateway, transport=to, words=its.words)
        )
        phone = stack.enter_context(
            Sipp(
                "call",
                directory,
                target=(ours, port or box.appliance.ports["udp"]),
                host=caller,
                transport=transport,
                service=number,
                keys={"domain": "example.com", "caller": "caller"},
                words=mine.words,
                options=["-d", "3000"],
            )
        )
        talk(mine, ports_in(phone, r"SIP/2\.0 200", ours), its, ports_in(gateway, "INVITE", theirs))
        phone.finish()
        gateway.finish()
    return mine, its


def signalling(box: Box, host: str, protocol: str, *, source: int = 0, target: int = 0) -> set[int]:
    """The marks of SIP that the box sent to this address."""
    ours = {box.appliance.ports["udp"], box.other}
    return box.capture.marks(
        lambda packet: (
            packet.protocol == protocol
            and packet.target[0] == host
            and packet.source[0] in ("127.0.0.1", "::1")
            and (packet.source[1] == source if source else packet.target[1] == target)
            and (source in ours or target == box.gateway)
        ),
        3,
    )


def media(box: Box, end: Media) -> dict[str, set[int]]:
    """The marks of audio and of video that came to this end."""
    return {
        kind: box.capture.marks(lambda packet, port=port: packet.target == (end.host, port), 3)  # type: ignore[misc]
        for kind, port in end.ports.items()
    }


def test_a_call_over_udp_on_ipv4(box: Box, tmp_path: Path) -> None:
    mine, its = place_call(box, tmp_path, "9101", caller=CARRIER, callee=PLAIN)
    assert signalling(box, CARRIER, "udp", source=box.appliance.ports["udp"]) == {CS3}
    assert signalling(box, PLAIN, "udp", target=box.gateway) == {CS3}
    assert media(box, mine) == media(box, its) == {"audio": {EF}, "video": {AF41}}


def test_a_call_over_udp_on_ipv6(box: Box, tmp_path: Path) -> None:
    mine, its = place_call(box, tmp_path, "9301", caller="::1", callee="::1")
    assert signalling(box, "::1", "udp", source=box.appliance.ports["udp"]) == {CS3}
    assert signalling(box, "::1", "udp", target=box.gateway) == {CS3}
    assert media(box, mine) == media(box, its) == {"audio": {EF}, "video": {AF41}}


def test_a_call_over_tcp_from_the_first_segment_on(box: Box, tmp_path: Path) -> None:
    mine, its = place_call(box, tmp_path, "9201", caller=CARRIER, callee=PLAIN, transport="tcp", to="tcp")
    assert signalling(box, CARRIER, "tcp", source=box.appliance.ports["tcp"]) == {CS3}
    assert signalling(box, PLAIN, "tcp", target=box.gateway) == {CS3}
    assert media(box, mine) == media(box, its) == {"audio": {EF}, "video": {AF41}}


def test_a_call_over_tcp_on_ipv6(box: Box, tmp_path: Path) -> None:
    place_call(box, tmp_path, "9302", caller="::1", callee="::1", transport="tcp")
    assert signalling(box, "::1", "tcp", source=box.appliance.ports["tcp"]) == {CS3}


def test_a_listener_with_a_mark_of_its_own(box: Box, tmp_path: Path) -> None:
    place_call(box, tmp_path, "9102", caller=CARRIER, callee=PLAIN, port=box.other)
    assert signalling(box, CARRIER, "udp", source=box.other) == {CS5}


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_trunk_with_marks_of_its_own(box: Box, tmp_path: Path, transport: str) -> None:
    number = "9401" if transport == "udp" else "9501"
    mine, its = place_call(box, tmp_path, number, caller=CARRIER, callee=OWN, to=transport)
    assert signalling(box, OWN, transport, target=box.gateway) == {AF31}
    assert media(box, mine) == {"audio": {EF}, "video": {AF41}}
    expected = {"audio": {VA}, "video": {AF42}} if transport == "udp" else {"audio": {EF}, "video": {AF41}}
    assert media(box, its) == expected
