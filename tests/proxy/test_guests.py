"""Guests of a self-test: what they may, and that it is nothing else."""

import attrs
import pytest

from appliance.proxy import guests
from tests.proxy.pretend_net import BOX, Box, Peer
from tests.rtc.sdp_samples import PHONE, crlf

NAME = "selftest-guest"


@pytest.fixture
def box(monkeypatch: pytest.MonkeyPatch) -> Box:
    monkeypatch.setattr(guests.secrets, "token_hex", lambda size: "guest")
    monkeypatch.setattr(guests.secrets, "token_urlsafe", lambda size: f"secret{NAME}")
    made = Box()
    made.core.guests.invite()
    return made


def called(peer: Peer, uri: str, **more: object) -> list[str]:
    peer.invite(uri, user=NAME, body=crlf(PHONE), **more)
    return [kind for kind in peer.take_kinds() if kind != "100"]


def test_a_guest_registers_and_calls_the_lines_of_the_self_test(box: Box) -> None:
    peer = box.peer("192.0.2.1")
    peer.register(NAME)
    assert len(box.core.location) == 1
    for line in ("selftest-tone", "selftest-echo"):
        assert called(peer, f"sip:{line}@example.com", call_id=line) == ["200"]
    explained = sorted(call.decision.explanation for call in box.core.calls.active.values())
    ways = [f"line:selftest-{line} by itself, without a route" for line in ("echo", "tone")]
    assert [one.partition(": ")[2] for one in explained] == ways


@pytest.mark.parametrize("uri", ["sip:1002@example.com", "sip:0123@example.com", "sip:5000@example.com"])
def test_a_guest_calls_nobody_else(box: Box, uri: str) -> None:
    box.peer("192.0.2.2").register("1002")
    assert called(box.peer("192.0.2.1"), uri) == ["403"]
    assert not box.core.calls.active
    assert ("192.0.2.50", 5060) not in box.net.sent


def test_users_do_not_reach_the_lines_and_do_not_speak_for_a_guest(box: Box) -> None:
    peer = box.peer("192.0.2.1")
    peer.invite("sip:selftest-tone@example.com", body=crlf(PHONE))
    assert peer.take_kinds()[-1] == "404"
    request = peer.request("INVITE", "sip:selftest-tone@example.com", user=NAME, body=crlf(PHONE), call_id="other")
    peer.send(request)
    peer.send(peer.authorized(peer.take_response(407), request, "1001"))
    assert peer.take_kinds()[-1] == "403"


def test_a_guest_is_nobody_once_dismissed_or_after_a_minute(box: Box) -> None:
    peer = box.peer("192.0.2.1")
    peer.register(NAME)
    box.run(guests.STAY_S + 1)
    assert not box.core.guests.staying
    assert len(box.core.location) == 0
    assert called(peer, "sip:selftest-tone@example.com") == ["407"]


def test_a_guest_stays_over_a_reload_and_calls_from_a_trunks_address(box: Box) -> None:
    authenticator = guests.Authenticator("example.com", b"k" * 32, box.settings.users)
    settings = attrs.evolve(box.settings)
    box.core.configure(settings, (BOX, "example.com"), (5060,), authenticator)
    assert called(box.peer("192.0.2.50"), "sip:selftest-tone@example.com") == ["200"]


def test_only_a_few_guests_at_a_time(box: Box) -> None:
    box.core.guests.staying.update({str(n): box.core.guests.staying[NAME] for n in range(guests.MOST - 1)})
    with pytest.raises(ValueError, match="run already"):
        box.core.guests.invite()
