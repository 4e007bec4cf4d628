"""No open relay, no smuggled headers, no amplified forks: what the wire can say that should lead nowhere."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.config.security import SecuritySettings
from appliance.sip.message import Response

from .pretend_net import Box, Peer, _settings

STRANGER = "198.51.100.3"
THIRD = "203.0.113.77"


@pytest.fixture
def box() -> Box:
    return Box()


def raw(peer: Peer, text: str) -> list[Response]:
    """Send exactly this; what comes back to the sender."""
    peer.box.core.receive(text.replace("\n", "\r\n").encode("latin-1"), peer.flow)
    peer.box.core.work()
    return [m for m in peer.take() if isinstance(m, Response)]


def invite_text(uri: str = "sip:1002@example.com", more: str = "", body: str = "", branch: str = "z9hG4bK1") -> str:
    return (
        f"INVITE {uri} SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.50;branch={branch};rport\nMax-Forwards: 70\n"
        f"From: <sip:0301234@carrier.example.net>;tag=1\nTo: <sip:1002@example.com>\nCall-ID: raw\nCSeq: 1 INVITE\n"
        f"Contact: <sip:me@192.0.2.50>\n{more}Content-Length: {len(body)}\n\n{body}"
    )


def hosts(box: Box) -> set[str]:
    """Where anything went."""
    return {host for host, _ in box.net.sent}


# Relay


@pytest.mark.parametrize(
    "route",
    [
        f"<sip:{THIRD};lr>",
        f"<sip:{THIRD}>",
        f"<sip:192.0.2.9;lr>, <sip:{THIRD};lr>",
        f"<sip:192.0.2.9;lr;maddr={THIRD}>, <sip:{THIRD};lr>",
        f'"x" <sip:x@{THIRD};lr>',
    ],
)
@pytest.mark.parametrize("source", ["192.0.2.50", STRANGER])
def test_a_route_leads_nobody_past_the_dial_plan(box: Box, source: str, route: str) -> None:
    peer = box.peer(source)
    peer.send(peer.request("INVITE", "sip:1002@example.com", headers=(("route", route),)))
    assert peer.take_kinds() == ["403"]
    assert hosts(box) <= {source}


@pytest.mark.parametrize(
    "uri",
    [
        f"sip:1002@{THIRD}",
        f"sip:1002@{THIRD};maddr=192.0.2.9",
        f"sip:1002@{THIRD};lr",
        "sip:1002@example.com.attacker.example.net",
        "sip:example.com@attacker.example.net",
        f"sip:1002%40example.com@{THIRD}",
        f"sips:1002@{THIRD}:5061",
    ],
)
@pytest.mark.parametrize("source", ["192.0.2.50", STRANGER])
def test_other_hosts_are_not_reached_through_us(box: Box, source: str, uri: str) -> None:
    peer = box.peer(source)
    request = peer.request("INVITE", uri)
    request.set("from", "<sip:x@elsewhere.example.net>;tag=1")
    peer.send(request)
    assert peer.take_kinds() == ["403"]
    assert hosts(box) <= {source}


@pytest.mark.parametrize("uri", ["tel:+49301234", "tel:0301234;phone-context=example.com", "sip:0301234@example.com"])
def test_a_stranger_gets_no_calls_paid_by_others(box: Box, uri: str) -> None:
    peer, carrier = box.peer(STRANGER), box.peer("192.0.2.50")
    request = peer.request("INVITE", uri, to="<sip:1002@example.com>")
    request.set("from", "<sip:x@elsewhere.example.net>;tag=1")
    peer.send(request)
    assert peer.take_kinds() == ["407"]
    assert carrier.take() == []


@pytest.mark.parametrize(
    "scheme", ["http://example.com/", "mailto:a@example.com", "file:///etc/passwd", "ldap:x", "sip"]
)
def test_other_schemes_are_refused(box: Box, scheme: str) -> None:
    peer = box.peer(STRANGER)
    peer.send(peer.request("INVITE", scheme, to="<sip:a@example.com>"))
    assert set(peer.take_kinds()) <= {"416", "400"}


def test_a_to_tag_opens_no_way_around_the_dial_plan(box: Box) -> None:
    peer, callee = box.peer(STRANGER), box.peer("192.0.2.2")
    callee.register("1002")
    for to in ("<sip:1002@example.com>;tag=x", "<sip:1002@example.com>;tag=", "<sip:1002@example.com>;tag=x;tag=y"):
        request = peer.request("INVITE", "sip:1002@example.com", to=to, call_id=to)
        peer.send(request)
    assert set(peer.take_kinds()) <= {"481", "400", "407"}
    assert callee.take() == []


@pytest.mark.parametrize("uri", ["sip:1002@example.com?Route=%3Csip:203.0.113.77;lr%3E", "sip:1002@example.com?X=y"])
def test_headers_in_a_request_uri_are_refused(box: Box, uri: str) -> None:
    peer = box.peer("192.0.2.50")
    assert [one.status for one in raw(peer, invite_text(uri))] == [400]


def test_headers_in_a_contact_do_not_come_along(box: Box) -> None:
    caller, callee = box.peer("192.0.2.50"), box.peer("192.0.2.2")
    request = callee.request("REGISTER", "sip:example.com", user="1002", to="<sip:1002@example.com>")
    request.set("contact", f"<sip:1002@192.0.2.2:5060?Route=%3Csip:{THIRD}%3E&Replaces=x>")
    callee.send(request)
    callee.send(callee.authorized(callee.take_response(401), request, "1002"))
    callee.take()
    caller.send(caller.request("INVITE", "sip:1002@example.com"))
    for message in callee.take():
        assert "?" not in getattr(message, "uri", "")
        assert "route" not in message
        assert "replaces" not in message
    assert THIRD not in hosts(box)


def test_a_registered_contact_may_not_be_us(box: Box) -> None:
    caller, callee = box.peer("192.0.2.50"), box.peer("192.0.2.2")
    request = callee.request("REGISTER", "sip:example.com", user="1002", to="<sip:1002@example.com>")
    request.set("contact", "<sip:1002@192.0.2.9:5060>")
    callee.send(request)
    callee.send(callee.authorized(callee.take_response(401), request, "1002"))
    caller.send(caller.request("INVITE", "sip:1002@example.com"))
    box.run(200)
    forwarded = box.net.sent.get(("192.0.2.9", 5060), [])
    assert len(forwarded) < 20
    assert len(box.core.calls.active) == 0


# Smuggling


@pytest.mark.parametrize(
    "line",
    [
        "X: a\rP-Asserted-Identity: <sip:boss@example.com>\r\n",
        "X: a\nP-Asserted-Identity: <sip:boss@example.com>\r\n",
        "X: a\n\nP-Asserted-Identity: <sip:boss@example.com>\r\n",
        "X\x00: a\r\n",
        "P-Asserted-Identity\x00: <sip:boss@example.com>\r\n",
        "P-Asserted-Identity\x01: <sip:boss@example.com>\r\n",
        "To\x0b: <sip:1002@example.com>;tag=x\r\n",
        "\x7fTo: x\r\n",
        "Via SIP/2.0/UDP x\r\n",
        ": nothing\r\n",
        "(comment)To: x\r\n",
    ],
)
def test_what_only_some_would_read_as_a_header_is_refused(box: Box, line: str) -> None:
    trunk, callee = box.peer("192.0.2.50"), box.peer("192.0.2.2")
    callee.register("1002")
    text = invite_text().replace("\n", "\r\n").replace("Contact:", f"{line}Contact:").encode("latin-1")
    box.core.receive(text, trunk.flow)
    box.core.work()
    assert callee.take() == []
    assert set(trunk.take_kinds()) <= {"400"}


@pytest.mark.parametrize(
    "twice",
    ["t: <sip:1001@example.com>", "f: <sip:x@y>;tag=2", "i: other", "Cseq: 2 INVITE", "l: 0", "Max-Forwards: 1"],
)
def test_a_second_header_of_a_kind_under_another_name_is_refused(box: Box, twice: str) -> None:
    trunk, callee = box.peer("192.0.2.50"), box.peer("192.0.2.2")
    callee.register("1002")
    assert [one.status for one in raw(trunk, invite_text(more=f"{twice}\n"))] == [400]
    assert callee.take() == []


@pytest.mark.parametrize("length", ["-1", "+5", "0x5", "5 5", "5,5", "99999999999999999999999", "", "٣"])
def test_a_length_that_is_no_number_is_refused(box: Box, length: str) -> None:
    trunk, callee = box.peer("192.0.2.50"), box.peer("192.0.2.2")
    callee.register("1002")
    text = invite_text(body="v=0").replace("Content-Length: 3", f"Content-Length: {length}").replace("\n", "\r\n")
    box.core.receive(text.encode(), trunk.flow)
    box.core.work()
    assert set(trunk.take_kinds()) <= {"400"}
    assert callee.take() == []


def test_a_second_message_behind_the_first_in_one_datagram_is_ignored(box: Box) -> None:
    trunk, callee = box.peer("192.0.2.50"), box.peer("192.0.2.2")
    callee.register("1002")
    trunk_text = invite_text() + invite_text(branch="z9hG4bK2").replace("Call-ID: raw", "Call-ID: second")
    raw(trunk, trunk_text)
    assert [message.call_id for message in callee.take()] == ["raw"]


def test_what_goes_on_has_one_length_and_no_breaks(box: Box) -> None:
    trunk, callee = box.peer("192.0.2.50"), box.peer("192.0.2.2")
    callee.register("1002")
    raw(trunk, invite_text(body="v=0\n").replace("Content-Length: 4", "l : 5"))
    for message in callee.take():
        data = message.to_bytes()
        head = data.partition(b"\r\n\r\n")[0]
        assert b"\n" not in head.replace(b"\r\n", b"")
        assert sum(line.lower().startswith((b"content-length", b"l ")) for line in head.split(b"\r\n")) == 1


_BREAKS = st.sampled_from(["\r", "\n", "\r\n", "\r\n ", "\x00", "\x0b", "\x85", "\u2028", " ", "\t", ":"])


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 400), _BREAKS), min_size=1, max_size=4), st.booleans())
def test_no_break_anywhere_makes_a_header_of_trust(breaks: list[tuple[int, str]], inside_name: bool) -> None:
    box = Box(attrs.evolve(_settings(), security=SecuritySettings(malformed=0)))
    caller, callee = box.peer("192.0.2.1"), box.peer("192.0.2.2")
    callee.register("1002")
    request = caller.request("INVITE", "sip:1002@example.com")
    caller.send(request)
    again = caller.authorized(caller.take_response(407), request)
    again.append("x-filler", "P-Asserted-Identity: <sip:boss@example.com>")
    text = again.to_bytes().decode()
    start = text.index("X-Filler") if inside_name else 0
    for where, piece in breaks:
        at = start + where % (len(text) - start)
        text = text[:at] + piece + text[at:]
    box.core.receive(text.encode(), caller.flow)
    box.core.work()
    for message in callee.take():
        for line in message.to_bytes().partition(b"\r\n\r\n")[0].split(b"\r\n"):
            assert not line.lower().startswith(b"p-asserted-identity")


# Forks, loops and size


def test_a_fork_that_comes_back_to_us_does_not_multiply(box: Box) -> None:
    """RFC 5393 §3: two users whose phones point at each other, through a proxy that sends everything back."""
    for user, other in (("1001", "1002"), ("1002", "1001")):
        phone = box.peer("192.0.2.7", 5070)
        request = phone.request("REGISTER", "sip:example.com", user=user, to=f"<sip:{user}@example.com>")
        request.set("contact", f"<sip:{other}@192.0.2.7:5070>, <sip:{other}@192.0.2.7:5070;x=2>")
        phone.send(request)
        phone.send(phone.authorized(phone.take_response(401), request, user))
        phone.take()
    trunk, mirror = box.peer("192.0.2.50"), box.peer("192.0.2.7", 5070)
    trunk.send(trunk.request("INVITE", "sip:1002@example.com"))
    sent = 0
    for _ in range(40):
        invites = [m for m in mirror.take() if not isinstance(m, Response) and m.method == "INVITE"]
        if not invites:
            break
        sent += len(invites)
        for invite in invites:
            back = invite.copy()
            back.uri = back.uri.replace("192.0.2.7:5070", "example.com").replace(";x=2", "")
            back.prepend("via", f"SIP/2.0/UDP 192.0.2.7:5070;branch=z9hG4bKmirror{sent}{invite.via.branch}")
            mirror.send(back)
    assert sent <= 120


@pytest.mark.parametrize("value", ["0", "1", "255"])
def test_hops_count_down_and_never_up(box: Box, value: str) -> None:
    trunk, callee = box.peer("192.0.2.50"), box.peer("192.0.2.2")
    callee.register("1002")
    raw(trunk, invite_text().replace("Max-Forwards: 70", f"Max-Forwards: {value}"))
    seen = [message.max_forwards for message in callee.take()]
    assert seen == ([] if value == "0" else [int(value) - 1])


@pytest.mark.parametrize("value", ["256", "-1", "x", "", "70 70", "99999999999999999999"])
def test_absurd_hops_are_refused(box: Box, value: str) -> None:
    trunk, callee = box.peer("192.0.2.50"), box.peer("192.0.2.2")
    callee.register("1002")
    assert [m.status for m in raw(trunk, invite_text().replace("Max-Forwards: 70", f"Max-Forwards: {value}"))] == [400]
    assert callee.take() == []


def test_breadth_is_not_widened_by_the_asker(box: Box) -> None:
    trunk, callee = box.peer("192.0.2.50"), box.peer("192.0.2.2")
    callee.register("1002")
    trunk.send(trunk.request("INVITE", "sip:1002@example.com", headers=(("max-breadth", "99999999"),)))
    assert int(callee.take_request("INVITE").require("max-breadth")) <= box.settings.sip.max_breadth


def test_too_many_headers_are_refused(box: Box) -> None:
    trunk = box.peer("192.0.2.50")
    raw(trunk, invite_text(more="X: y\n" * 5000))
    assert box.core.counters.malformed == 1


def test_a_body_of_bodies_of_bodies_is_carried_and_not_followed(box: Box) -> None:
    trunk, callee = box.peer("192.0.2.50"), box.peer("192.0.2.2")
    callee.register("1002")
    body = "v=0\n"
    for depth in range(200):
        body = f"--b{depth}\nContent-Type: multipart/mixed;boundary=b{depth - 1}\n\n{body}\n--b{depth}--\n"
    request = trunk.request("INVITE", "sip:1002@example.com")
    request.set_body(body.replace("\n", "\r\n").encode(), "multipart/mixed;boundary=b199")
    trunk.send(request)
    assert {m.method if not isinstance(m, Response) else str(m.status) for m in callee.take()} <= {"INVITE"}
