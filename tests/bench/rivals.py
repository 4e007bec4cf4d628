"""The servers that Jackfield is measured against: Kamailio for SIP, rtpengine in user space for media.

Kamailio runs with one worker for UDP and its fast allocator (Debian's default one is for debugging), in memory
only, and does what Jackfield does for the same call: stateful, record-routed, sent to a gateway from a list.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Collection, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.bench.generators import on_server_core
from tests.peers.ports import free_block, free_port
from tests.peers.processes import Program

_KAMAILIO = """\
debug=-1
log_stderror=yes
fork=yes
children=1
shm_force_alloc=yes
disable_tcp=yes
listen=udp:127.0.0.1:{port}
auto_aliases=no
dns=no
rev_dns=no
dns_cache_init=off
use_dst_blocklist=no
mpath="/usr/lib/x86_64-linux-gnu/kamailio/modules/"
loadmodule "pv.so"
loadmodule "sl.so"
loadmodule "tm.so"
loadmodule "rr.so"
loadmodule "maxfwd.so"
loadmodule "siputils.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "auth.so"
loadmodule "dispatcher.so"
modparam("tm", "fr_timer", 5000)
modparam("rr", "append_fromtag", 0)
modparam("usrloc", "db_mode", 0)
modparam("usrloc", "hash_size", 14)
modparam("dispatcher", "list_file", "{gateways}")
{tree}

request_route {{
  if (!mf_process_maxfwd_header("10")) {{ sl_send_reply("483", "Too Many Hops"); exit; }}
  if (method == "REGISTER") {{
    if ({digest} && !pv_auth_check("$fd", "{password}", "0", "1")) {{ auth_challenge("$fd", "0"); exit; }}
    save("location"); exit;
  }}
  if (has_totag()) {{
    if (loose_route()) {{ {forward}(); exit; }}
    sl_send_reply("404", "Not Here"); exit;
  }}
  record_route();
  {look_up}
  if (!ds_select_dst("1", "{algorithm}")) {{ sl_send_reply("503", "No Gateway"); exit; }}
  {forward}();
}}
"""

_TREE = """\
loadmodule "db_text.so"
loadmodule "mtree.so"
modparam("mtree", "db_url", "text://{directory}")
modparam("mtree", "mtree", "name=dn;dbtable=dn")
modparam("mtree", "char_list", "0123456789+")
modparam("mtree", "pv_value", "$var(led)")
"""
_LOOK_UP = """if (!mt_match("dn", "$rU", "0")) { sl_send_reply("404", "Not Found"); exit; }"""


class Kamailio:
    """A proxy, stateful or not, and registrar on 127.0.0.1:`port`, calls going on to `gateway_port`."""

    def __init__(
        self,
        directory: Path,
        gateway_port: int,
        password: str,
        digest: bool,
        *,
        stateless: bool = False,
        numbers: Collection[str] = (),
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        gateways = directory / "gateways.list"
        gateways.write_text(f"1 sip:127.0.0.1:{gateway_port}\n")
        if numbers:  # prefixes all of them: its tree knows no others
            rows = "".join(f"{number}:load\n" for number in numbers)
            (directory / "dn").write_text(f"tprefix(string) tvalue(string)\n{rows}")
        config = directory / "kamailio.cfg"
        config.write_text(
            _KAMAILIO.format(
                port=self.port,
                gateways=gateways,
                password=password,
                digest=int(digest),
                forward="forward" if stateless else "t_relay",
                algorithm=0 if stateless else 4,  # a hash of the Call-ID, or round robin
                tree=_TREE.format(directory=directory) if numbers else "",
                look_up=_LOOK_UP if numbers else "",
            )
        )
        argv = [*on_server_core(), "kamailio", "-DD", "-E", "-f", str(config), "-Y", str(directory)]
        argv += ["-m", "2048", "-M", "32", "-b", "4194304", "-x", "tlsf", "-X", "tlsf"]
        self.program = Program(argv, directory / "kamailio.log", cwd=directory)
        self.program.expect_bound(self.port)
        # main, UDP worker, two timers and the control process
        self.program.expect(lambda: len(self.pids) >= 5, "workers", 15.0)

    @property
    def pids(self) -> list[int]:
        return self.program.family

    def __enter__(self) -> Kamailio:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.program.stop()


class Rtpengine:
    """rtpengine without its kernel module, one worker thread, told about calls over its ng protocol."""

    def __init__(self, directory: Path, ports: int) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.control = free_port()
        first = free_block(ports)
        argv = [*on_server_core(), "rtpengine", "--config-file=none", "--foreground", "--table=-1"]
        argv += ["--interface=127.0.0.1", f"--listen-ng=127.0.0.1:{self.control}", "--num-threads=1"]
        argv += [f"--port-min={first}", f"--port-max={first + ports - 1}", "--delete-delay=0"]
        argv += ["--log-level=3", "--log-stderr"]
        self.program = Program(argv, directory / "rtpengine.log", cwd=directory)
        self.program.expect_bound(self.control)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.connect(("127.0.0.1", self.control))
        self._socket.settimeout(60)
        self._cookie = 0

    @property
    def pids(self) -> list[int]:
        return self.program.family

    def ask(self, command: Mapping[str, object]) -> Mapping[str, Any]:
        """One command and its answer, both bencoded dictionaries behind a cookie."""
        self._cookie += 1
        cookie = f"{os.getpid()}_{self._cookie}".encode()
        self._socket.send(cookie + b" " + bencode(command))
        while True:
            answer, _, body = self._socket.recv(65535).partition(b" ")
            if answer == cookie:
                result = bdecode(body)[0]
                if result["result"] != b"ok":
                    raise AssertionError(f"rtpengine refused {command['command']}: {result}")
                return result

    def __enter__(self) -> Rtpengine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()
        self.program.stop()


def bencode(value: object) -> bytes:
    """Bencoding of numbers, text, bytes, sequences and dictionaries."""
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, bytes):
        return b"%d:%s" % (len(value), value)
    if isinstance(value, Mapping):
        pairs = sorted(value.items())
        return b"d" + b"".join(bencode(key) + bencode(item) for key, item in pairs) + b"e"
    assert isinstance(value, (list, tuple))
    return b"l" + b"".join(map(bencode, value)) + b"e"


def bdecode(data: bytes, at: int = 0) -> tuple[Any, int]:
    """The value that starts at `at`, and where it ends; dictionary keys become text."""
    kind = data[at : at + 1]
    if kind == b"i":
        end = data.index(b"e", at)
        return int(data[at + 1 : end]), end + 1
    if kind in (b"l", b"d"):
        items = []
        at += 1
        while data[at : at + 1] != b"e":
            item, at = bdecode(data, at)
            items.append(item)
        if kind == b"l":
            return items, at + 1
        return {key.decode(): item for key, item in zip(items[::2], items[1::2], strict=True)}, at + 1
    colon = data.index(b":", at)
    length = int(data[at:colon])
    return data[colon + 1 : colon + 1 + length], colon + 1 + length
