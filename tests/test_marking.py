"""Marks on sockets as the kernel has them, and a kernel that will not."""

import errno
import socket
import struct

import pytest

from appliance.marking import Marker, ancillary

EF = 46


@pytest.fixture(params=[socket.SOCK_DGRAM, socket.SOCK_STREAM], ids=["udp", "tcp"])
def kind(request: pytest.FixtureRequest) -> int:
    return int(request.param)


def test_an_ipv4_socket_carries_its_mark(kind: int) -> None:
    with socket.socket(socket.AF_INET, kind) as sock:
        Marker().mark(sock, EF)
        assert sock.getsockopt(socket.IPPROTO_IP, socket.IP_TOS) == EF << 2


def test_an_ipv6_socket_carries_its_mark_towards_mapped_peers_too(kind: int) -> None:
    with socket.socket(socket.AF_INET6, kind) as sock:
        Marker().mark(sock, EF)
        assert sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS) == EF << 2
        assert sock.getsockopt(socket.IPPROTO_IP, socket.IP_TOS) == EF << 2


def test_none_leaves_a_socket_alone_and_zero_takes_its_mark_away() -> None:
    marker = Marker()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        marker.mark(sock, EF)
        marker.mark(sock, None)
        assert sock.getsockopt(socket.IPPROTO_IP, socket.IP_TOS) == EF << 2
        marker.mark(sock, 0)
        assert sock.getsockopt(socket.IPPROTO_IP, socket.IP_TOS) == 0


def received_mark(sock: socket.socket) -> tuple[bytes, int]:
    data, control, _, _ = sock.recvmsg(100, 100)
    [(_, _, value)] = control
    return data, (value[0] if len(value) == 1 else struct.unpack("i", value)[0]) >> 2


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_single_packet_may_differ_from_its_socket(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sender, socket.socket(family, socket.SOCK_DGRAM) as receiver:
        receiver.bind((host, 0))
        receiver.settimeout(60)
        if family == socket.AF_INET6:
            receiver.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVTCLASS, 1)
        else:
            receiver.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
        marker = Marker()
        marker.mark(sender, EF)
        marker.send_to(sender, b"to", receiver.getsockname(), ancillary(family, 10))
        sender.connect(receiver.getsockname())
        marker.sender(sender, 34)(b"on")
        sender.send(b"plain")
        assert [received_mark(receiver) for _ in range(3)] == [(b"to", 10), (b"on", 34), (b"plain", EF)]


class Unwilling(socket.socket):
    """A kernel that knows no marking."""

    def setsockopt(self, *_: object) -> None:  # type: ignore[override]
        raise OSError(errno.EPERM, "no")

    def sendmsg(self, *_: object) -> int:  # type: ignore[override]
        raise OSError(errno.EINVAL, "no")


def test_a_kernel_that_refuses_is_told_once_and_packets_go_out_all_the_same() -> None:
    told: list[str] = []
    marker = Marker(told.append)
    with (
        Unwilling(socket.AF_INET, socket.SOCK_DGRAM) as sender,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end,
    ):
        end.bind(("127.0.0.1", 0))
        end.settimeout(60)
        marker.mark(sender, EF)
        marker.send_to(sender, b"one", end.getsockname(), ancillary(socket.AF_INET, EF))
        sender.connect(end.getsockname())
        marker.sender(sender, EF)(b"two")
        assert (end.recv(9), end.recv(9)) == (b"one", b"two")
    assert len(told) == 1
    assert "DSCP 46" in told[0]


def test_an_error_of_the_net_is_not_taken_for_a_refusal() -> None:
    told: list[str] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender, pytest.raises(OSError, match=r"."):
        Marker(told.append).send_to(sender, b"x" * 70_000, ("127.0.0.1", 9), ancillary(socket.AF_INET, EF))
    assert not told
