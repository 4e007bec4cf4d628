"""The trace of real calls: jackfield trace asks the running box, tshark reads what it exports."""

from __future__ import annotations

import io
import json
import re
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import attrs
import pytest

from appliance.cli import main
from appliance.trace.message import Direction, TracedMessage
from appliance.trace.pcapng import pcapng
from tests.peers.appliance import ROOT, Appliance
from tests.peers.ports import free_port
from tests.peers.processes import Program, wait_until
from tests.peers.sipp import Sipp
from tests.peers.tls import TlsTunnel, make_certificate

pytestmark = pytest.mark.peer

EXCHANGE = "127.0.0.2"


@attrs.define
class Line:
    """A box with a trunk over UDP from which it hides, and one over TLS."""

    appliance: Appliance
    gateway: int
    tls_gateway: int

    def trace(self, *words: str) -> tuple[int, str]:
        """The exit code of the command, and what it printed."""
        directories = ["--state-dir", str(self.appliance.state_dir), "--conf-dir", str(self.appliance.conf_dir)]
        with redirect_stdout(io.StringIO()) as printed, redirect_stderr(io.StringIO()):
            code = main(["trace", *directories, *words])
        return code, printed.getvalue()

    def messages(self, *words: str) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.trace("--json", *words)[1].splitlines()]

    def call(self, directory: Path, service: str) -> str:
        """A call from the exchange to a number behind one of the trunks; gives its Call-ID."""
        over_tls = service.startswith("92")
        port = self.tls_gateway if over_tls else self.gateway
        words = {"via": "TLS"} if over_tls else None
        transport = "tcp" if over_tls else "udp"
        with (
            Sipp("answer", directory, port=port, service=service, transport=transport, words=words) as gateway,
            Sipp(
                "call",
                directory,
                target=self.appliance.address("tcp" if over_tls else "udp"),
                host=EXCHANGE,
                service=service,
                transport=transport,
                keys={"domain": "example.com", "caller": "2001"},
                options=("-d", "100"),
            ) as caller,
        ):
            caller.finish()
            gateway.finish()
            found = re.search(r"^Call-ID: *(\S+)", caller.messages, re.M)
        assert found is not None
        return found[1]


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    directory = tmp_path_factory.mktemp("traced")
    gateway, tls_gateway = free_port(), free_port()
    certificate = make_certificate(directory / "gateway.pem")
    with TlsTunnel(("127.0.0.1", tls_gateway), certificate) as tunnel:
        appliance = Appliance(
            directory / "box",
            users=["1001"],
            env={"SSL_CERT_FILE": str(certificate)},
            addresses=("127.0.0.1",),
            sections={
                "appliance": {"domains": "example.com", "drain_deadline": "1 s"},
                "trunk carrier": {"gateways": f"127.0.0.1:{gateway};transport=udp", "hide-topology": "yes"},
                "trunk secure": {"gateways": f"127.0.0.1:{tunnel.port};transport=tls"},
                "trunk exchange": {"gateways": f"{EXCHANGE}:9", "trusted": EXCHANGE},
                "route 10": {"match": "prefix:91", "target": "trunk:carrier", "callers": "trunks"},
                "route 20": {"match": "prefix:92", "target": "trunk:secure", "callers": "trunks"},
            },
        )
        with appliance:
            yield Line(appliance, gateway, tls_gateway)


def tshark(file: Path, wanted: str, *fields: str) -> list[list[str]]:
    argv = ["tshark", "-r", str(file), "-Y", wanted, "-T", "fields"]
    for field in fields:
        argv += ["-e", field]
    read = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True)
    return [row.split("\t") for row in read.stdout.splitlines()]


def test_both_legs_of_a_call_whose_topology_is_hidden_are_one_trace(line: Line, tmp_path: Path) -> None:
    call_id = line.call(tmp_path, "9100")
    found = line.messages("--call", call_id)
    assert {one["call_id"] == call_id for one in found} == {True, False}
    [other] = {str(one["call_id"]) for one in found} - {call_id}
    assert other.startswith("jfh-")
    assert line.messages("--call", other) == found
    told = [(one["direction"], one["method"], one["status"]) for one in found if one["status"] != 100]
    told = list(dict.fromkeys(told))  # a slow machine says things twice
    assert [one for one in told if one[1] == "INVITE"] == [
        ("in", "INVITE", 0),
        ("out", "INVITE", 0),
        ("in", "INVITE", 180),
        ("out", "INVITE", 180),
        ("in", "INVITE", 200),
        ("out", "INVITE", 200),
    ]
    assert [one for one in told if one[1] == "BYE"] == [
        ("in", "BYE", 0),
        ("out", "BYE", 0),
        ("in", "BYE", 200),
        ("out", "BYE", 200),
    ]


def test_the_trace_is_asked_by_user_trunk_address_method_and_time(line: Line, tmp_path: Path) -> None:
    call_id = line.call(tmp_path, "9155")
    assert {one["call_id"] for one in line.messages("--user", "9155", "--address", EXCHANGE)} == {call_id}
    assert line.messages("--user", "9155", "--trunk", "secure", "--method", "REGISTER") == []
    by_trunk = line.messages("--trunk", "exchange", "--method", "bye", "--since", "1min")
    assert {(one["method"], str(one["remote"]).partition(":")[0]) for one in by_trunk} == {("BYE", EXCHANGE)}
    assert line.messages("--user", "9155", "--since", "0s") == []
    assert line.trace("--trunk", "nobody")[0] == 1
    assert line.trace("--address", "nowhere")[0] == 2


