"""Quality of gateways with a pretend clock: what counts, when a gateway is put back, when it returns, what is kept."""

from __future__ import annotations

import json

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.config.quality import Marks, QualitySettings, marks
from appliance.router.gateway import LivingGateway
from appliance.router.outcome import AttemptOutcome, CallOutcome, End
from appliance.router.quality import MOST_PREFIXES, Quality
from appliance.router.window import BUCKETS, Sum, Window

ONE = LivingGateway("t", "192.0.2.1")
SETTINGS = QualitySettings(
    name="q", window_s=600.0, least_samples=10, least_asr=Marks(40, 60), hold_down_s=100.0, probe_share=10
)


def attempts(
    quality: Quality, end: End, count: int, wall: float, *, status: int = 0, number: str = "1", **more: float
) -> None:
    for _ in range(count):
        quality.attempt(AttemptOutcome(ONE, "", number, end, status, 0.0, **more), wall)


def test_only_with_samples_enough_a_figure_counts() -> None:
    quality = Quality(SETTINGS)
    attempts(quality, End.REFUSED, 9, 1000, status=500)
    assert quality.put_back("1", 1000) == ""
    attempts(quality, End.REFUSED, 1, 1000, status=500)
    assert quality.put_back("1", 1000) == "ASR 0 % of 10 calls, below 40 %"


def test_callers_cancel_and_busy_callees_count_neither_way() -> None:
    quality = Quality(SETTINGS)
    attempts(quality, End.ANSWERED, 10, 1000, pdd_s=1.0)
    attempts(quality, End.GIVEN_UP, 50, 1000, pdd_s=1.0)
    attempts(quality, End.REFUSED, 50, 1000, status=486)
    attempts(quality, End.OURS, 50, 1000)
    figures = quality.figures()[""]
    assert figures["asr"] == 100
    assert figures["ner"] == 100
    assert figures["pdd_s"] == 1.0


def test_network_effectiveness_counts_what_the_callee_is_answered_for() -> None:
    quality = Quality(SETTINGS)
    for end, status in ((End.ANSWERED, 200), (End.REFUSED, 486), (End.REFUSED, 404), (End.UNANSWERED, 408)):
        attempts(quality, end, 1, 1000, status=status)
    for end, status in ((End.REFUSED, 503), (End.SILENT, 408), (End.UNREACHABLE, 503), (End.REFUSED, 500)):
        attempts(quality, end, 1, 1000, status=status)
    assert quality.figures()[""]["ner"] == 50


def test_it_returns_when_the_figure_is_good_again_and_the_hold_down_is_over() -> None:
    quality = Quality(attrs.evolve(SETTINGS, probe_share=1))
    attempts(quality, End.REFUSED, 20, 1000, status=500)
    assert quality.put_back("1", 1000)
    attempts(quality, End.ANSWERED, 19, 1010)  # 49 %: better than the one mark, not than the other
    assert quality.put_back("1", 1150)
    attempts(quality, End.ANSWERED, 20, 1150)  # 66 %
    assert quality.put_back("1", 1150) == ""
    again = Quality(attrs.evolve(SETTINGS, probe_share=1))
    attempts(again, End.REFUSED, 10, 1000, status=500)
    attempts(again, End.ANSWERED, 90, 1001)
    assert again.put_back("1", 1099)
    assert again.put_back("1", 1100) == ""


def test_what_was_bad_rolls_out_of_the_window() -> None:
    quality = Quality(attrs.evolve(SETTINGS, probe_share=1))
    attempts(quality, End.REFUSED, 20, 1000, status=500)
    assert quality.put_back("1", 1590)
    assert quality.put_back("1", 1601 + 600 / BUCKETS) == ""


@pytest.mark.parametrize("share", [1, 5, 10, 50])
def test_some_calls_still_go_there(share: int) -> None:
    quality = Quality(attrs.evolve(SETTINGS, probe_share=share))
    attempts(quality, End.REFUSED, 20, 1000, status=500)
    assert [quality.put_back("1", 1000) for _ in range(200)].count("") == 2 * share


