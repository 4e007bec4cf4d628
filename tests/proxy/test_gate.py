"""The gate before the core: floods, scanners, ACLs, headers of trust, seen from the peers' side."""

from __future__ import annotations

import attrs
import pytest

from appliance.config.dialplan import TrunkSettings
from appliance.config.kinds import network
from appliance.config.patch import gateway
from appliance.config.sections import ListenerSettings, Transport
from appliance.config.security import AclSettings, Grade, SecuritySettings
from appliance.config.settings import Settings
from appliance.sip.message import Response

from .pretend_net import Box, _settings

STRANGER = "198.51.100.3"


def secured(settings: Settings | None = None, **security: object) -> Settings:
    """The usual box with other limits."""
    return attrs.evolve(settings or _settings(), security=SecuritySettings(**security))  # type: ignore[arg-type]


def test_a_flood_is_delayed_then_dropped_while_others_go_on_calling() -> None:
    box = Box(secured(messages=20, burst_s=1.0))
    flooder, caller, callee = box.peer(STRANGER), box.peer("192.0.2.1"), box.peer("192.0.2.2")
    callee.register("1002")
    for _ in range(10):
        for _ in range(100):
            flooder.send(flooder.request("OPTIONS", "sip:example.com"))
        box.run(0.5)
    flooder.take()
    [ban] = box.core.gate.guard.bans.records(box.now)
    assert (ban.source, ban.grade) == (STRANGER, "drop")
    flooder.send(flooder.request("OPTIONS", "sip:example.com"))
    assert flooder.take() == []
    caller.invite("sip:1002@example.com")
    callee.take_request("INVITE")
    box.run(31)
    flooder.send(flooder.request("OPTIONS", "sip:example.com"))
    assert flooder.take_kinds() == ["200"]


def test_a_delayed_source_is_answered_late_and_in_order() -> None:
    box = Box(secured(messages=20, burst_s=1.0, grades=(Grade.DELAY,), delay_s=2.0, ban_s=20.0, unproved_ban_s=20.0))
    peer = box.peer(STRANGER)
    for _ in range(30):
        peer.send(peer.request("OPTIONS", "sip:example.com"))
    peer.take()
    box.run(1.0)
    for number in range(3):
        peer.send(peer.request("OPTIONS", "sip:example.com", cseq=number + 1))
    assert peer.take() == []
    box.run(2.1)
    assert [message.cseq.number for message in peer.take()] == [1, 2, 3]


def test_new_requests_have_a_limit_of_their_own() -> None:
    box = Box(secured(requests=5, burst_s=1.0))
    peer = box.peer(STRANGER)
    for _ in range(20):
        peer.send(peer.request("OPTIONS", "sip:example.com"))
    assert peer.take_kinds() == ["200"] * 5
    assert box.core.gate.guard.drops == {"too many new requests": 15}
    assert len(box.core.layer.servers) == 5


def test_a_flood_of_rubbish_is_answered_at_a_bounded_rate() -> None:
    box = Box(secured(malformed=5, burst_s=1.0))
    peer = box.peer(STRANGER)
    request = peer.request("OPTIONS", "sip:example.com")
    request.set("cseq", "nonsense")
    for _ in range(50):
        box.core.receive(request.to_bytes(), peer.flow)
    assert len(peer.take()) == 5


def test_responses_that_were_asked_for_do_not_count() -> None:
    box = Box(secured(messages=20, burst_s=1.0))
    caller, callee = box.peer("192.0.2.50"), box.peer("192.0.2.2")
    callee.register("1002")
    for number in range(100):
        caller.send(caller.request("MESSAGE", "sip:1002@example.com", call_id=f"c{number}"))
        callee.answer(callee.take_request("MESSAGE"), 200)
    assert caller.take_kinds() == ["200"] * 100


def test_responses_that_nobody_asked_for_count() -> None:
    box = Box(secured(messages=20, burst_s=1.0))
    peer = box.peer(STRANGER)
    from appliance.sip.build import response_to

    response = response_to(peer.request("OPTIONS", "sip:example.com"), 200).to_bytes()
    for _ in range(100):
        box.core.receive(response, peer.flow)
    assert box.core.counters.stray_responses < 25


@pytest.mark.parametrize(
    "headers",
    [
        (("user-agent", "friendly-scanner"),),
        (("user-agent", "SIPVicious 0.3"),),
        (("user-agent", "VaxSIPUserAgent/3.1"),),
        (("user-agent", "sipcli/v1.8"),),
    ],
)
@pytest.mark.parametrize("method", ["OPTIONS", "REGISTER", "INVITE"])
def test_a_scanner_gets_no_answer_and_a_ban(headers: tuple[tuple[str, str], ...], method: str) -> None:
    box = Box()
    peer = box.peer(STRANGER)
    peer.send(peer.request(method, "sip:100@example.com", headers=headers))
    box.run(40)
    assert peer.take() == []
    assert len(box.core.layer.servers) == 0


