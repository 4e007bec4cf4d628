"""The section [hep NAME]: a collector that gets a copy of the SIP messages as HEPv3 packets."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import attrs

from .collector_tls import CA, CERTIFICATE, PRIVATE_KEY, VERIFY_NAME
from .kinds import host as host_name
from .kinds import one_of, optional, secret, whole
from .secret import Secret
from .setting import REQUIRED, setting


class HepTransport(StrEnum):
    UDP = "udp"
    TCP = "tcp"
    TLS = "tls"


@attrs.frozen(kw_only=True)
class HepSettings:
    """A collector such as Homer, which gets every traced message as a HEPv3 packet, secrets masked as [trace] says.

    There may be several. HEP acknowledges nothing, and is encrypted over TLS only: else let it stay in a network of
    yours.
    """

    name: str
    host: str = setting(host_name(), REQUIRED, "Name or address of the collector.")
    port: int = setting(whole(1, 65535), "9060", "Port of the collector.")
    transport: HepTransport = setting(one_of(HepTransport), "udp", "How packets go there.")
    capture_id: int = setting(
        whole(0, 4_294_967_295), "2001", "The number by which the collector knows this box (capture agent)."
    )
    password: Secret | None = setting(
        optional(secret(), "none", "the collector asks for none"),
        "none",
        "What the collector knows us by (authenticate key). Without TLS it goes in the clear.",
        secret=True,
    )
    buffer: int = setting(
        whole(10, 1_000_000), "10000", "Messages that may wait; the oldest are then dropped and counted."
    )
    ca: Path | None = setting(*CA)
    certificate: Path | None = setting(*CERTIFICATE)
    private_key: Path | None = setting(*PRIVATE_KEY)
    verify_name: str | None = setting(*VERIFY_NAME)
