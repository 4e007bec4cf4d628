"""ENUM: what is asked for a number, and which URIs the records make of it (RFC 6116)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.transport.enum import look_up
from appliance.transport.selection import Naptr, Question, Record

NUMBER = "+441632960083"
NAME = "3.8.0.0.6.9.2.3.6.1.4.4"


def naptr(regexp: str, service: str = "E2U+sip", order: int = 1, preference: int = 1, flags: str = "u") -> Naptr:
    return Naptr(order, preference, flags, service, "", regexp)


def uris(*records: Naptr, number: str = NUMBER) -> list[str]:
    return answered({"e164.example": records}, number)


def answered(zones: dict[str, tuple[Naptr, ...]], number: str = NUMBER) -> list[str]:
    asking = look_up(number, [*zones])
    try:
        questions = next(asking)
        answers: dict[Question, tuple[Record, ...]] = {
            question: zones[question.name.removeprefix(NAME + ".")] for question in questions
        }
        asking.send(answers)
    except StopIteration as done:
        result: list[str] = done.value
        return result
    raise AssertionError("asked twice")


def test_the_digits_are_asked_backwards_under_every_suffix_at_once() -> None:
    questions = next(look_up(NUMBER, ["e164.arpa.", "Carrier.example"]))
    assert questions == [Question(f"{NAME}.e164.arpa", "NAPTR"), Question(f"{NAME}.carrier.example", "NAPTR")]


@pytest.mark.parametrize("number", ["1001", "+12", "+" + "1" * 16, "+44x", "", "+४४१६"])
def test_what_is_no_e164_number_asks_nothing(number: str) -> None:
    with pytest.raises(StopIteration) as done:
        next(look_up(number, ["e164.arpa"]))
    assert done.value.value == []


def test_groups_of_the_number_go_into_the_uri() -> None:
    assert uris(naptr(r"!^\+44(.*)$!sip:\1@uk.example!")) == ["sip:1632960083@uk.example"]


def test_records_are_tried_by_order_then_preference() -> None:
    found = uris(
        naptr("!^.*$!sip:third@example.com!", order=2),
        naptr("!^.*$!sip:second@example.com!", preference=2),
        naptr("!^.*$!sip:first@example.com!"),
    )
    assert found == ["sip:first@example.com", "sip:second@example.com", "sip:third@example.com"]


def test_the_first_suffix_that_knows_the_number_decides() -> None:
    zones = {
        "a.example": (naptr("!^.*$!mailto:x@example.com!", service="E2U+email"),),
        "b.example": (naptr("!^.*$!sip:b@example.com!"),),
        "c.example": (naptr("!^.*$!sip:c@example.com!"),),
    }
    assert answered(zones) == ["sip:b@example.com"]


@pytest.mark.parametrize("service", ["E2U+sip", "e2u+SIP", "E2U+voice+sip", "E2U+sip:secure", "sip+E2U"])
def test_every_way_to_say_sip_is_heard(service: str) -> None:
    assert uris(naptr("!^.*$!sip:a@example.com!", service=service)) == ["sip:a@example.com"]


@pytest.mark.parametrize(
    "record",
    [
        naptr("!^.*$!sip:a@example.com!", service="E2U+pstn:tel"),
        naptr("!^.*$!tel:+4416!"),
        naptr("!^.*$!sip:a@example.com!", flags=""),
        naptr("!^+49$!sip:a@example.com!"),
        naptr("!^\\+49!sip:a@example.com!"),
        naptr("!^.*$!sip:\\1@example.com!"),
        naptr("!^(.*$!sip:a@example.com!"),
        naptr("!^.*$!sip:a@example.com\r\nVia: x!"),
        naptr("!^.*$!sip:a b@example.com!"),
        naptr("^.*$!sip:a@example.com!"),
        naptr("!^.*$!sip:a@example.com!x"),
        naptr("!^.*$!sip:a@example.com"),
        naptr(""),
        naptr("!"),
    ],
)
def test_a_record_that_is_no_rule_for_sip_is_passed_over(record: Naptr) -> None:
    assert uris(record, naptr("!^.*$!sip:good@example.com!", order=9)) == ["sip:good@example.com"]


def test_case_and_other_delimiters() -> None:
    assert uris(naptr("/^.*$/SIP:a@example.com/i")) == ["SIP:a@example.com"]
    assert uris(naptr(r"/^.*$/sip:a\/b@example.com/")) == ["sip:a/b@example.com"]


@given(st.text(max_size=60), st.text(max_size=20))
def test_no_record_of_a_stranger_raises(regexp: str, service: str) -> None:
    for uri in uris(naptr(regexp, service), naptr(regexp)):
        assert uri.isprintable()
