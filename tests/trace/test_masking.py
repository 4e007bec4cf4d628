"""Secrets leave a message, and nothing else changes: neither length nor lines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.trace.masking import masked, masked_all

HEAD = b"REGISTER sip:example.com SIP/2.0\r\nCall-ID: a\r\n"


@pytest.mark.parametrize("name", [b"Authorization", b"PROXY-AUTHORIZATION", b"WWW-Authenticate", b"authorization  "])
def test_only_what_is_no_secret_stays_of_credentials(name: bytes) -> None:
    line = (
        b': Digest username="1001", realm="example.com", nonce="s3cret", uri="sip:example.com", '
        b'response="s3cret", cnonce=s3cret, opaque="s3\\"cret", qop=auth, nc=00000001, algorithm=MD5\r\n\r\n'
    )
    shown = masked(HEAD + name + line)
    assert b"cret" not in shown
    assert b"s3" not in shown
    for stays in (b'username="1001"', b'uri="sip:example.com"', b"nc=00000001", b"nonce=", b"Call-ID: a\r\n"):
        assert stays in shown
    assert len(shown) == len(HEAD + name + line)


@pytest.mark.parametrize(
    "value",
    [
        b"Bearer s3cret",
        b"s3cret",
        b'Digest\r\n nonce="s3cret",\r\n\tresponse=s3cret',
        b"Digest s3cret nonsense",
        b"Basic s3cret==",
        b'Digest realm="a" s3cret',
    ],
)
def test_whatever_its_form_a_credential_is_masked(value: bytes) -> None:
    assert b"s3cret" not in masked(HEAD + b"Authorization: " + value + b"\r\n\r\n")
    assert b"s3cret" not in masked(HEAD + b"Authorization: " + value)


def test_keys_in_sdp_are_masked() -> None:
    body = (
        b"v=0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:c2VjcmV0|2^20|1:4\r\na=ice-ufrag:open\r\n"
        b"a=ice-pwd:s3cret\r\nk=base64:s3cret\r\n"
    )
    shown = masked(b"INVITE sip:a@example.com SIP/2.0\r\n\r\n" + body)
    assert b"c2VjcmV0" not in shown
    assert b"s3cret" not in shown
    assert b"a=ice-ufrag:open\r\n" in shown
    assert b"|2^20|1:4\r\n" in shown
    assert len(shown) == len(b"INVITE sip:a@example.com SIP/2.0\r\n\r\n" + body)


def test_texts_and_digits_are_masked_and_other_bodies_stay() -> None:
    assert masked(b"MESSAGE sip:a@b SIP/2.0\r\nTo: x\r\n\r\nhello\r\nyou") == (
        b"MESSAGE sip:a@b SIP/2.0\r\nTo: x\r\n\r\n*****\r\n***"
    )
    assert b"hello" not in masked(b"MESSAGE sip:a@b SIP/2.0\r\nTo: x\r\n\r\nhello\r\n\r\n")
    assert b"hello" not in masked(b"MESSAGE sip:a@b SIP/2.0\nTo: x\n\nhello\r\n\r\n")
    dtmf = b"INFO sip:a@b SIP/2.0\r\nContent-Type: application/dtmf-relay\r\n\r\nSignal=5\r\n"
    assert b"5" not in masked(dtmf)
    other = b"INFO sip:a@b SIP/2.0\r\nContent-Type: application/media_control+xml\r\n\r\n<vfu/>"
    assert masked(other) is other


@given(st.binary(max_size=300), st.sampled_from([b"", HEAD + b"Authorization: Digest ", b"MESSAGE \r\n\r\n", b"\nk="]))
def test_nothing_breaks_it_and_no_length_changes(data: bytes, before: bytes) -> None:
    assert len(masked(before + data)) == len(before + data)


_PIECES = st.sampled_from(
    [
        b"AUTHorization: Digest nonce=a\r\n",
        b"proxy-authenticate: a",
        b"a=ICE-pwd:word\r\n",
        b"a=crypto:1 X INLINE:word\r\n",
        b"k=clear:word\r\n",
        b"Content-Type: application/dtmf-relay\r\n",
        b"MESSAGE sip:x SIP/2.0\r\n",
        b"info sip:x SIP/2.0\r\n",
        b"INVITE sip:x SIP/2.0\r\n",
        b"\nmessage ",
        b"\0info sip:x\r\n\r\nx",
        b"\r\n",
        b"\0",
    ]
)


@given(st.lists(st.lists(_PIECES, max_size=8).map(b"".join), max_size=8))
def test_many_at_once_are_masked_as_each_by_itself(messages: list[bytes]) -> None:
    assert list(masked_all(messages)) == [masked(one) for one in messages]