def test_a_scanner_is_known_by_whom_it_calls_and_when_it_writes_badly() -> None:
    box = Box(secured(grades=(Grade.LOG,)))
    peer = box.peer(STRANGER)
    for user in ("sipvicious", "nm", "1'%20or%201=1--"):
        peer.send(peer.request("OPTIONS", "sip:example.com", to=f"<sip:{user}@example.com>"))
        assert peer.take() == []
    bad = peer.request("OPTIONS", "sip:100@example.com", headers=(("user-agent", "friendly-scanner"),))
    bad.set("cseq", "x")
    box.core.receive(bad.to_bytes(), peer.flow)
    assert peer.take() == []
    assert box.core.gate.guard.drops == {"scanner": 4}


def test_whose_phone_happens_to_be_called_so_may_go_on_once_it_gave_its_password() -> None:
    box = Box()
    phone = box.peer("192.0.2.1")
    phone.register("1001")
    phone.send(phone.request("OPTIONS", "sip:example.com", headers=(("user-agent", "sipcli"),)))
    assert phone.take_kinds() == ["200"]


def _with_acls(allow: str, deny: str = "") -> Settings:
    read = network().read
    acl = AclSettings(name="office", allow=tuple(map(read, allow.split())), deny=tuple(map(read, deny.split())))
    listener = ListenerSettings(name="udp", transport=Transport.UDP, port=5060, acl="office")
    return attrs.evolve(_settings(), acls={"office": acl}, listeners={"udp": listener})


def test_a_listener_hears_only_whom_its_acl_takes() -> None:
    box = Box(_with_acls("192.0.2.0/24"))
    inside, outside = box.peer("192.0.2.1"), box.peer(STRANGER)
    other = box.peer(STRANGER, transport="TCP")
    for peer in (inside, outside, other):
        peer.send(peer.request("OPTIONS", "sip:example.com"))
    assert inside.take_kinds() == ["200"]
    assert len(other.take()) == 1  # over the listener tcp, which has none; to the same address and port
    assert box.core.gate.guard.drops == {"acl": 1}
    assert box.core.gate.takes_connection("udp", "192.0.2.1")
    assert not box.core.gate.takes_connection("udp", STRANGER)
    assert box.core.gate.takes_connection("tcp", STRANGER)


def test_a_trunk_is_only_taken_from_where_its_acl_says() -> None:
    settings = _with_acls("192.0.2.0/24", "192.0.2.77")
    trunk = TrunkSettings(
        name="carrier",
        gateways=(gateway().read("192.0.2.50"),),
        trusted=(network().read("192.0.2.0/24"),),
        acl="office",
    )
    settings = attrs.evolve(settings, trunks={"carrier": trunk}, listeners={})
    box = Box(settings)
    good, bad = box.peer("192.0.2.50"), box.peer("192.0.2.77")
    for peer in (good, bad):
        peer.send(peer.request("INVITE", "sip:1002@example.com", call_id=peer.address[0]))
    assert good.take_kinds() == ["480"]
    assert bad.take_kinds() == ["403"]
    assert "[acl office] does not take 192.0.2.77 for [trunk carrier]" in box.core.refusals.latest[0].cause


def test_a_banned_connection_is_closed_and_none_is_taken() -> None:
    box = Box()
    peer = box.peer(STRANGER, transport="TCP")
    peer.send(peer.request("OPTIONS", "sip:1@example.com", headers=(("user-agent", "sipvicious"),)))
    assert not box.core.gate.takes_connection("tcp", STRANGER)
    assert box.core.gate.takes_connection("tcp", "198.51.100.4")


SPELLINGS = [
    b"P-Asserted-Identity: <sip:boss@example.com>\r\n",
    b"p-asserted-identity:<sip:boss@example.com>\r\n",
    b"P-ASSERTED-IDENTITY \t: <sip:boss@example.com>\r\n",
    b"P-Asserted-Identity:\r\n <sip:boss@example.com>\r\n",
    b"P-Asserted-Identity:\r\n\t<sip:boss\r\n @example.com>\r\n",
    b"P-Asserted-Identity: <sip:boss@example.com>\r\nP-Asserted-Identity: <tel:+15550100>\r\n",
    b"Remote-Party-ID: <sip:boss@example.com>;screen=yes\r\n",
    b"pRiViLeGeD: 1\r\n",
    b"X-Billing-Account : 7\r\n",
    b"x-billing-\r\n",
]


