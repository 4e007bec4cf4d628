"""The section [hep NAME]: a collector that gets a copy of the SIP messages as HEPv3 packets."""

from __future__ import annotations

from enum import StrEnum

import attrs

from .kinds import host, one_of, optional, secret, whole
from .secret import Secret
from .setting import REQUIRED, setting


class HepTransport(StrEnum):
    UDP = "udp"
    TCP = "tcp"


@attrs.frozen(kw_only=True)
class HepSettings:
    """A collector such as Homer, which gets every traced message as a HEPv3 packet, secrets masked as [trace] says.

    There may be several. HEP is neither encrypted nor acknowledged: let it stay in a network of yours.
    """

    name: str
    host: str = setting(host(), REQUIRED, "Name or address of the collector.")
    port: int = setting(whole(1, 65535), "9060", "Port of the collector.")
    transport: HepTransport = setting(one_of(HepTransport), "udp", "How packets go there.")
    capture_id: int = setting(
        whole(0, 4_294_967_295), "2001", "The number by which the collector knows this box (capture agent)."
    )
    password: Secret | None = setting(
        optional(secret(), "none", "the collector asks for none"),
        "none",
        "What the collector knows us by (authenticate key). It goes in the clear.",
        secret=True,
    )
    buffer: int = setting(
        whole(10, 1_000_000), "10000", "Messages that may wait; the oldest are then dropped and counted."
    )
