"""Accounts under attack: the guesser is slowed, the owner is not locked out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from appliance.router.logins import Logins


def attacked(logins: Logins, now: float = 0.0, *, sources: int = 50) -> float:
    for number in range(logins.attempts_a_minute + 5):
        logins.failed("1001", f"guesser{number % sources}", now)
        now += 0.01
    return now


def test_a_few_wrong_passwords_change_nothing() -> None:
    logins = Logins(10)
    for _ in range(10):
        assert not logins.failed("1001", "phone", 0.0)
    assert not logins.alarmed(0.0)
    assert logins.judges("1001", "phone", 0.0, reached=False)


def test_the_beginning_of_an_attack_is_told_once() -> None:
    logins = Logins(10)
    assert [logins.failed("1001", "x", 0.0) for _ in range(20)].count(True) == 1
    assert logins.attacked(1.0) == ["1001"]


def test_under_attack_forged_senders_are_not_judged() -> None:
    logins = Logins(10)
    now = attacked(logins)
    assert not logins.judges("1001", "somebody", now, reached=False)
    assert logins.judges("1002", "somebody", now, reached=False)


def test_under_attack_each_real_address_has_three_tries() -> None:
    logins = Logins(10)
    now = attacked(logins)
    for _ in range(3):
        assert logins.judges("1001", "new", now, reached=True)
        logins.failed("1001", "new", now)
    assert not logins.judges("1001", "new", now, reached=True)


def test_the_owner_is_judged_where_he_was_before_and_at_a_new_address() -> None:
    logins = Logins(10)
    logins.succeeded("1001", "home")
    now = attacked(logins)
    for _ in range(20):
        logins.failed("1001", "home", now)  # a child plays with the phone
    assert logins.judges("1001", "home", now, reached=False)
    assert logins.judges("1001", "hotel", now, reached=True)


def test_an_attack_ends_a_minute_after_the_last_attempt() -> None:
    logins = Logins(10)
    now = attacked(logins)
    assert not logins.judges("1001", "x", now + 59, reached=False)
    assert logins.judges("1001", "x", now + 61, reached=False)
    assert not logins.alarmed(now + 61)


def test_a_reload_forgets_users_that_are_gone() -> None:
    logins = Logins(10)
    now = attacked(logins)
    logins.keep(["1002"])
    assert logins.attacked(now) == []


@given(st.lists(st.tuples(st.integers(0, 2000), st.booleans()), max_size=400))
def test_memory_is_bounded_for_each_account(steps: list[tuple[int, bool]]) -> None:
    logins = Logins(5)
    for number, right in steps:
        if right:
            logins.succeeded("1001", f"s{number}")
        else:
            logins.failed("1001", f"s{number}", 0.0)
    for account in logins._accounts.values():
        assert len(account.good) <= 16
        assert len(account.wrong) <= 256
