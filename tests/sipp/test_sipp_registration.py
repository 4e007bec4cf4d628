"""Digest registration by SIPp on every transport that it has, and over TLS, on IPv4 and IPv6."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.peers.processes import PeerError
from tests.peers.tls import TlsTunnel
from tests.sipp.conftest import Box

pytestmark = pytest.mark.peer


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_digest_registration(box: Box, tmp_path: Path, transport: str, host: str) -> None:
    address = f"[{host}]" if ":" in host else host
    contact = f"sip:1001@{address}:5070;transport={transport}"
    target = box.appliance.address(transport, host)
    box.register(tmp_path, "1001", contact, target=target, transport=transport)


def test_digest_registration_over_tls(box: Box, tmp_path: Path) -> None:
    with TlsTunnel(box.appliance.address("tls")) as tunnel:
        contact = f"sip:1002@127.0.0.1:{tunnel.port};transport=tls"
        target = ("127.0.0.1", tunnel.port)
        box.register(tmp_path, "1002", contact, target=target, transport="tcp", words={"via": "TLS"})


def test_wrong_password_is_refused(box: Box, tmp_path: Path) -> None:
    with pytest.raises(PeerError, match="FailedCall"):
        box.register(tmp_path, "1003", "sip:1003@127.0.0.1:5070", password="guess")
    box.register(tmp_path, "1003", "sip:1003@127.0.0.1:5070", scenario="register_refused", password="guess")


def test_removed_contact_is_called_no_more(box: Box, tmp_path: Path) -> None:
    from tests.peers.sipp import Sipp

    contact = "sip:1004@127.0.0.1:5070"
    box.register(tmp_path, "1004", contact)
    box.register(tmp_path, "1004", contact, expires=0)
    with Sipp(
        "call_refused",
        tmp_path,
        target=box.appliance.address("udp"),
        host="127.0.0.2",
        service="1004",
        keys=box.keys(),
        words={"final": "480"},
    ) as caller:
        caller.finish()
