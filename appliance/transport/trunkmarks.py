"""Which remote addresses get a marking of their own: those of the trunks that ask for one."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from .options import TrunkMarking

_KEPT = 4096


class TrunkMarks:
    """The narrowest network wins, as it does where trunks are told apart by address. Answers are remembered."""

    def __init__(self, trunks: Sequence[TrunkMarking] = ()) -> None:
        found = [(network, trunk.dscp) for trunk in trunks for network in trunk.networks]
        self._networks = sorted(found, key=lambda pair: -pair[0].prefixlen)
        self._known: dict[str, int | None] = {}
        self.any = bool(trunks)

    def of(self, host: str) -> int | None:
        """The DSCP of an IP literal, None where no trunk asks for one."""
        if not self.any:
            return None
        try:
            return self._known[host]
        except KeyError:
            pass
        address = ipaddress.ip_address(host.partition("%")[0])
        address = getattr(address, "ipv4_mapped", None) or address
        found = next((dscp for network, dscp in self._networks if address in network), None)
        self._note(host, found)
        return found

    def learn(self, host: str, dscp: int) -> bool:
        """A gateway that is known by its name has this address. False where that is no news."""
        self.any = True
        if self.of(host) is not None:
            return False
        self._note(host, dscp)
        return True

    def _note(self, host: str, dscp: int | None) -> None:
        if len(self._known) >= _KEPT:
            self._known.clear()
        self._known[host] = dscp
