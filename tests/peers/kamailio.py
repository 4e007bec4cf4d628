"""Kamailio as the other proxy: a registrar with digest and forking, and a carrier's gateways, on UDP, TCP and WS.

It proves the scenarios against an independent implementation, and later stands behind a trunk as a next hop.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from tests.peers.ports import free_port
from tests.peers.processes import Program

_CONFIG = """\
debug=2
log_stderror=yes
fork=yes
children=2
listen=udp:127.0.0.1:{port}
listen=tcp:127.0.0.1:{port}
listen=udp:[::1]:{port}
alias="{domain}"
tcp_accept_no_cl=yes
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
loadmodule "nathelper.so"
loadmodule "xhttp.so"
loadmodule "websocket.so"
loadmodule "dispatcher.so"
modparam("usrloc", "db_mode", 0)
modparam("nathelper|registrar", "received_avp", "$avp(received)")
modparam("auth", "algorithm", "{algorithm}")
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


class Kamailio:
    """One Kamailio on loopback; every user has `password`; numbers from 9 go to `gateways` in turn."""

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
        self.port = free_port()
        self.domain = domain
        self.password = password
        destinations = directory / "gateways.list"
        destinations.write_text("".join(f"1 {uri} 0 {len(gateways) - place}\n" for place, uri in enumerate(gateways)))
        config = directory / "kamailio.cfg"
        config.write_text(
            _CONFIG.format(
                port=self.port,
                domain=domain,
                password=password,
                algorithm=algorithm,
                gateways=destinations,
                patience_ms=patience_ms,
            )
        )
        argv = ["kamailio", "-DD", "-E", "-f", str(config), "-Y", str(directory), "-m", "64", "-M", "8"]
        self.program = Program(argv, directory / "kamailio.log", cwd=directory)
        self.program.expect_bound(self.port, "udp")
        self.program.expect_bound(self.port, "tcp")

    def __enter__(self) -> Kamailio:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.program.stop()
        if error is not None:
            error.add_note(f"--- kamailio\n{self.program.tail()}")
