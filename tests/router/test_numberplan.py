"""Number plans: what is dialled read into E.164, and written again so that it is read as the same."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.config.kinds import Span
from appliance.config.rewriting import NumberFormat, NumberPlanSettings, NumberRange
from appliance.router.numberplan import NumberPlan
from appliance.sip.uri import parse_uri_untrusted

UK = NumberPlanSettings(
    name="uk",
    country_code="44",
    national_prefix="0",
    national_lengths=Span(9, 10),
    area_code="20",
    local_lengths=Span(8, 8),
    untouched=(NumberRange("112", "112"), NumberRange("999", "999"), NumberRange("30000000", "39999999")),
)
US = NumberPlanSettings(
    name="us",
    country_code="1",
    national_prefix="1",
    international_prefixes=("011",),
    national_lengths=Span(10, 10),
    bare_national=True,
    area_code="212",
    local_lengths=Span(7, 7),
)
SPAIN = NumberPlanSettings(name="es", country_code="34", national_lengths=Span(9, 9), bare_international=True)


@pytest.mark.parametrize(
    ("plan", "dialled", "read"),
    [
        (UK, "+442079460000", "+442079460000"),
        (UK, "+44-(20) 7946".replace(" ", ""), "+44207946"),
        (UK, "00442079460000", "+442079460000"),
        (UK, "0012125550123", "+12125550123"),
        (UK, "02079460000", "+442079460000"),
        (UK, "(020)7946.0000", "+442079460000"),
        (UK, "79460000", "+442079460000"),
        (UK, "999", None),
        (UK, "35550100", None),
        (UK, "2001", None),
        (UK, "alice", None),
        (UK, "*98", None),
        (UK, "+", None),
        (UK, "++44", None),
        (UK, "+0441234567", None),
        (UK, "00000", None),
        (UK, "+4420794600001234", None),
        (US, "12125550123", "+12125550123"),
        (US, "2125550123", "+12125550123"),
        (US, "5550123", "+12125550123"),
        (US, "011442079460000", "+442079460000"),
        (US, "911", None),
        (SPAIN, "912345678", "+34912345678"),
        (SPAIN, "34912345678", "+34912345678"),
        (SPAIN, "91234567", None),
    ],
)
def test_what_a_plan_reads(plan: NumberPlanSettings, dialled: str, read: str | None) -> None:
    assert NumberPlan(plan).to_e164(dialled) == read


@pytest.mark.parametrize(
    ("plan", "number", "form", "written"),
    [
        (UK, "+442079460000", NumberFormat.LOCAL, "79460000"),
        (UK, "+442079460000", NumberFormat.NATIONAL, "02079460000"),
        (UK, "+442079460000", NumberFormat.INTERNATIONAL, "00442079460000"),
        (UK, "+442079460000", NumberFormat.PLAIN, "442079460000"),
        (UK, "+442079460000", NumberFormat.E164, "+442079460000"),
        (UK, "+441632960000", NumberFormat.LOCAL, "01632960000"),
        (UK, "+12125550123", NumberFormat.LOCAL, "0012125550123"),
        (UK, "+442035550100", NumberFormat.LOCAL, "02035550100"),
        (US, "+12125550123", NumberFormat.NATIONAL, "12125550123"),
        (US, "+442079460000", NumberFormat.NATIONAL, "011442079460000"),
    ],
)
def test_what_a_plan_writes(plan: NumberPlanSettings, number: str, form: NumberFormat, written: str) -> None:
    assert NumberPlan(plan).written(number, form) == written


@pytest.mark.parametrize(
    ("uri", "rewritten"),
    [
        ("sip:02079460000@example.com;user=phone", "sip:+442079460000@example.com;user=phone"),
        ("tel:7946-0000;phone-context=+44-20", "tel:+442079460000"),
        ("tel:02079460000;phone-context=+44;ext=12", "tel:+442079460000;ext=12"),
        ("tel:1234;phone-context=example.com", "tel:1234;phone-context=example.com"),
        ("sip:79460000%3Bext%3D7@example.com", "sip:+442079460000;ext=7@example.com"),
        ("sip:79460000;phone-context=+44-20@example.com;user=phone", "sip:+442079460000@example.com;user=phone"),
        ("sip:79460000;;@example.com", "sip:+442079460000@example.com"),
        ("sip:alice@example.com", "sip:alice@example.com"),
        ("sip:example.com", "sip:example.com"),
        ("mailto:02079460000@example.com", "mailto:02079460000@example.com"),
    ],
)
def test_numbers_in_uris(uri: str, rewritten: str) -> None:
    assert str(NumberPlan(UK).rewritten(parse_uri_untrusted(uri))) == rewritten


def test_a_tel_uri_is_always_written_as_a_global_number() -> None:
    uri = parse_uri_untrusted("tel:02079460000")
    assert str(NumberPlan(UK).rewritten(uri, NumberFormat.NATIONAL)) == "tel:+442079460000"


DIGITS = st.text("0123456789", min_size=1, max_size=14)
PLANS = st.builds(
    NumberPlanSettings,
    name=st.just("any"),
    country_code=st.sampled_from(["1", "7", "34", "44", "49", "353"]),
    national_prefix=st.sampled_from(["", "0", "1", "8", "06"]),
    international_prefixes=st.sampled_from([("00",), ("011",), ("0011", "00"), ("810", "00"), ("9",)]),
    national_lengths=st.sampled_from([Span(4, 13), Span(9, 10), Span(10, 10)]),
    bare_national=st.booleans(),
    bare_international=st.booleans(),
    area_code=st.sampled_from(["", "20", "212"]),
    local_lengths=st.sampled_from([None, Span(7, 8), Span(3, 6)]),
)
NATIVE = (NumberFormat.E164, NumberFormat.INTERNATIONAL, NumberFormat.NATIONAL, NumberFormat.LOCAL)


@given(PLANS, DIGITS, st.sampled_from(NATIVE))
def test_to_e164_and_back_is_the_same_number(plan: NumberPlanSettings, digits: str, form: NumberFormat) -> None:
    """Whatever the plan, however odd: what it writes it reads as the same."""
    made = NumberPlan(plan)
    number = made.to_e164(digits)
    if number is not None:
        assert made.to_e164(number) == number
        assert made.to_e164(made.written(number, form)) == number


@given(PLANS, DIGITS, st.sampled_from(NATIVE), st.sampled_from(["sip:{}@example.com", "tel:{}", "sip:{};ext=1@a.b"]))
def test_rewriting_twice_is_rewriting_once(plan: NumberPlanSettings, digits: str, form: NumberFormat, uri: str) -> None:
    made = NumberPlan(plan)
    once = made.rewritten(parse_uri_untrusted(uri.format(digits)), form)
    assert made.rewritten(parse_uri_untrusted(str(once)), form) == once


@given(st.text(max_size=60))
def test_anything_at_all_may_be_asked(text: str) -> None:
    number = NumberPlan(attrs.evolve(UK, bare_international=True)).to_e164(text, text)
    assert number is None or number[1:].isdigit()
