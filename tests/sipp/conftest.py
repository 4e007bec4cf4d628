"""One appliance for the tests of this folder: phones at 127.0.0.1 and ::1 give passwords, 127.0.0.2 is a carrier."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import attrs
import pytest

from tests.peers.appliance import Appliance
from tests.peers.ports import free_port
from tests.peers.sipp import Sipp
from tests.peers.tls import TlsTunnel, make_certificate

DOMAIN = "example.com"
CARRIER = "127.0.0.2"
USERS = [str(number) for number in range(1001, 1031)]


@attrs.define
class Box:
    """The appliance, and where the tests put the gateways of its trunks."""

    appliance: Appliance
    gateways: tuple[int, int]
    tls_gateway: int
    tls_gateway_port: int

    def keys(self, caller: str = "caller", **more: str) -> dict[str, str]:
        return {"domain": DOMAIN, "caller": caller, **more}

    def register(
        self,
        directory: Path,
        user: str,
        contact: str,
        *,
        scenario: str = "register",
        password: str | None = None,
        expires: int = 120,
        target: tuple[str, int] | None = None,
        transport: str = "udp",
        words: Mapping[str, str] | None = None,
    ) -> None:
        """Have SIPp register `contact` for the user, answering the digest challenge."""
        target = target or self.appliance.address("udp")
        with Sipp(
            scenario,
            directory,
            target=target,
            host="::1" if ":" in target[0] else "127.0.0.1",
            transport=transport,
            service=user,
            user=(user, password or self.appliance.passwords[user]),
            keys={"domain": DOMAIN, "contact": contact, "expires": str(expires)},
            words=words,
        ) as phone:
            phone.finish()


def start_box(directory: Path) -> tuple[Box, TlsTunnel]:
    """The appliance with its dial plan, and the tunnel behind which the TLS gateway listens."""
    directory.mkdir(parents=True, exist_ok=True)
    gateways = (free_port(), free_port())
    tls_gateway_port = free_port()
    certificate = make_certificate(directory / "gateway.pem")
    tunnel = TlsTunnel(("127.0.0.1", tls_gateway_port), certificate)
    appliance = Appliance(
        directory / "box",
        users=USERS,
        env={"SSL_CERT_FILE": str(certificate)},
        addresses=("127.0.0.1", "::1"),
        sections={
            "appliance": {"domains": DOMAIN, "drain_deadline": "1 s"},
            "trunk carrier": {
                "gateways": ", ".join(f"127.0.0.1:{port};transport=udp" for port in gateways),
                "trusted": CARRIER,
            },
            "trunk secure": {"gateways": f"127.0.0.1:{tunnel.port};transport=tls"},
            "route 10-carrier": {"match": "prefix:91", "target": "trunk:carrier", "callers": "users, trunks"},
            "route 11-secure": {"match": "prefix:92", "target": "trunk:secure", "callers": "users, trunks"},
            "route 50-users": {"match": "aor", "target": "aor", "callers": "users, trunks"},
        },
    )
    return Box(appliance, gateways, tunnel.port, tls_gateway_port), tunnel


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    box, tunnel = start_box(tmp_path_factory.mktemp("box"))
    with tunnel, box.appliance:
        yield box
