"""Digest on both sides: the RFC's own figures, then what a hostile or clumsy peer may try."""

from __future__ import annotations

from itertools import count
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.sip import digest
from appliance.sip.digest import (
    Credential,
    DigestClient,
    DigestVerifier,
    ha1_of,
    parse_auth_untrusted,
    response_of,
)
from appliance.sip.errors import BadMessage

USERS = {"1001": Credential(password="secret"), "1002": Credential(ha1={"MD5": ha1_of("MD5", "1002", "box", "two")})}
NOW = 1_800_000_000.0


def verifier(**options: object) -> DigestVerifier:
    serial = count()
    return DigestVerifier("box", b"k" * 32, lambda n: next(serial).to_bytes(n, "big"), **options)  # type: ignore[arg-type]


def client(server: DigestVerifier, user: str = "1001", password: str = "secret", now: float = NOW) -> DigestClient:
    return DigestClient.of_challenges_untrusted(server.challenge(now), user, password)


def judge(server: DigestVerifier, value: str, now: float = NOW, method: str = "INVITE", uri: str = "sip:9@box"):
    return server.verify_untrusted(value, method, uri, USERS.get, now)


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_rfc7616_section_3_9_1(algorithm: str, response: str) -> None:
    ha1 = ha1_of(algorithm, "Mufasa", "http-auth@example.org", "Circle of Life")
    assert response == response_of(
        algorithm,
        ha1,
        method="GET",
        uri="/dir/index.html",
        nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
        nc="00000001",
        cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
        qop="auth",
    )


def test_rfc7616_section_3_9_2_with_erratum_4897() -> None:
    ha1 = ha1_of("SHA-512-256", "J\u00e4s\u00f8n Doe", "api@example.org", "Secret, or not?")
    assert (
        response_of(
            "SHA-512-256",
            ha1,
            method="GET",
            uri="/doe.json",
            nonce="5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK",
            nc="00000001",
            cnonce="NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v",
            qop="auth",
        )
        == "3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5"
    )


def test_rfc2617_section_3_5_and_the_form_without_qop() -> None:
    ha1 = ha1_of("MD5", "Mufasa", "testrealm@host.com", "Circle Of Life")
    fixed = {"method": "GET", "uri": "/dir/index.html", "nonce": "dcd98b7102dd2f0e8b11d0f600bfb0c093"}
    assert (
        response_of("MD5", ha1, nc="00000001", cnonce="0a4f113b", qop="auth", **fixed)
        == "6629fae49393a05397450978507c4ef1"
    )
    assert response_of("MD5", ha1, **fixed) == "670fd8c2df070c60b045671b8b24ff02"


def test_challenges_come_preferred_first_with_one_nonce() -> None:
    values = [parse_auth_untrusted(value)[1] for value in verifier().challenge(NOW)]
    assert [value["algorithm"] for value in values] == ["SHA-256", "MD5"]
    assert len({value["nonce"] for value in values}) == 1
    assert all(value["realm"] == "box" and value["qop"] == "auth" and "stale" not in value for value in values)
    assert parse_auth_untrusted(verifier().challenge(NOW, stale=True)[0])[1]["stale"] == "true"


def test_right_password_is_known_and_the_strongest_algorithm_is_answered() -> None:
    server = verifier()
    ours = client(server)
    assert ours.algorithm == "SHA-256"
    assert judge(server, ours.authorize("INVITE", "sip:9@box", "c1")).user == "1001"
    assert judge(server, ours.authorize("INVITE", "sip:9@box", "c2")).user == "1001"


def test_stored_ha1_serves_without_the_password() -> None:
    server = verifier(algorithms=("MD5",))
    assert judge(server, client(server, "1002", "two").authorize("INVITE", "sip:9@box", "c")).user == "1002"


@pytest.mark.parametrize(
    ("user", "password", "reason"), [("1001", "wrong", "wrong password"), ("nobody", "secret", "unknown user")]
)
def test_wrong_credentials_are_not_stale(user: str, password: str, reason: str) -> None:
    server = verifier()
    verdict = judge(server, client(server, user, password).authorize("INVITE", "sip:9@box", "c"))
    assert (verdict.user, verdict.stale, verdict.reason) == (None, False, reason)


def test_method_and_target_are_covered() -> None:
    server = verifier()
    value = client(server).authorize("INVITE", "sip:9@box", "c")
    assert judge(server, value, method="BYE").reason == "wrong password"
    assert judge(server, value, uri="sip:10@box").reason == "credentials for another uri"
    assert judge(server, value, uri="sip:9@192.0.2.1:5060;transport=tcp").user == "1001"


def test_old_nonce_and_nonce_of_another_key_are_stale_with_the_right_password_only() -> None:
    server = verifier(nonce_lifetime_s=60)
    assert judge(server, client(server).authorize("INVITE", "sip:9@box", "c"), NOW + 61).stale
    other = DigestVerifier("box", b"other" * 4, bytes)
    assert judge(server, client(other).authorize("INVITE", "sip:9@box", "c")).stale
    assert not judge(server, client(other, password="bad").authorize("INVITE", "sip:9@box", "c")).stale


