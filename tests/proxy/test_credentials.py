"""Digest authentication of configured users, with our own client side as the phone."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.config.dialplan import UserSettings
from appliance.config.secret import Secret
from appliance.proxy.credentials import Authenticator, Challenge
from appliance.sip.digest import DigestClient, ha1_of
from appliance.sip.errors import BadMessage
from appliance.sip.message import Request

REALM = "example.com"
NOW = 1_700_000_000.0
KEY = b"k" * 32


def user(name: str = "1001", **settings: Any) -> UserSettings:
    return UserSettings(name=name, **settings)


def authenticator(*users: UserSettings) -> Authenticator:
    return Authenticator(REALM, KEY, {u.name: u for u in users or (user(password=Secret("open sesame")),)})


def request(*headers: tuple[str, str], method: str = "REGISTER") -> Request:
    return Request.make(method, "sip:example.com", headers)


def authorized(
    desk: Authenticator, *, name: str = "1001", password: str = "open sesame", algorithm: str | None = None, proxy: bool
) -> Request:
    """A request as a phone sends it that was challenged."""
    challenge = desk.check(request(), NOW, proxy=proxy)
    assert isinstance(challenge, Challenge)
    values = [value for _, value in challenge.headers if algorithm is None or f"algorithm={algorithm}," in value]
    client = DigestClient.of_challenges_untrusted(values, name, password)
    header = "proxy-authorization" if proxy else "authorization"
    return request((header, client.authorize("REGISTER", "sip:example.com", "cnonce")))


@pytest.mark.parametrize("proxy", [False, True])
@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
def test_right_password_names_the_user(algorithm: str, proxy: bool) -> None:
    desk = authenticator()
    assert desk.check(authorized(desk, algorithm=algorithm, proxy=proxy), NOW, proxy=proxy) == "1001"


def test_challenges_come_one_for_each_algorithm_the_preferred_first() -> None:
    challenge = authenticator().check(request(), NOW, proxy=False)
    assert isinstance(challenge, Challenge)
    assert challenge.status == 401
    assert [name for name, _ in challenge.headers] == ["www-authenticate"] * 2
    assert ["SHA-256" in value for _, value in challenge.headers] == [True, False]
    proxied = authenticator().check(request(), NOW, proxy=True)
    assert isinstance(proxied, Challenge)
    assert (proxied.status, proxied.headers[0][0]) == (407, "proxy-authenticate")


@pytest.mark.parametrize(("name", "password"), [("1001", "wrong"), ("9999", "open sesame"), ("9999", "wrong")])
def test_wrong_password_and_unknown_user_look_alike(name: str, password: str) -> None:
    desk = authenticator()
    refused = desk.check(authorized(desk, name=name, password=password, proxy=False), NOW, proxy=False)
    assert isinstance(refused, Challenge)
    assert refused.status == 401
    assert refused.cause
    assert not any("stale" in value for _, value in refused.headers)


def test_old_nonce_with_the_right_password_is_stale() -> None:
    desk = authenticator()
    asked = authorized(desk, proxy=False)
    again = desk.check(asked, NOW + 301, proxy=False)
    assert isinstance(again, Challenge)
    assert all("stale=true" in value for _, value in again.headers)


def test_replayed_credentials_are_not_good_twice() -> None:
    desk = authenticator()
    asked = authorized(desk, proxy=False)
    assert desk.check(asked, NOW, proxy=False) == "1001"
    assert isinstance(desk.check(asked, NOW, proxy=False), Challenge)


def test_nonce_outlives_a_restart_with_the_same_key() -> None:
    asked = authorized(authenticator(), proxy=False)
    assert authenticator().check(asked, NOW + 1, proxy=False) == "1001"


def test_stored_hashes_stand_for_the_password() -> None:
    desk = authenticator(
        user(
            ha1_md5=Secret(ha1_of("MD5", "1001", REALM, "open sesame").upper()),
            ha1_sha256=Secret(ha1_of("SHA-256", "1001", REALM, "open sesame")),
        )
    )
    for algorithm in ("MD5", "SHA-256"):
        assert desk.check(authorized(desk, algorithm=algorithm, proxy=False), NOW, proxy=False) == "1001"


def test_user_without_password_cannot_sign_in() -> None:
    desk = authenticator(user())
    assert isinstance(desk.check(authorized(desk, password="", proxy=False), NOW, proxy=False), Challenge)


def test_users_of_a_reload_count_at_once() -> None:
    desk = authenticator()
    desk.use({"1002": user("1002", password=Secret("new"))})
    assert isinstance(desk.check(authorized(desk, proxy=False), NOW, proxy=False), Challenge)
    assert desk.check(authorized(desk, name="1002", password="new", proxy=False), NOW, proxy=False) == "1002"


def test_unreadable_credentials_are_a_bad_message() -> None:
    with pytest.raises(BadMessage, match="Authorization"):
        authenticator().check(request(("authorization", 'Digest realm="example.com"')), NOW, proxy=False)


def test_credentials_for_our_realm_do_not_travel_on() -> None:
    desk = authenticator()
    asked = authorized(desk, proxy=True)
    other = 'Digest username="x", realm="elsewhere", nonce="1", uri="sip:x", response="0"'
    asked.append("proxy-authorization", other)
    desk.strip(asked)
    assert asked.get_all("proxy-authorization") == [other]