def test_tshark_reads_an_exported_call_over_tls_and_knows_its_media(line: Line, tmp_path: Path) -> None:
    call_id = line.call(tmp_path, "9200")
    file = tmp_path / "call.pcapng"
    assert line.trace("--call", call_id, "--pcap", str(file))[0] == 0
    shown = line.messages("--call", call_id)
    rows = tshark(
        file, "sip", "sip.Request-Line", "sip.Status-Line", "sip.Call-ID", "frame.comment", "frame.interface_name"
    )
    assert [(row[0] or row[1]) for row in rows] == [str(one["message"]).split("\r\n", 1)[0] for one in shown]
    assert {row[2] for row in rows} == {call_id}
    assert {row[4] for row in rows} == {"tcp", "tls"}
    assert {row[3].partition(";")[0] for row in rows} == {"was TCP", "was TLS"}
    faults = "_ws.malformed or tcp.analysis.flags or ip.checksum.status==0 or tcp.checksum.status==0"
    assert tshark(file, faults, "frame.number") == []

    # A packet of the caller's audio, as a capture of the media would have it: the file's SDP makes tshark know it.
    sdp = next(str(one["message"]) for one in shown if one["status"] == 200 and one["direction"] == "out")
    port, host = re.search(r"m=audio (\d+)", sdp), re.search(r"c=IN IP4 (\S+)", sdp)
    assert port is not None
    assert host is not None
    rtp = struct.pack("!BBHII", 0x80, 0, 1, 160, 7) + bytes(160)
    media = TracedMessage(
        at=time.time(),
        direction=Direction.IN,
        local=(host[1], int(port[1])),
        remote=(EXCHANGE, 40000),
        transport="UDP",
        data=rtp,
    )
    (tmp_path / "media.pcapng").write_bytes(b"".join(pcapng([media])))
    merged = tmp_path / "merged.pcapng"
    subprocess.run(["mergecap", "-w", str(merged), str(file), str(tmp_path / "media.pcapng")], check=True)
    [[frame, codec]] = tshark(merged, "rtp", "rtp.setup-frame", "rtp.p_type")
    assert int(frame) > 0
    assert codec == "0"


def test_it_follows_live_and_says_what_was_dropped(line: Line, tmp_path: Path) -> None:
    argv = [sys.executable, "-u", "-m", "appliance", "trace", "--follow", "--state-dir", str(line.appliance.state_dir)]
    following = Program([*argv, "--address", "127.0.0.1"], tmp_path / "trace.log", cwd=ROOT)
    broken = b"INVITE sip:9100@example.com SIP/2.0\r\nCall-ID: broken@x\r\nVia: \x1b[31mnonsense\r\n\r\n"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
        phone.bind(("127.0.0.1", 0))
        port = phone.getsockname()[1]

        def sees() -> bool:
            phone.sendto(broken, line.appliance.address())
            return "broken@x" in following.log

        try:
            wait_until(sees, "the broken message in what is followed")
        finally:
            following.stop()
    said = next(one for one in following.log.splitlines() if "broken@x" in one)
    assert "INVITE sip:9100@example.com SIP/2.0" in said
    assert "[dropped: malformed: " in said
    assert f"127.0.0.1:{port}" in said
    assert "\x1b" not in line.trace("--full", "--call", "broken@x")[1]


def test_on_disk_and_at_a_collector_there_is_no_secret_and_a_kill_leaves_the_trace(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as collector:
        collector.bind(("127.0.0.1", 0))
        collector.settimeout(60)
        appliance = Appliance(
            tmp_path / "box",
            users=["1001"],
            addresses=("127.0.0.1",),
            sections={
                "appliance": {"domains": "example.com", "drain_deadline": "1 s"},
                "trace": {"disk": "16 MiB"},
                "hep homer": {"host": "127.0.0.1", "port": collector.getsockname()[1], "capture-id": 4711},
            },
        )
        with appliance:
            with Sipp(
                "register",
                tmp_path,
                target=appliance.address("tcp"),  # which says nothing twice
                transport="tcp",
                service="1001",
                user=("1001", appliance.passwords["1001"]),
                keys={"domain": "example.com", "contact": "sip:1001@127.0.0.1:9", "expires": "60"},
            ) as phone:
                phone.finish()
                digest = dict(re.findall(r'(response|c?nonce)="([^"]+)', phone.messages))
                call_id = re.search(r"^Call-ID: *(\S+)", phone.messages, re.M)
            cnonce = f'cnonce="{digest["cnonce"]}'  # SIPp's may be short enough to stand elsewhere by chance
            secrets = [digest["response"], digest["nonce"], cnonce]
            assert call_id is not None
            packets = [collector.recv(65535) for _ in range(4)]
            assert [(4711).to_bytes(4, "big") in one for one in packets] == [True] * 4
            line = Line(appliance, 0, 0)

            def written() -> bytes:
                return b"".join(file.read_bytes() for file in (appliance.state_dir / "trace").glob("*"))

            wait_until(lambda: written().count(b"CSeq:") == 4, "all messages on disk")
            assert b"200 OK" in written()
            for secret in secrets:
                assert secret.encode() not in written()
                assert not any(secret.encode() in one for one in packets)
            before = line.messages("--call", call_id[1])
            assert len(before) == 4
            appliance.kill9()
            assert line.messages("--call", call_id[1]) == before
            assert line.trace("--follow")[0] == 3
            appliance.restart()
            assert line.messages("--call", call_id[1]) == before
            assert line.messages("--user", "1001", "--method", "REGISTER") == before