def test_nonce_count_may_overtake_but_never_repeat() -> None:
    server = verifier()
    ours = client(server)
    values = [ours.authorize("INVITE", "sip:9@box", "c") for _ in range(70)]
    assert judge(server, values[1]).user
    assert judge(server, values[0]).user
    assert judge(server, values[1]).stale
    assert judge(server, values[0]).stale
    assert judge(server, values[69]).user
    assert judge(server, values[10]).user
    assert judge(server, values[10]).stale
    assert judge(server, values[3]).stale  # too far behind to know


def test_credentials_without_qop_are_good_once() -> None:
    server = verifier(algorithms=("MD5",))
    ours = client(server)
    ours.qop = ""
    value = ours.authorize("INVITE", "sip:9@box", "c")
    assert judge(server, value).user == "1001"
    assert judge(server, value).stale


def test_memory_for_counts_is_bounded_and_forgets_safely() -> None:
    server = verifier(max_nonces=4)
    first = client(server).authorize("INVITE", "sip:9@box", "c")
    assert judge(server, first).user
    for i in range(1, 6):
        assert judge(server, client(server, now=NOW + i).authorize("INVITE", "sip:9@box", "c"), NOW + i).user
    assert judge(server, first, NOW + 6).stale


def test_quotes_case_and_order_do_not_matter() -> None:
    server = verifier(algorithms=("MD5",))
    params = parse_auth_untrusted(client(server).authorize("INVITE", "sip:9@box", 'a,\\"'))[1]
    assert params["cnonce"] == 'a,\\"'
    ours = client(server)
    params = parse_auth_untrusted(ours.authorize("INVITE", "sip:9@box", "a, b"))[1]
    text = f'DIGEST  response = "{params["response"].upper()}" ,QOP="auth",nc="00000001", Algorithm="md5",'
    text += f'URI="sip:9@box",cNonce="a, b" , NONCE={params["nonce"]},,realm="box",username="10\\01",'
    assert judge(server, text).user == "1001"


def test_among_several_headers_that_of_our_realm_counts() -> None:
    server = verifier()
    foreign = 'Digest username="a", realm="elsewhere", nonce="1", uri="sip:9@box", response="0"'
    values = [foreign, "Basic abc", client(server).authorize("INVITE", "sip:9@box", "c")]
    assert server.verify_any_untrusted(values, "INVITE", "sip:9@box", USERS.get, NOW).user == "1001"
    assert server.verify_any_untrusted([foreign], "INVITE", "sip:9@box", USERS.get, NOW).reason == "no credentials"


@pytest.mark.parametrize(
    "value",
    [
        'Digest realm="box"',
        'Digest realm="box", username="1001", nonce="1", uri="sip:9@box"',
        'Digest realm="box", username="1001", nonce="1", uri="sip:9@box", response="0", qop=auth',
        'Digest realm="box", username="1001", nonce="1", uri="s:9", response="0", qop=auth, nc=1, cnonce="c"',
        'Digest realm="box", realm="box"',
        'Digest realm="box',
        "Digest a",
        "Digest " + 'a="b",' * 40,
        "Digest " + "x" * 5000,
    ],
)
def test_what_cannot_be_read_is_bad(value: str) -> None:
    with pytest.raises(BadMessage, match="Authorization"):
        judge(verifier(), value)


def test_client_takes_what_it_can_do() -> None:
    values = [
        'Digest realm="r", nonce="n1", algorithm=SHA-999',
        "Negotiate",
        'Digest realm="r", nonce="n2", qop="auth-int, auth"',
        'Digest realm="r", nonce="n3", algorithm=SHA-256, stale=TRUE, opaque="o"',
    ]
    ours = DigestClient.of_challenges_untrusted(values, 'a"b', "p")
    assert (ours.algorithm, ours.nonce, ours.qop, ours.stale) == ("SHA-256", "n3", "", True)
    value = ours.authorize("REGISTER", "sip:r", "c")
    assert parse_auth_untrusted(value)[1]["username"] == 'a"b'
    assert parse_auth_untrusted(value)[1]["opaque"] == "o"
    with pytest.raises(BadMessage):
        DigestClient.of_challenges_untrusted(values[:2], "a", "p")


_PIECES = [
    'realm="a"',
    'Nonce = "b,c"',
    r'uri="x\"y"',
    "qop=auth",
    "qop=a b",
    "x=1",
    "nc=1",
    'opaque=""',
    "stale",
    'domain="',
    ' cnonce="d" ',
    'algorithm="M"D5',
    'response=""e',
    "",
]


@given(st.lists(st.sampled_from(_PIECES)), st.sampled_from([",", ", ", " ,\t", " "]))
def test_usual_parameters_are_read_as_all_others_are(pieces: list[str], separator: str) -> None:
    def read() -> object:
        try:
            return parse_auth_untrusted("Digest " + separator.join(pieces))
        except BadMessage as bad:
            return bad.reason

    first = read()
    with mock.patch.object(digest, "_plain_params", return_value=None):
        assert read() == first


@given(st.text(max_size=200))
def test_any_value_is_judged_or_bad(text: str) -> None:
    for value in (text, "Digest " + text, f'Digest realm="box",username="1001",{text}'):
        try:
            assert judge(verifier(), value).user is None
        except BadMessage:
            pass