@pytest.mark.parametrize("spelling", SPELLINGS[:-1])
def test_headers_of_trust_are_removed_in_every_spelling(spelling: bytes) -> None:
    box = Box(secured(trust_headers=("P-Asserted-Identity", "Remote-Party-ID", "Privileged", "X-Billing-*")))
    caller, callee, trunk = box.peer("192.0.2.1"), box.peer("192.0.2.2"), box.peer("192.0.2.50")
    callee.register("1002")

    def spoilt(message: bytes) -> bytes:
        start, _, rest = message.partition(b"\r\n")
        return start + b"\r\n" + spelling + rest

    def send(peer: object, message: bytes) -> None:
        box.core.receive(spoilt(message), peer.flow)  # type: ignore[attr-defined]
        box.core.work()

    request = caller.request("INVITE", "sip:1002@example.com")
    caller.send(request)
    again = caller.authorized(caller.take_response(407), request)
    send(caller, again.to_bytes())
    invite = callee.take_request("INVITE")
    assert _none(invite.lines)
    from appliance.sip.build import response_to

    for status in (180, 200):
        headers = [("contact", callee.contact)]
        response = response_to(invite, status, to_tag="calleetag", headers=headers)
        send(callee, response.to_bytes())
        got = caller.take_response(status)
        assert _none(got.lines)
    for method in ("ACK", "INFO", "BYE"):
        send(caller, caller.in_dialog(method, got).to_bytes())
        assert _none(callee.take_request(method).lines)
    send(trunk, trunk.request("INVITE", "sip:1002@example.com", call_id="trunk", user="0301234").to_bytes())
    assert not _none(callee.take_request("INVITE").lines)


def _none(lines: list[str]) -> bool:
    text = "\n".join(lines).lower()
    return not any(word in text for word in ("asserted", "remote-party", "privileged", "billing"))


def test_a_reload_keeps_bans_and_takes_up_limits() -> None:
    box = Box()
    guard = box.core.gate.guard
    guard.ban(STRANGER, None, box.now)
    box.core.configure(secured(messages=5), ("example.com",), (5060,), box.core.initial._authenticator)
    peer = box.peer(STRANGER)
    peer.send(peer.request("OPTIONS", "sip:example.com"))
    assert peer.take() == []
    assert guard.settings.messages == 5


def test_the_log_of_bans_is_bounded(capsys: pytest.CaptureFixture[str]) -> None:
    box = Box()

    def scan(address: str) -> None:
        peer = box.peer(address)
        peer.send(peer.request("OPTIONS", "sip:1@example.com", headers=(("user-agent", "sipvicious"),)))

    def events() -> list[str]:
        return [line.split()[2] for line in capsys.readouterr().err.splitlines() if "source" in line]

    for number in range(1000):
        scan(f"198.51.{number >> 8}.{number & 255}")
    assert events() == ["source.banned"] * 30
    box.run(60)
    box.core.sweep()
    scan("198.51.9.9")
    assert events() == ["sources.left_out", "source.banned"]


def test_answers_carry_no_hint_of_the_limits() -> None:
    box = Box(secured(requests=1, burst_s=1.0))
    peer = box.peer(STRANGER)
    peer.send(peer.request("OPTIONS", "sip:example.com"))
    [answer] = peer.take()
    assert isinstance(answer, Response)
    assert answer.status == 200


def test_answers_of_a_gateway_keep_what_trunks_may_say() -> None:
    box = Box()
    caller, gateway = box.peer("192.0.2.1"), box.peer("192.0.2.51")  # of [trunk two], which trusts no address
    caller.invite("sip:9001@example.com")
    from appliance.sip.build import response_to

    said = [("p-charging-vector", "icid-value=1"), ("contact", gateway.contact)]
    gateway.send(response_to(gateway.take_request("INVITE"), 200, to_tag="g", headers=said))
    assert "p-charging-vector" in caller.take_response(200)


def test_answers_of_a_gateway_known_by_name_keep_it_too() -> None:
    settings = _settings()
    two = attrs.evolve(settings.trunks["two"], gateways=(gateway().read("gw.example.net:5060"),))
    settings = attrs.evolve(settings, trunks={**settings.trunks, "two": two})
    from appliance.sip.build import response_to
    from appliance.transport.options import Target

    box = Box(settings)
    box.net.names["gw.example.net"] = [Target("UDP", "192.0.2.77", 5060)]
    caller, peer = box.peer("192.0.2.1"), box.peer("192.0.2.77")
    caller.invite("sip:9001@example.com")
    said = [("p-charging-vector", "icid-value=1"), ("contact", peer.contact)]
    peer.send(response_to(peer.take_request("INVITE"), 200, to_tag="g", headers=said))
    ok = caller.take_response(200)
    assert "p-charging-vector" in ok
    stranger = box.peer("192.0.2.78")
    stranger.send(stranger.request("INVITE", "sip:1002@example.com", headers=tuple(said[:1])))
    assert stranger.take_kinds() == ["407"]
