"""Trunks with certificates of their own: which identity we show them, and by which we know them (RFC 5922).

Connections are shared only between those who have the same identity: the options are part of a connection's key. A
dialog's later requests go by Contact or Route, so our Record-Route entry says which trunk it leads to.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import attrs

from appliance.config.dialplan import TrunkSettings
from appliance.proxy.destination import Hop
from appliance.proxy.dialog_changes import read_extras
from appliance.router.question import CallerKind
from appliance.sip.flow import Flow
from appliance.transport.options import VERIFIED, TlsClientOptions

if TYPE_CHECKING:
    from appliance.proxy.branch import Branch
    from appliance.proxy.response_context import ResponseContext


def tls_options(trunk: TrunkSettings) -> TlsClientOptions:
    """How we meet the TLS servers of a trunk."""
    if not (trunk.tls_certificate or trunk.tls_ca or trunk.tls_verify_name):
        return VERIFIED
    return TlsClientOptions(
        ca=trunk.tls_ca,
        certificate=trunk.tls_certificate,
        private_key=trunk.tls_private_key if trunk.tls_certificate is not None else None,
        name=trunk.tls_verify_name,
    )


class TrunkTls:
    """`any` is False where no trunk has a certificate or authorities of its own."""

    def __init__(self) -> None:
        self.any = False
        self._options: dict[str, TlsClientOptions] = {}
        self._identified: dict[str, str] = {}
        self._demanding: frozenset[str] = frozenset()

    def configure(self, trunks: Mapping[str, TrunkSettings]) -> None:
        options = {name: tls_options(trunk) for name, trunk in trunks.items()}
        self._options = {name: one for name, one in options.items() if one is not VERIFIED}
        self._identified = {
            identity if "@" in identity else identity.lower().rstrip("."): name
            for name, trunk in trunks.items()
            for identity in trunk.tls_identity
        }
        self._demanding = frozenset(self._identified.values())
        self.any = bool(self._options)

    # In

    def trunk_of(self, flow: Flow, by_address: str | None, trusted: Mapping[str, TrunkSettings]) -> str | None:
        """The trunk that a request over `flow` is of, where its address alone says `by_address`."""
        if not self._demanding:
            return by_address
        for identity in flow.peer_identities:
            name = self._identified.get(identity)
            if name is not None and (name == by_address or not trusted[name].trusted):
                return name
        return None if by_address in self._demanding else by_address

    # Out

    def begin(self, context: ResponseContext, branch: Branch) -> None:
        """Note in the dialog that the branch may make which of its ends are met in a way of their own."""
        if context.record and context.spread:
            caller = context.caller
            source = caller.name if caller is not None and caller.kind is CallerKind.TRUNK else ""
            trunks = source, branch.destination.trunk
            if source in self._options or branch.destination.trunk in self._options:
                branch.changes = attrs.evolve(branch.changes, trunks=trunks)

    def hop(self, hop: Hop, extras: str, to_leg: str) -> Hop:
        """The way of a request inside a dialog, met as its trunk is."""
        if not extras:
            return hop
        caller, callee = read_extras(extras).trunks or ("", "")
        options = self._options.get(caller if to_leg == "a" else callee)
        return hop if options is None else attrs.evolve(hop, tls=options)
