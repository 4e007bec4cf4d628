"""What the doctor makes of planted faults: each gets its grade and a remedy."""

import datetime
import json
import os
import pwd
import socket
import threading
from pathlib import Path

import attrs
import dns.message
import pytest

from appliance.cli import main
from appliance.config.dialplan import TrunkSettings
from appliance.config.kinds import network
from appliance.config.patch import gateway
from appliance.config.sections import ApplianceSettings, ListenerSettings, Transport
from appliance.config.settings import Settings
from appliance.doctor.certificates import examine_certificates
from appliance.doctor.finding import Finding, Grade
from appliance.doctor.firewall import rule_findings, wanted_of
from appliance.doctor.machine import buffer_findings, files_finding, port_findings
from appliance.doctor.network import domain_findings, examine_ports, examine_servers, gateway_findings, nat_findings
from tests.doctor.certificates import make_certificate
from tests.peers.ports import free_port

NOW = datetime.datetime.now(datetime.UTC)


def settings(**listener: object) -> Settings:
    fields: dict[str, object] = {"name": "udp", "transport": Transport.UDP, "port": 5060, **listener}
    return Settings(
        appliance=ApplianceSettings(domains=("example.com",)),
        listeners={"one": ListenerSettings(**fields)},  # type: ignore[arg-type]
    )


def grades(findings: object) -> dict[str, Grade]:
    found: dict[str, Grade] = {}
    for one in findings:  # type: ignore[attr-defined]
        assert isinstance(one, Finding)
        assert one.remedy or one.grade in (Grade.OK, Grade.NOTE), one
        found[one.about] = one.grade
    return found


def test_a_domain_must_lead_to_this_box() -> None:
    ours = settings()
    for addresses, grade in (((), Grade.WARNING), (("203.0.113.9",), Grade.WARNING), (("192.0.2.1",), Grade.OK)):
        assert grades(domain_findings(ours, lambda _, a=addresses: a, ("192.0.2.1",))) == {"example.com": grade}
    behind = attrs.evolve(ours, appliance=ApplianceSettings(domains=("example.com",), advertise=("203.0.113.9",)))
    assert grades(domain_findings(behind, lambda _: ("203.0.113.9",), ("192.0.2.1",))) == {"example.com": Grade.OK}
    assert grades(nat_findings(behind, ("192.0.2.1",))) == {"203.0.113.9": Grade.NOTE}


def test_a_gateway_without_an_address_is_a_fault() -> None:
    trunk = TrunkSettings(
        name="carrier",
        gateways=(gateway().read("sip.example.net"), gateway().read("192.0.2.7")),
        trusted=(network().read("192.0.2.7"),),
    )
    found = grades(gateway_findings(Settings(trunks={"carrier": trunk}), lambda _: ()))
    assert found == {"sip.example.net of trunk carrier": Grade.FAULT}


def test_a_silent_name_server_is_told_and_one_that_answers_is_well() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))

        def answer() -> None:
            data, source = server.recvfrom(512)
            server.sendto(dns.message.make_response(dns.message.from_wire(data)).to_wire(), source)

        thread = threading.Thread(target=answer)
        thread.start()
        port = server.getsockname()[1]
        assert list(grades(examine_servers(["127.0.0.1"], needed=True, port=port)).values()) == [Grade.OK]
        thread.join()
    (silent,) = examine_servers(["127.0.0.1"], needed=True, port=port)
    assert silent.grade is Grade.FAULT
    assert grades(examine_servers([], needed=True)) == {"servers": Grade.WARNING}


def test_a_port_that_another_program_holds() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        taken = settings(port=other.getsockname()[1], bind=("127.0.0.1",))
        stopped = [one for one in examine_ports(taken, None) if one.grade is Grade.FAULT]
        assert len(stopped) == 1
        assert "Another program" in stopped[0].sentence
        running = {one.about: one for one in examine_ports(taken, 1)}
        held = running[f"listener udp (udp {other.getsockname()[1]})"]
        assert held.grade is Grade.FAULT
        assert held.sentence.startswith("is not the box's: another program (")
    nobodys = free_port()
    unbound = {one.about: one for one in examine_ports(settings(port=nobodys), 1)}[f"listener udp (udp {nobodys})"]
    assert unbound.grade is Grade.FAULT
    assert "nobody listens" in unbound.sentence


