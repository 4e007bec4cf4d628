"""Signed calls between two real boxes: one signs, the other fetches the certificate over TLS and judges."""

from __future__ import annotations

import http.server
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers.appliance import Appliance
from tests.peers.ports import free_port
from tests.peers.sipp import Sipp
from tests.stir_certificates import Holder, pem
from tests.transport.certificates import Authority

pytestmark = pytest.mark.peer

INSIDE = "127.0.0.2"
ROOT = Holder.of_authority()
OURS = ROOT.issue()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[int, Path, list[str]]]:
    """A web server that has our certificate: its port, the authority of its own, and what it was asked for."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            body = pem(OURS.certificate)
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Not to the test's output."""

    authority = Authority(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.issue("localhost"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as web:
        web.socket = context.wrap_socket(web.socket, server_side=True)
        thread = threading.Thread(target=web.serve_forever)
        thread.start()
        yield web.server_address[1], authority.ca, asked
        web.shutdown()
        thread.join()


def test_a_call_is_signed_by_one_box_and_believed_by_the_next(
    tmp_path: Path, server: tuple[int, Path, list[str]]
) -> None:
    port, authority, asked = server
    (tmp_path / "ours.pem").write_bytes(pem(OURS.certificate) + OURS.key_pem)
    (tmp_path / "root.pem").write_bytes(pem(ROOT.certificate))
    gateway = free_port()
    words = {"appliance": {"domains": "example.com", "drain_deadline": "1 s"}}
    second = Appliance(
        tmp_path / "second",
        addresses=("127.0.0.1",),
        env={"SSL_CERT_FILE": str(authority)},
        sections={
            **words,
            "stir": {"authorities": tmp_path / "root.pem", "private-hosts": "yes", "wait": "5 s"},
            "trunk peer": {"gateways": "127.0.0.1:9", "trusted": "127.0.0.1", "verify": "require"},
            "trunk out": {"gateways": f"127.0.0.1:{gateway};transport=udp"},
            "route 10": {"match": "prefix:44", "target": "trunk:out", "callers": "trunks"},
        },
    )
    with second:
        first = Appliance(
            tmp_path / "first",
            addresses=("127.0.0.1",),
            sections={
                **words,
                "stir": {"certificate": tmp_path / "ours.pem", "x5u": f"https://localhost:{port}/ours.pem"},
                "trunk inside": {"gateways": "127.0.0.2:9", "trusted": INSIDE, "attestation": "B"},
                "trunk next": {"gateways": f"127.0.0.1:{second.ports['udp']};transport=udp", "sign": "auto"},
                "route 10": {"match": "prefix:44", "target": "trunk:next", "callers": "trunks"},
            },
        )
        with first, Sipp("answer", tmp_path, port=gateway, service="442079460000", calls=2) as callee:
            for _ in range(2):
                with Sipp(
                    "call",
                    tmp_path,
                    target=first.address("udp"),
                    host=INSIDE,
                    service="442079460000",
                    keys={"domain": "example.com", "caller": "12025550100"},
                ) as caller:
                    caller.finish()
            callee.finish()
            assert callee.messages.count("X-Identity-Verdict: TN-Validation-Passed;attest=B") >= 2
            assert asked == ["/ours.pem"]
            with Sipp(
                "call_refused",
                tmp_path,
                target=second.address("udp"),
                service="442079460000",
                keys={"domain": "example.com", "caller": "12025550100"},
                words={"final": "428"},
            ) as unsigned:
                unsigned.finish()
