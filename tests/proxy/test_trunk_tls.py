"""Trunks with certificates: whom we meet as whom, whom we know by which, and sips that stays on TLS."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from appliance.config.kinds import network
from appliance.config.settings import Settings
from appliance.sip.message import Request
from appliance.transport.options import VERIFIED, TlsClientOptions

from .pretend_net import Box, Peer, PretendNet, _settings, with_carrier_at

CERTIFICATE = Path("carrier.pem")
OURS = TlsClientOptions(certificate=CERTIFICATE, name="sip.carrier.example")


def with_tls(**more: object) -> Settings:
    settings = with_carrier_at(_settings(), "192.0.2.50:5061;transport=tls")
    values = {"tls_certificate": CERTIFICATE, "tls_verify_name": "sip.carrier.example", **more}
    return attrs.evolve(
        settings, trunks={**settings.trunks, "carrier": attrs.evolve(settings.trunks["carrier"], **values)}
    )


def called(box: Box) -> tuple[Peer, Peer, Request]:
    caller, trunk = box.peer("192.0.2.1"), box.peer("192.0.2.50", 5061, "TLS")
    trunk.contact = "<sip:gw@192.0.2.50:5061;transport=tls>"
    caller.invite("sip:0123@example.com")
    return caller, trunk, trunk.take_request("INVITE")


@pytest.mark.parametrize("restart", [False, True])
def test_every_request_of_a_call_meets_the_trunk_with_its_own_identity(restart: bool) -> None:
    box = Box(with_tls())
    caller, trunk, invite = called(box)
    trunk.answer(invite, 200)
    ok = caller.take_response(200)
    if restart:
        box = Box(box.settings, PretendNet())
        for peer in (caller, trunk):
            peer.box, peer.flow = box, box.net.flow_to(peer.transport, peer.address)
    for number, method in enumerate(("ACK", "INFO", "BYE"), 2):
        caller.send(caller.in_dialog(method, ok, cseq=number))
        request = trunk.take_request(method)
        if method != "ACK":
            trunk.answer(request, 200)
    assert {target.tls for target in box.net.targets if target.host == "192.0.2.50"} == {OURS}
    assert {target.tls for target in box.net.targets if target.host != "192.0.2.50"} <= {VERIFIED}


def test_our_own_bye_meets_it_so_too() -> None:
    box = Box(with_tls())
    _, trunk, invite = called(box)
    trunk.answer(invite, 200)
    [call] = box.core.calls
    call.hang_up("the operator ended it")
    assert "BYE" in trunk.take_kinds()
    assert {target.tls for target in box.net.targets if target.host == "192.0.2.50"} == {OURS}


def incoming(box: Box, identities: tuple[str, ...], host: str) -> list[str]:
    """What a phone of ours gets of a call over TLS with such a certificate."""
    phone, trunk = box.peer("192.0.2.2"), box.peer(host, 40000, "TLS")
    trunk.flow.peer_identities = identities
    phone.register("1002")
    trunk.send(trunk.request("INVITE", "sip:1002@example.com", user="0301234"))
    return phone.take_kinds()


@pytest.mark.parametrize(
    ("identity", "shown", "host", "trusted", "taken"),
    [
        ("sip.carrier.example", ("sip.carrier.example",), "203.0.113.9", "", True),
        ("SIP.Carrier.Example", ("sip.carrier.example",), "203.0.113.9", "", True),
        ("sip.carrier.example", ("other.example", "sip.carrier.example"), "203.0.113.9", "", True),
        ("sip:gw@carrier.example", ("sip:gw@carrier.example",), "203.0.113.9", "", True),
        ("sip.carrier.example", ("other.example",), "203.0.113.9", "", False),
        ("sip.carrier.example", (), "192.0.2.50", "192.0.2.50", False),
        ("sip.carrier.example", ("sip.carrier.example",), "192.0.2.50", "192.0.2.50", True),
        ("sip.carrier.example", ("sip.carrier.example",), "203.0.113.9", "192.0.2.50", False),
    ],
)
def test_a_trunk_is_known_by_its_certificate(
    identity: str, shown: tuple[str, ...], host: str, trusted: str, taken: bool
) -> None:
    networks = (network().read(trusted),) if trusted else ()
    box = Box(with_tls(tls_identity=(identity,), trusted=networks))
    assert (incoming(box, shown, host) == ["INVITE"]) is taken
    if taken:
        assert [call.from_trunk for call in box.core.calls] == ["carrier"]


def test_an_alias_is_heeded_only_from_those_with_a_certificate() -> None:
    for identities, known in ((("sip.carrier.example",), True), ((), False)):
        box = Box()
        peer = box.peer("192.0.2.50", 40000, "TLS")
        peer.flow.peer_identities = identities
        request = peer.request("OPTIONS", "sip:example.com")
        request.set("via", "SIP/2.0/TLS 192.0.2.50:5061;branch=z9hG4bKalias;alias")
        peer.send(request)
        assert ("TLS/192.0.2.50/5061" in box.net.flows) is known


# sips


@pytest.mark.parametrize(("transport", "rings"), [("UDP", False), ("TCP", False), ("TLS", True), ("WSS", True)])
def test_sips_rings_only_phones_that_are_reached_over_tls(transport: str, rings: bool) -> None:
    box = Box()
    caller, phone = box.peer("192.0.2.1", 40001, "TLS"), box.peer("192.0.2.2", 40000, transport)
    phone.register("1002")
    caller.invite("sips:1002@example.com")
    assert (phone.take_kinds() == ["INVITE"]) is rings
    if not rings:
        refusal = caller.take_response(480)
        assert refusal.require("warning").startswith("380 ")
        assert "reached over TLS" in box.core.refusals.latest[0].cause


@pytest.mark.parametrize("transport", ["udp", "tls"])
def test_sips_leaves_over_trunks_with_tls_alone(transport: str) -> None:
    box = Box(with_carrier_at(_settings(), f"192.0.2.50:5061;transport={transport}"))
    caller, trunk = box.peer("192.0.2.1", 40001, "TLS"), box.peer("192.0.2.50", 5061, transport.upper())
    caller.invite("sips:0123@example.com")
    assert (trunk.take_kinds() == ["INVITE"]) is (transport == "tls")