@pytest.mark.parametrize(("user", "grade"), [(pwd.getpwuid(os.getuid()).pw_name, Grade.OK), ("olga", Grade.FAULT)])
def test_who_may_not_look_into_the_boxs_process_knows_it_by_its_user(
    monkeypatch: pytest.MonkeyPatch, user: str, grade: Grade
) -> None:
    monkeypatch.setattr("appliance.doctor.network.holders", lambda protocol, port: [f"of user {user}"])
    found = {one.about: one.grade for one in examine_ports(settings(), os.getpid())}
    assert found["listener udp (udp 5060)"] is grade


@pytest.mark.parametrize(
    ("hosts", "days", "grade", "said"),
    [
        (("example.com",), 90, Grade.NOTE, "self-signed"),
        (("example.com",), 10, Grade.WARNING, "runs out in"),
        (("example.com",), -1, Grade.FAULT, "ran out"),
        (("other.example.net",), 90, Grade.WARNING, "not for example.com"),
    ],
)
def test_certificates(tmp_path: Path, hosts: tuple[str, ...], days: int, grade: Grade, said: str) -> None:
    certificate, key = make_certificate(tmp_path, hosts, days)
    ours = settings(name="wss", transport=Transport.WSS, port=7443, certificate=certificate, private_key=key)
    found = {one.about: one for one in examine_certificates(ours, tmp_path / "state", NOW)}
    assert found["listener wss"].grade is grade
    assert said in found["listener wss"].sentence


def test_a_key_that_belongs_to_another_certificate(tmp_path: Path) -> None:
    certificate, _ = make_certificate(tmp_path / "a", ("example.com",), 90)
    _, key = make_certificate(tmp_path / "b", ("example.com",), 90)
    ours = settings(name="tls", transport=Transport.TLS, port=5061, certificate=certificate, private_key=key)
    found = {one.about: one for one in examine_certificates(ours, tmp_path, NOW)}
    assert found["listener tls"].grade is Grade.FAULT
    assert "not the key" in found["listener tls"].sentence


NFT = """table inet filter {
    chain input {
        type filter hook input priority filter; policy drop;
        ct state established,related accept
        udp dport 5060 accept
        tcp dport { 22, 8443 } accept
        %s
    }
}"""


def test_a_firewall_that_drops_media() -> None:
    wanted = wanted_of(settings())
    assert grades(rule_findings("nft", NFT % "", wanted)) == {"nft: media": Grade.WARNING}
    assert grades(rule_findings("nft", NFT % "udp dport 30000-39999 accept", wanted)) == {"nft": Grade.OK}
    assert grades(rule_findings("nft", NFT.replace("policy drop", "policy accept") % "", wanted)) == {"nft": Grade.OK}
    tables = ":INPUT DROP [0:0]\n-A INPUT -p udp -m udp --dport 5060 -j ACCEPT\n"
    tables += "-A INPUT -p udp -m multiport --dports 30000:39999 -j ACCEPT\n"
    assert grades(rule_findings("iptables-save", tables, wanted)) == {"iptables-save: web": Grade.WARNING}


def test_limits_of_the_kernel(tmp_path: Path) -> None:
    ours = settings()
    assert files_finding(ours, 1024).grade is Grade.WARNING
    assert files_finding(ours, 1 << 20).grade is Grade.OK
    assert grades(buffer_findings(ours, 212_992)) == {"rmem_max": Grade.WARNING}
    assert grades(buffer_findings(ours, 1 << 26)) == {"rmem_max": Grade.OK}
    net = tmp_path / "sys/net/ipv4"
    net.mkdir(parents=True)
    (net / "ip_local_port_range").write_text("32768\t60999\n")
    for reserved, grade in (("\n", Grade.NOTE), ("30000-39999\n", Grade.OK)):
        (net / "ip_local_reserved_ports").write_text(reserved)
        assert grades(port_findings(ours, tmp_path))["ports"] is grade


def test_the_command_tells_a_mistake_with_its_line_and_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.conf").write_text(
        f"[listener udp]\ntransport = udp\nport = {free_port()}\n\n[trunk x]\ngatewais = y\n"
    )
    assert main(["doctor", "--json", "--conf-dir", str(tmp_path), "--state-dir", str(tmp_path / "var")]) == 1
    found = json.loads(capsys.readouterr().out)
    assert not found["ok"]
    fault = next(one for one in found["findings"] if one["grade"] == "fault" and one["subject"] == "conf.d")
    assert "a.conf:6" in fault["about"]
    assert fault["remedy"]
