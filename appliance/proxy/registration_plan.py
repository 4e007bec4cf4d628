"""What we register at a trunk, and the requests that say so (RFC 3261 §10.2, RFC 6140 §5.2)."""

from __future__ import annotations

import attrs

from appliance.config.account import KeepAlive
from appliance.config.dialplan import TrunkSettings
from appliance.config.patch import Gateway
from appliance.proxy.record_route import uri_transport
from appliance.proxy.trunk_tls import tls_options
from appliance.sip.flow import Flow
from appliance.sip.message import Request
from appliance.transport.options import TlsClientOptions


@attrs.frozen
class RegistrationPlan:
    """What a trunk's section says of registering. Another plan is another registration."""

    trunk: str
    username: str
    domain: str
    contact_user: str
    registrars: tuple[Gateway, ...]
    expires_s: float
    number_block: bool
    keep_alive: KeepAlive
    keep_alive_interval_s: float
    tls: TlsClientOptions

    @classmethod
    def of(cls, trunk: TrunkSettings) -> RegistrationPlan | None:
        """None for a trunk that wants none, or that has nowhere to register."""
        registrars = trunk.registrar or trunk.gateways
        if not trunk.register or not registrars or not trunk.username:
            return None
        return cls(
            trunk=trunk.name,
            username=trunk.username,
            domain=trunk.domain or _host(registrars[0].host),
            contact_user=trunk.contact_user or trunk.username,
            registrars=registrars,
            expires_s=trunk.register_expires_s,
            number_block=trunk.number_block,
            keep_alive=trunk.keep_alive,
            keep_alive_interval_s=trunk.keep_alive_interval_s,
            tls=tls_options(trunk),
        )

    @property
    def address(self) -> str:
        return f"sip:{self.username}@{self.domain}"

    def register(
        self, flow: Flow, via: str, tag: str, call_id: str, cseq: int, expires_s: float, user_agent: str
    ) -> Request:
        """The REGISTER of the address that `flow` has us at."""
        transport = "" if flow.transport == "UDP" else f";transport={uri_transport(flow)}"
        if self.number_block:
            contact = f"<sip:{flow.sent_by}{transport};bnc>"  # RFC 6140 §5.2: no user part
        else:
            contact = f"<sip:{self.contact_user}@{flow.sent_by}{transport}>"
        headers = [
            ("via", via),
            ("max-forwards", "70"),
            ("from", f"<{self.address}>;tag={tag}"),
            ("to", f"<{self.address}>"),
            ("call-id", call_id),
            ("cseq", f"{cseq} REGISTER"),
            ("contact", contact),
            ("expires", f"{expires_s:.0f}"),
            ("supported", "path"),
        ]
        if self.number_block:
            headers += [("require", "gin"), ("proxy-require", "gin")]
        if user_agent:
            headers.append(("user-agent", user_agent))
        return Request.make("REGISTER", f"sip:{self.domain}", headers)

    def options(self, via: str, tag: str, call_id: str) -> Request:
        """The OPTIONS that asks whether the registrar is still there."""
        headers = [
            ("via", via),
            ("max-forwards", "70"),
            ("from", f"<{self.address}>;tag={tag}"),
            ("to", f"<sip:{self.domain}>"),
            ("call-id", call_id),
            ("cseq", "1 OPTIONS"),
        ]
        return Request.make("OPTIONS", f"sip:{self.domain}", headers)


def _host(host: str) -> str:
    return f"[{host}]" if ":" in host else host
