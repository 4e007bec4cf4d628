"""Copied methods do what the inherited ones do, and are nobody else's."""

from __future__ import annotations

import pytest

from appliance.sip.client_transaction import InviteClient, OtherClient
from appliance.sip.message import Request, Response
from appliance.sip.own_code import own_copy, with_own_code
from appliance.sip.server_transaction import InviteServer, OtherServer


class Far:
    def who(self) -> str:
        return "far"

    def where(self, *, very: bool = False) -> str:
        return f"{self.who()}{'!' * very}"


class Near(Far):
    def __init__(self, name: str = "near") -> None:
        self.name = name

    def who(self) -> str:
        return self.name

    @property
    def upper(self) -> str:
        """In capitals."""
        return self.who().upper()


@with_own_code
class One(Near):
    """Nothing of its own."""


@with_own_code
class Two(Near):
    def who(self) -> str:
        return "two, once " + super().who()


def test_the_nearest_method_counts_and_ones_own_stays() -> None:
    assert (One().where(very=True), One("x").upper) == ("near!", "X")
    assert (Two().where(), Two("x").upper) == ("two, once near", "TWO, ONCE X")
    assert One.upper.__doc__ == "In capitals."


def test_bases_are_left_as_they_are() -> None:
    assert One.where is not Far.where
    assert Near.where is Far.where
    assert One.where.__qualname__ == "Far.where"


@pytest.mark.parametrize(
    ("one", "other"), [(InviteClient, OtherClient), (InviteServer, OtherServer), (Request, Response)]
)
def test_classes_that_take_turns_share_no_code(one: type, other: type) -> None:
    codes = [{id(f.__code__) for f in vars(cls).values() if hasattr(f, "__code__")} for cls in (one, other)]
    assert len(codes[0]) > 5
    assert not codes[0] & codes[1]


def test_a_copied_function_keeps_its_defaults() -> None:
    def asked(a: int, b: int = 2, *, c: int = 3) -> tuple[int, int, int]:
        return a, b, c

    assert own_copy(asked)(1) == (1, 2, 3)
    assert own_copy(asked).__code__ is not asked.__code__
