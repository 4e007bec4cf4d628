"""Signing in: what guessers learn (nothing), how fast they may guess, and that owners get in."""

from __future__ import annotations

import re

import attrs
import pytest

from appliance.config.security import SecuritySettings
from appliance.sip import digest
from appliance.sip.message import Request, Response

from .pretend_net import Box, Peer, _settings

NONCE = re.compile(rb'nonce="[0-9a-f]+"')
TAG = re.compile(rb"(?m)^(To: .*;tag=).*$")


def wrong(peer: Peer, request: Request, user: str) -> Request:
    """`request` again with a password that is not the user's."""
    again = peer.authorized(challenge_of(peer, request), request, user)
    key = "authorization" if "authorization" in again else "proxy-authorization"
    value = again.require(key)
    again.set(key, re.sub(r'response="[0-9a-f]{4}', 'response="0000', value))
    return again


def challenge_of(peer: Peer, request: Request) -> Response:
    peer.send(request)
    found = [m for m in peer.take() if isinstance(m, Response)]
    assert [m.status for m in found] in ([401], [407])
    return found[0]


def asking(peer: Peer, method: str, user: str) -> Request:
    if method == "REGISTER":
        return peer.request("REGISTER", "sip:example.com", user=user, to=f"<sip:{user}@example.com>", call_id="c")
    return peer.request(method, "sip:1002@example.com", user=user, call_id="c")


def levelled(data: bytes, user: str) -> bytes:
    return TAG.sub(rb"\1", NONCE.sub(b"", data)).replace(user.encode(), b"USER")


@pytest.mark.parametrize("transport", ["UDP", "TCP"])
@pytest.mark.parametrize("method", ["REGISTER", "INVITE", "MESSAGE", "SUBSCRIBE"])
def test_known_and_unknown_users_get_the_same_bytes(
    method: str, transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[int] = []
    real = digest._hash

    def counting(algorithm: str, text: str) -> str:
        counted.append(len(text) > 0)
        return real(algorithm, text)

    monkeypatch.setattr(digest, "_hash", counting)
    seen = []
    for user in ("1001", "1999"):
        box = Box()
        peer = box.peer("192.0.2.1", transport=transport)
        request = asking(peer, method, user)
        request.set("via", f"SIP/2.0/{transport} 192.0.2.1:5060;branch=z9hG4bKsame;rport")
        first = levelled(challenge_of(peer, request).to_bytes(), user)
        again = wrong(peer, asking(peer, method, user), user)
        again.set("via", f"SIP/2.0/{transport} 192.0.2.1:5060;branch=z9hG4bKother;rport")
        counted.clear()
        peer.send(again)
        hashes = len(counted)
        [second] = [m for m in peer.take() if isinstance(m, Response) and m.status > 100]
        seen.append((first, levelled(second.to_bytes(), user), hashes))
    assert seen[0] == seen[1]
    assert seen[0][2] > 0


def test_strangers_do_not_learn_which_numbers_there_are() -> None:
    box = Box()
    peer = box.peer("198.51.100.3")
    for number in ("1001", "1999", "no-such", "0301234"):
        for method in ("INVITE", "OPTIONS", "MESSAGE", "SUBSCRIBE"):
            request = peer.request(method, f"sip:{number}@example.com", call_id=f"{number}{method}")
            request.set("from", "<sip:x@elsewhere.example.net>;tag=1")
            peer.send(request)
            assert peer.take_kinds() == ["407"], (number, method)


def test_a_guesser_is_banned_and_its_neighbour_is_not() -> None:
    box = Box(attrs.evolve(_settings(), security=SecuritySettings(failed_logins=5)))
    guesser, neighbour = box.peer("198.51.100.3"), box.peer("198.51.100.4")
    for _ in range(15):
        guesser.send(wrong(guesser, asking(guesser, "REGISTER", "1001"), "1001"))
        guesser.take()
        if box.core.gate.guard.bans.active(box.now):
            box.run(1.5)
            if box.core.gate.guard.source("198.51.100.3", box.now).ban.grade.value == "drop":  # type: ignore[union-attr]
                break
            guesser.take()
            box.run(70)
    else:
        raise AssertionError("never banned")
    guesser.send(asking(guesser, "REGISTER", "1001"))
    box.run(5)
    assert guesser.take() == []
    neighbour.register("1001")


def test_a_distributed_attack_does_not_lock_the_owner_out() -> None:
    box = Box(attrs.evolve(_settings(), security=SecuritySettings(account_attempts=10)))
    for number in range(30):
        guesser = box.peer(f"198.51.100.{number + 1}")
        guesser.send(wrong(guesser, asking(guesser, "REGISTER", "1001"), "1001"))
        guesser.take()
    assert box.core.sign_in.logins.attacked(box.now) == ["1001"]
    box.peer("203.0.113.9").register("1001")


def test_under_attack_a_right_password_from_a_forged_sender_is_not_judged() -> None:
    box = Box(attrs.evolve(_settings(), security=SecuritySettings(account_attempts=10)))
    for number in range(30):
        guesser = box.peer(f"198.51.100.{number + 1}")
        guesser.send(wrong(guesser, asking(guesser, "REGISTER", "1001"), "1001"))
        guesser.take()
    mine, victim = box.peer("203.0.113.9"), box.peer("203.0.113.10")
    request = asking(mine, "REGISTER", "1001")
    answered = mine.authorized(challenge_of(mine, request), request, "1001")
    box.receive(answered, victim.flow)  # as if it came from the victim's address
    assert victim.take_kinds() == ["401"]
    assert len(box.core.location) == 0


def test_guesses_at_names_that_do_not_exist_cost_no_memory() -> None:
    box = Box()
    peer = box.peer("198.51.100.3")
    for number in range(8):
        peer.send(wrong(peer, asking(peer, "REGISTER", f"guess{number}"), f"guess{number}"))
        peer.take()
    assert box.core.sign_in.logins._accounts == {}
