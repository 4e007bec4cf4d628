"""Whose certificates are believed, and for which numbers."""

from __future__ import annotations

import datetime

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from appliance.sip.stir_chain import BadChain, Chain, read_tn_auth_list_untrusted
from tests.stir_certificates import NOW, Holder, pem, tn_auth_list

ROOT = Holder.of_authority()
BELOW = ROOT.authority()


def verify(*certificates: Holder, root: Holder = ROOT, now: datetime.datetime = NOW) -> Chain:
    chain = Chain.read_untrusted(pem(*(one.certificate for one in certificates)))
    chain.verify([root.certificate], now)
    return chain


def test_a_way_to_the_authority_is_found_in_any_order() -> None:
    leaf = BELOW.issue()
    assert verify(leaf, BELOW).key == leaf.key.public_key()
    assert verify(leaf, ROOT, BELOW).key == leaf.key.public_key()
    verify(ROOT.issue())


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (lambda: (BELOW.issue(),), "not trusted"),
        (lambda: (Holder.of_authority("another").issue(),), "not trusted"),
        (lambda: (Holder.of_authority().issue(),), "not trusted"),  # the name alone is nothing
        (lambda: (ROOT.issue(days=(-3, -1)),), "not valid now"),
        (lambda: (ROOT.issue(days=(1, 3)),), "not valid now"),
        (lambda: (ROOT.issue(critical=True),), "critical extension"),
        (lambda: ((leaf := ROOT.issue(name="no authority")).issue(), leaf), "is no authority"),
        (
            lambda: ((second := (first := ROOT.authority("a", 0)).authority("b")).issue(), second, first),
            "allows no further",
        ),
    ],
)
def test_other_ways_lead_nowhere(made: object, says: str) -> None:
    with pytest.raises(BadChain, match=says):
        verify(*made())  # type: ignore[operator]


def test_only_keys_on_p256_sign() -> None:
    with pytest.raises(BadChain, match="P-256"):
        _ = verify(ROOT.issue(curve=ec.SECP384R1())).key


def test_a_list_covers_its_numbers_and_a_providers_code_all() -> None:
    listed = tn_auth_list(numbers=("442079460000",), ranges=(("12025550100", 10),))
    numbers = verify(ROOT.issue(listed)).numbers
    covered = [one for one in ("442079460000", "12025550100", "12025550109", "12025550110") if numbers.covers(one)]
    assert covered == ["442079460000", "12025550100", "12025550109"]
    assert not numbers.covers("012025550100")
    assert verify(ROOT.issue(tn_auth_list(codes=("709J",)))).numbers.covers("4912345")
    assert not verify(ROOT.issue(b"")).numbers.covers("442079460000")


@given(st.binary(max_size=60))
def test_any_bytes_are_a_list_or_a_bad_chain(data: bytes) -> None:
    for text in (data, b"\x30" + bytes([len(data)]) + data):
        try:
            read_tn_auth_list_untrusted(text)
        except BadChain:
            pass
    try:
        Chain.read_untrusted(data)
    except BadChain:
        pass
