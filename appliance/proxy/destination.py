"""A `Destination`: one place that a request may be forwarded to, with all that the branch to it must know."""

from __future__ import annotations

import attrs

from appliance.config.dialplan import Profile
from appliance.config.sections import Anchor
from appliance.proxy.veil import Hiding
from appliance.router.gateway import LivingGateway
from appliance.sip.flow import Flow
from appliance.sip.remembered import Remembered
from appliance.sip.uri import Uri, parse_uri_untrusted
from appliance.transport.options import VERIFIED, TlsClientOptions


@attrs.frozen
class Hop:
    """A name to be resolved (RFC 3263): where the next message goes."""

    host: str
    port: int | None
    transport: str | None
    secure: bool = False
    tls: TlsClientOptions = VERIFIED

    @classmethod
    def of(cls, uri: Uri) -> Hop:
        """The next hop that a URI names, `maddr` heeded (RFC 3261 §19.1.1)."""
        transport = uri.param("transport")
        host = uri.param("maddr") or uri.host
        return cls(host.strip("[]"), uri.port, transport.upper() if transport else None, uri.scheme == "sips")

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host + (f":{self.port}" if self.port else "") + (f";{self.transport}" if self.transport else "")


def _hop_to(uri: str) -> Hop:
    return Hop.of(parse_uri_untrusted(uri))


known_hop = Remembered(_hop_to, most=4096)
"""The next hop that a URI names, since dialogs go the same ways again. Raises `BadMessage`."""


@attrs.define(eq=False, slots=False)  # so that `again` can copy all at once
class Destination:
    """`uri` becomes the Request-URI; `routes` go on top of its Route headers (Path, RFC 3327).

    `flow` is taken where it is set and open, else `hop` is resolved. `by_contact`: in-dialog requests towards it
    follow its Contact, not the flow. `hidden`: it sits behind NAT, so its media cannot be reached by its SDP.
    `failover` holds the answers after which the next destination of a serial group is tried; None means every failure
    but 6xx. Timeouts in seconds, None for none of its own. `otherwise` is the same phone over another of its flows,
    for when this one fails (RFC 5626 §7). `dscp` is a trunk's own marking of signalling, `user` is whose phone it is,
    `redirects` how many 3xx led here. `group`, `trunk`, `gateway` and `number` say by which way it was found; `living`
    is the gateway where its figures are kept. After `give_up_at` (monotonic) it is not tried any more.
    `hiding` is what of us and the others it may not see, `signs` whether calls there are signed.
    """

    uri: str
    label: str
    routes: tuple[str, ...] = ()
    flow: Flow | None = None
    hop: Hop | None = None
    by_contact: bool = False
    hidden: bool = False
    profile: Profile = Profile.AUTO
    anchor: Anchor = Anchor.AUTO
    failover: frozenset[int] | None = None
    attempt_timeout_s: float | None = None
    progress_timeout_s: float | None = None
    answer_timeout_s: float | None = None
    group: str = ""
    trunk: str = ""
    gateway: str = ""
    number: str = ""
    living: LivingGateway | None = None
    give_up_at: float | None = None
    dscp: int | None = None
    user: str = ""
    redirects: int = 0
    hiding: Hiding | None = None
    signs: bool = False
    otherwise: Destination | None = None

    def keep(self) -> Destination:
        """The same, ready to be said `again` many times."""
        # Copies of a dict that shares its keys with the class's other instances share them too, and are slow to read.
        self.__dict__ = dict(self.__dict__)
        return self

    def again(self, uri: str, number: str) -> Destination:
        """The same place for another request."""
        twin = Destination.__new__(Destination)
        twin.__dict__ = self.__dict__.copy()
        twin.uri = uri
        twin.number = number
        return twin
