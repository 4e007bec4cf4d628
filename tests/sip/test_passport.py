"""PASSporTs and Identity headers: an example of the RFC's authors, what we sign, and what strangers may send."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from hypothesis import given
from hypothesis import strategies as st

from appliance.sip.errors import BadMessage
from appliance.sip.passport import Passport, SignedPassport, canonical_json, read_identity_untrusted, sign

# The example of RFC 8225's authors, as its drafts have it (iat is a text there), and the key it is signed with.
RFC_KEY = b"""-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE8HNbQd/TmvCKwPKHkMF9fScavGeH
78YTU8qLS8I5HLHSSmlATLcslQMhNC/OhlWBYC626nIlo7XeebYS7Sb37g==
-----END PUBLIC KEY-----
"""
RFC_SIGNED = (
    "eyJhbGciOiJFUzI1NiIsInR5cCI6InBhc3Nwb3J0IiwieDV1IjoiaHR0cHM6Ly9jZXJ0LmV4YW1wbGUub3JnL3Bhc3Nwb3J0LmNlciJ9."
    "eyJkZXN0Ijp7InVyaSI6WyJzaXA6YWxpY2VAZXhhbXBsZS5jb20iXX0sImlhdCI6IjE0NDMyMDgzNDUiLCJvcmlnIjp7InRuIjoiMTIxNTU1NTEyMTIifX0"
)
RFC_SIGNATURE = "rq3pjT1hoRwakEGjHCnWSwUnshd0-zJ6F1VOgFWSjHBr8Qjpjlk-cpFYpFYsojNCpTzO3QfPOlckGaS6hEck7w"

KEY = ec.generate_private_key(ec.SECP256R1())
PASSPORT = Passport(
    orig="12025550100",
    dest=("442079460000",),
    iat=1_700_000_000,
    x5u="https://cert.example.com/a.pem",
    attest="A",
    origid="123e4567-e89b-42d3-a456-426614174000",
)


def part(value: object) -> str:
    return urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def test_an_example_of_others_is_canonical_and_its_signature_good() -> None:
    key = load_pem_public_key(RFC_KEY)
    assert isinstance(key, ec.EllipticCurvePublicKey)
    signature = urlsafe_b64decode(RFC_SIGNATURE + "==")
    assert SignedPassport(PASSPORT, RFC_SIGNED.encode(), signature).is_signed_with(key)
    assert not SignedPassport(PASSPORT, RFC_SIGNED.encode() + b"x", signature).is_signed_with(key)
    for text in RFC_SIGNED.split("."):
        raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        assert canonical_json(json.loads(raw)) == raw


def test_what_we_sign_reads_back_and_is_ours() -> None:
    value = sign(PASSPORT, KEY)
    signed = read_identity_untrusted(value)
    assert signed is not None
    assert signed.passport == PASSPORT
    assert signed.is_signed_with(KEY.public_key())
    assert not signed.is_signed_with(ec.generate_private_key(ec.SECP256R1()).public_key())
    assert value.endswith(";info=<https://cert.example.com/a.pem>;alg=ES256;ppt=shaken")
    header = urlsafe_b64decode(value.partition(".")[0] + "==")
    assert header == b'{"alg":"ES256","ppt":"shaken","typ":"passport","x5u":"https://cert.example.com/a.pem"}'


def test_another_kind_of_passport_is_passed_over() -> None:
    assert read_identity_untrusted(f"{part({'alg': 'ES256', 'ppt': 'div'})}.e30.x;info=<https://a>;ppt=div") is None
    assert read_identity_untrusted(f"{part({'alg': 'ES256'})}.e30.x;info=<https://a>") is None


@pytest.mark.parametrize(
    ("header", "claims"),
    [
        ({"alg": "none"}, {}),
        ({"alg": "HS256"}, {}),
        ({"x5u": 7}, {}),
        ({"x5u": "https://cert.example.com/b.pem"}, {}),
        ({}, {"orig": "1"}),
        ({}, {"orig": {"tn": 12}}),
        ({}, {"dest": ["1"]}),
        ({}, {"dest": {"tn": [1]}}),
        ({}, {"iat": "now"}),
        ({}, {"iat": -1}),
        ({}, {"iat": 10**400}),
        ({}, {"attest": "D"}),
        ({}, {"origid": "a\nb"}),
        ({}, {"dest": {"tn": ["1"] * 11}}),
    ],
)
def test_what_is_not_as_it_should_be_is_refused(header: dict[str, object], claims: dict[str, object]) -> None:
    good = {"alg": "ES256", "ppt": "shaken", "typ": "passport", "x5u": PASSPORT.x5u}
    fine = {"attest": "A", "dest": {"tn": ["1"]}, "iat": 1, "orig": {"tn": "2"}, "origid": "x"}
    token = f"{part({**good, **header})}.{part({**fine, **claims})}.{RFC_SIGNATURE}"
    with pytest.raises(BadMessage):
        read_identity_untrusted(f"{token};info=<{PASSPORT.x5u}>;alg=ES256;ppt=shaken")


@given(
    st.text(max_size=200) | st.builds(lambda a, b: f"{part(a)}.{part(b)}.AAAA;info=<x>", st.lists(st.none()), st.none())
)
def test_anything_else_is_a_bad_message_or_nothing(text: str) -> None:
    try:
        read_identity_untrusted(text)
    except BadMessage:
        pass


def test_deep_json_does_no_harm() -> None:
    deep = urlsafe_b64encode(b"[" * 3000).rstrip(b"=").decode()
    with pytest.raises(BadMessage):
        read_identity_untrusted(f"{deep}.{deep}.AAAA;info=<x>;ppt=shaken")
