"""Kamailio on loopback, in two trades: another proxy, and a carrier that gives accounts.

As a proxy it is a registrar with digest and forking, and a carrier's gateways, on UDP, TCP and WS: it proves the
scenarios against an independent implementation, and stands behind a trunk as a next hop. As a carrier it wants a
password for every request and is a registrar, over TLS too.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import attrs

from tests.peers.ports import free_port
from tests.peers.processes import Program

_HEAD = """\
debug=2
log_stderror=yes
fork=yes
children=1 # of several that read a socket one lets a BYE overtake the ACK that another has taken
listen=udp:127.0.0.1:{port}
listen=tcp:127.0.0.1:{port}
alias="{domain}"
dns=no
rev_dns=no
mpath="/usr/lib/x86_64-linux-gnu/kamailio/modules/"
loadmodule "kex.so"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "auth.so"
modparam("usrloc", "db_mode", 0)
modparam("auth", "algorithm", "{algorithm}")
"""

_PROXY = """\
listen=udp:[::1]:{port}
tcp_accept_no_cl=yes
loadmodule "nathelper.so"
loadmodule "xhttp.so"
loadmodule "websocket.so"
loadmodule "dispatcher.so"
modparam("nathelper|registrar", "received_avp", "$avp(received)")
modparam("dispatcher", "list_file", "{gateways}")
modparam("dispatcher", "flags", 2)
modparam("tm", "fr_timer", {patience_ms})

request_route {{
  if (!mf_process_maxfwd_header("10")) {{ sl_send_reply("483", "Too Many Hops"); exit; }}
  if (is_method("CANCEL")) {{ if (t_check_trans()) t_relay(); exit; }}
  if (proto == WS && is_method("INVITE|REGISTER")) {{
    if (is_method("REGISTER")) fix_nated_register(); else add_contact_alias();
  }}
  if (has_totag()) {{
    if (loose_route()) {{ if ($du == "") handle_ruri_alias(); t_on_reply("BROWSER"); t_relay(); exit; }}
    if (is_method("ACK") && t_check_trans()) {{ t_relay(); exit; }}
    sl_send_reply("404", "Not Here"); exit;
  }}
  t_check_trans();
  if (is_method("REGISTER")) {{
    if (!pv_auth_check("$fd", "{password}", "0", "1")) {{ auth_challenge("$fd", "0"); exit; }}
    save("location"); exit;
  }}
  if (is_method("INVITE")) record_route();
  if ($rU =~ "^9") {{
    if (!ds_select_dst("1", "8")) {{ sl_send_reply("503", "No Gateway"); exit; }}
    t_on_failure("NEXT_GATEWAY");
    t_relay(); exit;
  }}
  t_on_reply("BROWSER");
  if (!lookup("location")) {{ sl_send_reply("404", "Not Registered"); exit; }}
  t_relay();
}}

onreply_route[BROWSER] {{
  if (proto == WS && is_method("INVITE")) add_contact_alias();
}}

event_route[xhttp:request] {{
  if ($hdr(Upgrade) =~ "websocket" && ws_handle_handshake()) exit;
  xhttp_reply("404", "Not Found", "", "");
}}

failure_route[NEXT_GATEWAY] {{
  if (t_check_status("503") && ds_next_dst()) {{ t_on_failure("NEXT_GATEWAY"); t_relay(); }}
}}
"""

_CARRIER = """\
tcp_children=1
loadmodule "xlog.so"
modparam("auth", "nonce_count", 1)
modparam("auth", "qop", "auth")
modparam("auth", "nonce_expire", {nonce_expire_s})

