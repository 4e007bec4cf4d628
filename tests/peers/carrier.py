"""Kamailio as a carrier that gives accounts: it wants a password for every request and is a registrar, over TLS too.

What comes from `inner` (the exchange behind it, a SIPp of the test) is not asked; calls from there go to our account's
Contact, calls of ours go there.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import attrs

from tests.peers.ports import free_port
from tests.peers.processes import Program

_CONFIG = """\
debug=2
log_stderror=yes
fork=yes
children=2
tcp_children=2
listen=udp:127.0.0.1:{port}
listen=tcp:127.0.0.1:{port}
{tls_head}
alias="{realm}"
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
loadmodule "xlog.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "auth.so"
{tls_modules}
modparam("usrloc", "db_mode", 0)
modparam("auth", "algorithm", "{algorithm}")
modparam("auth", "nonce_count", 1)
modparam("auth", "qop", "auth")
modparam("auth", "nonce_expire", {nonce_expire_s})

request_route {{
  if (!mf_process_maxfwd_header("10")) {{ sl_send_reply("483", "Too Many Hops"); exit; }}
  if (is_method("OPTIONS") && $rU == $null) {{ sl_send_reply("200", "OK"); exit; }}
  if (is_method("CANCEL")) {{ if (t_check_trans()) t_relay(); exit; }}
  if (is_method("ACK")) {{ if (!loose_route() && !t_check_trans()) exit; t_relay(); exit; }}
  t_check_trans();
  if ($sp != {inner} && !pv_auth_check("{realm}", "{password}", "0", "0")) {{
    xlog("L_NOTICE", "challenged $rm $cs\\n");
    auth_challenge("{realm}", "1");
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
    if (!lookup("location", "sip:{username}@{realm}")) {{ sl_send_reply("404", "Not Registered"); exit; }}
  }} else {{
    $du = "sip:127.0.0.1:{inner}";
  }}
  t_relay();
}}
"""

_TLS_MODULES = """\
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


class Carrier:
    """One Kamailio on loopback, with one account."""

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
        directory.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.tls_port = free_port()
        config = directory / "kamailio.cfg"
        head = f"enable_tls=yes\nlisten=tls:127.0.0.1:{self.tls_port}" if tls is not None else ""
        modules = "" if tls is None else _TLS_MODULES.format(certificate=tls.certificate, ca=tls.ca)
        config.write_text(
            _CONFIG.format(
                port=self.port,
                inner=inner,
                realm=realm,
                username=username,
                password=password,
                algorithm=algorithm,
                nonce_expire_s=nonce_expire_s,
                tls_head=head,
                tls_modules=modules,
            )
        )
        argv = ["kamailio", "-DD", "-E", "-f", str(config), "-Y", str(directory), "-m", "64", "-M", "8"]
        self.program = Program(argv, directory / "kamailio.log", cwd=directory)
        self.program.expect_bound(self.port, "udp")
        self.program.expect_bound(self.port, "tcp")

    def lines(self, verb: str) -> list[str]:
        """What it has "challenged" or "taken" so far, as "METHOD CSEQ"."""
        found = [line.partition(f"{verb} ")[2] for line in self.program.log.splitlines() if f": {verb} " in line]
        return [" ".join(line.split()[:2]) for line in found]

    def __enter__(self) -> Carrier:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.program.stop()
        if error is not None:
            error.add_note(f"--- carrier\n{self.program.tail()}")