def test_a_prefix_has_figures_of_its_own() -> None:
    settings = attrs.evolve(SETTINGS, prefixes=("44", "4420", "1"), probe_share=1)
    quality = Quality(settings)
    attempts(quality, End.ANSWERED, 80, 1000, number="4415555")
    attempts(quality, End.REFUSED, 20, 1000, status=500, number="44209999")
    assert quality.put_back("4420123", 1000) == "ASR 0 % of 20 calls, below 40 %"
    assert quality.put_back("441", 1000) == ""
    assert quality.put_back("33", 1000) == ""  # nothing is known of it: all together are well
    by_length = Quality(attrs.evolve(SETTINGS, prefix_length=2))
    assert by_length.prefix_of("4420") == "44"


def test_other_figures_put_back_as_well() -> None:
    for settings, said in (
        (attrs.evolve(SETTINGS, least_asr=None, most_pdd=Marks(6, 4)), "PDD 8.0 s of 10 calls, above 6 s"),
        (attrs.evolve(SETTINGS, least_asr=None, least_acd=Marks(30, 60)), "ACD 12.0 s of 10 calls, below 30 s"),
        (attrs.evolve(SETTINGS, least_asr=None, least_mos=Marks(3.6, 4)), "MOS 3.10 of 10 calls, below 3.6"),
    ):
        quality = Quality(settings)
        attempts(quality, End.ANSWERED, 10, 1000, pdd_s=8.0)
        for _ in range(10):
            quality.call(CallOutcome(ONE, "1", 1000, 12.0, mos_from=3.1, mos_towards=4.2), 1000)
        assert quality.put_back("1", 1000) == said


def test_figures_outlive_other_settings_and_a_restart() -> None:
    quality = Quality(SETTINGS)
    attempts(quality, End.ANSWERED, 30, 1000)
    attempts(quality, End.REFUSED, 10, 1200, status=500)
    quality.configure(attrs.evolve(SETTINGS, window_s=1200.0), 1200)
    assert quality.figures()[""]["asr"] == 75
    kept = json.loads(json.dumps(quality.scores[""].window.snapshot()))
    after = Quality(SETTINGS)
    after.restore("", kept, (True, "ASR 3 % of 50 calls, below 40 %", 1190.0), 1210)
    assert after.figures()[""]["asr"] == 75
    assert after.put_back("1", 1210)
    assert after.put_back("1", 1291) == ""
    late = Quality(SETTINGS)
    late.restore("", kept, (False, "", 0.0), 5000)
    assert late.figures()[""]["asr"] is None
    ahead = Quality(SETTINGS)
    ahead.restore("", [[9e9, [1.0] * 12]], (False, "", 9e9), 1000)
    assert ahead.figures()[""]["asr"] is None


def test_memory_is_bounded() -> None:
    quality = Quality(attrs.evolve(SETTINGS, prefix_length=15))
    for number in range(2 * MOST_PREFIXES):
        attempts(quality, End.ANSWERED, 1, 1000, number=str(number))
    assert len(quality.scores) == MOST_PREFIXES
    assert quality.scores[""].window.sums[Sum.ATTEMPTS] == 2 * MOST_PREFIXES


steps = st.lists(st.tuples(st.floats(0, 400), st.integers(0, 5)), max_size=80)


@given(steps)
def test_the_sums_are_those_of_the_window_and_never_below_zero(happened: list[tuple[float, int]]) -> None:
    window = Window(600.0)
    at = 1_000_000.0
    added: list[tuple[float, int]] = []
    for pause, amount in happened:
        at += pause
        window.add(at, [(Sum.ATTEMPTS, amount)])
        added.append((at, amount))
        step = 600.0 / BUCKETS
        inside = sum(amount for when, amount in added if int(when // step) > int(at // step) - BUCKETS)
        assert window.sums[Sum.ATTEMPTS] == inside
        assert len(window.snapshot()) <= BUCKETS


def test_a_clock_that_is_set_back_loses_figures_and_nothing_else() -> None:
    window = Window(600.0)
    window.add(10_000, [(Sum.ATTEMPTS, 1)])
    window.add(5_000, [(Sum.ATTEMPTS, 2)])
    assert window.sums[Sum.ATTEMPTS] == 2


def test_marks_are_one_number_or_two_that_make_sense() -> None:
    least = marks("per cent", 0, 100, least=True)
    assert least.read("40 % / 50 %") == Marks(40, 50)
    assert least.read("40") == Marks(40, 40)
    assert marks("seconds", 0, 120, least=False).read("6/4 s") == Marks(6, 4)
    for wrong in ("50/40", "140", "x", "1/2/3", ""):
        with pytest.raises(ValueError, match=r"threshold|range|returned"):
            least.read(wrong)