request_route {{
  if (!mf_process_maxfwd_header("10")) {{ sl_send_reply("483", "Too Many Hops"); exit; }}
  if (is_method("OPTIONS") && $rU == $null) {{ sl_send_reply("200", "OK"); exit; }}
  if (is_method("CANCEL")) {{ if (t_check_trans()) t_relay(); exit; }}
  if (is_method("ACK")) {{ if (!loose_route() && !t_check_trans()) exit; t_relay(); exit; }}
  t_check_trans();
  if ($sp != {inner} && !pv_auth_check("{domain}", "{password}", "0", "0")) {{
    t_newtran(); # what comes again because we were slow is not challenged again
    xlog("L_NOTICE", "challenged $rm $cs\\n");
    auth_challenge("{domain}", "1");
    exit;
  }}
  xlog("L_NOTICE", "taken $rm $cs by $Rp\\n");
  if ($sp != {inner}) consume_credentials();
  if (has_totag()) {{
    if (loose_route()) {{ t_relay(); exit; }}
    sl_send_reply("404", "Not Here"); exit;
  }}
  if (is_method("REGISTER")) {{ save("location"); exit; }}
  record_route();
  if ($sp == {inner}) {{
    if (!lookup("location", "sip:{username}@{domain}")) {{ sl_send_reply("404", "Not Registered"); exit; }}
  }} else {{
    $du = "sip:127.0.0.1:{inner}";
  }}
  t_relay();
}}
"""

_TLS = """\
enable_tls=yes
listen=tls:127.0.0.1:{tls_port}
loadmodule "tls.so"
modparam("tls", "tls_method", "TLSv1.2+")
modparam("tls", "certificate", "{certificate}")
modparam("tls", "private_key", "{certificate}")
modparam("tls", "ca_list", "{ca}")
modparam("tls", "verify_certificate", 1)
modparam("tls", "require_certificate", 1)
"""


@attrs.frozen
class CarrierTls:
    """PEM files: its own certificate with the key, and the authority of those that it lets in."""

    certificate: Path
    ca: Path


class Running:
    """One Kamailio until the block is left; `port` is that of UDP and TCP, `domain` its own and its realm."""

    def __init__(self, directory: Path, config: str, *, domain: str, algorithm: str, **values: object) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.domain = domain
        file = directory / "kamailio.cfg"
        file.write_text((_HEAD + config).format(port=self.port, domain=domain, algorithm=algorithm, **values))
        argv = ["kamailio", "-DD", "-E", "-f", str(file), "-Y", str(directory), "-m", "64", "-M", "8"]
        self.program = Program(argv, directory / "kamailio.log", cwd=directory)
        self.program.expect_bound(self.port, "udp")
        self.program.expect_bound(self.port, "tcp")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.program.stop()
        if error is not None:
            error.add_note(f"--- {type(self).__name__.lower()}\n{self.program.tail()}")


class Kamailio(Running):
    """Another proxy: every user has `password`; numbers from 9 go to `gateways` in turn."""

    def __init__(
        self,
        directory: Path,
        *,
        domain: str = "example.com",
        password: str = "secret",
        algorithm: str = "MD5",
        gateways: Sequence[str] = ("sip:127.0.0.1:9",),
        patience_ms: int = 2000,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.password = password
        destinations = directory / "gateways.list"
        destinations.write_text("".join(f"1 {uri} 0 {len(gateways) - place}\n" for place, uri in enumerate(gateways)))
        super().__init__(
            directory,
            _PROXY,
            domain=domain,
            algorithm=algorithm,
            password=password,
            gateways=destinations,
            patience_ms=patience_ms,
        )


class Carrier(Running):
    """One account. What comes from `inner` (the exchange behind it, a SIPp of the test) is not asked; calls from there
    go to our account's Contact, calls of ours go there.
    """

    def __init__(
        self,
        directory: Path,
        *,
        inner: int,
        realm: str = "carrier.example",
        username: str = "we",
        password: str = "pass",
        algorithm: str = "MD5",
        nonce_expire_s: int = 300,
        tls: CarrierTls | None = None,
    ) -> None:
        self.tls_port = free_port()
        head = "" if tls is None else _TLS.format(tls_port=self.tls_port, certificate=tls.certificate, ca=tls.ca)
        super().__init__(
            directory,
            head + _CARRIER,
            domain=realm,
            algorithm=algorithm,
            inner=inner,
            username=username,
            password=password,
            nonce_expire_s=nonce_expire_s,
        )

    def lines(self, verb: str) -> list[str]:
        """What it has "challenged" or "taken" so far, as "METHOD CSEQ"."""
        found = [line.partition(f"{verb} ")[2] for line in self.program.log.splitlines() if f": {verb} " in line]
        return [" ".join(line.split()[:2]) for line in found]
