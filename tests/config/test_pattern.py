"""Operators' regular expressions: read, bounded, applied."""

import pytest

from appliance.config.pattern import Pattern


def test_a_pattern_replaces_by_its_groups() -> None:
    national = Pattern(r"^\+44(\d+)$")
    assert national.replaced("+442071234567", r"0\1") == "02071234567"
    assert national.replaced("+4930123", r"0\1") is None
    assert national.matches("+441")
    assert not national.matches("x+441")


def test_only_the_first_match_is_replaced() -> None:
    assert Pattern("a").replaced("banana", "o") == "bonana"


@pytest.mark.parametrize("text", ["(", r"(a)\1", r"(?=a)", "x" * 1001, "((a{1,100}){1,100}){1,100}"])
def test_what_cannot_be_bounded_is_refused_in_words(text: str) -> None:
    with pytest.raises(ValueError, match="regular expression"):
        Pattern(text)


@pytest.mark.parametrize("template", [r"\2", r"\x", "a\\"])
def test_a_template_that_names_no_group_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match="is no group"):
        Pattern("(a)").check_template(template)


def test_a_template_may_hold_groups_and_backslashes() -> None:
    Pattern("(a)").check_template(r"\0\1\\")


def test_the_classic_explosion_ends() -> None:
    """(a+)+$ takes a backtracking engine 2**n steps: with n = 5000 it would never end."""
    assert not Pattern("(a+)+$").matches("a" * 5000 + "!")


def test_bytes_that_are_no_text_are_matched_like_any_unknown_letter() -> None:
    """A header from the network may hold any byte; what the pattern did not touch comes back as it was."""
    stray = b"a\xff1\xc3".decode("utf-8", "surrogateescape")
    assert Pattern("^a.1.$").matches(stray)
    assert Pattern("1").found_in(stray)
    assert Pattern("1").replaced(stray, "2") == stray.replace("1", "2")


def test_groups_that_took_no_part_are_empty_and_nought_is_the_whole_match() -> None:
    assert Pattern("(x)?(b)").replaced("abc", r"<\1|\2|\0|\\|\20>") == "a<|b|b|\\|b0>c"
