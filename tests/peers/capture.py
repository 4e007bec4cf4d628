"""tshark on loopback: what the marks of real packets are, as somebody else on the wire reads them.

Capturing needs root (scripts/test uses sudo for Debian's packages, and so does this). Where it is not to be had the
test fails and says so: an unseen mark is not a proven one.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType

import attrs

from tests.peers.ports import free_port
from tests.peers.processes import PeerError, Program, wait_until

_FIELDS = ("ip.src", "ipv6.src", "ip.dst", "ipv6.dst", "udp.srcport", "tcp.srcport", "udp.dstport", "tcp.dstport")
_MARKS = ("ip.dsfield.dscp", "ipv6.tclass.dscp")


@attrs.frozen
class Packet:
    """One captured packet; `dscp` is 0 to 63."""

    protocol: str
    source: tuple[str, int]
    target: tuple[str, int]
    dscp: int


class Capture:
    """`with Capture(directory, ports) as capture:` sees every UDP and TCP packet from or to these ports."""

    def __init__(self, directory: Path, ports: Iterable[int | tuple[int, int]]) -> None:
        self._probe = free_port()
        spans = [f"portrange {one[0]}-{one[1]}" if isinstance(one, tuple) else f"port {one}" for one in ports]
        self._sudo = _as_root()
        argv = [*self._sudo, "tshark", "-i", "lo", "-l", "-n", "-f", " or ".join([f"port {self._probe}", *spans])]
        argv += ["-T", "fields", "-E", "separator=;", "-E", "occurrence=f"]
        for field in (*_FIELDS, *_MARKS):
            argv += ["-e", field]
        self._program = Program(argv, directory / "tshark.log", cwd=directory)
        try:
            wait_until(self._sees, "a capture on loopback")
        except PeerError:
            self._stop()
            raise PeerError(
                "packets on loopback cannot be captured, which needs root, or sudo without a password, and tshark's "
                f"dumpcap:\n{self._program.tail()}"
            ) from None

    def _sees(self) -> bool:
        """Whether a packet of ours shows up; True also where the program ended, which __init__ then finds out."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.sendto(b"?", ("127.0.0.1", self._probe))
        if not self._program.running():
            raise PeerError("tshark ended")
        return any(packet.target[1] == self._probe for packet in self.packets)

    @property
    def packets(self) -> list[Packet]:
        """All so far."""
        found = []
        for line in self._program.log.rpartition("\n")[0].splitlines():  # the last one may be in the making
            cells = line.split(";")
            if len(cells) == len(_FIELDS) + len(_MARKS):
                ip4, ip6, to4, to6, udp, tcp, to_udp, to_tcp, mark4, mark6 = cells
                if (udp or tcp) and (mark4 or mark6):
                    found.append(
                        Packet(
                            "udp" if udp else "tcp",
                            (ip4 or ip6, int(udp or tcp)),
                            (to4 or to6, int(to_udp or to_tcp)),
                            int(mark4 or mark6, 0),
                        )
                    )
        return found

    def marks(self, wanted: Callable[[Packet], bool], least: int = 1) -> set[int]:
        """The marks of all packets that are wanted, once there are as many as `least`."""
        wait_until(lambda: sum(map(wanted, self.packets)) >= least, f"{least} captured packets")
        return {packet.dscp for packet in self.packets if wanted(packet)}

    def _stop(self) -> None:
        if self._program.running() and self._sudo:  # which passes the signal on, and which only root may send one
            subprocess.run([*self._sudo, "kill", str(self._program.pid)], check=False)
            self._program.wait(60)
        self._program.stop()

    def __enter__(self) -> Capture:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            error.add_note("--- captured\n" + "\n".join(map(str, self.packets[-60:])))
        self._stop()


def _as_root() -> list[str]:
    """Where sudo asks for a password the group that Debian's wireshark-common makes may still let us capture."""
    if os.geteuid() == 0 or not shutil.which("sudo"):
        return []
    return ["sudo", "-n"] if subprocess.run(["sudo", "-n", "true"], capture_output=True).returncode == 0 else []
